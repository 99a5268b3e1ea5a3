from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given

from soke.body.joints import LEFT_HAND, RIGHT_HAND, SKELETON_50, SMPLX_JOINTS, UPPER_BODY, joint_indices
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import JointMotion, Motion
from soke.body.rotations import axis_angle_to_6d, mirror_axis_angle
from tests.body.strategies import layouts, layouts_and_motions

EYES = ("left_eye_smplhf", "right_eye_smplhf")
SOKE = MotionLayout(
    [
        PartSpec("body", UPPER_BODY, jaw=True, expression=10),
        PartSpec("lhand", LEFT_HAND),
        PartSpec("rhand", RIGHT_HAND),
    ]
)
M3T = MotionLayout(
    [
        PartSpec("body", UPPER_BODY + EYES, rotation="6d"),
        PartSpec("lhand", LEFT_HAND, rotation="6d", mirrors="rhand"),
        PartSpec("rhand", RIGHT_HAND, rotation="6d"),
        PartSpec("face", (), jaw=True, expression=100, eyelids=True, rotation="6d"),
    ]
)
COUPLED = MotionLayout([PartSpec("whole", UPPER_BODY + LEFT_HAND + RIGHT_HAND, jaw=True, expression=10)])


def random_motion(frames: int, eyelids: bool = True) -> Motion:
    generator = torch.Generator().manual_seed(frames)
    return Motion(
        rotations=torch.randn(frames, len(SMPLX_JOINTS), 3, generator=generator) * 0.5,
        expression=torch.randn(frames, 100, generator=generator),
        betas=torch.zeros(10),
        fps=25.0,
        eyelids=torch.rand(frames, 2, generator=generator) if eyelids else None,
    )


def test_what_a_motion_lacks_is_no_feature_of_zeros():
    motion = replace(random_motion(4), lacking=frozenset({"eyelids", "left_index1", "pelvis"}))
    assert M3T.observed(motion) == ("body", "rhand") and SOKE.observed(motion) == ("body", "rhand")
    features = M3T.features(motion, M3T.observed(motion))
    assert list(features) == ["body", "rhand"]
    assert torch.equal(features["body"], M3T.features(replace(motion, lacking=frozenset()))["body"])
    with pytest.raises(ValueError, match="part face needs eyelids, which the motion lacks"):
        M3T.features(motion, ["face"])
    with pytest.raises(ValueError, match="part lhand needs left_index1, which the motion lacks"):
        M3T.covered(motion)
    kept = M3T.covered(motion, M3T.observed(motion))
    seen = joint_indices(UPPER_BODY + EYES + RIGHT_HAND)
    torch.testing.assert_close(kept.rotations[:, seen], motion.rotations[:, seen], atol=1e-3, rtol=0)
    assert not kept.rotations[:, joint_indices((*LEFT_HAND, "jaw"))].any() and not kept.expression.any()
    assert not kept.eyelids.any() and kept.lacking == motion.lacking


def test_a_mirrored_part_is_observed_where_its_own_joints_are():
    motion = replace(random_motion(4), lacking=frozenset(RIGHT_HAND))
    assert M3T.observed(motion) == ("body", "lhand", "face")
    assert M3T.observed(motion.mirrored()) == ("body", "rhand", "face")


def test_what_lies_outside_of_a_layout_stays_lacking():
    kept = SOKE.covered(replace(random_motion(4), lacking=frozenset({"eyelids", "pelvis"})))
    assert kept.lacking == {"eyelids", "pelvis"}


def test_the_hashes_of_the_published_layouts_stay():
    assert (SOKE.hash, M3T.hash) == ("855cc5702081", "27e7e0e4cd7b")


def test_sizes_of_the_published_systems():
    assert SOKE.sizes == {"body": 43, "lhand": 45, "rhand": 45}
    assert M3T.sizes == {"body": 72, "lhand": 90, "rhand": 90, "face": 108}
    assert COUPLED.sizes == {"whole": 133}


@given(layouts_and_motions())
def test_motion_inverts_features(drawn):
    layout, motion = drawn
    features = layout.features(motion)
    frames = len(motion)
    assert {part: tuple(v.shape) for part, v in features.items()} == {p: (frames, d) for p, d in layout.sizes.items()}
    back = layout.motion(features, motion.fps, motion.betas, motion.made_by, motion.head_shape)
    assert_covered(layout, back, motion)
    for part, values in layout.features(back).items():
        torch.testing.assert_close(values, features[part], atol=1e-4, rtol=0)


def assert_covered(layout: MotionLayout, found: Motion | JointMotion, motion: Motion | JointMotion) -> None:
    """That `found` is `motion` on what the layout covers, and nothing, or zero, elsewhere."""
    assert (found.fps, found.made_by, len(found)) == (motion.fps, motion.made_by, len(motion))
    if layout.of_positions:
        assert found.joints == tuple(joint for part in layout.parts for joint in part.joints)
        positions = motion.positions[:, [motion.joints.index(joint) for joint in found.joints]]
        torch.testing.assert_close(found.positions, positions, atol=1e-5 if layout.origins else 0, rtol=0)
        return
    covered = joint_indices([joint for part in layout.parts for joint in part.rotated_joints])
    others = [i for i in range(len(SMPLX_JOINTS)) if i not in covered]
    torch.testing.assert_close(found.rotations[:, covered], motion.rotations[:, covered], atol=1e-3, rtol=0)
    assert not found.rotations[:, others].any() and torch.equal(found.betas, motion.betas)
    assert (found.head_shape is None) == (motion.head_shape is None)
    assert motion.head_shape is None or torch.equal(found.head_shape, motion.head_shape)
    coefficients = max(part.expression for part in layout.parts)
    assert torch.equal(found.expression[:, :coefficients], motion.expression[:, :coefficients])
    assert not found.expression[:, coefficients:].any()
    if any(part.eyelids for part in layout.parts):
        assert torch.equal(found.eyelids, motion.eyelids)
    else:
        assert found.eyelids is None


@given(layouts_and_motions())
def test_what_a_layout_keeps_of_a_motion_it_keeps_again(drawn):
    layout, motion = drawn
    kept = layout.covered(motion)
    assert_covered(layout, kept, motion)
    again = layout.covered(kept)
    assert_covered(layout, again, kept)
    for name, value in vars(kept).items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(getattr(again, name), value, atol=1e-3, rtol=0)
        else:
            assert getattr(again, name) == value


@given(layouts_and_motions())
def test_features_of_some_frames_are_some_frames_of_the_features(drawn):
    layout, motion = drawn
    every, second = layout.features(motion), layout.features(motion.frames(slice(None, None, 2)))
    for part, values in every.items():
        torch.testing.assert_close(second[part], values[::2], atol=1e-6, rtol=0)


@given(layouts())
def test_a_layout_survives_json_and_its_hash_knows_the_order_of_parts(layout):
    copy = MotionLayout.from_list(json.loads(json.dumps(layout.to_list())))
    assert copy == layout and copy.hash == layout.hash
    turned = MotionLayout(layout.parts[::-1])
    assert (turned.hash == layout.hash) == (turned == layout)


@given(layouts_and_motions())
def test_a_mirrored_part_sees_in_the_mirror_what_its_original_sees(drawn):
    layout, motion = drawn
    if not layout.of_positions:
        features, mirrored = layout.features(motion), layout.features(motion.mirrored())
        for part, original in layout.distinct.items():
            if part != original:
                assert torch.equal(features[part], mirrored[original])


def test_what_a_layout_keeps_of_positions():
    layout = MotionLayout([PartSpec("hand", ("wrist", "thumb"), rotation="position")])
    kept = layout.covered(JointMotion(torch.arange(18.0).reshape(2, 3, 3), ("thumb", "nose", "wrist"), 25.0, "x"))
    assert (kept.joints, kept.fps, kept.made_by) == (("wrist", "thumb"), 25.0, "x")
    assert kept.positions[0].tolist() == [[6, 7, 8], [0, 1, 2]]


def test_offsets_are_from_the_next_joint_towards_the_root_that_the_layout_has():
    layout = MotionLayout([
        PartSpec("hand", ("left_hand_index2", "left_hand_root", "left_hand_index1"), rotation="offset"),
        PartSpec("arm", ("left_wrist",), rotation="position"),
    ])
    joints = ("left_elbow", "left_wrist", "left_hand_root", "left_hand_index1", "left_hand_index2")
    motion = JointMotion(torch.tensor([[[5.0, 0, 0], [1, 2, 3], [1, 2, 4], [1, 3, 4], [2, 3, 4]]]), joints, 25.0)
    features = layout.features(motion)
    assert features["arm"].tolist() == [[1, 2, 3]] and features["hand"].tolist() == [[1, 0, 0, 0, 0, 1, 0, 1, 0]]
    moved = layout.motion({**features, "arm": torch.tensor([[0.0, 0, 10]])}, 25.0)  # the hand goes with its wrist
    assert moved.positions[0].tolist() == [[1, 1, 11], [0, 0, 11], [0, 1, 11], [0, 0, 10]]
    alone = MotionLayout([PartSpec("hand", joints[2:], rotation="offset")])
    assert alone.features(motion)["hand"].tolist() == [[1, 2, 4, 0, 1, 0, 1, 0, 0]]  # there is no wrist to start from
    far = MotionLayout([PartSpec("tip", joints[4:], rotation="offset"), PartSpec("arm", joints[:1], rotation="position")])
    assert far.features(motion)["tip"].tolist() == [[-3, 3, 4]]


def test_offsets_need_the_joint_that_they_are_from():
    layout = MotionLayout([
        PartSpec("hand", ("left_hand_root",), rotation="offset"), PartSpec("arm", ("left_wrist",), rotation="position"),
    ])
    blind = JointMotion(torch.zeros(1, 1, 3), ("left_hand_root",), 25.0, lacking=frozenset({"left_wrist"}))
    assert layout.observed(blind) == ()
    with pytest.raises(ValueError, match="part hand: the motion has no joint left_wrist"):
        layout.features(blind, ["hand"])


def test_a_hand_of_offsets_has_the_same_mean_pose_and_another_hash():
    parts = [PartSpec("body", SKELETON_50[:8], rotation="position"), PartSpec("hands", SKELETON_50[8:], rotation="offset")]
    layouts = [MotionLayout([parts[0], replace(parts[1], rotation=form)]) for form in ("position", "offset")]
    motion = JointMotion(torch.randn(9, 50, 3), SKELETON_50, 25.0)
    means = [
        of.motion({part: values.mean(0, keepdim=True) for part, values in of.features(motion).items()}, 25.0).positions
        for of in layouts
    ]
    torch.testing.assert_close(means[0], means[1], atol=1e-5, rtol=0)
    assert layouts[0].hash == "a8d4120483e2" != layouts[1].hash  # of models that were trained before there were offsets


def test_the_order_of_features_is_joints_jaw_expression_eyelids():
    motion = random_motion(3)
    jaw = SMPLX_JOINTS.index("jaw")
    body = SOKE.features(motion)["body"]
    assert torch.equal(body[:, :3], motion.rotations[:, SMPLX_JOINTS.index("neck")])
    assert torch.equal(body[:, 30:33], motion.rotations[:, jaw])
    assert torch.equal(body[:, 33:], motion.expression[:, :10])
    face = M3T.features(motion)["face"]
    assert torch.equal(face[:, :6], axis_angle_to_6d(motion.rotations[:, jaw]))
    assert torch.equal(face[:, 106:], motion.eyelids)


def test_a_mirrored_part_sees_what_its_original_sees_in_the_mirror():
    motion = random_motion(5)
    assert torch.equal(M3T.features(motion)["lhand"], M3T.features(motion.mirrored())["rhand"])
    left = mirror_axis_angle(motion.rotations[:, joint_indices(LEFT_HAND)])
    assert torch.equal(M3T.features(motion)["lhand"], axis_angle_to_6d(left).flatten(1))


def test_distinct_names_the_shared_tokenizer():
    assert M3T.distinct == {"body": "body", "lhand": "rhand", "rhand": "rhand", "face": "face"}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "torso"},
        {"joints": UPPER_BODY[1:]},
        {"joints": UPPER_BODY[::-1]},
        {"jaw": False},
        {"expression": 9},
        {"eyelids": True},
        {"rotation": "6d"},
    ],
)
def test_the_hash_changes_with_every_setting(change: dict):
    changed = MotionLayout([replace(SOKE.parts[0], **change), *SOKE.parts[1:]])
    assert changed.hash != SOKE.hash
    assert len(SOKE.hash) == 12


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "at least one part"),
        ([PartSpec("a", ("neck",)), PartSpec("a", ("head",))], "different names"),
        ([PartSpec("a", ("neck",)), PartSpec("b", ("head", "neck"))], "neck belongs to two parts"),
        ([PartSpec("a", (), jaw=True), PartSpec("b", ("jaw",))], "jaw belongs to two parts"),
        ([PartSpec("a", (), expression=3), PartSpec("b", (), expression=5)], "expression belongs to two parts"),
        ([PartSpec("a", ("neck",), rotation="quaternion")], "quaternion"),
        ([PartSpec("l", LEFT_HAND, mirrors="r")], "no part of its own"),
        ([PartSpec("l", LEFT_HAND, mirrors="l")], "no part of its own"),
        ([PartSpec("l", LEFT_HAND, mirrors="r"), PartSpec("r", RIGHT_HAND[::-1])], "mirrored joints"),
        ([PartSpec("l", LEFT_HAND, mirrors="r"), PartSpec("r", RIGHT_HAND, rotation="6d")], "mirrored joints"),
        ([PartSpec("l", LEFT_HAND, expression=3, mirrors="r"), PartSpec("r", RIGHT_HAND, jaw=True)], "mirrored joints"),
    ],
)
def test_contradicting_parts_are_refused(parts: list[PartSpec], message: str):
    with pytest.raises(ValueError, match=message):
        MotionLayout(parts)


def test_unknown_joints_are_refused():
    with pytest.raises(KeyError, match="tail"):
        MotionLayout([PartSpec("a", ("tail",))])


def test_a_motion_that_lacks_something_is_refused():
    with pytest.raises(ValueError, match="eyelids"):
        M3T.features(random_motion(2, eyelids=False))
    with pytest.raises(ValueError, match="100 expression coefficients, the motion has 10"):
        M3T.features(Motion.rest(2, 25.0))


def test_features_of_a_wrong_shape_are_refused():
    features = SOKE.features(random_motion(4))
    with pytest.raises(ValueError, match="lhand"):
        SOKE.motion({**features, "lhand": features["lhand"][:3]}, 25.0)
    with pytest.raises(ValueError, match="rhand"):
        SOKE.motion({**features, "rhand": features["rhand"][:, :44]}, 25.0)
    layout = MotionLayout(
        [PartSpec("a", ("nose",), rotation="position"), PartSpec("b", ("neck", "chin"), rotation="position")]
    )
    with pytest.raises(ValueError, match=r"part a: expected \[4, 3\], got \[4, 6\]"):  # though there are 9 numbers
        layout.motion({"a": torch.zeros(4, 6), "b": torch.zeros(4, 3)}, 25.0)


def test_what_a_layout_covers():
    layout = MotionLayout([PartSpec("face", ("neck",), jaw=True, expression=3), PartSpec("rest", ("head",))])
    assert layout.covers == {"neck", "jaw", "expression", "head"}
    assert MotionLayout([PartSpec("lids", (), eyelids=True)]).covers == {"eyelids"}
