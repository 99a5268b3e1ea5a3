from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from soke.body.joints import NUM_JOINTS, SMPLX_JOINTS, joint_indices
from soke.body.motion import Motion


def random_motion(frames: int = 6, eyelids: bool = True) -> Motion:
    generator = torch.Generator().manual_seed(frames)
    return Motion(
        rotations=torch.randn(frames, NUM_JOINTS, 3, generator=generator),
        expression=torch.randn(frames, 10, generator=generator),
        betas=torch.randn(10, generator=generator),
        fps=25.0,
        eyelids=torch.rand(frames, 2, generator=generator) if eyelids else None,
    )


def same(a: Motion, b: Motion) -> bool:
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


@pytest.mark.parametrize(
    "change",
    [
        {"rotations": torch.zeros(6, 54, 3)},
        {"rotations": torch.zeros(6, NUM_JOINTS, 6)},
        {"expression": torch.zeros(5, 10)},
        {"expression": torch.zeros(6)},
        {"eyelids": torch.zeros(6, 1)},
        {"fps": 0.0},
    ],
)
def test_shapes_that_do_not_fit_are_refused(change: dict):
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(random_motion(), **change)


@pytest.mark.parametrize("eyelids", [True, False])
def test_mirroring_twice_changes_nothing(eyelids: bool):
    motion = random_motion(eyelids=eyelids)
    assert same(motion.mirrored().mirrored(), motion)


def test_mirroring_swaps_the_hands():
    motion = Motion.rest(2, 25.0)
    motion.rotations[:, joint_indices(["left_wrist"])] = torch.tensor([0.1, 0.2, 0.3])
    mirrored = motion.mirrored()
    torch.testing.assert_close(
        mirrored.rotations[:, SMPLX_JOINTS.index("right_wrist")], torch.tensor([[0.1, -0.2, -0.3]] * 2)
    )
    assert not mirrored.rotations[:, SMPLX_JOINTS.index("left_wrist")].any()


@pytest.mark.parametrize("index", [slice(2, 4), slice(0, 0), torch.tensor([5, 0])])
def test_frames_picks_the_same_frames_everywhere(index: slice | torch.Tensor):
    motion = random_motion()
    picked = motion.frames(index)
    assert torch.equal(picked.rotations, motion.rotations[index])
    assert torch.equal(picked.expression, motion.expression[index])
    assert torch.equal(picked.eyelids, motion.eyelids[index])
    assert torch.equal(picked.betas, motion.betas) and picked.fps == motion.fps


def test_duration_is_in_seconds():
    assert random_motion(50).duration == 2.0
    assert Motion.rest(0, 25.0).duration == 0.0


@pytest.mark.parametrize(("frames", "fps", "target", "expected"), [
    (4, 24.0, 24.0, [0, 1, 2, 3]), (4, 12.0, 24.0, [0, 0, 1, 1, 2, 2, 3, 3]), (6, 30.0, 15.0, [0, 2, 4]),
    (1, 30.0, 10.0, [0]), (0, 25.0, 30.0, []),
])  # fmt: skip
def test_another_frame_rate_keeps_the_seconds(frames, fps, target, expected):
    motion = Motion.rest(frames, fps)
    motion.expression[:, 0] = torch.arange(frames)
    other = motion.at_fps(target)
    assert other.expression[:, 0].tolist() == expected and other.fps == target
