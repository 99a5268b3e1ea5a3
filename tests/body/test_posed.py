"""Every body has all that metrics and pictures know of one."""
from __future__ import annotations

import pytest
import torch

from soke.body.joints import SKELETON_50
from soke.body.model import load_smplfx
from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.body.skeleton import Skeleton


@pytest.fixture(params=["smplx", "smplfx", "skeleton"])
def posed(request, body) -> tuple[Posed, Motion | JointMotion]:
    if request.param == "smplx":
        return body, Motion.rest(3, 25.0)
    if request.param == "smplfx":
        return load_smplfx(body.file.parents[2]), Motion.rest(3, 25.0)
    return Skeleton(SKELETON_50), JointMotion(torch.randn(3, 50, 3), SKELETON_50, 25.0)


def test_members_and_shapes(posed):
    body, motion = posed
    assert all(hasattr(body, name) for name in (*Posed.__annotations__, "device", "to"))
    assert body.label and body.unit and body.to("cpu") is body and body.device == torch.device("cpu")
    points = body.track(motion)
    assert {name: tuple(p.shape) for name, p in points.items()} == {
        name: (3, joints.total, 3) for name, joints in body.point_sets.items()
    }
    surface, sticks = body.surface(motion), body.sticks(motion)
    assert (surface is None) == (body.rig(motion) is None) != (sticks is None)
    if surface is None:
        assert body.faces is body.colors is body.face_vertices is body.head is None and not body.hand_vertices
        assert sticks.starts.shape == sticks.ends.shape == (3, len(sticks.colors), 3)
        assert len(sticks.widths) == len(sticks.colors)
    else:
        assert surface.shape == (3, len(body.colors), 3) and body.faces.max() < len(body.colors)
        assert set(body.hand_vertices) == {"left", "right"}
        face = body.track(motion, ["face"])["face"]
        torch.testing.assert_close(face[:, 1:], surface[:, body.face_vertices], atol=1e-5, rtol=0)
