"""Data sets of several corpora, as motions or as codes, and their batches.

A clip that cannot be used gives a `SkippedClip` in its place, which the batch lists; with `strict` it is an error.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.data.clip import Clip, ClipError, Corpus, SkippedClip
from soke.data.codes import REMEDY, CodeStore
from soke.data.corpora.annotations import safe_name
from soke.data.fingerprints import Watch, fingerprint_of
from soke.data.lengths import fitted_indices
from soke.errors import UserError

PADDING_CODE = -1


@dataclass(frozen=True)
class MotionSample:
    """clip; features {part: [T, D]}, not normalised; motion of the same T frames; lacking: parts that nobody observed,
    whose features are zero; masked [T] bool: frames that are not to be read; None: all are."""

    clip: Clip
    features: dict[str, Tensor]
    motion: Motion | JointMotion
    lacking: frozenset[str] = frozenset()
    masked: Tensor | None = None


@dataclass(frozen=True)
class CodeSample:
    """clip; codes [K, P] int64."""

    clip: Clip
    codes: Tensor


@dataclass
class MotionBatch:
    """B clips; B is 0, and `features` empty, when all were skipped.

    features: {part: [B, T, D]}, zero from a clip's length on
    lengths:  [B] frames, int64
    motions:  B motions, which stay on the CPU
    fps:      B working frame rates
    skipped:  the clips that should have been here
    rows:     {part: [B'] numbers, from 0, of the clips that have it}, int64; None: all have all
    masked:   [B, T] bool, the frames that are not to be read, see AUGMENT.TIME_MASK; None: all are
    """

    features: dict[str, Tensor]
    lengths: Tensor
    clips: list[Clip]
    motions: list[Motion | JointMotion]
    fps: list[float]
    skipped: list[SkippedClip]
    rows: dict[str, Tensor] | None = None
    masked: Tensor | None = None
    unit: ClassVar[str] = "frames"  # of `lengths`

    @property
    def frames(self) -> list[int]:
        """`lengths` as numbers, which a GPU is not asked for."""
        return [len(motion) for motion in self.motions]

    # Between worker and main process motions travel by value: as tensors, each would keep files open, thousands in all.
    def __getstate__(self) -> dict[str, Any]:
        motions = [
            (type(m), {name: value.numpy() if isinstance(value, Tensor) else value for name, value in vars(m).items()})
            for m in self.motions
        ]
        return {**vars(self), "motions": motions}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.motions = [
            kind(**{n: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for n, v in motion.items()})
            for kind, motion in state["motions"]
        ]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> MotionBatch:
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> MotionBatch:
        return self._each(Tensor.pin_memory)

    def _each(self, moved: Callable[[Tensor], Tensor]) -> MotionBatch:
        features, rows = (
            None if values is None else {part: moved(tensor) for part, tensor in values.items()}
            for values in (self.features, self.rows)
        )
        masked = None if self.masked is None else moved(self.masked)
        return replace(self, features=features, lengths=moved(self.lengths), rows=rows, masked=masked)


@dataclass
class CodeBatch:
    """B clips; B is 0 when all were skipped.

    codes:     [B, K, P] int64, -1 from a clip's length on
    lengths:   [B] token steps, int64
    texts:     B sentences
    languages: B sign languages
    skipped:   the clips that should have been here
    """

    codes: Tensor
    lengths: Tensor
    texts: list[str]
    languages: list[str]
    clips: list[Clip]
    skipped: list[SkippedClip]
    unit: ClassVar[str] = "token_steps"  # of `lengths`

    def to(self, device: torch.device | str, non_blocking: bool = False) -> CodeBatch:
        moved = (tensor.to(device, non_blocking=non_blocking) for tensor in (self.codes, self.lengths))
        return replace(self, **dict(zip(("codes", "lengths"), moved)))

    def pin_memory(self) -> CodeBatch:
        return replace(self, codes=self.codes.pin_memory(), lengths=self.lengths.pin_memory())


class _ClipDataset(Dataset):
    """The clips of one split of several corpora, one corpus after the other.

    clips:   of this data set
    skipped: known to be unusable without being loaded
    """

    def __init__(self, corpora: Sequence[Corpus], split: str, strict: bool):
        self.corpora = {corpus.name: corpus for corpus in corpora}
        if len(self.corpora) != len(corpora):
            raise UserError(f"corpora of the same name: {', '.join(corpus.name for corpus in corpora)}")
        self.split = split
        self.strict = strict
        self.clips: list[Clip] = []
        listings = [self._listed(corpus) for corpus in corpora]
        self.skipped = [replace(skipped, split=split) for _, of_corpus in listings for skipped in of_corpus]
        for clip in (clip for of_corpus, _ in listings for clip in of_corpus):
            try:  # names become names of files, and a corpus of someone else's need not have looked at them
                safe_name(clip.name)
                self.clips.append(clip)
            except ValueError as error:
                self.skipped.append(SkippedClip(clip.corpus, clip.name, str(error), self.split))

    def _listed(self, corpus: Corpus) -> tuple[list[Clip], list[SkippedClip]]:
        """The clips of a corpus, and those that it leaves out."""
        return corpus.clips(self.split), corpus.skipped(self.split)

    def _require_clips(self, absent: str) -> None:
        """To be called at the end of construction; `absent` says what is the matter with a corpus without clips.

        A corpus that has nothing in this split, not even what was skipped, may be among others that have.
        """
        if self.strict and self.skipped:
            first = self.skipped[0]
            raise ClipError(f"{len(self.skipped)} clips of split {self.split} cannot be used; {first}: {first.reason}")
        used = {clip.corpus for clip in self.clips}
        emptied: dict[str, SkippedClip] = {}  # corpus -> its first clip
        for skipped in self.skipped:
            if skipped.corpus not in used:
                emptied.setdefault(skipped.corpus, skipped)
        if emptied:
            first = next(iter(emptied.values()))
            raise UserError(f"split {self.split} of {', '.join(emptied)} {absent}; {first}: {first.reason}")
        if not self.clips:
            raise UserError(f"split {self.split} of {', '.join(self.corpora) or 'no corpus'} {absent}")

    def __len__(self) -> int:
        return len(self.clips)

    def _unusable(self, clip: Clip, error: ClipError) -> SkippedClip:
        if self.strict:
            raise error
        return SkippedClip(clip.corpus, clip.name, str(error), self.split)


class FrameCache:
    """Keeps what is made of clips until it holds so many frames; of clips that are skipped, nothing."""

    def __init__(self, frames: int):
        self._left = frames
        self._kept: dict[Hashable, Any] = {}

    def get(self, index: Hashable, make: Callable[[], Any], frames: Callable[[Any], int]) -> Any:
        """What is kept of a clip, or what `make` makes of it. frames: how many that has"""
        found = self._kept.get(index)
        if found is not None:
            return found
        made = make()
        if not isinstance(made, SkippedClip) and frames(made) <= self._left:
            self._left -= frames(made)
            self._kept[index] = made
        return made


class MotionDataset(_ClipDataset):
    """Item i is a `MotionSample` or, for a clip that cannot be used, a `SkippedClip`.

    min_frames, max_frames, multiple: length rules, see `fitted_indices`
    strict:       a bad clip raises ClipError
    cache_frames: clips are kept in memory until they hold this many frames, in every worker process (about 1.2 kB each)
    partial:      clips that lack parts of the layout, but not all, are usable

    Raises UserError when a corpus has no clips, or when the layout needs what the corpus does not record.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        split: str,
        layout: MotionLayout,
        min_frames: int = 40,
        max_frames: int = 400,
        multiple: int = 4,
        strict: bool = False,
        cache_frames: int = 0,
        partial: bool = False,
    ):
        super().__init__(corpora, split, strict)
        self._require_clips("has no clips; check `corpora`")
        self.layout, self.partial, self.cache_frames = layout, partial, cache_frames
        self.limits = (min_frames, max_frames, multiple)
        self._cache = FrameCache(cache_frames)

    def require_readable(self) -> None:
        """Raises UserError for a corpus of which not one clip can be read; reads one of each where all is well."""
        faults: dict[str, ClipError | None] = {}  # corpus -> its first fault, None once a clip could be read
        for clip in self.clips:
            if faults.get(clip.corpus, clip) is None:
                continue
            try:
                self.corpora[clip.corpus].load(clip)
                faults[clip.corpus] = None
            except ClipError as error:
                faults.setdefault(clip.corpus, error)
        for name, fault in faults.items():
            if fault is not None:
                raise UserError(f"not one clip of split {self.split} of {name} can be read; the first: {fault}")

    def __getitem__(self, index: int) -> MotionSample | SkippedClip:
        return self._cache.get(index, lambda: self._sample(index), lambda sample: len(sample.motion))

    def _sample(self, index: int) -> MotionSample | SkippedClip:
        motion = self.load(index)
        return motion if isinstance(motion, SkippedClip) else self.sample(self.clips[index], motion)

    def load(self, index: int) -> Motion | JointMotion | SkippedClip:
        """The motion of a clip, of all its frames."""
        clip = self.clips[index]
        try:
            return self.corpora[clip.corpus].load(clip)
        except ClipError as error:
            return self._unusable(clip, error)

    def sample(self, clip: Clip, motion: Motion | JointMotion) -> MotionSample | SkippedClip:
        """What becomes of a motion of the clip, by the length rules."""
        observed = self.layout.observed(motion)
        lacking = frozenset(self.layout.names).difference(observed)
        if lacking and not (self.partial and observed):
            return self._unusable(clip, ClipError(f"clip {clip.name}: it lacks {_listed(self.layout, lacking, motion)}"))
        motion = motion.frames(fitted_indices(len(motion), *self.limits))
        try:
            features = self.layout.features(motion, observed)
        except ValueError as error:  # of the layout, so every clip of this corpus would fail
            raise UserError(
                f"corpus {clip.corpus} does not fit the layout {self.layout}: {error}; check the parts and `frames`"
            ) from error
        sizes = self.layout.sizes
        features |= {part: torch.zeros(len(motion), sizes[part]) for part in sorted(lacking)}
        return MotionSample(clip, features, motion, lacking)


class CodesDataset(_ClipDataset):
    """Item i is a `CodeSample` or, for a clip whose codes cannot be used, a `SkippedClip`.

    The clips' frames need not be on this machine; where they are, they must be those that the codes were made from.

    min_steps, max_steps: shorter and longer codes are resampled to these, see `fitted_indices`
    strict:               a clip with bad codes, or without codes, raises ClipError

    Raises UserError when no clip of a corpus has codes, or when frames have changed since.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        split: str,
        code_store: CodeStore,
        min_steps: int = 10,
        max_steps: int = 100,
        strict: bool = False,
    ):
        super().__init__(corpora, split, strict)
        self.code_store = code_store
        self.limits = (min_steps, max_steps)
        annotated, self.clips = self.clips, []
        for clip in annotated:
            try:
                fault = None if code_store.has(clip) else f"it has no codes in {code_store.path}"
            except ClipError as error:
                fault = str(error)
            if fault is None:
                self.clips.append(clip)
            else:
                self.skipped.append(SkippedClip(clip.corpus, clip.name, fault, self.split))
        self._refuse_changed()
        self._require_clips(f"has no codes in {code_store.path}; {REMEDY}")

    def __getitem__(self, index: int) -> CodeSample | SkippedClip:
        clip = self.clips[index]
        try:
            codes = self.code_store.read(clip)
        except ClipError as error:
            return self._unusable(clip, error)
        return CodeSample(clip, codes[fitted_indices(len(codes), *self.limits)])

    def _listed(self, corpus: Corpus) -> tuple[list[Clip], list[SkippedClip]]:
        if not hasattr(corpus, "described"):  # a corpus of one's own need not tell frames from clips
            return super()._listed(corpus)
        listing = corpus.described(self.split)
        return listing.clips, listing.skipped

    def _refuse_changed(self) -> None:
        watch = Watch()
        changed = [
            clip for clip in self.clips
            if self.code_store.changed(clip, fingerprint_of(self.corpora[clip.corpus], clip, watch))
        ]
        if changed:
            raise UserError(
                f"the frames of {len(changed)} clips of split {self.split} (the first: {changed[0].corpus}/"
                f"{changed[0].name}) have changed since their codes in {self.code_store.path} were made; {REMEDY}"
            )


def _listed(layout: MotionLayout, parts: Collection[str], motion: Motion) -> str:
    """The parts, and of what each lacks a part."""
    lacking = {part.name: sorted(part.sees & motion.lacking) for part in layout.parts if part.name in parts}
    return " and ".join(f"{names[0]}{' …' * (len(names) > 1)} of the part {part}" for part, names in lacking.items())


def collate_motions(items: Sequence[MotionSample | SkippedClip]) -> MotionBatch:
    """Items of a `MotionDataset` -> one batch."""
    samples = [item for item in items if isinstance(item, MotionSample)]
    parts = list(samples[0].features) if samples else []
    masks = [s.masked for s in samples if s.masked is not None]
    return MotionBatch(
        features={part: pad_sequence([s.features[part] for s in samples], batch_first=True) for part in parts},
        lengths=torch.tensor([len(s.motion) for s in samples], dtype=torch.int64),
        clips=[s.clip for s in samples],
        motions=[s.motion for s in samples],
        fps=[s.motion.fps for s in samples],
        rows={p: torch.tensor([i for i, s in enumerate(samples) if p not in s.lacking], dtype=torch.int64) for p in parts}
        if any(s.lacking for s in samples) else None,
        masked=pad_sequence(masks, batch_first=True) if masks else None,
        skipped=[item for item in items if isinstance(item, SkippedClip)],
    )


def collate_codes(items: Sequence[CodeSample | SkippedClip]) -> CodeBatch:
    """Items of a `CodesDataset` -> one batch."""
    samples = [item for item in items if isinstance(item, CodeSample)]
    codes = [s.codes for s in samples]
    nothing = torch.zeros(0, 0, 0, dtype=torch.int64)
    padded = pad_sequence(codes, batch_first=True, padding_value=PADDING_CODE) if codes else nothing
    return CodeBatch(
        codes=padded,
        lengths=torch.tensor([len(c) for c in codes], dtype=torch.int64),
        texts=[s.clip.text for s in samples],
        languages=[s.clip.language for s in samples],
        clips=[s.clip for s in samples],
        skipped=[item for item in items if isinstance(item, SkippedClip)],
    )
