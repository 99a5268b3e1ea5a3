"""What is in a corpus: counts, faults, durations, values, words. One pass over its clips, in little memory."""
from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import DataLoader, Dataset

from soke.body.joints import SMPLX_JOINTS
from soke.body.motion import JointMotion, Motion
from soke.data.clip import SPLITS, Clip, ClipError, Corpus, SkippedClip, locale_of
from soke.errors import UserError
from soke.text.locales import ENGLISH, TEXT_LOCALE
from soke.text.words import words_of

# Annotated clips per split: CSL-Daily and Phoenix-2014T as their annotation files have them; How2Sign (realigned): the
# test table's rows, the others as papers round them.
PUBLISHED: dict[str, dict[str, str]] = {
    "how2sign": {"train": "~31,000", "val": "~1,700", "test": "2,357"},
    "csl": {"train": "18,401", "val": "1,077", "test": "1,176"},
    "phoenix": {"train": "7,096", "val": "519", "test": "642"},
    "nmfs_csl": {"train": "25,608", "test": "6,402"},
}
FULL_TURN = 2 * np.pi  # radians; no joint is turned further
MAX_EXPRESSION = 10.0  # standard deviations of the face model
MAX_EYELID = 2.0  # 1 is closed
OFF, ROUGH = 0.1, 0.2  # share of the annotated duration, and seconds, by which frames may last longer or shorter
MAX_JUMP = 1.5  # radians from frame to frame; more is a failed fit
_NUMBER = re.compile(r"(?<![A-Za-z])-?\d+(\.\d+)?(e[+-]?\d+)?\b")
CONSTANT, NEARLY_CONSTANT = 1e-6, 1e-3  # standard deviation over the training split


@dataclass
class Moments:
    """Frames, and per value their sum and sum of squares about `origin`, float64."""

    frames: int
    origin: np.ndarray
    sums: np.ndarray
    squares: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return self.origin + self.sums / self.frames

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(np.maximum(self.squares / self.frames - (self.sums / self.frames) ** 2, 0.0))

    def add(self, values: np.ndarray) -> None:
        """values: [T, D]"""
        centred = values.astype(np.float64) - self.origin
        self.frames += len(values)
        self.sums += centred.sum(0)
        self.squares += np.square(centred).sum(0)


@dataclass
class SplitSurvey:
    """One split.

    annotated: clips that the annotation names, faulty lines included
    dropped:   clips per rule of the corpus that excludes them
    skipped:   listed as unusable; broken: could not be read
    clips:     those that could be read
    frames, seconds: of each of `clips`, at the working frame rate
    fps:       stored frame rate -> clips
    notes:     (clip, what is odd about its values)
    gaps:      clip -> frames that are left out between its first and last
    twins:     clip -> split and name of the one before it that has the very same frames
    lasting:   clip -> how many times as long as annotated its frames last, gaps included, where that is not near 1
    strays:    clip -> files among its frames that are none of them, and were left out
    lacking:   joint, expression or eyelids -> clips in which nobody observed it
    """

    annotated: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    skipped: list[SkippedClip] = field(default_factory=list)
    broken: list[SkippedClip] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    fps: Counter[float] = field(default_factory=Counter)
    notes: list[tuple[str, str]] = field(default_factory=list)
    gaps: dict[str, int] = field(default_factory=dict)
    twins: dict[str, str] = field(default_factory=dict)
    lasting: dict[str, float] = field(default_factory=dict)
    strays: dict[str, list[str]] = field(default_factory=dict)
    lacking: Counter[str] = field(default_factory=Counter)

    @property
    def faulty(self) -> list[SkippedClip]:
        return [*self.skipped, *self.broken]


@dataclass
class TextSurvey:
    """Sentences of a corpus.

    words:     split -> word -> how often
    lengths:   split -> words per sentence
    unseen:    split -> share of its running words that training does not have
    leaked:    split -> sentences that training has, too
    distinct:  different sentences; glosses: different glosses; signers: different signers
    """

    words: dict[str, Counter[str]]
    lengths: dict[str, list[int]]
    unseen: dict[str, float]
    leaked: dict[str, int]
    distinct: int
    glosses: int
    signers: int

    @property
    def vocabulary(self) -> Counter[str]:
        return sum(self.words.values(), Counter())


@dataclass
class CorpusSurvey:
    """splits of which clips could be listed; absent: split -> why none can be used; values: of training's frames."""

    name: str
    splits: dict[str, SplitSurvey]
    absent: dict[str, str]
    text: TextSurvey
    values: Moments | None

    @property
    def sound(self) -> bool:
        return not self.absent and not any(s.faulty or not s.clips for s in self.splits.values())

    def constant(self, below: float) -> dict[str, int]:
        """Joint (or expression) -> number of its values whose standard deviation in training is below `below`."""
        if self.values is None or not self.values.frames:
            return {}
        return dict(Counter(_value_name(i) for i in np.flatnonzero(self.values.std < below)))


class _Read(Dataset):
    """Item i: frames, fps, what it lacks, hash of the frames, values [T, D], what is odd about them, missing frames, strays;
    or a SkippedClip."""

    def __init__(self, corpus: Corpus, clips: Sequence[Clip]):
        self.corpus, self.clips = corpus, clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple | SkippedClip:
        clip = self.clips[index]
        try:
            motion = self.corpus.load(clip)
            gaps, strays, unchanged = (
                getattr(self.corpus, name, None) for name in ("missing_frames", "strays", "require_unchanged")
            )
            if unchanged:
                unchanged(clip)
            beside = gaps(clip) if gaps else 0, strays(clip) if strays else []
        except ClipError as error:
            return SkippedClip(clip.corpus, clip.name, str(error))
        facts = len(motion), motion.fps, sorted(getattr(motion, "lacking", ())), _content(motion)
        return *facts, *_examined(motion), *beside


def survey(corpus: Corpus, workers: int = 0, progress=lambda items, total: items) -> CorpusSurvey:
    """Read every clip of every split.

    workers:  processes
    progress: wraps the sequence of clips, of which the number is given
    """
    splits: dict[str, SplitSurvey] = {}
    absent: dict[str, str] = {}
    for split in SPLITS:
        clips, skipped, dropped = [], [], Counter()
        try:
            skipped = corpus.skipped(split)
            dropped = corpus.dropped(split) if hasattr(corpus, "dropped") else Counter()
            clips = corpus.clips(split)
        except UserError as error:
            absent[split] = str(error)
        annotated = len(clips) + len(skipped) + sum(dropped.values())
        if annotated:
            splits[split] = SplitSurvey(annotated, dropped, skipped, clips=clips)
    moments, first = None, {}
    items = [(split, clip) for split, found in splits.items() for clip in found.clips]
    loader = DataLoader(_Read(corpus, [clip for _, clip in items]), batch_size=None, num_workers=workers)
    for found in splits.values():
        found.clips = []
    for item, (split, clip) in zip(progress(loader, len(items)), items):
        found = splits[split]
        if isinstance(item, SkippedClip):
            found.broken.append(item)
            continue
        frames, fps, lacking, content, values, notes, gaps, strays = item
        if first.setdefault(content, f"{split} {clip.name}") != f"{split} {clip.name}":
            found.twins[clip.name] = first[content]
        found.lacking.update(lacking)
        found.clips.append(clip)
        found.frames.append(frames)
        found.seconds.append(frames / fps)
        found.fps[clip.fps] += 1
        found.notes += [(clip.name, note) for note in notes]
        if gaps:
            found.gaps[clip.name] = gaps
        lasting = frames / fps + gaps / clip.fps
        if clip.seconds and abs(lasting - clip.seconds) > OFF * clip.seconds + ROUGH:
            found.lasting[clip.name] = lasting / clip.seconds
        if strays:
            found.strays[clip.name] = strays
        if split == "train" and values is not None:
            values = np.asarray(values)
            if moments is None:
                moments = Moments(0, values[0].astype(np.float64), np.zeros(values.shape[1]), np.zeros(values.shape[1]))
            moments.add(values)
    return CorpusSurvey(corpus.name, splits, absent, _text(splits, corpus), moments)


def kind_of(reason: str) -> str:
    """A reason without names, paths and numbers, so that like ones fall together."""
    words = re.sub(r"'[^']*'|[^\s,;]*\.(pkl|npz)", "…", re.sub(r"^clip .*?: ", "", reason)).split()
    return " ".join("…" if "/" in w.replace("frames/s", "") or "\\" in w else _NUMBER.sub("…", w) for w in words)


def _content(motion: Motion | JointMotion) -> bytes:
    """Changes with any number of a motion's frames."""
    values = [motion.rotations, motion.expression] if isinstance(motion, Motion) else [motion.positions]
    return hashlib.blake2b(b"".join(v.numpy().tobytes() for v in values), digest_size=16).digest()


def _examined(motion: object) -> tuple[np.ndarray | None, list[str]]:
    """Values [T, 165 + E] of a parametric motion, and what is odd about them."""
    if not isinstance(motion, Motion):
        return None, []
    rotations, expression = motion.rotations.numpy(), motion.expression.numpy()
    notes = []
    angles = np.linalg.norm(rotations, axis=-1)  # [T, 55]
    frame, joint = np.unravel_index(angles.argmax(), angles.shape)
    if angles[frame, joint] > FULL_TURN:
        notes.append(f"{SMPLX_JOINTS[joint]} is turned by {angles[frame, joint]:.1f} rad in frame {frame}")
    if expression.size and np.abs(expression).max() > MAX_EXPRESSION:
        notes.append(f"an expression coefficient of {np.abs(expression).max():.1f}")
    if motion.eyelids is not None and len(motion) and motion.eyelids.abs().max() > MAX_EYELID:
        notes.append(f"an eyelid coefficient of {motion.eyelids.abs().max():.1f}, where 1 is closed")
    if len(rotations) > 1 and not np.ptp(rotations, axis=0).any():
        notes.append("no joint moves in it: all its frames are one")
    if len(rotations) > 1:
        jumps = _turned(rotations, angles)
        frame, joint = np.unravel_index(jumps.argmax(), jumps.shape)
        if jumps[frame, joint] > MAX_JUMP:
            notes.append(f"{SMPLX_JOINTS[joint]} jumps by {jumps[frame, joint]:.1f} rad after frame {frame}")
    return np.concatenate([rotations.reshape(len(rotations), -1), expression], axis=1), notes


def _turned(rotations: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """[T-1, 55] angles between the rotations of neighbouring frames, in radians."""
    half = angles[..., None] / 2
    axes = rotations * (np.sinc(half / np.pi) / 2)  # sin(half) * axis
    quaternions = np.concatenate([np.cos(half), axes], axis=-1)
    alike = np.abs((quaternions[1:] * quaternions[:-1]).sum(-1))
    return 2 * np.arccos(np.minimum(alike, 1.0))


def _value_name(index: int) -> str:
    rotations = 3 * len(SMPLX_JOINTS)
    return SMPLX_JOINTS[index // 3] if index < rotations else "expression"


def _locale(clip: Clip, corpus: Corpus) -> str:
    """A lexicon, which has signs of several languages, has none of its own."""
    return locale_of(corpus) if hasattr(corpus, "language") else TEXT_LOCALE.get(clip.language, ENGLISH)


def _text(splits: dict[str, SplitSurvey], corpus: Corpus) -> TextSurvey:
    words: dict[str, Counter[str]] = {}
    lengths: dict[str, list[int]] = {}
    for split, found in splits.items():
        cut = [words_of(clip.text, _locale(clip, corpus)) for clip in found.clips]
        words[split] = Counter(word for sentence in cut for word in sentence)
        lengths[split] = [len(sentence) for sentence in cut]
    known = words.get("train", Counter())
    trained = {clip.text for clip in splits["train"].clips} if "train" in splits else set()
    others = [split for split, found in splits.items() if split != "train" and found.clips]
    clips = [clip for found in splits.values() for clip in found.clips]
    return TextSurvey(
        words=words,
        lengths=lengths,
        unseen={s: _share(sum(n for w, n in words[s].items() if w not in known), words[s].total()) for s in others},
        leaked={s: sum(clip.text in trained for clip in splits[s].clips) for s in others},
        distinct=len({clip.text for clip in clips}),
        glosses=len({gloss for clip in clips for gloss in (clip.gloss or "").split()}),
        signers=len({clip.signer for clip in clips if clip.signer is not None}),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def names_of(found: Iterable[SkippedClip]) -> dict[str, list[SkippedClip]]:
    """Faults by kind, the most frequent first."""
    kinds: dict[str, list[SkippedClip]] = {}
    for clip in found:
        kinds.setdefault(kind_of(clip.reason), []).append(clip)
    return dict(sorted(kinds.items(), key=lambda item: -len(item[1])))
