"""Cut an mBART down to the pieces that the corpora use.

    python -m prepare.trim_mbart --model deps/mbart-large-cc25 --out deps/mbart-h2s-csl-phoenix

Of mbart-large-cc25's 250,027 rows of embeddings three corpora use some 19,000. The result is a folder that
transformers loads; every sentence of the corpora is cut into the same pieces as before, which is checked, and other
text can still be encoded: by the pieces that are left, down to single letters, and <unk> for the rest.
"""
from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece
import torch
from transformers import MBartForConditionalGeneration, MBartTokenizer

from prepare.small_mbart import LANGUAGE_CODES, SPECIALS, configured_texts
from soke.errors import UserError
from soke.generator.text_tokenizer import SENTENCEPIECE_FILE, TOKENIZER_FILE, TextTokenizer, load_text_tokenizer
from soke.run import cli
from soke.run.config import load_config, resolve
from soke.storage import new_folder

STAMP = "trim.json"
VERSION = 2  # to be raised whenever the same model and texts give another result
_CORPORA = "configs/data/h2s_csl_phoenix.yaml"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_TOKENIZERS = (TOKENIZER_FILE, SENTENCEPIECE_FILE)
_LAST_LATIN = "\u024f"  # single letters, digits and signs up to here are kept whether the corpora have them or not
_SPACE = "▁"
_OF_MBART = (*SPECIALS, *LANGUAGE_CODES, "<mask>")  # special tokens of every MBartTokenizer
_BATCH = 4096


def check_files(model: Path) -> None:
    """Raises UserError that names every missing file of an mBART."""
    missing = [] if (model / "config.json").is_file() else ["config.json"]
    for alternatives in (_WEIGHTS, _TOKENIZERS):
        if not any((model / name).is_file() for name in alternatives):
            missing.append(" or ".join(alternatives))
    if missing:
        raise UserError(
            f"{model} lacks {'; '.join(missing)}: download the files of facebook/mbart-large-cc25 from the Hugging "
            f"Face hub into that folder, or make a small mBART with `python -m prepare.small_mbart`"
        )


def kept_ids(tokenizer: TextTokenizer, texts: Iterable[str]) -> list[int]:
    """Ids that stay, in order: what segments `texts`, specials, language codes, single Latin characters.

    The best segmentation of a text into the pieces of a unigram model is made of pieces that stay, and taking others
    away gives it no new rivals; the piece of the lowest score stays, because it sets the cost of <unk>.
    """
    scores = _scores(tokenizer)
    latin = {i for i in range(len(tokenizer)) if _is_latin(tokenizer.convert_ids_to_tokens(i))}
    used = latin | set(tokenizer.all_special_ids)
    used |= set(tokenizer.convert_tokens_to_ids(list(_OF_MBART)))
    lowest = min(scores, key=scores.get)
    used.add(tokenizer.convert_tokens_to_ids(lowest))
    for batch in _batches(list(texts)):
        for ids in tokenizer(batch, add_special_tokens=False)["input_ids"]:
            used.update(ids)
    return sorted(used)


def own_specials(tokenizer: TextTokenizer) -> list[str]:
    """Special tokens that no MBartTokenizer has of itself: locales of a small mBART's corpora."""
    return [token for token in tokenizer.all_special_tokens if token not in _OF_MBART]


def trimmed_tokenizer(tokenizer: TextTokenizer, kept: Sequence[int]) -> TextTokenizer:
    """The tokenizer whose id i is the piece of id kept[i] before."""
    scores = _scores(tokenizer)
    tokens = [tokenizer.convert_ids_to_tokens(i) for i in kept]
    vocabulary = [(token, scores.get(token, 0.0)) for token in tokens]
    trimmed = MBartTokenizer(vocab=vocabulary, additional_special_tokens=own_specials(tokenizer))
    return TextTokenizer(trimmed, tokenizer.normaliser)


def trim_model(model: MBartForConditionalGeneration, kept: Sequence[int]) -> None:
    """Keep the rows `kept` of the embeddings and of the output's bias, in place."""
    index = torch.tensor(kept)
    rows = model.get_input_embeddings().weight.detach()[index].clone()
    bias = model.final_logits_bias[:, index].clone()
    model.resize_token_embeddings(len(kept), mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(rows)
    model.final_logits_bias = bias
    new = {old: i for i, old in enumerate(kept)}
    for config in (model.config, model.generation_config):
        for key, value in vars(config).items():
            if key.endswith("_token_id") and isinstance(value, int):
                setattr(config, key, new[value])


def check_segmentation(before: TextTokenizer, after: TextTokenizer, kept: Sequence[int], texts: Sequence[str]) -> None:
    """Raises UserError that quotes the first text that is cut into other pieces than before."""
    for batch in _batches(texts):
        rows = zip(batch, *(t(batch, add_special_tokens=False)["input_ids"] for t in (before, after)))
        for text, old, new in rows:
            if old != [kept[i] for i in new]:
                raise UserError(f"the trimmed pieces cut this text differently, so nothing was written: {text!r}")


def check_by_sentencepiece(model: Path, tokenizer: TextTokenizer, texts: Sequence[str]) -> None:
    """Raises UserError that quotes the first text of which `tokenizer` knows another part than a sentencepiece model,
    or spells another text."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.read_bytes())
    for batch in _batches(texts):
        rows = zip(batch, processor.encode(batch), tokenizer(batch, add_special_tokens=False)["input_ids"])
        for text, right, found in rows:
            right, found = processor.id_to_piece(right), tokenizer.convert_ids_to_tokens(found)
            if "".join(right) != "".join(found):
                raise UserError(
                    f"{model} reads {text!r} as {' '.join(right)}, but the trimmed pieces read {' '.join(found)}, so "
                    "nothing was written: are all files of the model of one download?"
                )


def trim(model: Path, texts: Sequence[str], out: Path) -> bool:
    """Write the trimmed mBART to `out`, all or nothing. Returns False when it was there already, made the same way.

    Raises UserError for missing files, when `out` holds anything else, and when a text would be cut differently.
    """
    check_files(model)
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    known = (*_WEIGHTS, *_TOKENIZERS)
    sizes = {path.name: path.stat().st_size for path in sorted(model.iterdir()) if path.name in known}
    tokenizer = load_text_tokenizer(model)
    stamp = {"version": VERSION, "source": sizes, "sentences": len(texts), "texts": digest}
    if own := own_specials(tokenizer):
        stamp["specials"] = own  # which earlier versions did not keep
    if (out / STAMP).is_file():
        found = json.loads((out / STAMP).read_text(encoding="utf-8"))
        if {key: found.get(key) for key in stamp} == stamp:
            return False
        raise UserError(
            f"{out} holds an mBART trimmed for other texts, from another one or by another version: remove it, or "
            "change --out"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already and holds no trimmed mBART: choose another folder with --out")
    kept = kept_ids(tokenizer, texts)
    with new_folder(out) as folder:
        trimmed_tokenizer(tokenizer, kept).save_pretrained(folder)
        network = MBartForConditionalGeneration.from_pretrained(model, local_files_only=True)
        if network.config.vocab_size < len(tokenizer):
            raise UserError(f"{model}: {len(tokenizer)} pieces, but {network.config.vocab_size} rows of embeddings")
        before = network.config.vocab_size
        trim_model(network, kept)
        network.save_pretrained(folder)
        made = load_text_tokenizer(folder)  # as it will be loaded
        check_segmentation(tokenizer, made, kept, texts)
        if (model / SENTENCEPIECE_FILE).is_file():
            check_by_sentencepiece(model / SENTENCEPIECE_FILE, made, texts)
        (folder / STAMP).write_text(json.dumps({**stamp, "before": before, "after": len(kept)}), encoding="utf-8")
    return True


def _scores(tokenizer: TextTokenizer) -> dict[str, float]:
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    return {token: score for token, score in content["model"]["vocab"]}


def _is_latin(token: str) -> bool:
    bare = token.removeprefix(_SPACE) or _SPACE
    return len(bare) == 1 and (bare <= _LAST_LATIN or bare == _SPACE)


def _batches(texts: Sequence[str]) -> Iterable[list[str]]:
    return (list(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.trim_mbart", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=Path("deps/mbart-large-cc25"), help="folder of the whole mBART")
    parser.add_argument("--corpora", default=_CORPORA, help=f"configuration that names the corpora; default {_CORPORA}")
    parser.add_argument("--cfg_assets", help="a second file merged over it: your paths")
    parser.add_argument("--out", type=Path, default=Path("deps/mbart-h2s-csl-phoenix"), help="folder of the result")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value")
    options = parser.parse_intermixed_args(arguments)
    model, out = resolve(options.model), resolve(options.out)
    check_files(model)
    config = load_config(options.corpora, options.cfg_assets, options.overrides)
    made = trim(model, configured_texts(config), out)
    stamp = json.loads((out / STAMP).read_text(encoding="utf-8"))
    print(f"{out} {'is made' if made else 'was there already'}: {stamp['after']:,} of {stamp['before']:,} pieces")


if __name__ == "__main__":
    cli.run(main)
