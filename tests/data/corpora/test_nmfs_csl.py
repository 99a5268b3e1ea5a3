"""NMFs-CSL: isolated signs with labels and subsets."""
from __future__ import annotations

import pytest

from prepare.pack_poses import pack
from soke.data.corpora.nmfs_csl import NMFsCSL, SignLabel
from tests.data.writing import random_motion, write_frames

ROWS = """name,split,label,word,subset,signer
s1/a,train,0,高兴,confusing,1
s1/b,train,1,水,normal,1
s2/a,test,0,高兴,confusing,2
s2/b,test,x,水,normal,2
s2/c,test,1,水,strange,2
s2/d,test,1,火,normal,2
s2/e,extra,1,水,normal,2
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "nmfs_csl.csv").write_text(ROWS, encoding="utf-8")
    for line in ROWS.splitlines()[1:]:
        write_frames(tmp_path / "poses" / line.split(",")[0], random_motion(12))
    return tmp_path


@pytest.mark.parametrize("packed", [False, True])
def test_labels_and_subsets(root, packed):
    if packed:
        pack(NMFsCSL(root), root / "packed", workers=0)
    corpus = NMFsCSL(root)
    assert [(c.name, c.text, c.gloss, c.signer, c.language) for c in corpus.clips("train")] == [
        ("s1/a", "高兴", "高兴", "1", "CSL"), ("s1/b", "水", "水", "1", "CSL")
    ]
    assert corpus.labels("train") == {"s1/a": SignLabel(0, "高兴", "confusing"), "s1/b": SignLabel(1, "水", "normal")}
    assert [c.name for c in corpus.subset("train", "normal")] == ["s1/b"]
    assert [c.name for c in corpus.subset("test", "confusing")] == ["s2/a"]
    assert len(corpus.load(corpus.clips("test")[0])) == 12
    with pytest.raises(ValueError, match="no subset odd; the subsets are normal, confusing"):
        corpus.subset("train", "odd")


def test_groups_of_signs_that_share_their_hands(root):
    table = root / "nmfs_csl.csv"
    rows = [line + f",{group}" for line, group in zip(ROWS.splitlines(), ["group", "g1", "", "g1"])]
    table.write_text("\n".join([*rows, "s3/a,test,0,高兴,confusing,2,g2"]) + "\n", encoding="utf-8")
    corpus = NMFsCSL(root)
    assert corpus.labels("train") == {
        "s1/a": SignLabel(0, "高兴", "confusing", "g1"), "s1/b": SignLabel(1, "水", "normal", "")
    }
    assert {s.name: s.reason for s in corpus.skipped("test")} == {
        "s3/a": "its label belongs to another word, subset or group, too"
    }


def test_what_is_tested_is_not_trained_on(root):
    table = root / "nmfs_csl.csv"
    table.write_text(ROWS + "s1/a,test,0,高兴,confusing,1\n", encoding="utf-8")
    corpus = NMFsCSL(root)
    assert [clip.name for clip in corpus.clips("train")] == ["s1/b"]
    assert "s1/a" in [clip.name for clip in corpus.clips("test")]
    assert {s.name: s.reason for s in corpus.skipped("train")}["s1/a"] == "the test split has it, too"


def test_of_rows_of_one_name_the_clip_s_own_gives_the_label(root):
    """The first that makes sense: not 1 of a later row, nor the fault of an earlier one."""
    rows = "s1/a,train,1,水,normal,1\ns1/c,train,?,水,normal,1\ns1/c,train,1,水,normal,1\n"
    (root / "nmfs_csl.csv").write_text(ROWS + rows, encoding="utf-8")
    write_frames(root / "poses/s1/c", random_motion(12))
    corpus = NMFsCSL(root)
    assert {name: label.number for name, label in corpus.labels("train").items()} == {"s1/a": 0, "s1/b": 1, "s1/c": 1}
    assert [clip.text for clip in corpus.clips("train")] == ["高兴", "水", "水"]


def test_faulty_rows_are_listed(root):
    corpus = NMFsCSL(root)
    reasons = {s.name: s.reason for split in ("train", "test") for s in corpus.skipped(split)}
    assert reasons.keys() == {"s2/b", "s2/c", "s2/d", "s2/e"}
    assert "label 'x', which is no whole number" in reasons["s2/b"]
    assert "subset 'strange', which is none of normal, confusing" in reasons["s2/c"]
    assert "its label belongs to another word" in reasons["s2/d"]
    assert "split 'extra'" in reasons["s2/e"]
