"""Make a small mBART, for those who have none.

    python -m prepare.small_mbart --corpora data/demo --out deps/mbart-demo --size demo
    python -m prepare.small_mbart --cfg configs/soke.yaml --out deps/mbart-base --size base

Random weights, and a tokenizer trained on the texts of the synthetic corpora, or on the training texts and the lexicon
that a configuration names, in the folder format of facebook/mbart-large-cc25: the code that loads the real one loads
this one, with GENERATOR.MBART=<--out>.
"""
from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Iterable, Sequence

import sentencepiece
import torch
from transformers import MBartConfig, MBartForConditionalGeneration, MBartTokenizer

from soke.build.data import corpora_of, lexicon_of
from soke.data.clip import SPLITS, locale_of
from soke.data.corpora.csl_daily import CSLDaily
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.lexicon import Lexicon
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.synthetic.files import STAMP as CORPORA_STAMP
from soke.errors import UserError
from soke.generator.retrieval import MARKERS
from soke.generator.text_tokenizer import SENTENCEPIECE_FILE, TextTokenizer, normaliser_of
from soke.run.config import Config, load_config
from soke.storage import new_folder

VERSION = 3  # to be raised whenever the same parameters give another model
STAMP = "small_mbart.json"
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
_PIECES_OF_SENTENCEPIECE = 3  # <unk>, <s> and </s> open its vocabulary
# The languages of mbart-large-cc25 (Liu et al. 2020) in the order of their ids, which follow the pieces.
LANGUAGE_CODES = (
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN", "hi_IN", "it_IT", "ja_XX",
    "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP", "nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN", "zh_CN",
)
# Widths and numbers of layers; vocabulary: pieces at most.
SIZES = {
    "tiny": {"d_model": 32, "layers": 1, "heads": 2, "vocabulary": 300},
    "demo": {"d_model": 128, "layers": 3, "heads": 4, "vocabulary": 1000},
    "base": {"d_model": 512, "layers": 6, "heads": 8, "vocabulary": 16000},
}
# What people type beyond the corpora, so that it is not all unknown; as it is normalised.
_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZäöüÄÖÜß0123456789.,?!'-。"
_LONGEST = 1 << 20  # bytes of a text that pieces are learnt from


def configured_texts(config: Config, splits: Iterable[str] = SPLITS) -> list[str]:
    """Different sentences of the corpora that a configuration names, words of its lexicon, markers of retrieval.

    Raises UserError when an annotation is missing.
    """
    corpora = corpora_of(config)
    lexicon = lexicon_of(config, known=[corpus.language for corpus in corpora])
    sources = [*corpora, *([] if lexicon is None else [lexicon])]
    listings = [getattr(source, "annotated", source.clips) for source in sources]
    texts = [clip.text for clips in listings for split in splits for clip in clips(split)]
    markers = [marker.format(number) for marker in MARKERS.values() for number in range(1, 11)]
    return sorted(set(filter(None, texts)) | set(markers))


def corpus_texts(corpora: Path) -> list[str]:
    """All sentences of the synthetic corpora, and the words of their lexicon. Raises UserError when one is missing."""
    _check_complete(corpora)
    readers = (
        How2Sign(corpora / "How2Sign"), CSLDaily(corpora / "CSL-Daily"), Phoenix14T(corpora / "Phoenix_2014T"),
        Lexicon(corpora / "lexicon"),
    )
    return [clip.text for reader in readers for split in SPLITS for clip in reader.clips(split)]


def train_sentencepiece(texts: Sequence[str], vocabulary: int) -> bytes:
    """A sentencepiece unigram model of at most `vocabulary` pieces that covers every character of `texts`.

    Text is normalised as for mbart-large-cc25. Raises UserError when the characters alone are more.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, vocab_size=vocabulary, model_type="unigram",
            character_coverage=1.0, required_chars=_ALPHABET, hard_vocab_limit=False,
            normalization_rule_name="nmt_nfkc", max_sentence_length=_LONGEST, num_threads=1, minloglevel=2,
        )
    except RuntimeError as error:
        if "required_chars" not in str(error):
            raise
        raise UserError(
            f"the texts have more different characters than this size has pieces ({vocabulary}): choose a larger --size"
        ) from error
    return model.getvalue()


def mbart_vocabulary(sentencepieces: bytes, languages: Sequence[str] = LANGUAGE_CODES) -> list[tuple[str, float]]:
    """(token, score) in the order of mBART's ids: specials, pieces, language codes, mask."""
    model = sentencepiece.SentencePieceProcessor(model_proto=sentencepieces)
    trained = [(model.id_to_piece(i), model.get_score(i)) for i in range(_PIECES_OF_SENTENCEPIECE, len(model))]
    unscored = [(token, 0.0) for token in (*SPECIALS, *languages, "<mask>")]
    return [*unscored[: len(SPECIALS)], *trained, *unscored[len(SPECIALS) :]]


def make_mbart(texts: Sequence[str], out: Path, size: str, seed: int, locales: Iterable[str] = ()) -> bool:
    """Write the folder `out`, all or nothing. Returns False when it was there already, made the same way.

    locales: of the texts; those that mbart-large-cc25 lacks follow its own

    Raises UserError when `out` holds anything else, and as `train_sentencepiece` does.
    """
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    others = sorted(set(locales) - set(LANGUAGE_CODES))
    stamp = {"version": VERSION, "size": size, "seed": seed, "texts": digest, "locales": others}
    if (out / STAMP).is_file():
        found = json.loads((out / STAMP).read_text(encoding="utf-8"))
        if found == stamp:
            return False
        raise UserError(f"{out} holds a small mBART made with {found}, not {stamp}: remove it or choose another --out.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already and holds no small mBART: choose another folder with --out.")
    settings = SIZES[size]
    # The words that announce retrieved signs belong to every source, several times.
    markers = [marker.format(i) for marker in MARKERS.values() for i in (1, 2, 3)]
    sentencepieces = train_sentencepiece([*texts, *markers], settings["vocabulary"])
    vocabulary = mbart_vocabulary(sentencepieces, [*LANGUAGE_CODES, *others])
    config = MBartConfig(
        vocab_size=len(vocabulary),
        d_model=settings["d_model"],
        encoder_layers=settings["layers"],
        decoder_layers=settings["layers"],
        encoder_attention_heads=settings["heads"],
        decoder_attention_heads=settings["heads"],
        encoder_ffn_dim=4 * settings["d_model"],
        decoder_ffn_dim=4 * settings["d_model"],
        dropout=0.2,  # the corpora are small
        scale_embedding=True,  # as mbart-large-cc25 has it
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MBartForConditionalGeneration(config)
    with new_folder(out) as folder:
        model.save_pretrained(folder)
        tokenizer = MBartTokenizer(vocab=vocabulary, additional_special_tokens=others)
        TextTokenizer(tokenizer, normaliser_of(sentencepieces)).save_pretrained(folder)
        (folder / SENTENCEPIECE_FILE).write_bytes(sentencepieces)
        (folder / STAMP).write_text(json.dumps(stamp), encoding="utf-8")
    return True


def _check_complete(corpora: Path) -> None:
    """Raises UserError for a folder without complete synthetic corpora."""
    path = corpora / CORPORA_STAMP
    if not path.is_file():
        raise UserError(f"{corpora} holds no synthetic corpora: make them with `python -m prepare.synthetic_corpora`.")
    if not json.loads(path.read_text(encoding="utf-8"))["complete"]:
        raise UserError(f"The corpora in {corpora} are not complete: run `python -m prepare.synthetic_corpora` again.")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.small_mbart", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    texts = parser.add_mutually_exclusive_group(required=True)
    texts.add_argument("--corpora", type=Path, help="folder that prepare.synthetic_corpora wrote")
    texts.add_argument("--cfg", help="configuration that names the corpora and the lexicon")
    parser.add_argument("--cfg_assets", help="a second file merged over --cfg: your paths")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model; made if missing")
    parser.add_argument("--size", choices=list(SIZES), default="demo", help="of the model (default: demo)")
    parser.add_argument("--seed", type=int, default=1234, help="of the weights (default: 1234)")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value", help="of --cfg")
    options = parser.parse_intermixed_args(arguments)
    try:
        if options.corpora is not None:
            read, locales = corpus_texts(options.corpora), []
        else:
            config = load_config(options.cfg, options.cfg_assets, options.overrides)
            read = configured_texts(config, ["train"])
            locales = [locale_of(corpus) for corpus in corpora_of(config)]
        made = make_mbart(read, options.out, options.size, options.seed, locales)
    except UserError as error:
        sys.exit(str(error))
    print(f"Small mBART ({options.size}) is {'ready' if made else 'there already'}: {options.out}")


if __name__ == "__main__":
    main()
