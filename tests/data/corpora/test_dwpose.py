"""Prompt2Sign's files of 385 numbers per frame: which are which joints, and what is done where nobody was seen."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from soke.body.joints import DWPOSE_128, DWPOSE_BODY, DWPOSE_FACE, SKELETON_LEFT_HAND, mirrored_name
from soke.body.layout import MotionLayout, PartSpec
from soke.body.skeleton import Skeleton
from soke.data.clip import ClipError
from soke.data.corpora.dwpose import DwposeCorpus
from soke.data.corpora.skels import SkelsCorpus
from soke.data.dataset import MotionDataset

HAND = [DWPOSE_128.index(joint) for joint in SKELETON_LEFT_HAND]
NOSE, WRIST = 0, DWPOSE_128.index("left_wrist")


def clip_of(frames: int = 10, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points [T, 128, 2] and scores [T, 128] of a person who is seen in full."""
    chance = np.random.default_rng(seed)
    return chance.uniform(0.1, 0.9, (frames, 128, 2)), chance.uniform(0.5, 1.0, (frames, 128))


def line(points: np.ndarray, scores: np.ndarray) -> str:
    """As Prompt2Sign's tools write it: 8 decimals, 18 + 42 + 68 points, each kind with its scores, and the counter."""
    numbers = []
    for t in range(len(points)):
        for start, end in ((0, 18), (18, 60), (60, 128)):
            numbers += [*points[t, start:end].ravel(), *scores[t, start:end]]
        numbers.append(t / max(len(points) - 1, 1))
    return " ".join(f"{number:.8f}" for number in numbers)


def corpus_of(root, *lines: str) -> DwposeCorpus:
    (root / "train.skels").write_text("".join(f"{each}\n" for each in lines))
    for kind in ("text", "files"):
        (root / f"train.{kind}").write_text("".join(f"clip-{i}\n" for i in range(len(lines))))
    return DwposeCorpus(root)


def load(root, points, scores):
    corpus = corpus_of(root, line(points, scores))
    clip = corpus.clips("train")[0]
    motion = corpus.load(clip)
    assert corpus.length(clip) == len(motion)
    return motion


def test_points_are_read_by_their_names(tmp_path):
    points, scores = clip_of()
    motion = load(tmp_path, points, scores)
    assert motion.joints == DWPOSE_128 and not motion.lacking and len(set(DWPOSE_128)) == 128
    np.testing.assert_allclose(motion.positions[..., :2].numpy(), points, atol=1e-6)
    assert (motion.positions[..., 2] == 0).all()
    assert (DWPOSE_128[1], DWPOSE_128[8], DWPOSE_128[17]) == ("neck", "right_hip", "left_ear")
    assert (DWPOSE_128[18], DWPOSE_128[39], DWPOSE_128[60]) == ("left_hand_root", "right_hand_root", "right_contour1")
    assert DwposeCorpus.width == 385 == 3 * 128 + 1 and len(DWPOSE_BODY) == 18


def test_the_faces_sides_are_each_others_mirror_images():
    """iBUG's 68 points: pairs of one row lie opposite each other."""
    pairs = [
        *((i, 16 - i) for i in range(8)), *((17 + i, 26 - i) for i in range(5)), (31, 35), (32, 34), (36, 45), (37, 44),
        (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63),
        (67, 65),
    ]
    for one, other in pairs:
        assert mirrored_name(DWPOSE_FACE[one]) == DWPOSE_FACE[other] != DWPOSE_FACE[one]
    middle = set(range(68)) - {i for pair in pairs for i in pair}
    assert all(mirrored_name(DWPOSE_FACE[i]) == DWPOSE_FACE[i] for i in middle) and len(middle) == 10


@pytest.mark.parametrize("unseen", ["score", "invalid", "minus one", "zero"])
def test_joints_that_were_not_seen_are_interpolated_and_held(tmp_path, unseen):
    points, scores = clip_of(9)
    points[:, WRIST] = np.linspace(0.2, 0.6, 9)[:, None]
    for t in (0, 3, 4, 8):
        if unseen == "score":
            scores[t, WRIST], points[t, WRIST] = 0.1, 0.99
        elif unseen == "invalid":
            scores[t, WRIST] = -1
        else:
            points[t, WRIST] = -1 if unseen == "minus one" else 0
    motion = load(tmp_path, points, scores)
    expected = np.linspace(0.2, 0.6, 9)
    expected[[0, 8]] = expected[[1, 7]]
    np.testing.assert_allclose(motion.positions[:, WRIST, 0].numpy(), expected, atol=1e-6)
    others = [i for i in range(128) if i != WRIST]
    np.testing.assert_allclose(motion.positions[:, others, :2].numpy(), points[:, others], atol=1e-6)


def test_frames_without_a_person(tmp_path):
    points, scores = clip_of(12)
    points[:, NOSE] = np.linspace(0.2, 0.75, 12)[:, None]
    absent = [0, 1, 5, 6, 11]
    scores[absent], points[absent] = -1, 0
    corpus = corpus_of(tmp_path, line(points, scores))
    (clip,) = corpus.clips("train")
    motion = corpus.load(clip)
    assert len(motion) == corpus.length(clip) == 9  # 2 to 10: the ends are left out
    assert corpus.missing_frames(clip) == 2
    np.testing.assert_allclose(motion.positions[:, NOSE, 0].numpy(), np.linspace(0.2, 0.75, 12)[2:11], atol=1e-6)
    assert (motion.positions[..., :2] >= 0.1).all()  # no zeros that look like positions


@pytest.mark.parametrize(("present", "fault"), [
    ([], "0 of its 12 frames in .* have a person"),
    ([2, 3, 4], "3 of its 12 frames"),
    ([0, 1, 2, 10], "7 of the 11 frames from the first to the last with a person have none"),
])
def test_clips_with_too_few_frames_of_a_person(tmp_path, present, fault):
    points, scores = clip_of(12)
    scores[[t for t in range(12) if t not in present]] = -1
    corpus = corpus_of(tmp_path, line(points, scores))
    clip = corpus.clips("train")[0]
    for ask in (corpus.load, corpus.length, corpus.missing_frames):
        with pytest.raises(ClipError, match=f"clip clip-0: {fault}"):
            ask(clip)


def test_a_joint_that_was_hardly_seen_is_lacking_and_its_clip_is_skipped_and_listed(tmp_path):
    points, scores = clip_of(10)
    hidden, half = scores.copy(), scores.copy()
    hidden[1:7, HAND] = 0.2  # seen in 4 of 10 frames
    half[:5, HAND] = 0.2
    corpus = corpus_of(tmp_path, line(points, scores), line(points, hidden), line(points, half))
    motions = [corpus.load(clip) for clip in corpus.clips("train")]
    assert motions[1].lacking == set(SKELETON_LEFT_HAND) and not motions[0].lacking and not motions[2].lacking
    assert motions[1].joints == tuple(joint for joint in DWPOSE_128 if joint not in SKELETON_LEFT_HAND)
    parts = [PartSpec(name, joints, rotation="position") for name, joints in (
        ("body", DWPOSE_BODY), ("lhand", SKELETON_LEFT_HAND))]
    data = MotionDataset([corpus], "train", MotionLayout(parts), 4, 400, 1)
    assert [type(data[i]).__name__ for i in range(3)] == ["MotionSample", "SkippedClip", "MotionSample"]
    assert data[1].reason == "clip clip-1: it lacks left_hand_index1 … of the part lhand"
    partial = MotionDataset([corpus], "train", MotionLayout(parts), 4, 400, 1, partial=True)[1]
    assert partial.lacking == {"lhand"} and partial.features["body"].any()


def test_lines_that_cannot_be_used(tmp_path):
    points, scores = clip_of(6)
    good = line(points, scores)
    pixels, still = line(points * 720, scores), good.split()
    still[384::385] = ["0.5"] * 6
    corpus = corpus_of(tmp_path, "", " ".join(good.split()[:-1]), pixels, " ".join(still), good.replace(
        good.split()[7], "nan", 1), good)
    assert [(s.name, s.reason) for s in corpus.skipped("train")] == [("clip-0", "its line of positions is empty")]
    faults = ["2309 numbers, which is no multiple of 385", "look like pixels", "its counter follows none", "NaN"]
    for clip, fault in zip(corpus.clips("train"), faults):
        with pytest.raises(ClipError, match=f"clip {clip.name}: .*{fault}"):
            corpus.load(clip)
    assert len(corpus.load(corpus.clips("train")[-1])) == 6


def test_lines_of_151_numbers_are_told_from_these(tmp_path):
    corpus = corpus_of(tmp_path, " ".join(["0.5"] * 151 * 4))
    with pytest.raises(ClipError, match="no multiple of 385 .*; it is one of 151, which .*SkelsCorpus reads"):
        corpus.load(corpus.clips("train")[0])
    points, scores = clip_of(4)
    corpus_of(tmp_path, line(points, scores))
    reader = SkelsCorpus(tmp_path)
    with pytest.raises(ClipError, match="DwposeCorpus reads"):
        reader.load(reader.clips("train")[0])


def test_figures_have_bones(tmp_path):
    motion = load(tmp_path, *clip_of(4))
    body = Skeleton(DWPOSE_128, DwposeCorpus.unit, DwposeCorpus.up)
    assert {("neck", "left_shoulder"), ("left_wrist", "left_hand_root"), ("right_eye", "right_ear")} <= set(body.bones)
    assert torch.isfinite(body.sticks(motion).starts).all() and body.unit == "image"
