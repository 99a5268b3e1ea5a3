from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soke.body.joints import BODY, LEFT_HAND, NUM_JOINTS, SMPLX_JOINTS, joint_indices
from soke.body.motion import Motion
from soke.data.storage.smplfx_clips import outline, read_clip, write_clip
from soke.errors import UserError


def random_motion(frames: int = 6, expression: int = 100) -> Motion:
    generator = torch.Generator().manual_seed(frames)
    return Motion(
        torch.randn(frames, NUM_JOINTS, 3, generator=generator), torch.randn(frames, expression, generator=generator),
        torch.randn(10, generator=generator), 23.976, torch.rand(frames, 2, generator=generator),
        head_shape=torch.randn(300, generator=generator),
    )


def same(a: Motion, b: Motion) -> bool:
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


def content(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}


def rewritten(path: Path, **changes: np.ndarray | None) -> Path:
    """The clip of `path` with other values; None: without the key."""
    np.savez(path, **{k: v for k, v in (content(path) | changes).items() if v is not None})
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_clip(tmp_path / "clip.npz", random_motion())
    return tmp_path / "clip.npz"


@pytest.mark.parametrize("change", [
    {}, {"made_by": "tokenizer 12ab"}, {"head_shape": None},
    {"lacking": frozenset({"eyelids", "jaw", *LEFT_HAND})}, {"lacking": frozenset({"pelvis", "left_knee", "expression"})},
])
def test_a_clip_reads_as_it_was_written(tmp_path: Path, change: dict):
    motion = replace(random_motion(), **change)
    rotations = motion.rotations.clone()
    rotations[:, joint_indices([n for n in SMPLX_JOINTS if n in motion.lacking])] = 0  # what has no key reads as zeros
    expected = replace(
        motion, rotations=rotations, expression=motion.expression * ("expression" not in motion.lacking),
        eyelids=motion.eyelids * ("eyelids" not in motion.lacking),
    )
    if "left_knee" in motion.lacking:  # of a key that holds other joints, too
        expected.rotations[:, 4] = motion.rotations[:, 4]
    write_clip(tmp_path / "a" / "clip.npz", motion)
    assert same(read_clip(tmp_path / "a" / "clip.npz"), expected)


def test_the_keys_are_those_of_the_smplx_tools(clip: Path):
    found, motion = content(clip), random_motion()
    assert {key: value.shape for key, value in found.items()} == {
        "fps": (), "global_orient": (6, 3), "body_pose": (6, 63), "left_hand_pose": (6, 45), "right_hand_pose": (6, 45),
        "jaw_pose": (6, 3), "leye_pose": (6, 3), "reye_pose": (6, 3), "expression": (6, 100), "eyelids": (6, 2),
        "betas": (10,), "flame_shape": (300,),
    }
    assert np.array_equal(found["body_pose"][:, 57:60], motion.rotations[:, SMPLX_JOINTS.index("left_wrist")])
    assert np.array_equal(found["left_hand_pose"][:, :3], motion.rotations[:, SMPLX_JOINTS.index("left_index1")])
    assert np.array_equal(found["reye_pose"], motion.rotations[:, SMPLX_JOINTS.index("right_eye_smplhf")])


def test_absent_keys_are_lacking(clip: Path):
    motion = read_clip(rewritten(clip, body_pose=None, eyelids=None, reye_pose=None, betas=None, flame_shape=None))
    assert motion.lacking == {*BODY[1:], "eyelids", "right_eye_smplhf"}
    assert not motion.eyelids.any() and not motion.betas.any() and motion.head_shape is None
    assert torch.equal(motion.expression, random_motion().expression)


def test_fewer_coefficients_are_filled_with_zeros_and_more_are_refused(tmp_path: Path):
    motion = random_motion(expression=10)
    write_clip(tmp_path / "a.npz", motion)
    found = read_clip(tmp_path / "a.npz").expression
    assert torch.equal(found[:, :10], motion.expression) and found.shape == (6, 100) and not found[:, 10:].any()
    with pytest.raises(ValueError, match="holds 100 expression coefficients, the motion has 101"):
        write_clip(tmp_path / "b.npz", random_motion(expression=101))


def test_invalid_frames_are_left_out_whatever_they_hold(clip: Path):
    expression = content(clip)["expression"]
    expression[0] = np.nan
    motion = read_clip(rewritten(clip, valid=np.array([0, 1, 0, 1, 1, 0], bool), expression=expression))
    assert torch.equal(motion.rotations, random_motion().rotations[[1, 3, 4]])
    assert torch.equal(motion.expression, random_motion().expression[[1, 3, 4]])


def test_an_outline_is_that_of_the_file_as_it_is_now(clip: Path):
    assert [list(part) if i == 0 else part for i, part in enumerate(outline(clip))] == [[0, 1, 2, 3, 4, 5], 23.976]
    rewritten(clip, valid=np.array([0, 1, 0, 1, 1, 0], bool), fps=np.array(30.0))
    assert list(outline(clip)[0]) == [1, 3, 4] and outline(clip)[1] == 30.0
    clip.unlink()
    with pytest.raises(UserError, match="cannot be read: No such file"):
        outline(clip)


@pytest.mark.parametrize(("changes", "message"), [
    ({"fps": None}, "lacks fps"), ({"fps": np.array(0.0)}, "holds fps 0.0, which is no frame rate"),
    ({"expression": np.zeros((6, 50), np.float32)}, r"holds expression of shape \[6, 50\] .* expected \[6, 100\]"),
    ({"jaw_pose": np.zeros((5, 3))}, "holds different numbers of frames: .*jaw_pose 5"),
    ({"jaw_pose": np.full((6, 3), np.inf)}, "holds numbers in jaw_pose that are not finite"),
    ({"betas": np.zeros((1, 10))}, r"holds betas of shape \[1, 10\]"),
    ({"eyelids": np.array([["a", "b"]] * 6)}, "holds eyelids of shape .* expected .* numbers"),
    ({"valid": np.ones(5, bool)}, r"holds valid of shape \[5\]"),
    ({"valid": np.zeros(6, bool)}, "holds 0 valid frames"),
    ({"valid": np.array([1, 1, 0.4, 1, 1, 1])}, "holds valid that is neither 0 nor 1 in some frames"),
    ({"valid": np.array([1, 1, np.nan, 1, 1, 1])}, "holds valid that is neither 0 nor 1 in some frames"),
    ({"fps": np.full(6, 25.0)}, r"holds fps of shape \[6\], which is no frame rate"),
    ({"valid": np.array([1, 0, 0, 0, 0, 1])}, "holds 2 valid frames and 4 invalid ones between them"),
    ({"lacking": np.array(["mouth"])}, "holds lacking mouth, which are neither joints"),
])
def test_bad_clips_are_named_with_their_fault(clip: Path, changes: dict, message: str):
    with pytest.raises(UserError, match=f"clip.npz {message}"):
        read_clip(rewritten(clip, **changes))


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="absent.npz cannot be read: No such file"):
        read_clip(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "objects.npz", fps=25.0, jaw_pose=np.array([{"a": 1}]))
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text.npz", "objects.npz", "array.npy"):
        with pytest.raises(UserError, match=f"{name} is no .npz of numbers"):
            read_clip(tmp_path / name)
    np.savez(tmp_path / "other.npz", fps=25.0, poses=np.zeros((4, 165)))
    with pytest.raises(UserError, match="holds none of global_orient, .*: it is no SMPL-FX clip"):
        read_clip(tmp_path / "other.npz")
