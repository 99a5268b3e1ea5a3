"""SLRTP 2025's scores: by hand, by a plain reference, and the challenge's own numbers where they are at hand."""
from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from fastdtw import fastdtw

from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.data.corpora.slrtp import FPS, JOINTS
from soke.metrics.joint_sets import track_of
from soke.metrics.motion_scores import MotionScores
from soke.metrics.slrtp import slrtp_scores
from soke.run.config import ROOT

BODY = Skeleton(JOINTS, up="-y")
# Computed by the challenge's evaluation itself; its README says how.
GOLDEN = Path(os.environ.get("GOLDEN", ROOT.parent / "shared" / "golden")) / "slrtp.npz"
NAMES = {"dtw_mje": "SLRTP DTW-MJE", "total_distance": "SLRTP wrist path", "avg_duration": "SLRTP length"}


def scored(preds: list[np.ndarray], refs: list[np.ndarray]) -> dict[str, float]:
    metrics = slrtp_scores(BODY.whole, BODY.landmarks, "unit", {})
    sides = [
        [track_of(BODY, JointMotion(torch.from_numpy(clip), JOINTS, FPS)) for clip in side] for side in (preds, refs)
    ]
    for metric in metrics:
        metric.update_many([f"c{i}" for i in range(len(preds))], *sides)
    return {s.signature.name: next(iter(s.values.values())) for metric in metrics for s in metric.scores()}


@pytest.mark.skipif(not GOLDEN.is_file(), reason="the challenge's numbers are not there")
@pytest.mark.parametrize("still", [False, True], ids=["moving", "mean pose"])
def test_the_challenge_s_own_numbers(still: bool) -> None:
    with np.load(GOLDEN) as golden:
        expected, ids = json.loads(str(golden["scores"])), golden["ids"]
        refs, preds = ([golden[f"{side}_{i}"] for i in ids] for side in ("gt", "hyp"))
    if still:
        mean = np.mean([ref.mean(axis=0) for ref in refs], axis=0)
        preds, expected = [np.broadcast_to(mean, ref.shape).copy() for ref in refs], expected["mean_pose"]
    found = scored(preds, refs)
    assert found == pytest.approx({name: expected[theirs] for theirs, name in NAMES.items()}, rel=1e-5, abs=1e-9)


def test_against_a_plain_reference() -> None:
    rng = np.random.default_rng(0)
    preds, refs = ([rng.normal(size=(n, 178, 3)).astype(np.float32) for n in counts] for counts in ((9, 12), (11, 8)))
    errors, wrists, ratios = [], {"left": np.zeros(2), "right": np.zeros(2)}, []
    for pair in zip(preds, refs):
        pred, ref = (clip[::2].astype(np.float64) for clip in pair)
        flat = [clip.reshape(len(clip), -1) for clip in (pred, ref)]
        _, path = fastdtw(*flat, dist=lambda a, b: float(np.sqrt(((a - b) ** 2).sum())))
        errors += [np.sqrt(((pred[i] - ref[j]) ** 2).sum(axis=1)).mean() for i, j in path]
        ratios.append(len(pred) / len(ref))
        for side, joint in (("left", 5), ("right", 2)):
            wrists[side] += [np.sqrt((np.diff(clip[:, joint], axis=0) ** 2).sum(axis=1)).sum() for clip in (pred, ref)]
    distance = np.mean([made / given for made, given in wrists.values()])
    expected = {"SLRTP DTW-MJE": np.mean(errors), "SLRTP wrist path": distance, "SLRTP length": np.mean(ratios)}
    assert scored(preds, refs) == pytest.approx(expected, rel=1e-6)


def test_still_poses_go_nowhere_and_a_still_reference_has_no_ratio() -> None:
    moving = np.random.default_rng(0).normal(size=(8, 178, 3)).astype(np.float32)
    still = np.repeat(moving[:1], 8, axis=0)
    assert scored([still], [moving])["SLRTP wrist path"] == 0
    assert set(scored([moving], [still])) == {"SLRTP DTW-MJE", "SLRTP length"}


def test_of_whole_skeletons_alone(body) -> None:
    names = [{s.name for m in MotionScores.of(posed).metrics for s in m.signatures} for posed in (BODY, body)]
    assert set(NAMES.values()) <= names[0] and not set(NAMES.values()) & names[1]
    signature = next(m for m in MotionScores.of(BODY).metrics if m.signatures[0].name == "SLRTP DTW-MJE").signatures[0]
    assert signature.dtw == "fastdtw" and signature.library == "SLRTP 2025, every 2nd frame"
