"""Motions of corpora, and saved ones, as .pose files."""
from __future__ import annotations

import pytest
import torch

from prepare import to_poses
from soke.body.joints import SKELETON_50
from soke.data.storage.pose_files import read_pose
from soke.data.storage.saved import write_motion
from soke.errors import UserError
from soke.evaluation.pose_scores import score_poses
from tests.data.corpora.test_skels import random_positions
from tests.data.skels_writing import write_split
from tests.data.writing import random_motion, write_phoenix

pytest.importorskip("pose_format")


def test_rotations_of_corpora_and_saved_ones(tmp_path, capsys):
    write_phoenix(tmp_path / "phoenix", {"x": 8})
    common = [
        "--cfg", "configs/soke.yaml", "DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.csl=null",
        f"DATASET.CORPORA.phoenix.ROOT={tmp_path}/phoenix",
    ]
    to_poses.main([*common, "--out", str(tmp_path / "ref"), "--split", "val"])
    assert f"{tmp_path}/ref: 1 clips, 0 skipped" in capsys.readouterr().out
    read, depth, _ = read_pose(tmp_path / "ref" / "phoenix" / "dev" / "x.pose")
    assert depth and read.joints == SKELETON_50 and len(read) == 8
    write_motion(tmp_path / "saved" / "phoenix" / "dev" / "x.npz", random_motion(8, seed=0))
    to_poses.main([*common, "--out", str(tmp_path / "pred"), "--from", str(tmp_path / "saved")])
    scored = score_poses(tmp_path / "pred", tmp_path / "ref")  # the same motion
    (error,) = (s for s in scored.scores if (s.signature.name, s.signature.part) == ("DTW-JPE", "avg"))
    assert list(scored.clips) == ["phoenix/dev/x"] and error.values["shoulders"] == pytest.approx(0, abs=1e-3)
    with pytest.raises(UserError, match="not one clip could be written; it holds rotations"):
        to_poses.main([*common, "--out", str(tmp_path / "of_slrtp"), "--split", "val", "--form", "slrtp"])
    with pytest.raises(UserError, match="holds no saved motions"):
        to_poses.main([*common, "--out", str(tmp_path / "pred"), "--from", str(tmp_path / "phoenix")])


def test_positions_of_skels(tmp_path):
    write_split(tmp_path / "data", "test", [random_positions(5)])
    common = ["--cfg", "configs/skels/tokenizer.yaml", "--out", str(tmp_path / "out")]
    to_poses.main([*common, f"DATASET.CORPORA.skels.ROOT={tmp_path}/data"])
    read, *_ = read_pose(tmp_path / "out" / "skels" / "clip-0.pose")
    original = random_positions(5).positions
    width = (original[:, 2] - original[:, 5]).norm(dim=1).mean()
    torch.testing.assert_close(read.positions * width, original, atol=1e-3, rtol=0)
    (tmp_path / "table.yaml").write_text('JOINTS: [skeleton_body, skeleton_left_hand, skeleton_right_hand]\nUNIT: m\n')
    with pytest.raises(UserError, match="are in m, -y is up: only those of .skels files"):
        to_poses.main([*common, f"DATASET.CORPORA.skels.ROOT={tmp_path}/data",
                       f"DATASET.CORPORA.skels.JOINTS={tmp_path}/table.yaml"])
