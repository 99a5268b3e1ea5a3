"""Errors of parts: of the right vertices, untouched by what becomes of other parts, against whole meshes."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from soke.body.joints import JOINT_GROUPS
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import JointMotion, Motion
from soke.body.skeleton import Skeleton
from soke.metrics.part_errors import PartErrors

M3T = MotionLayout([
    PartSpec("body", JOINT_GROUPS["upper_body"] + JOINT_GROUPS["eyes"], rotation="6d"),
    PartSpec("lhand", JOINT_GROUPS["left_hand"], rotation="6d", mirrors="rhand"),
    PartSpec("rhand", JOINT_GROUPS["right_hand"], rotation="6d"),
    PartSpec("face", (), jaw=True, expression=30, rotation="6d"),
])


def motion(seed: int, frames: int = 3) -> Motion:
    rng = torch.Generator().manual_seed(seed)
    rotations = 0.2 * torch.randn(frames, 55, 3, generator=rng)
    whole = Motion(rotations, 0.5 * torch.randn(frames, 30, generator=rng), torch.zeros(10), 25.0)
    return M3T.covered(whole)


def with_parts_of(reference: Motion, other: Motion, *parts: str) -> Motion:
    features, theirs = M3T.features(reference), M3T.features(other)
    return M3T.motion({**features, **{part: theirs[part] for part in parts}}, reference.fps, reference.betas)


def errors(body, *clips, layout=M3T) -> dict[str, float]:
    found = PartErrors(body, layout)
    for i, (reconstructed, reference) in enumerate(clips):
        found.update(f"clip {i}", reconstructed, reference)
    return found.compute()


def distance(body, part_of: Motion, reference: Motion, vertices) -> float:
    return 1000 * (body.vertices(part_of) - body.vertices(reference))[:, vertices].norm(dim=-1).mean().item()


def test_a_part_is_scored_on_its_vertices_with_all_else_as_in_the_reference(body):
    reference, other = motion(1), motion(2)
    found = errors(body, (other, reference))
    whole = slice(None)
    expected = {
        "body": distance(body, with_parts_of(reference, other, "body"), reference, whole),
        "rhand": sum(
            distance(body, with_parts_of(reference, other, f"{side[0]}hand"), reference, body.hand_vertices[side])
            for side in ("left", "right")
        ) / 2,
        "face": distance(body, with_parts_of(reference, other, "face"), reference, body.face_vertices),
    }
    assert found == pytest.approx(expected, rel=1e-4) and min(found.values()) > 1


@pytest.mark.parametrize("part", M3T.names)
def test_the_others_do_not_touch_it(body, part):
    reference, other, distinct = motion(1), motion(2), M3T.distinct[part]
    alone = errors(body, (with_parts_of(reference, other, part), reference))
    assert {name for name, value in alone.items() if value > 1e-4} == {distinct}
    rest = [name for name in M3T.names if M3T.distinct[name] != distinct]
    assert errors(body, (with_parts_of(reference, other, *rest), reference))[distinct] == pytest.approx(0, abs=1e-4)


def test_clips_that_lack_a_part_add_nothing_to_it(body):
    reference, other, blind = motion(1), motion(2), replace(motion(3), lacking=frozenset({"expression"}))
    whole = errors(body, (other, reference))
    both = errors(body, (other, reference), (other, blind))
    assert both["face"] == whole["face"] and both["body"] != whole["body"]
    with pytest.raises(ValueError, match="no clip that lacks nothing of part face"):
        errors(body, (other, blind))


def test_of_long_clips_a_few_frames_are_scored(body):
    long, other = motion(1, 40), motion(2, 40)
    few = torch.linspace(0, 39, 8).round().long()
    assert errors(body, (other, long)) == pytest.approx(errors(body, (other.frames(few), long.frames(few))), rel=1e-6)


def test_without_a_surface_joints_are_scored_where_they_are():
    names = JOINT_GROUPS["skeleton_body"] + JOINT_GROUPS["skeleton_left_hand"] + JOINT_GROUPS["skeleton_right_hand"]
    layout = MotionLayout([
        PartSpec("body", JOINT_GROUPS["skeleton_body"], rotation="position"),
        PartSpec("hands", names[8:], rotation="position"),
    ])
    reference = JointMotion(torch.zeros(2, 50, 3), names, 25.0)
    moved = reference.positions.clone()
    moved[:, 0, 0] = 0.8  # the nose, one of eight
    moved[:, 8:, 1] = 0.3
    found = errors(Skeleton(list(names), "m"), (replace(reference, positions=moved), reference), layout=layout)
    assert found == pytest.approx({"body": 100.0, "hands": 300.0})


def test_a_part_of_offsets_is_scored_where_the_others_of_the_reference_put_it():
    names = JOINT_GROUPS["skeleton_body"] + JOINT_GROUPS["skeleton_left_hand"]
    layout = MotionLayout([
        PartSpec("body", names[:8], rotation="position"), PartSpec("hand", names[8:], rotation="offset"),
    ])
    reference = JointMotion(torch.zeros(2, 29, 3), names, 25.0)
    moved = reference.positions.clone()
    moved[:, 7:, 0] = 0.8  # the left wrist, one of eight, and the whole hand with it
    moved[:, -1, 1] = 0.21  # and the tip of a finger, one of 21
    found = errors(Skeleton(list(names), "m"), (replace(reference, positions=moved), reference), layout=layout)
    assert found == pytest.approx({"body": 100.0, "hand": 10.0})
