"""Code files: the motion tokens of every clip on disk, and where they came from."""
from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soke.data.clip import SPLITS, Clip, ClipError, Corpus, SkippedClip
from soke.data.corpora.annotations import safe_name
from soke.data.corpora.lexicon import Lexicon
from soke.data.fingerprints import Fingerprint, Watch, digest, fingerprint_of
from soke.errors import UserError
from soke.storage import existing, new_file, read_json, write_json

REMEDY = "run `python -m get_motion_code` with the tokenizer that you want to use"
_PROVENANCE = "provenance.json"
SKIPPED = "skipped_clips.txt"


@dataclass(frozen=True)
class Provenance:
    """What the codes of a folder were made with.

    tokenizer, layout, statistics: hashes
    streams:                       name -> number of codes, in the order of the codes' last axis
    downsample:                    frames per token step
    fps:                           corpus -> working frames per second
    code_version:                  version of this package
    limits:                        corpus, or `lexicon` -> shortest and longest clip in frames
    words:                         sign language -> hash of what the lexicon says of its signs, for every whole table
    rule:                          which recording of a word its table and word2code.json choose
    """

    tokenizer: str
    layout: str
    statistics: str
    streams: dict[str, int]
    downsample: int
    fps: dict[str, float]
    code_version: str
    limits: dict[str, tuple[int, int]] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    rule: str = ""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Provenance:
        """From what its file holds. Raises KeyError or TypeError for what no record holds."""
        values = dict(content)
        if "streams" not in values:  # an older record: every part had one stream
            values["streams"] = dict(zip(values.pop("parts"), values.pop("codebook_sizes"), strict=True))
        limits = {corpus: tuple(pair) for corpus, pair in values.get("limits", {}).items()}
        return cls(**{**values, "limits": limits})


@dataclass(frozen=True)
class _Entry:
    """What is noted of a clip's codes.

    file:   their path below the corpus's folder, without .npy; empty: they are in a table of words
    codes:  hash of their numbers
    fps:    of the stored frames
    frames: what they were made from, where that can be told
    """

    file: str
    codes: str
    fps: float
    frames: Fingerprint | None


class CodeStore:
    """A folder of the codes of one tokenizer.

        provenance.json         what they were made with
        {corpus}/{name}.npy     int [1, K, S], as published; K token steps, S streams
        {corpus}/{split}.jsonl  a line per clip that was written: its file, and what it was made from. The last line of
                                a clip counts, and one that an interruption cut off does not
        word2code_{ASL|CSL|DGS}.json  a table of words per sign language: a word may be spelled alike in two
        skipped_clips.txt       corpus/name TAB split TAB why it has no codes

    A clip with the name of one of another split has the file `{name}@{split}.npy`. Published folders have neither
    provenance nor lines: a name means a file there, whatever the split. Nothing is read or made before it is needed.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self._provenance: Provenance | None = None
        self._entries: dict[str, dict[str, dict[str, _Entry]]] = {}  # corpus -> split -> name
        self._taken: dict[str, set[str]] = {}  # corpus -> files of its clips

    def write(self, clip: Clip, codes: Tensor, frames: Fingerprint | None = None) -> None:
        """Store the codes [K, S] of a clip that were made from `frames`. Raises ClipError when its name leads out of
        the folder."""
        file = self.new_name(clip)
        self.note(clip, file, self.write_numbers(clip.corpus, file, codes), frames)

    def new_name(self, clip: Clip) -> str:
        """Of the file for a clip's codes. Raises ClipError as `write` does."""
        self._plain_file(clip)
        entry = self._entry(clip)
        file = clip.name if entry is None else entry.file
        while entry is None and file in self._taken[clip.corpus]:
            file += f"@{clip.split}"
        return file

    def write_numbers(self, corpus: str, file: str, codes: Tensor) -> str:
        """Write codes [K, S] under a name; they are nobody's until `note` says whose. Returns a hash of them."""
        numbers = codes.cpu().numpy().astype(np.int64)
        with new_file(self.path / corpus / f"{file}.npy") as temporary, open(temporary, "wb") as out:
            np.save(out, numbers[None], allow_pickle=False)
        return digest(numbers.tolist())

    def note(self, clip: Clip, file: str, codes: str, frames: Fingerprint | None = None) -> None:
        """Note that the codes of this hash in a file are a clip's, and what they were made from."""
        self._note(clip, _Entry(file, codes, clip.fps, frames))

    def note_sign(self, sign: Clip, frames: Fingerprint | None) -> None:
        """Note what a sign of the tables of words was made from, or that its frames were not there."""
        self._note(sign, _Entry("", "", sign.fps, frames or Fingerprint("absent")))

    def read(self, clip: Clip) -> Tensor:
        """Codes [K, S], int64. Raises ClipError naming the clip and the file: absent, damaged, of another shape or out
        of the range of the codebooks."""
        file = self._known_file(clip)
        try:
            codes = np.load(file, allow_pickle=False)
        except FileNotFoundError:
            raise ClipError(f"clip {clip.name}: {file} does not exist; {REMEDY}") from None
        except Exception as error:  # damaged bytes can raise nearly anything
            raise ClipError(f"clip {clip.name}: {file} is damaged ({error}); {REMEDY}") from error
        if codes.ndim != 3 or codes.shape[0] != 1 or 0 in codes.shape or codes.dtype.kind not in "iu":
            raise ClipError(
                f"clip {clip.name}: {file} holds {codes.dtype} {list(codes.shape)}, not whole numbers [1, K, S]; "
                f"{REMEDY}"
            )
        codes = codes[0].astype(np.int64)
        if self.has_provenance():
            sizes = list(self.provenance.streams.values())
            fits = codes.shape[1] == len(sizes) and codes.min() >= 0 and (codes.max(axis=0) < sizes).all()
        else:
            fits = codes.min() >= 0
        if not fits:
            raise ClipError(f"clip {clip.name}: {file} holds codes that no codebook has; {REMEDY}")
        return torch.from_numpy(codes)

    def length(self, clip: Clip) -> int:
        """Token steps of a clip, from the head of its file. Raises ClipError as `read` does when there is none."""
        file = self._known_file(clip)
        try:
            with open(file, "rb") as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, _ = read(stream)
            return shape[1]
        except Exception as error:  # as above
            raise ClipError(f"clip {clip.name}: {file} has no length ({error}); {REMEDY}") from error

    def has(self, clip: Clip) -> bool:
        file = self._file(clip)
        return file is not None and file.is_file()

    def changed(self, clip: Clip, frames: Fingerprint | None) -> bool:
        """Whether the codes of a clip were made from others than these frames; not where either is unknown."""
        entry = self._entry(clip)
        if entry is None or frames is None:
            return False
        return entry.fps != clip.fps or (entry.frames is not None and not entry.frames.fits(frames))

    def is_noted(self, clip: Clip) -> bool:
        """Whether it is known what the codes of a clip were made from."""
        return self._entry(clip) is not None

    def remove(self, clip: Clip) -> None:
        """Delete the codes of a clip, if there are any."""
        file = self._file(clip)
        if self.is_noted(clip):
            self._note(clip, None)
        if file is not None:
            file.unlink(missing_ok=True)

    def clear(self, corpus: str) -> int:
        """Delete all codes of a corpus. Returns how many files there were."""
        self._entries.pop(corpus, None)
        folder = self.path / safe_name(corpus)
        for split in SPLITS:  # before the codes: what is not noted is not used
            self._notes(corpus, split).unlink(missing_ok=True)
        files = list(folder.rglob("*.npy"))
        for file in files:
            file.unlink(missing_ok=True)
        return len(files)

    def clear_words(self) -> None:
        """Delete the tables of words."""
        if self.has_provenance() and self.provenance.words:
            self.write_provenance(replace(self.provenance, words={}))
        self.clear(Lexicon.name)
        for file in self.path.glob("word2code*.json"):
            file.unlink(missing_ok=True)

    def list_skipped(self, clips: Sequence[SkippedClip]) -> None:
        """Write which clips have no codes, and why; without any, there is no such list."""
        path = self.path / SKIPPED
        if not clips:
            path.unlink(missing_ok=True)
            return
        with new_file(path) as temporary:
            temporary.write_text("".join(clip.line for clip in clips), encoding="utf-8")

    def is_empty(self, corpora: Iterable[str]) -> bool:
        """Whether there are neither codes of these corpora nor tables of words."""
        files = (file for corpus in corpora for file in (self.path / corpus).rglob("*.npy"))
        return next(files, None) is None and next(self.path.glob("word2code*.json"), None) is None

    def digest(self, clips: Iterable[Clip]) -> str:
        """Changes with the sentences and the codes of these clips, and with their order."""
        entries = ((clip, self._entry(clip)) for clip in clips)
        return digest([[c.corpus, c.name, c.language, c.text, e and e.codes] for c, e in entries])

    @property
    def provenance(self) -> Provenance:
        """Raises UserError when there is none, or it cannot be read."""
        if self._provenance is None:
            path = self.path / _PROVENANCE
            anew = f"remove {self.path}, then {REMEDY}"
            content = read_json(path, anew if path.is_file() else REMEDY)
            try:
                self._provenance = Provenance.of(content)
            except (AttributeError, TypeError, KeyError, ValueError) as error:
                raise UserError(f"{path} is no record of origin ({error!r}); {anew}") from error
        return self._provenance

    def has_provenance(self) -> bool:
        return self._provenance is not None or (self.path / _PROVENANCE).is_file()

    def write_provenance(self, provenance: Provenance) -> None:
        """To be written before the first codes, so that no codes ever lie beside another tokenizer's record."""
        write_json(self.path / _PROVENANCE, asdict(provenance))
        self._provenance = provenance

    def check(self, tokenizer: str, corpora: Iterable[Corpus] = (), limits: tuple[int, int] = (0, 0)) -> None:
        """Raises UserError unless there are codes of these corpora, made with the tokenizer of this hash (it names both
        hashes), at the corpora's frame rates and with these shortest and longest clips in frames."""
        found = self.provenance.tokenizer
        if found != tokenizer:
            raise UserError(
                f"the codes in {self.path} were made with tokenizer {found}, this one is {tokenizer}; {REMEDY}"
            )
        for corpus in corpora:
            if corpus.name not in self.provenance.fps:
                raise UserError(f"{self.path} holds no codes of corpus {corpus.name}; {REMEDY}")
            reason = self.misfit(corpus.name, limits, corpus.fps)
            if reason:
                raise UserError(f"the codes of {corpus.name} in {self.path} do not fit: {reason}; {REMEDY}")

    def misfit(self, corpus: str, limits: tuple[int, int], fps: float | None = None) -> str:
        """Why the codes of a corpus, or of the lexicon, cannot be those of these settings; empty when they can.

        limits: shortest and longest clip in frames
        """
        p = self.provenance
        if corpus not in p.limits:
            return "there is no note of the settings that they were made with"
        made = dict(zip(("`min_frames`", "`max_frames`"), p.limits[corpus])) | {"fps": p.fps.get(corpus)}
        now = dict(zip(made, (*limits, fps)))
        other = [f"they were made with {key}={value}, here it is {now[key]}" for key, value in made.items()
                 if value != now[key]]
        return " and ".join(other)

    def words_misfit(
        self, lexicon: Lexicon | None, languages: Collection[str], limits: tuple[int, int], watch: Watch
    ) -> str:
        """Why the tables of words of these sign languages cannot be those of the lexicon's recordings; empty when they
        can. lexicon: None where this machine does not have it."""
        reason = self.misfit(Lexicon.name, limits)
        if reason or lexicon is None:
            return reason
        named = sign_digests(lexicon)
        for language in languages:
            if self.provenance.words.get(language) != named.get(language):
                return f"the lexicon names other signs of {language} than those that they were made from"
        for sign in lexicon.described("train").clips:
            if self.changed(sign, fingerprint_of(lexicon, sign, watch)):
                return f"the recording of {sign.name} has changed since"
        return ""

    def word_file(self, language: str) -> Path:
        """Path of the table of words of a sign language, for `read_word_codes` and `write_word_codes`."""
        return self.path / f"word2code_{language}.json"

    def _file(self, clip: Clip) -> Path | None:
        """Where a clip's codes are, None when there are none. Raises ClipError as `write` does."""
        plain = self._plain_file(clip)
        noted = any(self._entries_of(clip.corpus).values())
        if not noted and not (self.has_provenance() and clip.corpus in self.provenance.limits):
            return plain
        entry = self._entry(clip)
        return None if entry is None else existing(self.path / clip.corpus / f"{entry.file}.npy")

    def _known_file(self, clip: Clip) -> Path:
        """Raises ClipError where the folder has codes of the clip's name, but not of its split."""
        file = self._file(clip)
        if file is None:
            raise ClipError(f"clip {clip.name}: {self.path} has no codes of it in split {clip.split}; {REMEDY}")
        return file

    def _plain_file(self, clip: Clip) -> Path:
        try:
            name = safe_name(f"{clip.corpus}/{clip.name}")
        except ValueError as error:
            raise ClipError(f"clip {clip.name!r} of {clip.corpus!r}: {error} {self.path}") from None
        return existing(self.path / f"{name}.npy")

    def _notes(self, corpus: str, split: str) -> Path:
        return self.path / corpus / f"{split}.jsonl"

    def _entries_of(self, corpus: str) -> dict[str, dict[str, _Entry]]:
        """Split -> name -> what is noted of the clip."""
        if corpus not in self._entries:
            by_split = {split: _read_notes(self._notes(corpus, split)) for split in SPLITS}
            self._entries[corpus] = by_split
            self._taken[corpus] = {entry.file for entries in by_split.values() for entry in entries.values()}
        return self._entries[corpus]

    def _entry(self, clip: Clip) -> _Entry | None:
        return self._entries_of(clip.corpus)[clip.split].get(_spelled(clip))

    def _note(self, clip: Clip, entry: _Entry | None) -> None:
        """Note what is to be known of a clip's codes; None: that there are none."""
        name = _spelled(clip)
        line = [name]
        entries = self._entries_of(clip.corpus)[clip.split]
        if entry is None:
            self._taken[clip.corpus].discard(entries.pop(name).file)
        else:
            frames = entry.frames or Fingerprint("")
            line += [entry.file, entry.codes, entry.fps, frames.ends, frames.files, frames.content]
            entries[name] = entry
            self._taken[clip.corpus].add(entry.file)
        path = self._notes(clip.corpus, clip.split)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:  # a line that was cut off before stays a line of its own
            file.write("\n" + json.dumps(line, ensure_ascii=False))


def _spelled(clip: Clip) -> str:
    """Its name, whether its letters come with their accents or accents follow them."""
    return unicodedata.normalize("NFC", clip.name)


def sign_digests(lexicon: Lexicon) -> dict[str, str]:
    """Sign language -> hash of what the lexicon says of its signs."""
    try:
        signs = lexicon.annotated("train")
    except UserError:  # a packed one can do without its annotation
        signs = lexicon.described("train").clips
    facts: dict[str, list[list[object]]] = {}
    for sign in signs:
        facts.setdefault(sign.language, []).append([sign.name, sign.text, sign.fps, lexicon.segment(sign)])
    return {language: digest(named) for language, named in facts.items()}


def _read_notes(path: Path) -> dict[str, _Entry]:
    """Name -> what is noted of the clip. Raises UserError when the file is there but cannot be read."""
    entries: dict[str, _Entry] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return entries
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; {REMEDY}") from error
    for line in lines:
        try:
            name, *facts = json.loads(line)
            if facts:
                file, codes, fps, ends, files, content = facts
                entries[name] = _Entry(safe_name(file) if file else "", codes, fps,
                                       Fingerprint(ends, files, content) if ends else None)
            else:
                entries.pop(name, None)
        except (ValueError, TypeError, AttributeError):  # cut off
            continue
    return entries
