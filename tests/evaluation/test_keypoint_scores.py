"""nDTWp and DTWp of .pose files: pose-evaluation's own numbers where they are at hand, and faulty files."""
from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from soke.body.joints import SKELETON_50
from soke.data.storage.pose_files import write_pose
from soke.evaluation.keypoint_scores import score_hands
from soke.evaluation.pose_scores import score_poses
from soke.evaluation.score import main
from soke.run.config import ROOT
from tests.data.storage.test_pose_files import motion

pytest.importorskip("pose_format")
# Computed by pose-evaluation itself; its README says how.
GOLDEN = Path(os.environ.get("GOLDEN", ROOT.parent / "shared" / "golden"))


@pytest.mark.skipif(not (GOLDEN / "nDTWp").is_dir(), reason="pose-evaluation's numbers are not there")
def test_pose_evaluation_s_own_numbers(tmp_path: Path) -> None:
    """On files in which hands are lost; one of them has no hand in most of its frames, which other scores leave out."""
    expected = json.loads((GOLDEN / "nDTWp" / "scores.json").read_text())["scores"]
    for i, pair in enumerate(expected):
        for folder, file in (("pred", pair["hyp"]), ("ref", pair["ref"])):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copyfile(GOLDEN / "nDTWp" / file, tmp_path / folder / f"{i}.pose")
    scored = score_hands(tmp_path / "pred", tmp_path / "ref")
    assert len(scored.clips) == len(expected) == 3
    for i, pair in enumerate(expected):
        assert scored.clips[str(i)]["nDTWp hand shoulders"] == pytest.approx(pair["nDTWp"], rel=1e-5)
        assert scored.clips[str(i)]["DTWp untrimmed hand unit"] == pytest.approx(pair["DTWp_untrimmed"], rel=1e-5)


def test_faults_are_named_and_stop_nobody(tmp_path: Path, capsys) -> None:
    without = tuple(joint for joint in SKELETON_50 if joint != "left_shoulder")
    kept = [SKELETON_50.index(joint) for joint in without]
    for name in "abc":
        for folder, seed in (("pred", 0), ("ref", 1)):
            write_pose(tmp_path / folder / f"{name}.pose", motion(6, seed))
    write_pose(tmp_path / "pred" / "b.pose", replace(motion(6), positions=motion(6).positions[:, kept], joints=without))
    write_pose(tmp_path / "ref" / "c.pose", replace(motion(6), fps=50.0))
    (tmp_path / "pred" / "d.pose").write_bytes(b"nothing")
    shutil.copyfile(tmp_path / "ref" / "a.pose", tmp_path / "ref" / "d.pose")
    scored = score_hands(tmp_path / "pred", tmp_path / "ref")
    assert list(scored.clips) == ["a"] and scored.total == 4
    assert scored.unscored["b"].startswith("of the prediction, the shoulders were not seen")
    assert scored.unscored["c"] == "it has 25 frames/s, the reference 50; resample one to the other's rate"
    assert "d.pose is no .pose file" in scored.unscored["d"]
    assert {s.signature.name for s in scored.scores} == {"nDTWp", "DTWp", "DTWp untrimmed"}
    main(["--pred", str(tmp_path / "pred"), "--ref", str(tmp_path / "ref"), "--out", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    assert "hands: scored 1 of 4 clips" in shown and "nDTWp" in shown
    assert "velocity" not in shown and "nDTWp|hand" not in shown  # which all scores, with their signatures, have
    main(["--pred", str(tmp_path / "pred"), "--ref", str(tmp_path / "ref"), "--full"])
    shown = capsys.readouterr().out
    assert "velocity" in shown and "nDTWp|hand|align:shoulders" in shown
    cells = json.loads((tmp_path / "out" / "table.json").read_text())["cells"]
    assert [c["clips"] for c in cells if c["metric"] == "nDTWp"] == [1]


def test_of_several_people_the_first_is_scored_and_it_is_said(tmp_path: Path) -> None:
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody

    for name in "ab":
        write_pose(tmp_path / "ref" / f"{name}.pose", motion(6, 1))
        write_pose(tmp_path / "pred" / f"{name}.pose", motion(6, 0))
    alone = score_poses(tmp_path / "pred", tmp_path / "ref")
    hands = score_hands(tmp_path / "pred", tmp_path / "ref").clips
    file = tmp_path / "pred" / "b.pose"
    pose, other = (Pose.read(path.read_bytes()) for path in (file, tmp_path / "ref" / "b.pose"))
    both = (np.concatenate(sides, axis=1) for sides in zip(*((p.body.data, p.body.confidence) for p in (pose, other))))
    with file.open("wb") as stream:
        Pose(pose.header, NumPyPoseBody(25.0, *both)).write(stream)
    crowded = score_poses(tmp_path / "pred", tmp_path / "ref")
    assert crowded.clips == alone.clips
    assert score_hands(tmp_path / "pred", tmp_path / "ref").clips == hands
    told = "1 clips have a file that shows several people, of whom the first is scored; the first clip, b"
    assert told in crowded.notes and told not in alone.notes
