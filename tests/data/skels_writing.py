"""A synthetic corpus of joint positions, as Progressive Transformers' files hold it."""
from __future__ import annotations

from pathlib import Path

import torch

from soke.body.joints import SKELETON_50, joint_indices
from soke.body.motion import JointMotion, Motion
from soke.body.smplx import BodyModel
from soke.data.skels import write_skels
from soke.data.synthetic.corpora import plan_corpora

_NOSE = 55  # among smplx's 144 joints
_ARMS = ("neck", *(f"{side}_{joint}" for side in ("right", "left") for joint in ("shoulder", "elbow", "wrist")))
# smplx's hand: wrist, then index, middle, pinky, ring, thumb of three joints each, then the tips from thumb to pinky
_STARTS = {"thumb": 13, "index": 1, "middle": 4, "ring": 10, "pinky": 7}
_HAND = [0, *(i for tip, start in enumerate(_STARTS.values()) for i in (start, start + 1, start + 2, 16 + tip))]
_SPLITS = {"train": "train", "val": "dev", "test": "test"}


def skeleton_of(body: BodyModel, motion: Motion) -> JointMotion:
    """The 50 joints in that corpus's space: the neck at the origin, shoulders 1 apart at rest, y down."""
    points = body.track(motion, ["body", "left_hand", "right_hand"])
    arms = points["body"][:, [_NOSE, *joint_indices(_ARMS)]]
    hands = [points[name][:, _HAND] for name in ("left_hand", "right_hand")]
    joints = torch.cat([arms, *hands], dim=1)
    rest = body.track(Motion.rest(1, 25.0), ["body"])["body"][0, joint_indices(["left_shoulder", "right_shoulder"])]
    scale = (rest[0] - rest[1]).norm()
    positions = (joints - joints[:, 1:2]) / scale * torch.tensor([1.0, -1.0, 1.0])
    return JointMotion(positions, SKELETON_50, motion.fps)


def write_skels_corpus(root: Path, body: BodyModel) -> None:
    """The synthetic corpus of German Sign Language, tiny: 12, 4 and 4 sentences."""
    root.mkdir(parents=True)
    (corpus,) = (corpus for corpus in plan_corpora("tiny", 1234) if corpus.spoken.language == "DGS")
    for split, stem in _SPLITS.items():
        takes = [take for take in corpus.takes if take.split == split]
        write_skels(root / f"{stem}.skels", [skeleton_of(body, corpus.perform(take)) for take in takes])
        for kind, lines in (
            ("text", [take.sentence.text for take in takes]), ("files", [take.name for take in takes]),
            ("gloss", [corpus.spoken.gloss(take.sentence.words) for take in takes]),
        ):
            (root / f"{stem}.{kind}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
