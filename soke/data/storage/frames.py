"""The public frame format: one pickle per frame, seven SMPL-X vectors, 179 numbers. Only this file knows it.

Frames of motion that a model has made hold one key more, `made_by`, which other readers of the format pass over.
"""
from __future__ import annotations

import numpy as np
import torch

from soke.body.joints import BODY, JOINT_GROUPS, LEFT_HAND, NUM_JOINTS, RIGHT_HAND, SMPLX_JOINTS, joint_indices
from soke.body.motion import Motion

# Key of a frame's dict -> the joints it holds (None: not rotations), in the order of the 179 numbers.
_JOINTS_OF_KEY: dict[str, tuple[str, ...]] = {
    "smplx_root_pose": BODY[:1],
    "smplx_body_pose": BODY[1:],
    "smplx_lhand_pose": LEFT_HAND,
    "smplx_rhand_pose": RIGHT_HAND,
    "smplx_jaw_pose": ("jaw",),
}
NUM_BETAS = 10
NUM_EXPRESSION = 10
FRAME_KEYS: dict[str, int] = {
    **{key: 3 * len(joints) for key, joints in _JOINTS_OF_KEY.items()},
    "smplx_shape": NUM_BETAS,
    "smplx_expr": NUM_EXPRESSION,
}
FRAME_SIZE = sum(FRAME_KEYS.values())  # 179
MADE_BY = "made_by"
_LACKING = frozenset(JOINT_GROUPS["eyes"])
_ROTATIONS = 3 * (len(SMPLX_JOINTS) - 2)  # all but the eyes
_ORDER = joint_indices([joint for joints in _JOINTS_OF_KEY.values() for joint in joints])


def _blocks() -> list[tuple[slice, slice]]:
    """Runs of joints that stand together in both orders: their columns in the 179 numbers, and in rotations."""
    starts = [i for i in range(len(_ORDER)) if i == 0 or _ORDER[i] != _ORDER[i - 1] + 1]
    bounds = zip(starts, [*starts[1:], len(_ORDER)])
    return [(slice(3 * a, 3 * b), slice(3 * _ORDER[a], 3 * (_ORDER[b - 1] + 1))) for a, b in bounds]


_BLOCKS = _blocks()


def motion_from_frames(frames: np.ndarray, fps: float, made_by: str = "") -> Motion:
    """[T, 179] -> Motion of the first frame's shape; the eyes, which the format does not have, are lacking. Raises
    ValueError for another width."""
    if frames.ndim != 2 or frames.shape[1] != FRAME_SIZE:
        raise ValueError(f"frames must be [T, {FRAME_SIZE}], not {list(frames.shape)}")
    # numpy, because torch hands so small a job to all its threads
    values = np.ascontiguousarray(frames, dtype=np.float32)
    rotations = np.zeros((len(values), NUM_JOINTS, 3), dtype=np.float32)
    for source, target in _BLOCKS:  # three copies of a block each, ten times as fast as picking joints
        rotations.reshape(len(values), -1)[:, target] = values[:, source]
    expression = values[:, _ROTATIONS + NUM_BETAS :].copy()
    betas = np.zeros(NUM_BETAS, dtype=np.float32)
    if len(values):
        betas[:] = values[0, _ROTATIONS : _ROTATIONS + NUM_BETAS]
    tensors = (torch.from_numpy(values) for values in (rotations, expression, betas))
    return Motion(*tensors, fps, made_by=made_by, lacking=_LACKING)


def frames_from_motion(motion: Motion) -> np.ndarray:
    """Motion -> [T, 179] float32, the inverse of `motion_from_frames`."""
    frames = len(motion)
    expression = motion.expression[:, :NUM_EXPRESSION]
    betas = motion.betas.expand(frames, NUM_BETAS)
    return torch.cat([motion.rotations[:, _ORDER].flatten(1), betas, expression], dim=1).cpu().numpy()


def frame_dicts(motion: Motion) -> list[dict[str, np.ndarray | str]]:
    """Motion -> the dict of each frame's pickle: {key: 1-D float32 array}, and the model that made it, if one did."""
    bounds = np.cumsum(list(FRAME_KEYS.values()))[:-1]
    columns = np.split(frames_from_motion(motion), bounds, axis=1)
    maker = {MADE_BY: motion.made_by} if motion.made_by else {}
    return [dict(zip(FRAME_KEYS, row)) | maker for row in zip(*columns)]
