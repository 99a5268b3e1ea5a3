"""Chunks of joints: every frame is in one, and rates are brought together as motions are."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.metrics.chunks import chunks_of, count_of, frames_at, joints_of
from soke.metrics.joint_sets import track_of


@pytest.mark.parametrize(("frames", "starts"), [(0, []), (29, []), (30, [0]), (31, [0, 1]), (60, [0, 30]), (75, [0, 22, 45])])
def test_as_few_chunks_as_hold_every_frame(frames, starts):
    chunks = chunks_of(torch.arange(frames), 30)
    assert chunks.shape == (len(starts), 30) and count_of(frames, 30) == len(starts)
    assert chunks[:, 0].tolist() == starts
    if starts:
        assert set(chunks.flatten().tolist()) == set(range(frames))


@pytest.mark.parametrize("fps", [25.0, 30.0, 12.5, 24.0])
def test_joints_at_another_rate_are_those_of_the_resampled_motion(fps):
    body = Skeleton(SKELETON_50, "m", "+y")
    motion = JointMotion(torch.randn(17, 50, 3, generator=torch.Generator().manual_seed(0)), SKELETON_50, 25.0)
    found = joints_of(track_of(body, motion), body.point_sets, fps)
    resampled = motion.resampled(fps)
    wanted = joints_of(track_of(body, resampled), body.point_sets, fps)
    assert len(found) == len(resampled) == frames_at(17, 25.0, fps)
    torch.testing.assert_close(found, wanted)
    roots = [0, len(body.point_sets["body"].scored)]
    assert found.shape[1] == sum(len(of_set.scored) for of_set in body.point_sets.values())
    moved = JointMotion(motion.positions + torch.tensor([3.0, -1.0, 2.0]), SKELETON_50, 25.0)
    torch.testing.assert_close(joints_of(track_of(body, moved), body.point_sets, fps), found, atol=1e-5, rtol=0)
    assert roots[1] < found.shape[1]


def test_no_frames_are_no_chunks():
    body = Skeleton(SKELETON_50, "m", "+y")
    nothing = track_of(body, JointMotion(torch.zeros(0, 50, 3), SKELETON_50, 24.0))
    assert joints_of(nothing, body.point_sets, 25.0).shape[0] == 0
    assert np.prod(chunks_of(joints_of(nothing, body.point_sets, 25.0), 30).shape) == 0
