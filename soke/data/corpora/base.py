"""What the corpora have in common: stored frames per clip, and rules for the clips that cannot be used."""
from __future__ import annotations

import logging
import math
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

from soke.body.motion import Motion, require_radians
from soke.data.clip import SPLITS, Clip, ClipError, SkippedClip
from soke.data.corpora.annotations import Table
from soke.data.corpora.listing import FEW_FRAMES, MAX_FPS, MIN_FPS, Listing, nothing_left, report, with_frames
from soke.data.fingerprints import Fingerprint, Watch
from soke.data.lengths import downsampled_indices
from soke.data.storage.formats import MIN_FRAMES, SOKE_FRAMES, FrameFormat, Stored, check_complete
from soke.data.storage.loading import FrameFiles
from soke.data.storage.packed import REMEDY, PackedStore
from soke.errors import UserError
from soke.storage import existing, file_hash

_log = logging.getLogger(__name__)
# A clip may last so many times as long as its annotation says, and half a second more or less: annotated ends are
# rough, and public poses lack frames. What lies outside has another clip's frames, or times in another unit.
SHORTEST, LONGEST, SLACK = 0.4, 2.0, 0.5
_LOOKED_AT = 8  # frames of a clip, evenly spaced, that tell radians from degrees
_FRAME_FILES_ALONE: ContextVar[bool] = ContextVar("_FRAME_FILES_ALONE", default=False)


@contextmanager
def frame_files_alone() -> Iterator[None]:
    """Corpora that are made inside take no notice of packed stores: what is to be packed anew need not fit them."""
    token = _FRAME_FILES_ALONE.set(True)
    try:
        yield
    finally:
        _FRAME_FILES_ALONE.reset(token)


class FrameFolderCorpus(ABC):
    """A corpus on disk, as frame files or packed; the base of all readers.

    Its clips and frames come from the packed store where there is a complete one, otherwise from the frame files:
    with the same numbers. Raises UserError when there is neither a store nor the corpus's folder, and when an
    annotation file has changed since the store was packed.

    root:   folder of the corpus in its published layout
    packed: folder of the store; default: in the root, as the format calls it
    form:   how the frames are stored

    splits:        those that the corpus has, of which none may be empty
    kept:          name of an annotation file that says more of the clips than a store's rows can, so that the store has
                   a copy of it
    likely_causes: rule that drops clips -> what is probably the matter when it drops all of them
    """

    name: str
    language: str
    fps: float
    splits: tuple[str, ...] = SPLITS
    kept: str | None = None
    likely_causes: Mapping[str, str] = {FEW_FRAMES: "are the frame files complete?"}

    def __init__(self, root: Path | str, packed: Path | str | None = None, form: FrameFormat = SOKE_FRAMES):
        self.root, self.form = Path(root), form
        self.packed = self.root / form.packed if packed is None else Path(packed)
        self.store = None if _FRAME_FILES_ALONE.get() else PackedStore.find(self.packed)
        if self.store is not None:
            self._check_store(self.store)
        elif not self.root.is_dir():
            raise UserError(
                f"corpus {self.name}: folder {self.root} does not exist; set `root` to the folder that holds the "
                "corpus"
            )
        self._listings: dict[str, Listing] = {}
        self._warned = False

    def annotated(self, split: str) -> list[Clip]:
        """All clips that the annotation of `split` names, whether their frames exist or not; raises as `clips` does."""
        return self._placed(split).clips

    @abstractmethod
    def _annotated(self, split: str) -> Listing:
        """All clips that the annotation file names, whether their frames exist or not, with their folders of frame
        pickles as the corpus is published."""

    def _placed(self, split: str) -> Listing:
        """What is annotated, with the places where the frames are in the corpus's format."""
        listing = self._annotated(split)
        places = [self.form.place(self.root, clip.name, clip.frames) for clip in listing.clips]
        listing.clips = [
            clip if place == clip.frames else replace(clip, frames=place) for clip, place in zip(listing.clips, places)
        ]
        return listing

    def _apart(self, split: str) -> Listing:
        """`_placed`, but that a clip whose frames are those of a clip of val or test is not trained on."""
        listing = self._placed(split)
        if split != "train":
            return listing
        held_out: dict[tuple[Path, tuple[int, int] | None], str] = {}
        for other in SPLITS[1:]:
            with suppress(UserError):  # there need not be every split
                held_out |= {(clip.frames, clip.segment): other for clip in self._placed(other).clips}
        found = [held_out.get((clip.frames, clip.segment)) for clip in listing.clips]
        listing.skipped += [
            SkippedClip(self.name, clip.name, f"the {other} split has it, too")
            for clip, other in zip(listing.clips, found) if other is not None
        ]
        listing.clips = [clip for clip, other in zip(listing.clips, found) if other is None]
        return listing

    def annotation_paths(self, split: str) -> list[Path]:
        """The annotation files that `_annotated` reads. Raises UserError when one is missing."""
        return []

    def _max_fps(self, clip: Clip) -> float:
        """Frame rate above which a clip's frames are thinned out."""
        return self.fps

    def clips(self, split: str) -> list[Clip]:
        """The usable clips of `split` in annotation order.

        Raises UserError for an unknown split, an annotation file that is missing or cannot be read, and when none of
        the annotated clips can be used, whatever the reasons.
        """
        listing = self._listing(split)
        self._require_clips(listing, split)
        return list(listing.clips)

    def skipped(self, split: str) -> list[SkippedClip]:
        """The clips of `split` without frames, without text, or with an annotation that makes no sense.

        Raises UserError as `clips` does, except when no clip can be used; so does `dropped`.
        """
        return list(self._listing(split).skipped)

    def dropped(self, split: str) -> Counter[str]:
        """Number of clips of `split` per rule of the corpus that excludes them."""
        return Counter(self._listing(split).dropped)

    def described(self, split: str) -> Listing:
        """The listing of `split` with the clips whose frames are not on this machine, for who can do without frames;
        raises as `annotated` does."""
        if self._is_packed(split):
            return self._listing(split)
        return self._admitted(with_frames(self._apart(split), self.name, self.form, needed=False))

    def fingerprint(self, clip: Clip, watch: Watch) -> Fingerprint | None:
        """Of the clip's stored frames, packed or not; None when they are not on this machine."""
        return self.store.fingerprint(clip) if self._is_packed(clip.split) else watch.look(clip.frames)

    def annotation_hashes(self) -> dict[str, str]:
        """Annotation file of any split, relative to the root -> its SHA-256; as packed, where there is a store."""
        if self.store is not None:
            return self.store.sources
        hashes = {}
        for split in SPLITS:
            with suppress(UserError):  # there need not be every split
                hashes |= {os.path.relpath(path, self.root): file_hash(path) for path in self.annotation_paths(split)}
        return hashes

    def missing_frames(self, clip: Clip) -> int:
        """How many frames are left out between the clip's first and last. Raises ClipError."""
        return self.store.place(clip).missing if self._is_packed(clip.split) else self._found(clip).missing

    def strays(self, clip: Clip) -> list[str]:
        """Names of the files beside the clip's frame files that are none of them. Raises ClipError."""
        return [] if self._is_packed(clip.split) else self._found(clip).strays

    def require_unchanged(self, clip: Clip) -> None:
        """Raises ClipError for packed frames that are no longer what was packed."""
        if self._is_packed(clip.split):
            self.store.read_unchanged(clip)

    def load(self, clip: Clip) -> Motion:
        """The clip's motion at the working frame rate. Raises ClipError naming the clip, the file and the cause."""
        stored = self.store.read(clip) if self._is_packed(clip.split) else self.read_frames(clip)
        fps = min(clip.fps, self._max_fps(clip))
        if fps < clip.fps:
            kept = downsampled_indices(len(stored.values), clip.fps, fps).numpy()
            stored = replace(stored, values=stored.values[kept])
        return self.form.motion(stored, fps)

    def length(self, clip: Clip) -> int:
        """How many frames `load` gives, without reading them. Raises ClipError when they are not there."""
        stored = self.store.place(clip).frames if self._is_packed(clip.split) else len(self._found(clip))
        fps = min(clip.fps, self._max_fps(clip))
        return len(downsampled_indices(stored, clip.fps, fps)) if fps < clip.fps else stored

    def read_frames(self, clip: Clip) -> Stored:
        """All stored frames of a clip, whether there is a store or not. Raises ClipError as `load` does."""
        found = self._found(clip)
        check_complete(clip, found)
        self._check_duration(clip, len(found) + found.missing)
        if found.strays:
            self._warn_of_strays(clip, found.strays)
        stored = self.form.read(clip, found)
        try:
            some = replace(stored, values=stored.values[:: len(stored.values) // _LOOKED_AT or 1])
            require_radians(self.form.motion(some, clip.fps).rotations)
        except ValueError as error:
            raise ClipError(f"clip {clip.name}: {clip.frames}: {error}") from error
        return stored

    def _found(self, clip: Clip) -> FrameFiles:
        """Raises ClipError."""
        return self.form.find(clip)

    def _check_duration(self, clip: Clip, frames: int) -> None:
        """Raises ClipError when `frames`, gaps included, last far longer or shorter than the annotation says."""
        if clip.seconds is None:
            return
        lasting = frames / clip.fps
        if not SHORTEST * clip.seconds - SLACK <= lasting <= LONGEST * clip.seconds + SLACK:
            raise ClipError(
                f"clip {clip.name}: the {frames} frames of {clip.frames} last {lasting:.2f} s at {clip.fps:g} frames/s"
                f", but its annotation says {clip.seconds:.2f} s; check its times, its frame rate and its frames"
            )

    def _warn_of_strays(self, clip: Clip, strays: list[str]) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "%s: files that are no frames of their clip are left out, first %s of %s; check_data lists all such "
                "clips", self.name, ", ".join(strays), clip.frames,
            )

    def unpacked(self, split: str) -> Listing:
        """What the annotation and the frame files hold, whether there is a store or not; raises as `clips` does."""
        listing = self._from_files(split)
        self._require_clips(listing, split)
        return listing

    def lacking_frames(self, split: str, watch: Watch) -> list[tuple[str, str, Fingerprint]]:
        """Name, folder relative to the root and fingerprint of the annotated clips with no or too few frame files; the
        fingerprint is empty where there are none. Raises as `annotated` does."""
        clips = [replace(clip, frames=existing(clip.frames)) for clip in self._placed(split).clips]
        return [
            (clip.name, os.path.relpath(clip.frames, self.root), watch.look(clip.frames) or Fingerprint(""))
            for clip in clips if self._few(clip)
        ]

    def _few(self, clip: Clip) -> bool:
        """Whether a clip has no frames, or too few."""
        try:
            look = self.form.look(clip.frames, MIN_FRAMES)
        except ClipError:  # it is among the faulty ones
            return False
        return look is None or look[0] < MIN_FRAMES

    def _from_files(self, split: str) -> Listing:
        if split not in SPLITS:
            raise UserError(f"corpus {self.name}: no split {split}; the splits are {', '.join(SPLITS)}")
        return with_frames(self._apart(split), self.name, self.form)

    def _listing(self, split: str) -> Listing:
        if split not in self._listings:
            if self._is_packed(split):
                self._check_frames(self.store, split)
                listing = Listing(self.store.clips(split), self.store.skipped(split), self.store.dropped(split))
            else:
                listing = self._from_files(split)
            listing = self._admitted(listing)
            report(listing, self.name, split)
            self._listings[split] = listing
        return self._listings[split]

    def _admitted(self, listing: Listing) -> Listing:
        """The listing without what no longer is to be used, wherever it comes from."""
        return listing

    def _is_packed(self, split: str) -> bool:
        return self.store is not None and self.store.has(split)

    def _check_store(self, store: PackedStore) -> None:
        if store.corpus != self.name:
            raise UserError(f"{store.folder} holds the packed corpus {store.corpus}, not {self.name}")
        if store.form != self.form.name:
            raise UserError(
                f"{store.folder} holds {self.name} packed in the frames {store.form}, not {self.form.name}: set "
                "`frames`, or the corpus's `packed` to another folder"
            )
        for source, packed in store.sources.items():
            path = self.root / source
            if path.is_file() and file_hash(path) != packed:
                raise UserError(f"{path} has changed since {store.folder} was packed; {REMEDY}, or remove that folder")

    def _check_frames(self, store: PackedStore, split: str) -> None:
        """Raises UserError when the frame files that are there are others than those that were packed."""
        watch = Watch()
        changed = [
            name for name, folder, packed in store.origins(split)
            if (found := watch.look(existing(self.root / folder))) is not None and not found.fits(packed)
        ]
        if changed:
            raise UserError(
                f"the frame files of {len(changed)} clips of {self.name} {split} (the first: {changed[0]}) have "
                f"changed since {store.folder} was packed; {REMEDY}, or remove that folder"
            )

    def _require_clips(self, listing: Listing, split: str) -> None:
        """Raises UserError when no clip is left of a split that the corpus has."""
        if listing.total and not listing.clips:
            raise UserError(
                f"corpus {self.name}: none of the {listing.total} clips of split {split} can be used; "
                f"{nothing_left(listing, self.likely_causes)}"
            )
        if not listing.total and split in self.splits:
            files = ", ".join(map(str, self.annotation_paths(split))) or f"the annotation of {self.root}"
            raise UserError(f"corpus {self.name}: split {split} has no clips; {files} names none")

    def _existing(self, candidates: Iterable[Path]) -> Path:
        """The first annotation file that exists. Raises UserError that names them all."""
        candidates = list(candidates)
        for path in candidates:
            if path.is_file():
                return path
        raise UserError(
            f"corpus {self.name}: {' or '.join(map(str, candidates))} does not exist; put the annotation file there"
        )


class TableCorpus(FrameFolderCorpus):
    """A corpus whose annotation is a table with a header, one clip per row.

    columns:     columns that must be there
    name_column: the one that holds the clip's name
    """

    columns: tuple[str, ...]
    name_column: str

    @abstractmethod
    def _clip(self, row: dict[str, str], split: str) -> Clip | str:
        """The clip of a row, or the rule that excludes it. Raises ValueError for values that make no sense."""

    def _listed(self, path: Path, table: Table, split: str) -> Listing:
        listing = Listing()
        for line, fault in table.malformed.items():
            listing.skipped.append(SkippedClip(self.name, f"{path.name} {line}", fault))
        for row in table.rows:
            try:
                clip = self._clip(row, split)
            except ValueError as error:
                listing.skipped.append(SkippedClip(self.name, row[self.name_column], f"its row in {path} has {error}"))
                continue
            if isinstance(clip, Clip):
                listing.clips.append(clip)
            else:
                listing.dropped[clip] += 1
        return listing


def parsed_number(row: dict[str, str], column: str) -> float:
    """The finite number in a column. Raises ValueError that names the column and the value."""
    try:
        number = float(row[column])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{column} {row[column]!r}, which is no number")
    return number


def parsed_frame(row: dict[str, str], column: str) -> int:
    """The number of a frame in a column. Raises ValueError that names the column and the value."""
    number = parsed_number(row, column)
    if number != int(number) or number < 0:
        raise ValueError(f"{column} {row[column]!r}, which is no number of a frame: they are whole, from 0 on")
    return int(number)


def parsed_fps(row: dict[str, str], column: str = "fps") -> float:
    """The frame rate in a column. Raises ValueError unless a recording may have it."""
    fps = parsed_number(row, column)
    if not MIN_FPS <= fps <= MAX_FPS:
        raise ValueError(
            f"{column} {row[column]!r}, which is no frame rate of a recording ({MIN_FPS:g} to {MAX_FPS:g} frames/s)"
        )
    return fps
