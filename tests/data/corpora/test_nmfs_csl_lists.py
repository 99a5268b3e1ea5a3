"""The public lists of NMFs-CSL, read as they are."""
from __future__ import annotations

import pytest

from soke.data.corpora.nmfs_csl import NMFsCSL, SignLabel
from soke.errors import UserError
from tests.data.writing import random_motion, write_frames

TRAIN = """000/P01_s1_00.avi 0
000/P02_s1_00.avi 0
609/P01_s2_00.avi 609
610/P01_s3_00.avi 610
1066/P01_s4_00.avi 1066
7/P01_s5_00.avi 8
1067/P01_s6_00.avi 1067
one/P01_s7_00.avi 1
nothing.avi 3

610/P09_s3_00.avi 610
"""
TEST = "000/P03_s1_00.avi\n610/P09_s3_00.avi\nx/P03_s1_00.avi\n"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "traintestlist").mkdir()
    (tmp_path / "traintestlist" / "trainlist01.txt").write_text(TRAIN)
    (tmp_path / "traintestlist" / "testlist01.txt").write_text(TEST)
    for name in {line.split()[0].removesuffix(".avi") for line in (TRAIN + TEST).split("\n") if line}:
        write_frames(tmp_path / "poses" / name, random_motion(6))
    return tmp_path


def test_paths_and_labels(root):
    corpus = NMFsCSL(root)
    assert corpus.labels("train") == {
        "000/P01_s1_00": SignLabel(0, "0", "confusing"), "000/P02_s1_00": SignLabel(0, "0", "confusing"),
        "609/P01_s2_00": SignLabel(609, "609", "confusing"), "610/P01_s3_00": SignLabel(610, "610", "normal"),
        "1066/P01_s4_00": SignLabel(1066, "1066", "normal"),
    }
    assert {n: label.number for n, label in corpus.labels("test").items()} == {"000/P03_s1_00": 0, "610/P09_s3_00": 610}
    assert [c.text for c in corpus.clips("test")] == ["0", "610"] and corpus.clips("val") == []
    assert len(corpus.load(corpus.clips("test")[0])) == 6
    assert set(corpus.annotation_hashes()) == {"traintestlist/trainlist01.txt", "traintestlist/testlist01.txt"}


def test_what_does_not_match_is_listed(root):
    reasons = {s.name: s.reason for split in ("train", "test") for s in NMFsCSL(root).skipped(split)}
    assert reasons == {
        "trainlist01.txt line 6": "gives 7/P01_s5_00 the label 8, but its folder is that of class 7",
        "trainlist01.txt line 7": "has its folder '1067', which is none of the classes 0 to 1066",
        "trainlist01.txt line 8": "has its folder 'one', which is none of the classes 0 to 1066",
        "trainlist01.txt line 9": "is 'nothing.avi 3', not <class>/<clip>.ext <label>",
        "610/P09_s3_00": "the test split has it, too",
        "testlist01.txt line 3": "has its folder 'x', which is none of the classes 0 to 1066",
    }


def test_labels_that_are_all_of_another_count_are_one_sentence(root):
    """As lists that count classes from 1 have it."""
    shifted = "".join(f"{c}/P0{i}_s1_00.avi {c + 1}\n" for c in range(3) for i in range(2))
    (root / "traintestlist" / "trainlist01.txt").write_text(shifted)
    with pytest.raises(UserError, match="none of the 6 clips of split train can be used; .* the label 1, but its folder"):
        NMFsCSL(root).clips("train")


@pytest.mark.parametrize("header", ["path,label\n", ""])
def test_derived_lists(root, header):
    (root / "traintestlist" / "trainlist01.txt").unlink()
    (root / "uni_trainlist01.csv").write_text(f"{header}jpg_video/000/P01_s1_00,0\n/videos/610/P01_s3_00.mp4, 610\n")
    labels = NMFsCSL(root).labels("train")
    assert {name: label.number for name, label in labels.items()} == {"000/P01_s1_00": 0, "610/P01_s3_00": 610}


def test_no_annotation_names_the_files(root):
    for file in (root / "traintestlist").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="trainlist01.txt or .*uni_trainlist01.csv or .*nmfs_csl.csv does not exist"):
        NMFsCSL(root).clips("train")
