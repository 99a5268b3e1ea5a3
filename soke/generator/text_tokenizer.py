"""TextTokenizer: that of an mBART, for which text is normalised as sentencepiece does it."""

from __future__ import annotations

import json
import logging
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from soke.errors import UserError

log = logging.getLogger(__name__)

SENTENCEPIECE_FILE, TOKENIZER_FILE = "sentencepiece.bpe.model", "tokenizer.json"
AS_THEY_ARE: dict[str, Any] = {"type": "Sequence", "normalizers": []}  # normaliser that leaves texts as they are
_DEFAULT_RULE = "nmt_nfkc"  # of sentencepiece, and of mbart-large-cc25
_FULL_WIDTH = re.compile("[\uff01-\uff5d]")  # which nmt_nfkc leaves in no text
_AS_IT_IS = dict(add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False)


class TextTokenizer:
    """A transformers MBartTokenizer that reads text as its vocabulary's normaliser leaves it; else it is what it was.

    transformers drops the normaliser, so that full-width signs are unknown to it; and the tokenizers library, which
    goes by grapheme where sentencepiece goes by the longest entry of its table, loses marks after some signs.

    normaliser: as tokenizer.json describes it
    """

    def __init__(self, tokenizer, normaliser: dict[str, Any]):
        self.tokenizer, self.normaliser = tokenizer, normaliser
        self._steps = _steps(normaliser)

    def __len__(self) -> int:
        return len(self.tokenizer)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "tokenizer":
            raise AttributeError(name)
        return getattr(self.tokenizer, name)

    def __call__(self, text: str | Sequence[str], **options):
        return self.tokenizer(self._normalised(text), **options)

    def encode(self, text: str, **options) -> list[int]:
        return self.tokenizer.encode(self._normalised(text), **options)

    def tokenize(self, text: str, **options) -> list[str]:
        return self.tokenizer.tokenize(self._normalised(text), **options)

    def _normalised(self, text: str | Sequence[str]) -> str | list[str]:
        if not isinstance(text, str):
            return [self._normalised(one) for one in text]
        for step in self._steps:
            text = step(text)
        return text

    def save_pretrained(self, folder: Path) -> None:
        """The tokenizer's files, with the normaliser."""
        self.tokenizer.save_pretrained(folder)
        path = Path(folder) / TOKENIZER_FILE
        content = json.loads(path.read_text(encoding="utf-8"))
        content["normalizer"] = self.normaliser
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")


def load_text_tokenizer(folder: Path) -> TextTokenizer:
    """The text tokenizer of a folder in mBART's format. Raises UserError when files are missing or cannot be read."""
    from transformers import MBartTokenizer

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise UserError(
            f"no mBART in {folder}: put mbart-large-cc25's files there, or make a small one with "
            "`python -m prepare.small_mbart`"
        )
    if not any((folder / name).is_file() for name in (TOKENIZER_FILE, SENTENCEPIECE_FILE)):
        raise UserError(f"{folder} has neither {TOKENIZER_FILE} nor {SENTENCEPIECE_FILE}: download them with the model")
    try:
        tokenizer = MBartTokenizer.from_pretrained(str(folder), local_files_only=True)
        return TextTokenizer(tokenizer, stored_normaliser(folder, tokenizer))
    except Exception as error:  # damaged files can raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"the text tokenizer in {folder} cannot be read ({reason}): download it again") from error


def normaliser_of(model: bytes) -> dict[str, Any]:
    """The normaliser of a sentencepiece model, as tokenizer.json describes it."""
    charsmap = sentencepiece_model_pb2.ModelProto.FromString(model).normalizer_spec.precompiled_charsmap
    if not charsmap:
        return AS_THEY_ARE
    return {"type": "Precompiled", "precompiled_charsmap": b64encode(charsmap).decode()}


def stored_normaliser(folder: Path, tokenizer) -> dict[str, Any]:
    """That of a folder in mBART's format, whose tokenizer was read without it: sentencepiece's own where its model is
    there, else tokenizer.json's; where that names none, mBART's own, but for pieces that it would not leave."""
    if (folder / SENTENCEPIECE_FILE).is_file():
        return normaliser_of((folder / SENTENCEPIECE_FILE).read_bytes())
    stored = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8")).get("normalizer")
    if stored is not None:
        return stored
    if _FULL_WIDTH.search("".join(tokenizer.get_vocab())):
        return AS_THEY_ARE
    log.warning(
        "%s names no normaliser: mBART's own (%s) is taken; a generator trained without it, which read full-width "
        "signs as unknown, should be trained again", folder / TOKENIZER_FILE, _DEFAULT_RULE,
    )
    default = sentencepiece.SentencePieceNormalizer(rule_name=_DEFAULT_RULE)
    return normaliser_of(default.serialized_model_proto())


def _steps(normaliser: Mapping[str, Any]) -> list[Callable[[str], str]]:
    """What a normaliser does to a text, in order."""
    if normaliser["type"] == "Sequence":
        return [step for part in normaliser["normalizers"] for step in _steps(part)]
    if normaliser["type"] == "Precompiled":
        model = sentencepiece_model_pb2.ModelProto()
        model.normalizer_spec.precompiled_charsmap = b64decode(normaliser["precompiled_charsmap"])
        return [sentencepiece.SentencePieceNormalizer(model_proto=model.SerializeToString(), **_AS_IT_IS).Normalize]
    from tokenizers import Tokenizer, models

    empty = json.loads(Tokenizer(models.WordLevel({}, unk_token="")).to_str())
    return [Tokenizer.from_str(json.dumps({**empty, "normalizer": normaliser})).normalizer.normalize_str]
