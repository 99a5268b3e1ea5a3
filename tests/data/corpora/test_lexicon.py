"""A lexicon beside the corpora whose sentences its signs are looked up for: nothing of val and test gets into it."""
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from prepare import check_data
from prepare.pack_poses import pack
from soke.data.codes import sign_digests
from soke.data.corpora.base import frame_files_alone
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.lexicon import Lexicon, SentenceClips, annotated_clips, german_glosses
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.recordings import Recording, without_held_out
from soke.errors import UserError
from tests.data.writing import random_motion, write_entries, write_frames, write_how2sign, write_how2sign_frames

PLACES = {"train": "train/a-1", "val": "dev/b-2", "test": "test/c-3"}


@pytest.fixture
def phoenix(tmp_path) -> Phoenix14T:
    """A clip of each split."""
    root = tmp_path / "Phoenix"
    for name in PLACES.values():
        split = name.split("/")[0]
        write_entries(root / f"phoenix14t.{split}", [{"name": name, "gloss": "REGEN ÜBER", "text": "es regnet"}])
        write_frames(root / name, random_motion(30), "images{:04d}.pkl")
    return Phoenix14T(root)


def write_lexicon(root: Path, *rows: str) -> Path:
    """A lexicon of these rows of word,language,name,source; those without a source get frames."""
    lines = []
    for row in rows:
        word, language, name, source = row.split(",")
        lines.append(f"{word},{language},{name},25,{source},{'5,15' if source else ','}")
        if not source:
            write_frames(root / "poses" / name, random_motion(9))
    root.mkdir(exist_ok=True)
    (root / "lexicon.csv").write_text("\n".join(["word,language,name,fps,source,start,end", *lines]) + "\n")
    return root


def names(lexicon: Lexicon) -> list[str]:
    return [clip.name for clip in lexicon.clips("train")]


def test_signs_cut_from_val_and_test_are_refused_and_words_keep_their_other_recordings(tmp_path, phoenix):
    root = write_lexicon(
        tmp_path / "lexicon", "regen,DGS,r1,../Phoenix/dev/b-2", "regen,DGS,r2,../Phoenix/train/a-1", "regen,DGS,r3,",
        f"wind,DGS,w1,{tmp_path}/Phoenix/test/../test/c-3", "sonne,DGS,s1,",
    )
    lexicon = Lexicon(root, corpora=[phoenix])
    assert names(lexicon) == ["r2", "r3", "s1"]
    assert {s.name: s.reason for s in lexicon.skipped("train")} == {
        "r1": "it is cut from a clip of split val, phoenix/dev/b-2",
        "w1": "it is cut from a clip of split test, phoenix/test/c-3",
    }
    sources = [lexicon.source(clip) for clip in lexicon.clips("train")]
    assert sources == ["phoenix/train/a-1", None, None]
    assert names(Lexicon(root)) == ["r1", "r2", "r3", "w1", "s1"]  # with no corpus to be looked up for
    assert Lexicon(root).source(Lexicon(root).clips("train")[1]) == "../Phoenix/train/a-1"


def test_a_copy_of_the_corpus_and_a_link_to_it_are_seen_through(tmp_path, phoenix):
    shutil.copytree(tmp_path / "Phoenix", tmp_path / "copy")
    os.symlink(tmp_path / "Phoenix/test", tmp_path / "linked")
    lexicon = write_lexicon(
        tmp_path / "lexicon", "regen,DGS,r1,../copy/test/c-3", "regen,DGS,r2,../linked/c-3",
        "rain,ASL,r3,../linked/c-3", "rain,ASL,r4,../copy/test/c-3", "regen,DGS,r5,../copy/train/a-1",
    )
    assert names(Lexicon(lexicon, corpora=[phoenix])) == ["r4", "r5"]  # in a copy, names are those of a language


def test_a_packed_lexicon_refuses_them_too(tmp_path, phoenix):
    root = write_lexicon(
        tmp_path / "lexicon", "regen,DGS,r1,../Phoenix/dev/b-2", "regen,DGS,r2,../Phoenix/train/a-1", "regen,DGS,r3,"
    )
    store = pack(Lexicon(root), root / "packed", workers=0)
    assert len(store.clips("train")) == 3
    lexicon = Lexicon(root, corpora=[phoenix])
    assert names(lexicon) == ["r2", "r3"] and [s.name for s in lexicon.skipped("train")] == ["r1"]
    assert lexicon.source(lexicon.clips("train")[0]) == "phoenix/train/a-1"


def test_packed_signs_tell_all_that_the_annotation_says_wherever_they_are(tmp_path, phoenix):
    """Cut ones, one without frames, which is not packed, and one of a split that is held out."""
    root = write_lexicon(
        tmp_path / "lexicon", "regen,DGS,r1,../Phoenix/train/a-1", "wind,DGS,w1,../gone", "wind,DGS,w2,../Phoenix/dev/b-2",
        "sonne,DGS,s1,",
    )
    lexicon, moved = Lexicon(root, corpora=[phoenix]), tmp_path / "moved"
    pack(lexicon, root / "packed", workers=0)
    shutil.copytree(root / "packed", moved / "packed")
    for place in (root, moved):
        packed = Lexicon(place, corpora=[phoenix])
        assert [(c.name, packed.segment(c), packed.source(c)) for c in packed.clips("train")] == [
            ("r1", (5, 15), "phoenix/train/a-1"), ("s1", None, None)
        ]
        assert sign_digests(packed) == sign_digests(lexicon)
    (moved / "packed/lexicon.csv").unlink()  # as earlier versions packed
    assert names(Lexicon(moved, corpora=[phoenix])) == ["r1", "w2", "s1"]


def test_signs_are_packed_again_when_other_frames_of_a_clip_are_theirs(tmp_path, phoenix):
    root = write_lexicon(tmp_path / "lexicon", "regen,DGS,r1,../Phoenix/train/a-1")
    pack(Lexicon(root), root / "packed", workers=0)
    table = root / "lexicon.csv"
    table.write_text(table.read_text().replace("5,15", "7,19"))
    with frame_files_alone():
        lexicon = Lexicon(root)
    pack(lexicon, root / "packed", workers=0)
    packed = Lexicon(root)
    (sign,), (own,) = packed.clips("train"), lexicon.clips("train")
    assert packed.segment(sign) == (7, 19)
    assert torch.equal(packed.load(sign).rotations, lexicon.load(own).rotations)


def test_a_packed_corpus_is_known_without_its_annotation(tmp_path, phoenix):
    pack(phoenix, phoenix.packed, workers=0)
    (tmp_path / "Phoenix/phoenix14t.dev").unlink()
    root = write_lexicon(tmp_path / "lexicon", "regen,DGS,r1,../Phoenix/dev/b-2", "regen,DGS,r3,")
    assert names(Lexicon(root, corpora=[Phoenix14T(tmp_path / "Phoenix")])) == ["r3"]


def test_a_split_that_cannot_be_listed_is_said(tmp_path, phoenix, caplog):
    (tmp_path / "Phoenix/phoenix14t.test").unlink()
    assert annotated_clips(phoenix, "test") == [] and len(annotated_clips(phoenix, "val")) == 1
    assert "split test of phoenix is not looked at" in caplog.text


def test_when_nothing_is_left_the_first_reason_is_told(tmp_path, phoenix):
    root = write_lexicon(tmp_path / "lexicon", "regen,DGS,r1,../Phoenix/dev/b-2")
    with pytest.raises(UserError, match="none of the 1 clips .* r1: it is cut from a clip of split val"):
        Lexicon(root, corpora=[phoenix]).clips("train")


def test_the_check_lists_them_as_faults(tmp_path, phoenix, capsys):
    write_lexicon(tmp_path / "lexicon", "regen,DGS,r1,../Phoenix/dev/b-2", "regen,DGS,r3,")
    roots = [f"DATASET.CORPORA={{phoenix: {{ROOT: {phoenix.root}}}}}", f"DATASET.LEXICON={tmp_path / 'lexicon'}"]
    with pytest.raises(SystemExit) as end:
        check_data.main(["--cfg", "configs/soke.yaml", "--workers", "0", "--out", str(tmp_path / "out"), *roots])
    assert end.value.code == 1 and "cut from a clip of split val" in capsys.readouterr().out
    faulty = (tmp_path / "out/lexicon/faulty_clips.tsv").read_text(encoding="utf-8").splitlines()
    assert faulty[1:] == ["train\tr1\tit is cut from a clip of split val, phoenix/dev/b-2"]
    report = json.loads((tmp_path / "out/lexicon/report.json").read_text(encoding="utf-8"))
    assert report["splits"]["train"]["used"] == 1 and report["splits"]["train"]["skipped"] == 1


def test_of_two_rows_of_a_name_the_first_counts(tmp_path, phoenix):
    root = write_lexicon(
        tmp_path / "lexicon", "regen,DGS,r1,", "regen,DGS,r1,../Phoenix/test/c-3", "wind,DGS,w1,../Phoenix/train/a-1/",
        "wind,DGS,w1,../Phoenix/test/c-3",
    )
    lexicon = Lexicon(root, corpora=[phoenix])
    r1, w1 = lexicon.clips("train")
    assert (len(lexicon.load(r1)), len(lexicon.load(w1))) == (9, 10)
    assert (lexicon.source(r1), lexicon.source(w1)) == (None, "phoenix/train/a-1")
    assert Lexicon(root).source(w1) == "../Phoenix/train/a-1"  # without the stroke at its end


def test_only_signs_of_the_languages_that_are_asked_for(tmp_path):
    root = write_lexicon(tmp_path / "lexicon", "regen,DGS,r1,", "rain,ASL,r2,", "下雨,CSL,r3,")
    lexicon = Lexicon(root, languages=["ASL", "CSL"])
    assert names(lexicon) == ["r2", "r3"]
    assert lexicon.dropped("train") == {"of a sign language that no corpus has": 1} and not lexicon.skipped("train")


def test_of_two_clips_of_a_name_the_held_out_one_is_found(tmp_path):
    for split in ("train", "val"):
        write_how2sign(tmp_path, split, [("same", 0, 1, "rain")], 24)
        write_how2sign_frames(tmp_path, split, "same", random_motion(8))
    write_how2sign(tmp_path, "test", [("other", 0, 1, "rain")], 24)
    clips = SentenceClips([How2Sign(tmp_path)])
    assert clips.find("/elsewhere/same", "ASL").split == "val" and clips.find("/elsewhere/same", "DGS") is None
    assert clips.find(tmp_path / "train/poses/same", "ASL").split == "val"  # the name may be a copy's
    assert clips.find(tmp_path / "train/poses/same", "CSL").split == "train"


def test_tables_made_without_the_corpora_are_sieved(phoenix, caplog):
    clips = SentenceClips([phoenix])
    words = {
        "regen": [Recording("a", None, "phoenix/dev/b-2"), Recording("b", None, "../P/train/a-1")],
        "wind": [Recording("c", None, "../Phoenix/test/c-3")], "sonne": [Recording("d", None)],
    }
    kept = without_held_out(words, "DGS", clips)
    assert {word: [r.name for r in recordings] for word, recordings in kept.items()} == {"regen": ["b"], "sonne": ["d"]}
    assert "2 signs of DGS are not used; the first: a, cut from phoenix/dev/b-2 of split val" in caplog.text


def test_german_glosses_are_written_as_in_the_published_table(phoenix):
    assert german_glosses([phoenix]) == {"regen", "ueber"}
