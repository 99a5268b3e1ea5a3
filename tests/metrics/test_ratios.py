"""What is measured of predictions in relation to their references, by hand: moving, frozen, smoothed, trembling."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from soke.body.joints import DWPOSE_128, SKELETON_50
from soke.body.motion import JointMotion, Motion
from soke.body.skeleton import Skeleton
from soke.metrics.contacts import NEAR, Contact
from soke.metrics.joint_sets import Track, track_of
from soke.metrics.motion_scores import RATIOS, MotionScores
from soke.metrics.ratios import MotionRatio, MouthOpening, WristPath
from tests.metrics import scorecard_reference as naive

FPS = 25.0
BODY = Skeleton(DWPOSE_128, up="-y")


def clip(frames: int = 8, **moved: np.ndarray) -> Track:
    """The joints of a skeleton one after the other on a line, and how far some of them go along y, [T]."""
    positions = np.zeros((frames, len(DWPOSE_128), 3), dtype=np.float32)
    positions[:, :, 0] = np.arange(len(DWPOSE_128))
    for joint, way in moved.items():
        positions[:, DWPOSE_128.index(joint), 1] += way
    return track_of(BODY, JointMotion(torch.from_numpy(positions), DWPOSE_128, FPS))


def ratio(metric, *pairs: tuple[Track, Track]) -> dict[str, tuple[float, ...]]:
    metric.update_many([f"c{i}" for i in range(len(pairs))], *zip(*pairs))
    return {s.signature.part: tuple(s.values.values()) for s in metric.scores()}


def of(what: str) -> MotionRatio:
    return MotionRatio(what, joints=BODY.point_sets)


STEP = np.arange(8.0)
WAVE = np.array([0, 1, 0, -1] * 2, dtype=float)


def test_speed_is_half_of_what_goes_half_as_far() -> None:
    made = clip(left_wrist=0.5 * STEP, left_hand_thumb1=3 * STEP)
    assert ratio(of("speed"), (made, clip(left_wrist=STEP, left_hand_thumb1=STEP))) == {"body": pytest.approx((0.5,)), "hand": pytest.approx((3.0,))}


def test_a_ratio_is_that_of_the_means_over_clips() -> None:
    """Clips of steps 1 and 3, predicted as 1 and 0: not (1 + 0) / 2, but (1 + 0) / (1 + 3)."""
    metric = of("speed")
    pairs = [(clip(left_wrist=STEP), clip(left_wrist=STEP)), (clip(), clip(left_wrist=3 * STEP))]
    assert ratio(metric, *pairs)["body"] == pytest.approx((0.25,))
    assert {name: values[0] for name, values in metric.per_clip().items()} == pytest.approx({"c0": 1.0, "c1": 0.0})


def test_deviation_in_time_and_jitter() -> None:
    """Third differences of 0, 1, 0, -1, 0, 1, 0, -1 are 2, 2, -2, -2, 2; those of even steps none."""
    pair = clip(left_wrist=0.25 * WAVE), clip(left_wrist=WAVE)
    assert ratio(of("temporal SD"), pair)["body"] == pytest.approx((0.25,))
    assert ratio(of("jitter"), pair)["body"] == pytest.approx((0.25,))
    assert ratio(of("jitter"), (clip(left_wrist=STEP), clip(left_wrist=WAVE)))["body"] == pytest.approx((0.0,))
    drifting = clip(left_wrist=STEP), clip(left_wrist=WAVE)
    assert ratio(of("temporal SD"), drifting)["body"] == pytest.approx((STEP.std() / WAVE.std(),))


def test_wrist_path_is_the_mean_of_left_and_right() -> None:
    """7 steps of 1 and of 2; predicted with 4 frames, that is 3 steps, of 2, and the right wrist still."""
    pair = clip(4, left_wrist=2 * STEP[:4]), clip(left_wrist=STEP, right_wrist=2 * STEP)
    whole = {"whole": BODY.whole}
    assert ratio(WristPath(BODY.landmarks, whole), pair) == {None: pytest.approx((6 / (7 + 14),))}


def test_mouth_opening() -> None:
    """The lips are 3 apart along x and open to 5 (3, 4, 5) in the reference; those of the prediction stay at 3."""
    lips = [DWPOSE_128.index(f"{lip}_mouth") for lip in ("upper", "lower")]
    apart = abs(lips[0] - lips[1])
    opened = np.array([0, apart] * 4, dtype=float)
    metric = MouthOpening(BODY.landmarks, {"whole": BODY.whole})
    found = ratio(metric, (clip(), clip(lower_mouth=opened)), (clip(lower_mouth=opened), clip(lower_mouth=opened)))
    mean = (1 + np.sqrt(2)) / 2
    assert found == {None: pytest.approx(((1 + mean) / (2 * mean), 0.5))}


@pytest.mark.parametrize("what", RATIOS)
def test_what_stands_still_in_all_references_has_no_ratio(what: str) -> None:
    """And in one clip, which counts for the others, none of its own; rounding is no movement."""
    metric = of(what)
    shaken = np.float32(1e-6) * np.random.default_rng(0).normal(size=8)
    assert ratio(metric, (clip(left_wrist=STEP), clip(left_wrist=shaken))) == {}
    assert metric.undefined() == [f"{what} body", f"{what} hand"]
    assert np.isnan(metric.per_clip()["c0"]).all()
    metric.update("moving", clip(left_wrist=WAVE), clip(left_wrist=WAVE))
    assert metric.scores()[0].values["ratio"] >= 1 and metric.scores()[0].clips == 2
    assert metric.undefined() == [f"{what} hand"]


def test_a_clip_of_one_frame_stands_still() -> None:
    for what in RATIOS:
        assert ratio(of(what), (clip(1), clip(left_wrist=WAVE)))["body"] == (0.0,)


def touching(frames: str, joint: str) -> Track:
    """The left thumb's tip beside another joint in the frames of a 1, else far from all."""
    positions = clip(len(frames)).points["whole"].clone()
    tip, other = DWPOSE_128.index("left_hand_thumb4"), DWPOSE_128.index(joint)
    shoulders = [positions[0, DWPOSE_128.index(f"{side}_shoulder")] for side in ("left", "right")]
    near = NEAR * (shoulders[0] - shoulders[1]).norm()
    for frame, mark in enumerate(frames):
        away = 0.99 * near if mark == "1" else 1.01 * near
        positions[frame, tip] = positions[frame, other] + torch.tensor([0.0, 0.0, float(away)])
    return track_of(BODY, JointMotion(positions, DWPOSE_128, FPS))


@pytest.mark.parametrize(("name", "joint"), [
    ("hand-face contact", "lower_lip"), ("hand-face contact", "nose"), ("hand-hand contact", "right_hand_index4"),
])
def test_contact_kept(name: str, joint: str) -> None:
    joints = {**BODY.point_sets, "whole": BODY.whole}
    metric = Contact(name, BODY.landmarks, joints)
    assert ratio(metric, (touching("0110", joint), touching("0111", joint))) == {
        None: pytest.approx((100 * 2 / 3, 100 * 4 / 5))
    }
    metric.update("never", touching("1100", joint), touching("0000", joint))
    assert tuple(metric.scores()[0].values.values()) == pytest.approx((100 * 2 / 3, 100 * 4 / 7))
    assert np.isnan(metric.per_clip()["never"]).all()
    alone = Contact(name, BODY.landmarks, joints)
    assert ratio(alone, (touching("1111", joint), touching("0000", joint))) == {} and alone.undefined() == [name]


@pytest.mark.parametrize("frames", [(1, 4), (9, 6), (12, 12)])
def test_equals_the_loops(frames: tuple[int, int]) -> None:
    random = torch.Generator().manual_seed(sum(frames))
    pair = [
        track_of(BODY, JointMotion(torch.randn(n, 128, 3, generator=random), DWPOSE_128, FPS)) for n in frames
    ]
    plain = [{name: points.double().tolist() for name, points in of.points.items()} for of in pair]
    loops = {"speed": naive.naive_speed, "jitter": naive.naive_jitter, "temporal SD": naive.naive_deviation}
    for what, loop in loops.items():
        own = [[loop(side[part], list(BODY.point_sets[part].scored)) for part in BODY.point_sets] for side in plain]
        expected = {"body": own[0][0] / own[1][0], "hand": (own[0][1] + own[0][2]) / (own[1][1] + own[1][2])}
        assert {part: values[0] for part, values in ratio(of(what), tuple(pair)).items()} == pytest.approx(expected)
    paths = [naive.naive_path(side["whole"], list(BODY.landmarks["wrists"][1])) for side in plain]
    found = ratio(WristPath(BODY.landmarks, {"whole": BODY.whole}), tuple(pair))
    assert found == {None: pytest.approx((paths[0] / paths[1],))}
    metric = Contact("hand-face contact", BODY.landmarks, {**BODY.point_sets, "whole": BODY.whole})
    for side, of_side in zip(plain, pair):
        face = [[frame[j] for j in BODY.landmarks["face"][1]] for frame in side["whole"]]
        left, right = BODY.landmarks["shoulders"][1]
        near = NEAR * naive.mean([naive.dist(frame[left], frame[right]) for frame in side["whole"]])
        touches = [naive.naive_touches(side[hand], face, near) for hand in ("left_hand", "right_hand")]
        assert metric._touches(of_side).tolist() == [any(both) for both in zip(*touches)]


def test_a_skeleton_of_fifty_joints_has_what_it_can() -> None:
    names = {s.name for metric in MotionScores.of(Skeleton(SKELETON_50)).metrics for s in metric.signatures}
    assert {*RATIOS, "wrist path", "hand-hand contact", "hand-face contact"} < names and "mouth opening" not in names
    hands = [joint for joint in SKELETON_50 if "hand" in joint]
    few = {s.name for metric in MotionScores.of(Skeleton(hands)).metrics for s in metric.signatures}
    assert "wrist path" in few and not few & {"hand-hand contact", "hand-face contact"}


def test_of_the_body_s_own_landmarks(body) -> None:
    """A jaw that opens and wrists that go: nothing of it in a still one."""
    motion = Motion.rest(9, FPS)
    motion.rotations[:, 22, 0] = 0.2 * torch.linspace(0, 1, 9)  # the jaw
    for side, sign in ((18, -1.0), (19, 1.0)):
        motion.rotations[:, side, 1] = sign * torch.linspace(0, 2.6, 9)  # elbows: forearms to the front and in
    scores, still = MotionScores.of(body), MotionScores.of(body)
    made, rest = track_of(body, motion), track_of(body, motion.frames([0] * 9))
    scores.update(["a"], [made], [made])
    still.update(["a"], [rest], [made])
    names = [*RATIOS, "wrist path", "mouth opening"]
    for of_row, expected in ((scores, 1.0), (still, 0.0)):
        found = {s.signature.name: list(s.values.values())[-1] for s in of_row.scores() if s.signature.name in names}
        assert found == pytest.approx({name: expected for name in names if name in found}, abs=1e-6)
        assert {"speed", "wrist path", "mouth opening"} <= set(found)
    labels = {s.name: s.joints for metric in scores.metrics for s in metric.signatures}
    assert labels["mouth opening"] == "2of144" and labels["hand-face contact"] == "42to68"
