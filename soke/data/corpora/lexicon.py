"""A lexicon: recordings of isolated signs, each with its word."""
from __future__ import annotations

import logging
import math
import os
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

from soke.data.clip import SPLITS, Clip, ClipError, Corpus, SkippedClip
from soke.data.corpora.annotations import read_table
from soke.data.corpora.base import Listing, TableCorpus, parsed_fps, parsed_frame
from soke.data.corpora.how2sign import How2Sign
from soke.data.storage.formats import SOKE_FRAMES, FrameFormat
from soke.data.storage.loading import FrameFiles
from soke.errors import UserError
from soke.text.locales import TEXT_LOCALE, canonical
from soke.text.matching import UMLAUTS

_log = logging.getLogger(__name__)


class SentenceClips:
    """The clips of corpora, found by the folders that signs are cut from.

    A folder is that of a clip when its path is, or when its path ends in the name of a clip of the same sign language,
    so that a copy of a corpus is known too. Where several clips fit, one of val or test is found before one of train.
    """

    def __init__(self, corpora: Sequence[Corpus]):
        self._resolved: dict[str, str] = {}
        self._places: dict[str, Clip] = {}
        self._names: dict[tuple[str, str], Clip] = {}
        for split in SPLITS:  # train is the first, so that the others replace it
            for clip in (clip for corpus in corpora for clip in annotated_clips(corpus, split)):
                self._places[self._place(clip.frames)] = clip
                self._names[clip.language, unicodedata.normalize("NFC", clip.name)] = clip

    def find(self, folder: Path | str, language: str) -> Clip | None:
        """The clip of which `folder` holds the frames; of a sign language, where it is known by its name."""
        folder = Path(os.path.normpath(folder))
        steps = unicodedata.normalize("NFC", folder.as_posix()).removesuffix(".npz").split("/")
        names = ["/".join(steps[start:]) for start in range(len(steps))]
        found = [self._places.get(self._place(folder)), *(self._names.get((language, name)) for name in names)]
        clips = [clip for clip in found if clip is not None]
        return min(clips, key=lambda clip: clip.split == "train", default=None)

    def _place(self, folder: Path) -> str:
        parent = str(folder.parent)
        if parent not in self._resolved:  # links are followed once per folder of a corpus, not once per clip
            self._resolved[parent] = os.path.realpath(parent)
        return unicodedata.normalize("NFC", f"{self._resolved[parent]}/{folder.name}")


def annotated_clips(corpus: Corpus, split: str) -> list[Clip]:
    """The clips that a corpus names for a split, whether their frames are there or not; none, with a warning, where it
    has no annotation."""
    for listed in (getattr(corpus, "annotated", corpus.clips), corpus.clips):  # packed ones may lack the annotation
        try:
            return listed(split)
        except UserError as error:
            reason = error
    _log.warning("split %s of %s is not looked at: %s", split, corpus.name, reason)
    return []


def german_glosses(corpora: Sequence[Corpus]) -> set[str]:
    """The glosses of corpora of German sign language as SOKE's word2code.json writes them: in lower case, with ae, oe,
    ue, ss."""
    clips = (
        clip for corpus in corpora if corpus.language == "DGS" for split in SPLITS
        for clip in annotated_clips(corpus, split)
    )
    return {gloss.lower().translate(UMLAUTS) for clip in clips for gloss in (clip.gloss or "").split()}


class Lexicon(TableCorpus):
    """`lexicon.csv` with the columns word, language (ASL, CSL, …), name, fps, and `poses/{name}/*.pkl`.

    A sign may also be a segment of a continuous clip: its row then has in the columns source, start, end the clip's
    folder of frame files, or its .npz in the frames smplfx (relative to the lexicon's folder, or absolute), and its
    first and last frame number, the last excluded. At least half of those frames must be there (as in SOKE's data); name is then any unique one. A segment of
    a clip that is in split val or test of one of `corpora` is refused as a fault.

    Every sign is a clip of split train whose text is its word; the other splits are empty. Unlike a corpus of
    sentences it has no language and no frame rate of its own: its clips have. Signs keep their rate, except that ASL
    ones are brought down to the rate of How2Sign, whose sentences they are looked up for.

    corpora:   of the sentences that signs are looked up for
    languages: signs of other sign languages are dropped; None: none are
    known:     sign languages that a row may have besides those of `TEXT_LOCALE` and of `corpora`
    """

    name = "lexicon"
    columns = ("word", "language", "name", "fps")
    name_column = "name"
    splits = ("train",)
    kept = "lexicon.csv"

    def __init__(
        self, root: Path | str, packed: Path | str | None = None, corpora: Sequence[Corpus] = (),
        languages: Collection[str] | None = None, known: Collection[str] = (), form: FrameFormat = SOKE_FRAMES,
    ):
        super().__init__(root, packed, form)
        self._corpora, self._languages = corpora, languages
        self._known = dict.fromkeys([*TEXT_LOCALE, *(corpus.language for corpus in corpora), *known])

    def source(self, clip: Clip) -> str | None:
        """The clip of `corpora` that a sign was cut from, as corpus/name; the folder that its row names where that is
        none of theirs; None for a sign that is no segment."""
        folder = self._sources.get(clip.name)
        found = self._cut_from(clip)
        return folder if found is None else f"{found.corpus}/{found.name}"

    @cached_property
    def _sources(self) -> dict[str, str]:
        """Name of a segment -> folder that it was cut from, as its row has it."""
        path = self._table
        if not path.is_file():  # a lexicon that an earlier version has packed does without
            _log.warning("%s does not exist: it is not known which of the lexicon's signs are cut from sentences", path)
            return {}
        sources: dict[str, str] = {}
        for row in read_table(path, self.columns).rows:
            sources.setdefault(row["name"], row.get("source") or "")  # of one name, the first is kept
        return {name: os.path.normpath(source) for name, source in sources.items() if source}

    @cached_property
    def _sentences(self) -> SentenceClips:
        return SentenceClips(self._corpora)

    def _cut_from(self, clip: Clip) -> Clip | None:
        folder = self._sources.get(clip.name)
        return None if folder is None else self._sentences.find(self.root / folder, clip.language)

    def _admitted(self, listing: Listing) -> Listing:
        result = Listing([], list(listing.skipped), listing.dropped.copy())
        for clip in listing.clips:
            found = self._cut_from(clip)
            if found is not None and found.split != "train":
                reason = f"it is cut from a clip of split {found.split}, {found.corpus}/{found.name}"
                result.skipped.append(SkippedClip(self.name, clip.name, reason))
            elif self._languages is not None and clip.language not in self._languages:
                result.dropped["of a sign language that no corpus has"] += 1
            else:
                result.clips.append(clip)
        return result

    def segment(self, clip: Clip) -> tuple[int, int] | None:
        """Number of the first frame of a segment of a continuous clip, and of the one behind its last; None for a sign
        that is none."""
        return clip.segment or self._segments.get(clip.name)

    @cached_property
    def _segments(self) -> dict[str, tuple[int, int] | None]:
        """Name of a sign -> `Clip.segment`, which packed clips do not know."""
        found: dict[str, tuple[int, int] | None] = {}
        for clip in self._annotated("train").clips if self._table.is_file() else ():
            found.setdefault(clip.name, clip.segment)  # of one name, the first is kept
        return found

    @property
    def _table(self) -> Path:
        """Of the annotation: that in the root, else the packed signs' copy."""
        own = self.root / self.kept
        return own if own.is_file() or self.store is None else self.store.annotation(self.kept) or own

    def _found(self, clip: Clip) -> FrameFiles:
        files = super()._found(clip)
        if clip.segment is None:
            return files
        start, end = clip.segment
        first, last = (bisect_left(files.numbers, number) for number in (start, end))
        found = FrameFiles(files.names[first:last], files.numbers[first:last], files.strays)
        if 2 * len(found) < end - start:
            raise ClipError(f"clip {clip.name}: {clip.frames} holds {len(found)} of the frames {start} to {end - 1}")
        return found

    def _max_fps(self, clip: Clip) -> float:
        return How2Sign.fps if clip.language == How2Sign.language else math.inf

    def annotation_paths(self, split: str) -> list[Path]:
        return [self._existing([self._table])] if split == "train" else []

    def _annotated(self, split: str) -> Listing:
        for path in self.annotation_paths(split):
            return self._listed(path, read_table(path, self.columns), split)
        return Listing()

    def _clip(self, row: dict[str, str], split: str) -> Clip:
        name, language = row["name"], canonical(row["language"])
        if language not in self._known:
            raise ValueError(f"language {language!r}, which is none of {', '.join(self._known)}")
        frames, segment, fps = self.root / "poses" / name, None, parsed_fps(row)
        if row.get("source"):
            start, end = (parsed_frame(row, column) for column in ("start", "end"))
            if not start < end:
                raise ValueError(f"start {row['start']!r} and end {row['end']!r}, which hold no frames")
            frames, segment = self.root / row["source"], (start, end)
        return Clip(name, self.name, split, language, row["word"].strip(), frames, fps, segment=segment)
