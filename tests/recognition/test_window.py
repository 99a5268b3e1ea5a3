"""The active window, against a slow reference, frame by frame."""
from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest
import torch

from soke.body.joints import SMPLX_JOINTS
from soke.body.model import load_body_model
from soke.body.motion import JointMotion, Motion
from soke.errors import UserError
from soke.recognition.settings import Window
from soke.recognition.window import JOINTS, active_window, tracked_joints
from soke.run.config import resolve
from soke.settings import SettingsError
from tests.recognition.helpers import WINDOW

REST = {
    "left_wrist": (0.3, -0.1, 0.1), "right_wrist": (-0.3, -0.1, 0.1), "left_hip": (0.1, 0.0, 0.0),
    "right_hip": (-0.1, 0.0, 0.0), "left_shoulder": (0.2, 0.5, 0.0), "right_shoulder": (-0.2, 0.5, 0.0),
}


def clip(frames: int, raised: dict[str, list[range]], up: float = 1.0) -> torch.Tensor:
    """[T, 6, 3] of somebody who stands and raises wrists to chest height in these frames."""
    joints = torch.tensor([REST[joint] for joint in JOINTS]).repeat(frames, 1, 1)
    for wrist, spans in raised.items():
        for span in spans:
            joints[list(span), JOINTS.index(wrist)] = torch.tensor([0.0, 0.3, 0.3])
    joints[..., 1] *= up
    return joints


def slow_window(joints: torch.Tensor, s: Window) -> tuple[int, int]:
    """As the rule is told, a frame at a time, in plain numbers."""
    points = [{j: p for j, p in zip(JOINTS, frame)} for frame in joints.tolist()]
    frames = len(points)
    ends = [*range(min(s.rest_frames, frames)), *range(max(frames - s.rest_frames, 0), frames)]
    active = []
    for frame in points:
        hip = (frame["left_hip"][1] + frame["right_hip"][1]) / 2
        shoulder = (frame["left_shoulder"][1] + frame["right_shoulder"][1]) / 2
        width = math.dist(frame["left_shoulder"], frame["right_shoulder"])
        found = False
        for wrist in ("left_wrist", "right_wrist"):
            rest = [statistics.median(points[i][wrist][axis] for i in ends) for axis in range(3)]
            high = (frame[wrist][1] - hip) / (shoulder - hip) > s.height
            found |= high and math.dist(frame[wrist], rest) / width > s.displacement
        active.append(found)
    closed = list(active)
    for start in range(frames):
        for length in range(1, s.close + 1):
            end = start + length
            if 0 < start and end < frames and active[start - 1] and active[end] and not any(active[start:end]):
                closed[start:end] = [True] * length
    runs, t = [], 0
    while t < frames:
        if closed[t]:
            start = t
            while t < frames and closed[t]:
                t += 1
            if t - start >= s.shortest:
                runs.append((start, t))
        t += 1
    if sum(end - start for start, end in runs) < s.least:
        return 0, frames
    return max(runs[0][0] - s.pad, 0), min(runs[-1][1] + s.pad, frames)


@pytest.mark.parametrize("seed", range(30))
def test_random_clips_are_cut_as_by_the_slow_reference(seed):
    draw = torch.Generator().manual_seed(seed)
    frames = int(torch.randint(1, 60, (), generator=draw))
    joints = clip(frames, {})
    steps = 0.12 * torch.randn(frames, 2, 3, generator=draw)
    joints[:, :2] += steps.cumsum(0) if seed % 2 else 2 * steps
    settings = replace(WINDOW, close=seed % 4, shortest=1 + seed % 3, pad=seed % 3, least=1 + seed % 6)
    found = active_window(joints, settings)
    assert (found.start, found.stop) == slow_window(joints, settings)


RIGHT = {"right_wrist": [range(20, 40)]}


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (RIGHT, (18, 42)),
        ({"left_wrist": [range(20, 40)]}, (18, 42)),  # left-handed
        ({"left_wrist": [range(15, 30)], "right_wrist": [range(20, 40)]}, (13, 42)),
        ({}, (0, 60)),  # never rises
        ({"right_wrist": [range(20, 23)]}, (0, 60)),  # three active frames are too few
        ({"right_wrist": [range(20, 24)]}, (18, 26)),
        ({"right_wrist": [range(20, 30), range(35, 45)]}, (18, 47)),
        ({"right_wrist": [range(10, 12), range(20, 30), range(50, 52)]}, (18, 32)),  # short runs at the ends
        ({"right_wrist": [range(10, 14), range(20, 30)]}, (8, 32)),  # an early sign and a break of six frames
        ({"right_wrist": [range(1, 59)]}, (0, 60)),  # pads end with the clip
        ({"right_wrist": [range(0, 60)]}, (0, 60)),  # its rest is where it always is
    ],
)
def test_what_is_kept(raised, expected):
    window = active_window(clip(60, raised), WINDOW)
    assert (window.start, window.stop) == expected


def test_it_does_not_matter_which_way_is_up():
    assert active_window(clip(60, RIGHT, up=-1.0), WINDOW) == active_window(clip(60, RIGHT), WINDOW)


@pytest.mark.parametrize("frames", [0, 1, 2, 5])
def test_very_short_clips_are_whole(frames):
    assert active_window(clip(frames, {}), WINDOW) == slice(0, frames)


def test_a_hand_that_leans_on_the_chest_is_at_rest():
    """Far above the hips, but it does not move: only the other hand signs."""
    joints = clip(60, RIGHT)
    joints[:, 0] = torch.tensor([0.0, 0.4, 0.2])
    assert active_window(joints, WINDOW) == slice(18, 42)


def test_joints_of_a_body_that_the_camera_sees_upside_down():
    """The pelvis's turn is the camera's; the window is that of the upright body."""
    body = load_body_model(resolve("deps/smpl_models"))
    motion = Motion.rest(4, 25.0)
    motion.rotations[:, SMPLX_JOINTS.index("left_shoulder"), 2] = -0.8
    upright = tracked_joints(body, motion)
    motion.rotations[:, SMPLX_JOINTS.index("pelvis")] = torch.tensor([3.0, 0.2, -0.1])
    torch.testing.assert_close(tracked_joints(body, motion), upright)
    named = dict(zip(JOINTS, upright[0]))
    assert named["left_shoulder"][1] > named["left_hip"][1] and named["left_wrist"][0] > 0 > named["right_wrist"][0]
    assert named["left_wrist"][1] < named["right_wrist"][1]  # the left arm is lowered


def test_joints_of_positions():
    joints = clip(30, {"right_wrist": [range(10, 20)]})
    motion = JointMotion(joints.flip(1), JOINTS[::-1], 25.0)
    assert torch.equal(tracked_joints(None, motion), joints)
    with pytest.raises(UserError, match="needs left_hip, right_hip, which the positions lack: set `window`=null"):
        tracked_joints(None, JointMotion(joints[:, [0, 1, 4, 5]], (*JOINTS[:2], *JOINTS[4:]), 25.0))


def test_impossible_settings():
    with pytest.raises(SettingsError, match="`close` must be at least 0, not -1"):
        replace(WINDOW, close=-1)
    with pytest.raises(SettingsError, match="`rest_frames` must be at least 1"):
        replace(WINDOW, rest_frames=0)
