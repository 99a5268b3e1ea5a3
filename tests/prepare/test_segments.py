"""From annotations of isolated signs to a lexicon of segments."""
from __future__ import annotations

import pickle

import pytest
import torch

from prepare import segments
from soke.data.corpora.lexicon import Lexicon
from soke.errors import UserError
from tests.data.writing import random_motion, write_frames


def run(root, entries, language="CSL", more=()):
    (root / "iso.pkl").write_bytes(pickle.dumps(entries))
    segments.main(["--annotation", str(root / "iso.pkl"), "--language", language, "--fps", "30", "--frames",
                   str(root / "poses"), "--out", str(root / "lexicon/lexicon.csv"), *more])


def test_segments_join_the_isolated_signs(tmp_path):
    motion = random_motion(30)
    write_frames(tmp_path / "poses/S1", motion)
    (tmp_path / "lexicon").mkdir()
    (tmp_path / "lexicon/lexicon.csv").write_text("word,language,name,fps\nrain,ASL,rain-1,24\n")
    write_frames(tmp_path / "lexicon/poses/rain-1", random_motion(9))
    for _ in range(2):  # again changes nothing
        run(tmp_path, [{"label": "雨", "name": "S1_3_12", "start": 3, "end": 12, "video_file": "S1"}])
        lexicon = Lexicon(tmp_path / "lexicon")
        rain, segment = lexicon.clips("train")
        assert (rain.text, segment.text, segment.language, segment.fps) == ("rain", "雨", "CSL", 30.0)
        assert torch.equal(lexicon.load(segment).rotations, motion.rotations[3:12]) and len(lexicon.load(rain)) == 9


@pytest.mark.parametrize("change", [{"video_file": "../../etc"}, {"name": "/a"}, {"start": "soon"}, {"end": None}, {"end": 3.5}])
def test_entries_that_make_no_sense(tmp_path, change):
    entry = {"label": "雨", "name": "a", "start": 3, "end": 12, "video_file": "S1"}
    with pytest.raises(UserError, match="entry 1 of the annotation cannot be used"):
        run(tmp_path, [entry, {**entry, **change}])
    assert not (tmp_path / "lexicon").exists()


def test_two_signs_of_one_name_are_refused(tmp_path):
    """A table has one row of a name, and one of the signs would be lost."""
    entry = {"label": "雨", "name": "a", "start": 3, "end": 12, "video_file": "S1"}
    with pytest.raises(UserError, match="entries 0 and 2 of the annotation are both called a"):
        run(tmp_path, [entry, {**entry, "name": "b"}, {**entry, "start": 4}])


def test_a_table_keeps_what_it_holds(tmp_path):
    entry = {"label": "雨", "name": "a", "start": 3, "end": 12, "video_file": "S1"}
    table = tmp_path / "lexicon/lexicon.csv"
    table.parent.mkdir()
    table.write_text("word,language,name,fps,remark\nrain,ASL,rain-1,24,mine\n", encoding="utf-8")
    run(tmp_path, [entry])
    header, rain, _ = table.read_text(encoding="utf-8").splitlines()
    assert (header, rain) == ("word,language,name,fps,source,start,end,remark", "rain,ASL,rain-1,24,,,,mine")
    whole = table.read_text(encoding="utf-8") + "snow,ASL,snow-1\n"
    table.write_text(whole, encoding="utf-8")
    with pytest.raises(UserError, match="lexicon.csv line 4 has 3 fields, expected 8: mend or remove it"):
        run(tmp_path, [entry])
    with pytest.raises(UserError, match="--fps 0 is no frame rate of a recording"):
        run(tmp_path, [entry], more=["--fps", "0"])
    assert table.read_text(encoding="utf-8") == whole


def test_a_sign_language_may_be_that_of_a_corpus_of_one_s_own(tmp_path, monkeypatch):
    """And of no other: a typing error would make a lexicon that nobody reads."""
    entry = {"label": "rain", "name": "a", "start": 3, "end": 12, "video_file": "S1"}
    with pytest.raises(UserError, match="--language BSL is none of ASL, CSL, .*: for a sign language of your own name"):
        run(tmp_path, [entry], "BSL")
    (tmp_path / "segmented_bsl.py").write_text(
        "from soke.data.corpora.csl_daily import CSLDaily\nclass BSL(CSLDaily):\n    name, language = 'own', 'BSL'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = ["--cfg", "configs/soke.yaml", "DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.csl=null",
           "DATASET.CORPORA.phoenix=null", "DATASET.CORPORA.own.READER=segmented_bsl.BSL",
           f"DATASET.CORPORA.own.ROOT={tmp_path}"]
    with pytest.raises(UserError, match=r"--language bsl is none of .*, BSL \(did you mean BSL\?\)"):
        run(tmp_path, [entry], "bsl", own)
    assert not (tmp_path / "lexicon").exists()
    run(tmp_path, [entry], "BSL", own)
    (clip,) = Lexicon(tmp_path / "lexicon", known=["BSL"]).annotated("train")
    assert (clip.text, clip.language) == ("rain", "BSL")
