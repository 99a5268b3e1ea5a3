"""Code files: the motion tokens of every clip on disk, where they came from, and the codes of the lexicon's words."""
from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soke.data.annotations import safe_name
from soke.data.clip import Clip, ClipError
from soke.data.spelling import spelled
from soke.errors import UserError
from soke.storage import existing, new_file, read_text

REMEDY = "run `python -m get_motion_code` with the tokenizer that you want to use"
_PROVENANCE = "provenance.json"
_CHINESE = re.compile("[\u3400-\u9fff]")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Provenance:
    """What the codes of a folder were made with.

    tokenizer, layout, statistics: hashes
    parts, codebook_sizes:         of the P streams, in the order of the codes' last axis
    downsample:                    frames per token step
    fps:                           corpus -> working frames per second
    code_version:                  version of this package
    """

    tokenizer: str
    layout: str
    statistics: str
    parts: tuple[str, ...]
    codebook_sizes: tuple[int, ...]
    downsample: int
    fps: dict[str, float]
    code_version: str


class CodeStore:
    """A folder of codes: `{corpus}/{name}.npy` (int [1, K, P], as published), `provenance.json`, and one table of words
    per sign language, `word2code_{ASL|CSL|DGS}.json`: the same word may be spelled alike in two languages.

    K token steps, P parts. Nothing is read or made before it is needed.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self._provenance: Provenance | None = None

    def write(self, clip: Clip, codes: Tensor) -> None:
        """Store the codes [K, P] of a clip. Raises ClipError when its name leads out of the folder."""
        file = self._file(clip)
        with new_file(file) as temporary, open(temporary, "wb") as out:
            np.save(out, codes.cpu().numpy().astype(np.int64)[None], allow_pickle=False)

    def read(self, clip: Clip) -> Tensor:
        """Codes [K, P], int64. Raises ClipError naming the clip and the file: absent, damaged, of another shape or out
        of the range of the codebooks."""
        file = self._file(clip)
        try:
            codes = np.load(file, allow_pickle=False)
        except FileNotFoundError:
            raise ClipError(f"clip {clip.name}: {file} does not exist; {REMEDY}") from None
        except (OSError, ValueError, EOFError) as error:
            raise ClipError(f"clip {clip.name}: {file} is damaged ({error}); {REMEDY}") from error
        if codes.ndim != 3 or codes.shape[0] != 1 or 0 in codes.shape or codes.dtype.kind not in "iu":
            raise ClipError(
                f"clip {clip.name}: {file} holds {codes.dtype} {list(codes.shape)}, not whole numbers [1, K, P]; "
                f"{REMEDY}"
            )
        codes = codes[0].astype(np.int64)
        if self.has_provenance():
            sizes = self.provenance.codebook_sizes
            fits = codes.shape[1] == len(sizes) and codes.min() >= 0 and (codes.max(axis=0) < sizes).all()
        else:
            fits = codes.min() >= 0
        if not fits:
            raise ClipError(f"clip {clip.name}: {file} holds codes that no codebook has; {REMEDY}")
        return torch.from_numpy(codes)

    def length(self, clip: Clip) -> int:
        """Token steps of a clip, from the head of its file. Raises ClipError as `read` does when there is none."""
        file = self._file(clip)
        try:
            with open(file, "rb") as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, _ = read(stream)
            return shape[1]
        except (OSError, ValueError, IndexError) as error:
            raise ClipError(f"clip {clip.name}: {file} has no length ({error}); {REMEDY}") from error

    def has(self, clip: Clip) -> bool:
        return os.path.isfile(self._file(clip))

    def remove(self, clip: Clip) -> None:
        """Delete the codes of a clip, if there are any."""
        self._file(clip).unlink(missing_ok=True)

    @property
    def provenance(self) -> Provenance:
        """Raises UserError when there is none, or it cannot be read."""
        if self._provenance is None:
            content = read_json_table(self.path / _PROVENANCE, REMEDY)
            try:
                self._provenance = Provenance(
                    **{**content, **{key: tuple(content[key]) for key in ("parts", "codebook_sizes")}}
                )
            except (TypeError, KeyError) as error:
                raise UserError(f"{self.path / _PROVENANCE} is no record of origin ({error!r}); {REMEDY}") from error
        return self._provenance

    def has_provenance(self) -> bool:
        return self._provenance is not None or (self.path / _PROVENANCE).is_file()

    def write_provenance(self, provenance: Provenance) -> None:
        """To be written before the first codes, so that no codes ever lie beside another tokenizer's record."""
        _write_json(self.path / _PROVENANCE, asdict(provenance))
        self._provenance = provenance

    def check(self, tokenizer: str) -> None:
        """Raises UserError unless the codes were made with the tokenizer of this hash; it names both hashes."""
        found = self.provenance.tokenizer
        if found != tokenizer:
            raise UserError(
                f"the codes in {self.path} were made with tokenizer {found}, this one is {tokenizer}; {REMEDY}"
            )

    def word_file(self, language: str) -> Path:
        """Path of the table of words of a sign language, for `read_word_codes` and `write_word_codes`."""
        return self.path / f"word2code_{language}.json"

    def _file(self, clip: Clip) -> Path:
        try:
            name = safe_name(f"{clip.corpus}/{clip.name}")
        except ValueError as error:
            raise ClipError(f"clip {clip.name!r} of {clip.corpus!r}: {error} {self.path}") from None
        return existing(self.path / f"{name}.npy")


def write_word_codes(path: Path, words: Mapping[str, Tensor], parts: Sequence[str]) -> None:
    """Store {word: codes [K, P]} in the published form, {word: {part: [K numbers]}}."""
    _write_json(path, {word: dict(zip(parts, codes.t().tolist(), strict=True)) for word, codes in words.items()})


def read_word_codes(path: Path, parts: Sequence[str], remedy: str = REMEDY) -> dict[str, Tensor]:
    """{word: codes [K, P] int64}, P in the order of `parts`; the inverse of `write_word_codes`.

    Raises UserError that names the file, the word that lacks a part or whose parts differ in length, and the remedy.
    """
    words = {}
    for word, streams in read_json_table(path, remedy).items():
        try:
            words[spelled(word)] = parsed_codes(streams, parts)
        except ValueError as error:
            raise UserError(f"{path}: word {word!r} {error}; {remedy}") from error
    return words


def parsed_codes(streams: Mapping[str, Sequence[int]], parts: Sequence[str]) -> Tensor:
    """Codes [K, P] int64 of {part: [K numbers]}. Raises ValueError that says what of it is missing."""
    try:
        codes = torch.tensor([streams[part] for part in parts])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"lacks codes of equal length for {', '.join(parts)}") from error
    if codes.ndim != 2 or codes.dtype != torch.int64 or codes.shape[1] == 0:
        raise ValueError("does not have lists of whole numbers")
    return codes.t().contiguous()


def write_published_word_codes(path: Path, words: Mapping[str, Mapping[str, Tensor]], parts: Sequence[str]) -> None:
    """Store {language: {word: codes [K, P]}} as one table, SOKE's word2code.json: CSL first, then DGS, then ASL.

    A word of two languages keeps the codes of the first.
    """
    order = [*(lang for lang in ("CSL", "DGS", "ASL") if lang in words), *sorted(set(words) - {"CSL", "DGS", "ASL"})]
    table: dict[str, Tensor] = {}
    for language in order:
        for word, codes in words[language].items():
            table.setdefault(word, codes)
    lost = sum(map(len, words.values())) - len(table)
    if lost:
        _log.info("%d words occur in two languages; %s holds the first", lost, path)
    write_word_codes(path, table, parts)


def read_published_word_codes(
    path: Path, parts: Sequence[str], german: Collection[str], remedy: str = REMEDY
) -> dict[str, dict[str, Tensor]]:
    """{language: {word: codes [K, P]}} of SOKE's word2code.json, which does not say what language a word is of.

    Words with a Chinese character are CSL, those among `german` (the lower-cased glosses of Phoenix-2014T) DGS, others
    ASL. Raises UserError as `read_word_codes` does.
    """
    words: dict[str, dict[str, Tensor]] = {"CSL": {}, "DGS": {}, "ASL": {}}
    for word, codes in read_word_codes(path, parts, remedy).items():
        language = "CSL" if _CHINESE.search(word) else "DGS" if word in german else "ASL"
        words[language][word] = codes
    return words


def _write_json(path: Path, content: dict) -> None:
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def read_json_table(path: Path, remedy: str) -> dict:
    """The JSON object in a file. Raises UserError that names the file and the remedy."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; {remedy}")
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}; {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a table; {remedy}")
    return content
