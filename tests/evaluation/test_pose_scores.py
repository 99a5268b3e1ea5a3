"""Scores of .pose files: of the joints that all have, in widths of the shoulders."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from soke.body.joints import SKELETON_50, SKELETON_LEFT_HAND
from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.data.storage.pose_files import PoseFile, write_pose
from soke.errors import UserError
from soke.evaluation import pose_scores
from soke.evaluation.pose_scores import score_poses
from soke.evaluation.score import main
from soke.metrics.joint_sets import track_of
from soke.metrics.keypoint_dtw import KeypointDTW
from soke.metrics.motion_scores import MotionScores
from tests.data.storage.test_pose_files import motion

pytest.importorskip("pose_format")


def test_scores_are_those_of_the_motions(tmp_path, capsys):
    """What is scored of the files is what the metrics give of the motions themselves."""
    preds, refs = ({f"s/{i}": motion(7 + i, 10 * side + i) for i in range(3)} for side in (0, 1))
    for folder, motions in (("pred", preds), ("ref", refs)):
        for name, each in motions.items():
            write_pose(tmp_path / folder / f"{name}.pose", each)
    body = Skeleton(SKELETON_50, "shoulders", "-y")
    expected = MotionScores.of(body)
    expected.metrics = [metric for metric in expected.metrics if not isinstance(metric, KeypointDTW)]  # of files alone
    expected.update(list(refs), *([track_of(body, each[name]) for name in refs] for each in (preds, refs)))
    scored = score_poses(tmp_path / "pred", tmp_path / "ref")
    assert scored.total == len(scored.clips) == 3 and not scored.unscored
    for ours, theirs in zip(scored.scores, expected.scores(), strict=True):
        assert (ours.signature.name, ours.signature.part) == (theirs.signature.name, theirs.signature.part)
        assert ours.values == pytest.approx(theirs.values, rel=1e-4)
    main(["--pred", str(tmp_path / "pred"), "--ref", str(tmp_path / "ref"), "--out", str(tmp_path / "out")])
    assert "shoulders" in capsys.readouterr().out
    cells = json.loads((tmp_path / "out" / "table.json").read_text())["cells"]
    assert {cell["signature"]["inputs"] for cell in cells} == {"pose xyz"}
    assert {cell["signature"]["body"] for cell in cells if "DTWp" not in cell["metric"]} == {"skeleton-50"}


def test_sizes_of_pictures_change_nothing(tmp_path):
    one = motion(8)
    write_pose(tmp_path / "pred" / "a.pose", replace(one, positions=3 * one.positions))
    write_pose(tmp_path / "ref" / "a.pose", one)
    scored = score_poses(tmp_path / "pred", tmp_path / "ref")
    (error,) = (s for s in scored.scores if (s.signature.name, s.signature.part) == ("DTW-JPE", "body"))
    assert error.values["shoulders"] == pytest.approx(0, abs=1e-4)


def test_clips_of_which_a_joint_was_hardly_seen_are_left_out(tmp_path):
    kept = [i for i, joint in enumerate(SKELETON_50) if joint not in SKELETON_LEFT_HAND]
    for folder in ("pred", "ref"):
        for i in range(2):
            write_pose(tmp_path / folder / f"{i}.pose", motion(6, i))
    one = JointMotion(motion().positions[:, kept], tuple(SKELETON_50[i] for i in kept), 25.0)
    write_pose(tmp_path / "pred" / "1.pose", one)
    write_pose(tmp_path / "pred" / "2.pose", motion())
    (tmp_path / "ref" / "3.pose").write_bytes(b"nothing")
    (tmp_path / "pred" / "3.pose").write_bytes(b"nothing")
    scored = score_poses(tmp_path / "pred", tmp_path / "ref")
    assert list(scored.clips) == ["0"] and scored.total == 3
    assert scored.unscored["1"].startswith("left_hand_index1 and others was seen in fewer than half")
    assert scored.unscored["2"] == "there is no reference for this prediction"
    assert "3.pose is no .pose file" in scored.unscored["3"]


def test_joints_that_one_file_does_not_have_are_named(tmp_path, monkeypatch):
    def read(path):
        whole = motion(5, int(path.stem))
        if (path.parent.name, path.stem) != ("pred", "1"):
            return PoseFile(whole, True, 1)
        kept = [i for i, joint in enumerate(SKELETON_50) if joint not in SKELETON_LEFT_HAND]
        return PoseFile(JointMotion(whole.positions[:, kept], tuple(SKELETON_50[i] for i in kept), whole.fps), True, 1)

    monkeypatch.setattr(pose_scores, "read_pose", read)
    for name in ("pred/0", "pred/1", "ref/0", "ref/1"):
        (tmp_path / f"{name}.pose").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.pose").touch()
    scored = score_poses(tmp_path / "pred", tmp_path / "ref")
    assert len(scored.clips) == 2 and not {s.signature.part for s in scored.scores} & {"left hand", "hand"}
    note = "left_hand_root and 20 others of the joints are scored of no clip, as some files do not have them"
    assert note in scored.notes


def test_files_without_references(tmp_path):
    write_pose(tmp_path / "pred" / "a.pose", motion())
    with pytest.raises(UserError, match="give the folder of their references with --ref"):
        score_poses(tmp_path / "pred", None)
    assert torch.isfinite(motion().positions).all()
