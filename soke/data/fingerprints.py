"""Fingerprints: whether what was made from data still fits that data, found without reading it."""
from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soke.data.clip import Clip, Corpus
from soke.errors import UserError

_FILES_LOOKED_AT = 200_000  # by who starts up: a second on a local disk


def digest(facts: Any) -> str:
    """16 hex digits that change with any of the facts, which are plain types."""
    return hashlib.blake2b(json.dumps(facts, ensure_ascii=False).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Fingerprint:
    """What is known of the stored frames of a clip.

    ends:    hash of the names of all files, and of the sizes and times of the first and the last of the alphabet
    files:   hash of the names, sizes and times of all files; None: not looked at
    content: hash of the numbers, where the clip is packed
    """

    ends: str
    files: str | None = None
    content: str | None = None

    def fits(self, other: Fingerprint) -> bool:
        """Whether both are of the same frames, by the strongest of what both know."""
        for ours, theirs in ((self.content, other.content), (self.files, other.files)):
            if ours is not None and theirs is not None:
                return ours == theirs
        return self.ends == other.ends


class Watch:
    """Looks at sizes and times of files: of all of a clip's until `files` were looked at in sum, then of the first and
    the last.

    With the default, in a corpus of more than 200,000 frame files a single one in the middle of a clip that is written
    anew in its place may go unnoticed; one that is added, removed or renamed does not, nor a clip that is written anew
    as a whole. A file that keeps name, size and time is the same.
    """

    def __init__(self, files: float = _FILES_LOOKED_AT):
        self._left = files
        self._seen: dict[str, Fingerprint | None] = {}

    @classmethod
    def thorough(cls) -> Watch:
        """Looks at all files."""
        return cls(math.inf)

    def look(self, path: Path) -> Fingerprint | None:
        """Of a folder of frame files, or of one file; None when there is neither."""
        key = os.fspath(path)
        if key not in self._seen:
            try:
                self._seen[key] = self._look(key)
            except OSError:
                self._seen[key] = None
        return self._seen[key]

    def _look(self, path: str) -> Fingerprint | None:
        try:
            names = sorted(name for name in os.listdir(path) if not name.startswith("."))
        except NotADirectoryError:
            only = digest(_facts(path))
            return Fingerprint(only, only)
        if not names:
            return None
        ends = digest([names, *_facts(path, names[0], names[-1])])
        if len(names) > self._left:
            return Fingerprint(ends)
        self._left -= len(names)
        return Fingerprint(ends, digest(_facts(path, *names)))


def fingerprint_of(corpus: Corpus, clip: Clip, watch: Watch) -> Fingerprint | None:
    """Of a clip's frames; None when they are not on this machine."""
    own = getattr(corpus, "fingerprint", None)  # a corpus that keeps its frames elsewhere than in `clip.frames`
    return watch.look(clip.frames) if own is None else own(clip, watch)


def annotation_hashes(corpus: Corpus) -> dict[str, str]:
    """Annotation file -> hash; of a corpus without such files, `train` -> hash of what it says of those clips."""
    own = getattr(corpus, "annotation_hashes", None)
    if own is not None:
        return own()
    try:
        clips = corpus.clips("train")
    except UserError:  # a test needs no training clips
        return {}
    return {"train": digest([[clip.name, clip.language, clip.text, clip.gloss, clip.fps] for clip in clips])}


def other_data(provenance: Mapping[str, Any], corpus: str, annotations: Mapping[str, str]) -> str:
    """What a model was trained on, where that is not this corpus with these annotation files (their hashes); else empty.
    A file that only one of them has says nothing.

    provenance: of the model: `corpora`, and `annotations`, file -> hash
    """
    trained_on, theirs = provenance.get("corpora", []), provenance.get("annotations", {})
    if corpus not in trained_on:
        return f"was trained on {', '.join(trained_on) or 'no corpus that it names'}, not on {corpus}"
    other = [file for file, found in annotations.items() if theirs.get(file, found) != found]
    return f"was trained with another {', '.join(other)}, so its words may be others" if other else ""


def evidence(prints: Iterable[Fingerprint | None]) -> str:
    """One hash for the fingerprints of many clips; empty when one of them is not known."""
    found = list(prints)
    return "" if None in found else digest([each.files or each.ends for each in found])


def _facts(folder: str, *names: str) -> list[tuple[str, int, int]]:
    facts = []
    for name in names or ("",):
        status = os.stat(f"{folder}{os.sep}{name}" if name else folder)
        facts.append((name, status.st_size, status.st_mtime_ns))
    return facts
