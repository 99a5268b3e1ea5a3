from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from soke.body.joints import NUM_JOINTS, SMPLX_JOINTS, joint_indices
from soke.body.motion import JointMotion, Motion


def random_motion(frames: int = 6, eyelids: bool = True) -> Motion:
    generator = torch.Generator().manual_seed(frames)
    return Motion(
        rotations=torch.randn(frames, NUM_JOINTS, 3, generator=generator),
        expression=torch.randn(frames, 10, generator=generator),
        betas=torch.randn(10, generator=generator),
        fps=25.0,
        eyelids=torch.rand(frames, 2, generator=generator) if eyelids else None,
        head_shape=torch.randn(300, generator=generator) if eyelids else None,
        lacking=frozenset({"left_wrist", "pelvis"}),
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
        {"head_shape": torch.zeros(100)},
        {"lacking": frozenset({"left_wrist", "mouth"})},
    ],
)
def test_shapes_that_do_not_fit_are_refused(change: dict):
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(random_motion(), **change)


@pytest.mark.parametrize("eyelids", [True, False])
def test_mirroring_twice_changes_nothing(eyelids: bool):
    motion = random_motion(eyelids=eyelids)
    assert same(motion.mirrored().mirrored(), motion)


def test_what_is_lacking_is_lacking_on_the_other_side_of_the_mirror():
    motion = replace(random_motion(), lacking=frozenset({"left_wrist", "right_thumb1", "jaw", "eyelids"}))
    assert motion.mirrored().lacking == {"right_wrist", "left_thumb1", "jaw", "eyelids"}
    assert torch.equal(motion.mirrored().head_shape, motion.head_shape)


def test_shape_and_what_is_lacking_stay_on_every_way():
    motion = random_motion()
    for other in (motion.frames(slice(2)), motion.resampled(30.0), motion.to("cpu")):
        assert torch.equal(other.head_shape, motion.head_shape) and other.lacking == {"left_wrist", "pelvis"}


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
    (4, 24.0, 24.0, [0, 1, 2, 3]), (4, 12.0, 24.0, [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]), (6, 30.0, 15.0, [0, 2, 4]),
    (1, 30.0, 10.0, [0]), (0, 25.0, 30.0, []),
])
def test_another_frame_rate_keeps_the_seconds(frames, fps, target, expected):
    motion = Motion.rest(frames, fps)
    motion.expression[:, 0] = torch.arange(frames)
    other = motion.resampled(target)
    assert other.expression[:, 0].tolist() == expected and other.fps == target


def close(a: Motion | JointMotion, b: Motion | JointMotion) -> bool:
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return all(torch.allclose(x, y, atol=1e-5) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


def slowly_resampled(motion: Motion, fps: float) -> Motion:
    """Moment by moment, joint by joint, with scipy's slerp."""
    rows: dict[str, list] = {"rotations": [], "expression": [], "eyelids": []}
    for number in range(max(round(len(motion) / motion.fps * fps), 1)):
        position = min(number / fps * motion.fps, len(motion) - 1)
        first = min(int(position), len(motion) - 2)
        joints = []
        for start, end in zip(motion.rotations[first], motion.rotations[first + 1]):
            turning = Slerp([first, first + 1], Rotation.from_rotvec(np.stack([start, end])))
            joints.append(torch.from_numpy(turning([position]).as_rotvec()[0]))
        rows["rotations"].append(torch.stack(joints).float())
        for name in ("expression", "eyelids"):
            start, end = getattr(motion, name)[first : first + 2]
            rows[name].append(start + (position - first) * (end - start))
    return replace(motion, **{name: torch.stack(values) for name, values in rows.items()}, fps=fps)


@pytest.mark.parametrize("target", [24.0, 23.976, 15.0, 50.0])
def test_resampling_is_slerp_and_linear_in_time(target: float):
    motion = replace(random_motion(7), rotations=0.5 * random_motion(7).rotations)
    assert close(motion.resampled(target), slowly_resampled(motion, target))


def test_resampling_shows_a_steady_turn_at_its_moments():
    motion = Motion.rest(15, 15.0)
    motion.rotations[:, 20, 2] = motion.expression[:, 3] = torch.arange(15) / 15  # rad and units per second
    faster = motion.resampled(24.0)
    expected = (torch.arange(24) / 24).clamp(max=14 / 15)  # the last frame holds
    torch.testing.assert_close(faster.rotations[:, 20, 2], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(faster.expression[:, 3], expected, atol=1e-6, rtol=0)
    positions = JointMotion(torch.arange(15.0).reshape(15, 1, 1).expand(15, 1, 3) / 15, ("neck",), 15.0)
    torch.testing.assert_close(positions.resampled(24.0).positions[:, 0, 1], expected, atol=1e-6, rtol=0)


def test_resampling_turns_the_shorter_way():
    motion = Motion.rest(2, 10.0)
    motion.rotations[:, 5, 0] = torch.tensor([3.0, -3.0])  # 0.28 rad apart, through a half turn
    middle = motion.resampled(20.0).rotations[1, 5]
    assert middle.abs()[0] == pytest.approx(np.pi, abs=1e-5) and not middle[1:].any()


@pytest.mark.parametrize("motion", [
    replace(random_motion(), rotations=0.5 * random_motion().rotations, made_by="tokenizer 1a"),
    JointMotion(torch.randn(6, 2, 3), ("neck", "nose"), 25.0, "tokenizer 1a"),
])
def test_laws_of_resampling(motion: Motion | JointMotion):
    assert motion.resampled(motion.fps) is motion
    for fps in (15.0, 20.0, 23.976, 24.0, 30.0, 60.0):
        other = motion.resampled(fps)
        assert other.fps == fps and other.made_by == motion.made_by
        assert abs(other.duration - motion.duration) <= 0.5 / fps
        still = motion.frames(torch.zeros(6, dtype=torch.int64))
        assert close(still.resampled(fps), replace(motion.frames(torch.zeros(len(other), dtype=torch.int64)), fps=fps))
    assert close(motion.resampled(2 * motion.fps).resampled(motion.fps), motion)
    assert len(motion.frames(slice(0)).resampled(30.0)) == 0 and len(motion.frames(slice(1)).resampled(1.0)) == 1


def test_positions_are_mirrored():
    joints = ("left_wrist", "neck", "right_wrist")
    motion = JointMotion(torch.arange(18.0).reshape(2, 3, 3), joints, 10.0, "a model")
    mirror = motion.mirrored()
    assert torch.equal(mirror.positions[0], torch.tensor([[-6.0, 7, 8], [-3.0, 4, 5], [-0.0, 1, 2]]))
    assert torch.equal(mirror.mirrored().positions, motion.positions) and mirror.made_by == "a model"
    assert motion.duration == motion.resampled(20.0).duration == 0.2 and motion.betas is None and motion.device.type == "cpu"
    with pytest.raises(ValueError, match="no joint right_wrist to mirror"):
        JointMotion(motion.positions[:, :2], joints[:2], 10.0).mirrored()
