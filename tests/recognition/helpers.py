"""A toy corpus of isolated signs, its tokenizer, and features of its clips."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from soke.body.joints import LEFT_HAND, RIGHT_HAND, UPPER_BODY, joint_indices
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import Motion
from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.fingerprints import Fingerprint
from soke.data.labels import SignLabel
from soke.recognition.features import Extraction, FeatureFile
from soke.recognition.settings import ClassifierSettings, Window
from soke.recognition.window import JOINTS
from soke.tokenizer.tokenizer import SignTokenizer
from tests.tokenizer.helpers import small_tokenizer

LAYOUT = MotionLayout(
    [
        PartSpec("body", UPPER_BODY), PartSpec("lhand", LEFT_HAND, mirrors="rhand"), PartSpec("rhand", RIGHT_HAND),
        PartSpec("face", (), jaw=True, expression=10),
    ]
)
SIZES = ClassifierSettings(width=32, layers=1, heads=4, feedforward=64, hidden=32, dropout=0.0)
WINDOW = Window(height=0.25, displacement=0.15, rest_frames=3, close=5, shortest=3, least=4, pad=2)
# Signs 0 and 1 share their hands and differ in the face, 2 and 3 in the hands.
SIGNS = [
    SignLabel(0, "glad", "confusing", "a"), SignLabel(1, "sad", "confusing", "a"), SignLabel(7, "water", "normal"),
    SignLabel(9, "fire", "normal"),
]
_HANDS, _FACES = (0, 0, 1, 2), (0, 1, 2, 2)


def tokenizer(**networks: int) -> SignTokenizer:
    return small_tokenizer(LAYOUT, {"body": 12, "rhand": 20, "face": 20}, **networks)


def signed(sign: int, number: int, frames: int = 0) -> Motion:
    """Clip `number` of the sign at index `sign` of `SIGNS`: poses of its hands and face, held, with a little noise."""
    noise = torch.Generator().manual_seed(1000 * sign + number)
    frames = frames or 16 + 4 * (number % 4) + number % 3
    motion = Motion.rest(frames, 25.0)
    for seed, joints in ((_HANDS[sign], RIGHT_HAND), (10 + _HANDS[sign], LEFT_HAND)):
        pose = torch.randn(len(joints), 3, generator=torch.Generator().manual_seed(seed))
        motion.rotations[:, joint_indices(joints)] = 0.5 * pose
    face = torch.Generator().manual_seed(100 + _FACES[sign])
    motion.expression[:] = torch.randn(10, generator=face)
    motion.rotations.add_(0.05 * torch.randn(motion.rotations.shape, generator=noise))
    return motion


class ToySigns:
    """`count` clips of every sign in each split, in memory; counts how often each is read.

    unreadable: names of clips that cannot be read
    """

    name, language, fps = "toy", "CSL", 25.0

    def __init__(self, counts: dict[str, int], unreadable: Sequence[str] = (), signs: Sequence[SignLabel] = SIGNS):
        self.unreadable, self.reads, self.touched = set(unreadable), Counter(), 0
        self.motions: dict[str, Motion] = {}
        self._labels: dict[str, dict[str, SignLabel]] = {}
        first = 0
        for split, count in counts.items():
            self._labels[split] = {}
            for index, label in enumerate(signs):
                for number in range(first, first + count):
                    self.motions[f"{label.number}/{number}"] = signed(index, number)
                    self._labels[split][f"{label.number}/{number}"] = label
            first += count

    def clips(self, split: str) -> list[Clip]:
        labels = self._labels.get(split, {})
        return [Clip(n, self.name, split, "CSL", label.word, Path("no"), 25.0) for n, label in labels.items()]

    def labels(self, split: str) -> dict[str, SignLabel]:
        return dict(self._labels[split])

    def skipped(self, split: str) -> list[SkippedClip]:
        return []

    def load(self, clip: Clip) -> Motion:
        self.reads[clip.name] += 1
        if clip.name in self.unreadable:
            raise ClipError(f"clip {clip.name}: torn")
        return self.motions[clip.name]

    def length(self, clip: Clip) -> int:
        return len(self.motions[clip.name])

    def fingerprint(self, clip: Clip, watch: object) -> Fingerprint:
        return Fingerprint(f"{clip.name} {self.touched}")


class Body:
    """Whose joints are told: a `Posed` as far as windows need one.

    joints: [T, 6, 3] of every motion, in the order of the window's `JOINTS`
    """

    label = "toy"

    def __init__(self, joints: torch.Tensor | None = None):
        self.joints = joints

    def to(self, device: str) -> None:
        """It needs no device."""

    def track(self, motion: Motion, names: Sequence[str]) -> dict[str, torch.Tensor]:
        points = torch.zeros(len(motion), 144, 3)
        points[:, joint_indices(JOINTS)] = self.joints[: len(motion)]
        return {"body": points}


def extraction(folder: Path, **options) -> Extraction:
    made = {"tokenizer": tokenizer(), "body": Body(), "window": None, "limits": (4, 400), "batch_size": 5, **options}
    return Extraction(folder=folder, **made)


def features(folder: Path, corpus: ToySigns, split: str = "train", **options) -> FeatureFile:
    return extraction(folder, **options).features_of(corpus, split)
