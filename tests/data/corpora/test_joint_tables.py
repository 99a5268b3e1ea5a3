"""Skeletons of other corpora, by a table of their joints."""
from __future__ import annotations

import pytest
import torch

from soke.body.joints import SKELETON_50, SKELETON_RIGHT_HAND
from soke.data.clip import ClipError
from soke.data.corpora.joint_tables import JointTable, read_joint_table
from soke.data.corpora.skels import SkelsCorpus
from soke.errors import UserError
from soke.run.config import ROOT
from tests.data.corpora.test_skels import random_positions
from tests.data.skels_writing import write_split

SLRTP = ROOT / "configs" / "joints" / "slrtp_178.yaml"


def table(tmp_path, text: str) -> JointTable:
    (tmp_path / "table.yaml").write_text(text, encoding="utf-8")
    return read_joint_table(tmp_path / "table.yaml")


def write_numbers(root, frames: torch.Tensor) -> None:
    """One clip of frames [T, numbers]."""
    (root / "train.skels").write_text(" ".join(f"{value:.6f}" for value in frames.flatten().tolist()) + "\n")
    (root / "train.text").write_text("satz\n")
    (root / "train.files").write_text("train/a\n")


def test_slrtps_178_joints(tmp_path):
    joints = read_joint_table(SLRTP)
    assert (len(joints.joints), joints.width, joints.counter) == (178, 534, False)
    assert joints.joints[3] == "left_shoulder" and joints.joints[8:29] == SKELETON_RIGHT_HAND
    assert joints.joints[50] == "face1" and joints.joints[177] == "face128"
    frames = torch.randn(6, 178, 3)
    write_numbers(tmp_path, frames.flatten(1))
    corpus = SkelsCorpus(tmp_path, joints=joints)
    (clip,) = corpus.clips("train")
    assert corpus.length(clip) == 6
    motion = corpus.load(clip)
    assert motion.joints == joints.joints
    torch.testing.assert_close(motion.positions, frames, atol=1e-6, rtol=0)


def test_joints_are_left_out_scaled_and_counted(tmp_path):
    joints = table(tmp_path, 'JOINTS: [{skip: 2}, neck, {skip: 1}, left_wrist]\nSCALE: 2\nUNIT: m\nUP: "+y"\n')
    assert (joints.kept, joints.width) == (("neck", "left_wrist"), 16)
    frames = torch.randn(4, 5, 3)
    counter = torch.arange(4)[:, None] / 4
    write_numbers(tmp_path, torch.cat([frames.flatten(1), counter], 1))
    corpus = SkelsCorpus(tmp_path, joints=joints)
    assert (corpus.unit, corpus.up) == ("m", "+y")
    motion = corpus.load(corpus.clips("train")[0])
    assert motion.joints == ("neck", "left_wrist")
    torch.testing.assert_close(motion.positions, 2 * frames[:, [2, 4]], atol=1e-5, rtol=0)
    write_numbers(tmp_path, torch.cat([frames.flatten(1), counter.flip(0)], 1))
    with pytest.raises(ClipError, match="its counter follows none of"):
        SkelsCorpus(tmp_path, joints=joints).load(corpus.clips("train")[0])


def test_a_table_of_the_50_joints_reads_what_is_read_without(tmp_path):
    write_split(tmp_path, "train", [random_positions(6)])
    joints = table(tmp_path, "JOINTS: [skeleton_body, skeleton_left_hand, skeleton_right_hand]\nSCALE: 3\n")
    assert joints.joints == SKELETON_50
    plain, by_table = SkelsCorpus(tmp_path), SkelsCorpus(tmp_path, joints=joints)
    assert torch.equal(*(corpus.load(corpus.clips("train")[0]).positions for corpus in (plain, by_table)))


@pytest.mark.parametrize("joints", [
    "skeleton_body, skeleton_left_hand, skeleton_right_hand", "skeleton_body, {skip: 21}, skeleton_right_hand",
])
@pytest.mark.parametrize("divisor", [3, 9])
def test_the_50_joints_without_a_counter_tell_their_scale(tmp_path, joints, divisor):
    motion, there = random_positions(6), table(tmp_path, f"JOINTS: [{joints}]\nCOUNTER: false\n")
    numbers = motion.positions.flatten(1) / divisor
    write_numbers(tmp_path, torch.where(numbers == 0, 0.016, numbers) if divisor == 9 else numbers)
    corpus = SkelsCorpus(tmp_path, joints=there)
    expected = motion.positions[:, [SKELETON_50.index(joint) for joint in there.kept]]
    torch.testing.assert_close(corpus.load(corpus.clips("train")[0]).positions, expected, atol=1e-5, rtol=0)
    of_metres = table(tmp_path, f"JOINTS: [{joints}]\nUNIT: m\n")
    assert (there.scale, of_metres.scale) == (None, 1.0)


@pytest.mark.parametrize(("text", "fault"), [
    ("[", "is no YAML"),
    ("NAMES: [neck]", r"holds no joint table: write JOINTS"),
    ("JOINTS: neck", "JOINTS must be a list of names, not 'neck'"),
    ("JOINTS: []", "JOINTS names no joint"),
    ("JOINTS: [{skip: 4}]", "JOINTS names no joint"),
    ("JOINTS: [neck, nose, neck]", "JOINTS names neck twice"),
    ("JOINTS: [skeleton_body, left_wrist]", "JOINTS names left_wrist twice"),
    ("JOINTS: [{face: 0}]", r"\{'face': 0\} in JOINTS is neither a name nor a run of joints"),
    ("JOINTS: [3]", "3 in JOINTS is neither"),
    ("JOINTS: [neck]\nSKALE: 2", r"SKALE is none of .* \(did you mean SCALE\?\)"),
    ("JOINTS: [neck]\nSCALE: 0", "SCALE must be a number above 0, not 0"),
    ("JOINTS: [neck]\nSCALE: .nan", "SCALE must be a number above 0, not nan"),
    ("JOINTS: [neck]\nCOUNTER: 1", "COUNTER must be true or false, not 1"),
    ("JOINTS: [neck]\nUP: y", r"UP must be one of \+y, -y, not 'y'"),
    ("JOINTS: [neck]\nUNIT: 3", "UNIT must be a name"),
])
def test_tables_that_make_no_sense(tmp_path, text, fault):
    with pytest.raises(UserError, match=rf"table.yaml.*{fault}"):
        table(tmp_path, text)


def test_a_line_of_another_width_says_who_may_read_it(tmp_path):
    write_numbers(tmp_path, torch.rand(4, 534))
    for joints, hint in ((None, "other skeletons are read with a table, JOINTS"), (read_joint_table(SLRTP), None)):
        corpus = SkelsCorpus(tmp_path, joints=joints)
        clip = corpus.clips("train")[0]
        if hint is None:
            assert len(corpus.load(clip)) == 4
        else:
            with pytest.raises(ClipError, match=rf"2136 numbers, .* of 151 \(50 joints and a counter\); {hint}"):
                corpus.load(clip)
    write_numbers(tmp_path, torch.rand(4, 385))
    with pytest.raises(ClipError, match="385, which READER: soke.data.corpora.dwpose.DwposeCorpus reads"):
        SkelsCorpus(tmp_path).load(clip)
