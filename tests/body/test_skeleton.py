"""Joint positions as a body: which joints are scored as what, and which are joined by bones."""
from __future__ import annotations

import pytest
import torch

from soke.body.joints import (
    BODY,
    DWPOSE_128,
    DWPOSE_FACE,
    LEFT_HAND,
    SKELETON_50,
    SKELETON_LEFT_HAND,
    SMPLX_JOINTS,
)
from soke.body.motion import JointMotion, Motion
from soke.body.skeleton import Skeleton


def moving(joints: tuple[str, ...], frames: int = 3) -> JointMotion:
    return JointMotion(torch.randn(frames, len(joints), 3, generator=torch.Generator().manual_seed(0)), joints, 25.0)


def test_point_sets_of_the_fifty_joints():
    body, motion = Skeleton(SKELETON_50), moving(SKELETON_50)
    assert {name: (s.part, s.label) for name, s in body.point_sets.items()} == {
        "body": ("body", "8of8"), "left_hand": ("hand", "21of21"), "right_hand": ("hand", "21of21"),
    }
    points = body.track(motion)
    assert torch.equal(points["body"], motion.positions[:, [1, 0, 2, 3, 4, 5, 6, 7]])  # the neck is the root
    assert torch.equal(points["left_hand"], motion.positions[:, 8:29])
    assert torch.equal(points["right_hand"], motion.positions[:, 29:])
    assert list(body.track(motion, ["right_hand"])) == ["right_hand"]
    assert body.label == "skeleton-50" and body.unit == "unit"
    assert body.surface(motion) is None and body.faces is None


def test_joints_are_found_by_name_in_any_order_and_among_others():
    motion, order = moving(SKELETON_50), torch.randperm(50, generator=torch.Generator().manual_seed(1))
    shuffled = JointMotion(motion.positions[:, order], tuple(SKELETON_50[i] for i in order), 25.0)
    hand = Skeleton(SKELETON_LEFT_HAND)
    assert list(hand.point_sets) == ["left_hand"]
    assert torch.equal(hand.track(shuffled)["left_hand"], motion.positions[:, 8:29])


def test_hands_without_a_root_of_their_own_hang_at_the_wrist():
    body = Skeleton(SMPLX_JOINTS)
    motion = moving(SMPLX_JOINTS)
    assert body.point_sets["left_hand"].label == "16of16" and body.point_sets["body"].label == f"{len(BODY) + 3}of25"
    hand = body.track(motion, ["left_hand"])["left_hand"]
    assert torch.equal(hand[:, 0], motion.positions[:, SMPLX_JOINTS.index("left_wrist")])
    assert torch.equal(hand[:, 1:], motion.positions[:, 25:40])
    assert torch.equal(body.track(motion, ["body"])["body"][:, 0], motion.positions[:, 0])  # pelvis


def test_bones_lead_to_the_root():
    bones = set(Skeleton(SKELETON_50).bones)
    assert len(bones) == 49  # a tree
    assert {
        ("neck", "nose"), ("neck", "left_shoulder"), ("left_elbow", "left_wrist"), ("left_wrist", "left_hand_root"),
        ("right_hand_root", "right_hand_thumb1"), ("right_hand_pinky3", "right_hand_pinky4"),
    } <= bones
    smplx = set(Skeleton(SMPLX_JOINTS).bones)
    assert len(smplx) == 54
    assert {("left_wrist", "left_index1"), ("neck", "right_collar"), ("head", "jaw"), ("spine3", "neck")} <= smplx
    few = Skeleton(("neck", "left_wrist", "left_index2", "tail"))
    assert few.bones == [("neck", "left_wrist"), ("left_wrist", "left_index2")]
    assert few.point_sets["body"].total == 3  # the tail is scored, though nobody knows what it hangs at
    assert list(few.point_sets) == ["body"]  # root and finger joint alone would hardly have an error


def test_sticks_stand_upright_and_hands_have_colours_of_their_own():
    motion = moving(SKELETON_50)
    down, up = (Skeleton(SKELETON_50, up=direction).sticks(motion) for direction in ("-y", "+y"))
    half_a_turn = torch.tensor([-1.0, -1.0, 1.0])  # no reflection, which would make the signer left-handed
    assert torch.equal(down.starts, up.starts * half_a_turn) and torch.equal(down.ends, up.ends * half_a_turn)
    assert up.starts.shape == up.ends.shape == (3, 49, 3) and up.colors.shape == (49, 3)
    bones = Skeleton(SKELETON_50).bones
    for i, (start, end) in enumerate(bones):
        assert torch.equal(up.ends[:, i], motion.positions[:, SKELETON_50.index(end)])
        assert torch.equal(up.starts[:, i], motion.positions[:, SKELETON_50.index(start)])
    colors = {
        part: {tuple(color.tolist()) for color, (_, joint) in zip(up.colors, bones) if joint.startswith(part)}
        for part in ("left_hand", "right_hand", "left_elbow")
    }
    assert not colors["left_hand"] & colors["right_hand"] and len(colors["left_hand"]) > 4
    assert not colors["left_elbow"] & (colors["left_hand"] | colors["right_hand"])
    fingers = {hand: {bones[number][1] for number in numbers} for hand, numbers in up.hands.items()}
    assert fingers == {
        hand: {joint for joint in SKELETON_50 if joint.startswith(hand) and joint != f"{hand}_root"}
        for hand in ("left_hand", "right_hand")
    }


def test_nobody_is_shown_in_a_mirror():
    """Of a signer who faces us the right hand is left of the left one in whatever is drawn."""
    joints = ("neck", "right_wrist", "left_wrist")
    in_picture = torch.tensor([[[0.5, 0.3, 0.0], [0.3, 0.8, 0.0], [0.7, 0.8, 0.0]]])  # x to the right, y down
    of_files = torch.tensor([[[0.0, 0.0, 0.0], [0.4, 1.0, 0.2], [-0.4, 1.0, 0.2]]])  # as .skels of 50 joints are
    for positions, unit in ((in_picture, "image"), (of_files, "unit")):
        sticks = Skeleton(joints, unit, "-y").sticks(JointMotion(positions, joints, 25.0))
        (neck, _), (right, left) = sticks.starts[0], sticks.ends[0]
        assert right[0] < neck[0] < left[0] and neck[1] > right[1]


def test_joints_without_bones_are_dots():
    motion = moving(("neck", "nose", "tail"))
    sticks = Skeleton(motion.joints).sticks(motion)
    assert torch.equal(sticks.starts, motion.positions[:, [0, 2]])
    assert torch.equal(sticks.ends, motion.positions[:, [1, 2]])
    strangers = ("p1", "p2", "p3")
    assert Skeleton(strangers).sticks(moving(strangers)).starts.shape == (3, 3, 3)


def test_a_face_of_dots_is_no_blob():
    """68 dots as thick as an arm would hide each other and the face."""
    body = Skeleton(DWPOSE_128)
    widths = body.sticks(moving(DWPOSE_128)).widths
    of_joint = {joint: width for (_, joint), width in zip(body.bones, widths.tolist())}
    assert (of_joint["left_elbow"], of_joint["nose"]) == (1.0, 1.0)
    assert of_joint["left_eye"] == of_joint["right_ear"] == of_joint["left_hand_index2"] == pytest.approx(0.45)
    dots = widths[len(body.bones):]
    assert len(dots) >= len(DWPOSE_FACE) and bool((dots == dots[0]).all()) and dots[0] < 0.25


def test_motions_that_do_not_fit_are_named():
    body = Skeleton(SKELETON_50)
    with pytest.raises(ValueError, match="the motion holds rotations"):
        body.track(Motion.rest(2, 25.0))
    with pytest.raises(ValueError, match="the motion has no joint neck, right_shoulder, right_elbow, left_shoulder"):
        body.sticks(moving(LEFT_HAND))
    for joints in ((), ("neck", "nose"), ("neck", "neck", "nose", "head")):
        with pytest.raises(ValueError, match="3 joints of the body or of a hand at least, and joints of different names"):
            Skeleton(joints)


@pytest.mark.parametrize("frames", [0, 1])
def test_short_motions(frames):
    motion = moving(SKELETON_50, frames)
    body = Skeleton(SKELETON_50)
    assert body.track(motion)["body"].shape == (frames, 8, 3)
    assert body.sticks(motion).starts.shape == (frames, 49, 3)
