"""The survey of a corpus: what it counts, and what it prints and writes."""
from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch

from prepare import check_data
from prepare.pack_poses import pack
from prepare.survey import Moments, kind_of, survey
from soke.body import Motion
from soke.data.corpora.base import frame_files_alone
from soke.data.corpora.phoenix14t import Phoenix14T
from tests.data.writing import random_motion, write_entries, write_frames, write_how2sign, write_how2sign_frames


@pytest.fixture
def root(tmp_path):
    """Four training clips, of which three are damaged or odd, and a test split that repeats a sentence."""
    entries = [{"name": f"train/{n}", "text": t, "gloss": "A B", "signer": "1"} for n, t in
               (("a", "es regnet"), ("b", "es schneit"), ("c", "gone"), ("d", "cut"), ("e", ""))]
    write_entries(tmp_path / "phoenix14t.train", entries)
    write_entries(tmp_path / "phoenix14t.test", [{"name": "test/a", "text": "es regnet"},
                                                 {"name": "test/b", "text": "sonne"}])
    for seed, name in enumerate(("train/a", "train/b", "train/d", "train/e", "test/a", "test/b")):
        motion = random_motion(20 + seed, seed)
        motion.rotations.mul_(0.01)
        motion.rotations[:, 1:4] = 0
        write_frames(tmp_path / name, motion, "images{:04d}.pkl")
    (tmp_path / "train/a/images0005.pkl").unlink()
    (tmp_path / "train/d/images0002.pkl").write_bytes(b"\x80")
    return tmp_path


def test_counts_and_faults(root):
    found = survey(Phoenix14T(root))
    train, test = found.splits["train"], found.splits["test"]
    assert (train.annotated, len(train.clips), len(train.skipped), len(train.broken)) == (5, 2, 2, 1)
    assert train.gaps == {"train/a": 1} and train.frames == [19, 21]
    assert "phoenix14t.dev does not exist" in found.absent["val"] and not found.sound
    assert (test.annotated, len(test.clips)) == (2, 2)
    assert found.text.unseen == {"test": pytest.approx(1 / 3)} and found.text.leaked == {"test": 1}
    assert (found.text.distinct, found.text.glosses, found.text.signers) == (3, 2, 1)
    constant = found.constant(1e-6)
    assert constant["left_hip"] == constant["right_hip"] == constant["spine1"] == 3 and "neck" not in constant


def test_values_agree_with_all_at_once(root):
    corpus = Phoenix14T(root)
    found = survey(corpus, workers=2)
    clips = [clip for clip in corpus.clips("train") if clip.name != "train/d"]
    values = np.concatenate([corpus.load(clip).rotations.flatten(1).numpy() for clip in clips]).astype(np.float64)
    np.testing.assert_allclose(found.values.mean[:165], values.mean(0), atol=1e-9)
    np.testing.assert_allclose(found.values.std[:165], values.std(0), atol=1e-9)


def test_moments_of_numbers_far_from_zero():
    rows = 1e6 + np.random.default_rng(0).standard_normal((1000, 3))
    moments = Moments(0, rows[0], np.zeros(3), np.zeros(3))
    for block in np.split(rows, 7 * [0] + [300, 301]):
        moments.add(block)
    np.testing.assert_allclose(moments.std, rows.std(0), rtol=1e-6)


def test_odd_values_are_named(tmp_path):
    entries = [{"name": f"train/{n}", "text": "x"} for n in ("turned", "jumps", "face", "wraps", "still")]
    write_entries(tmp_path / "phoenix14t.train", entries)
    for entry in entries:
        motion = random_motion(10)
        motion.rotations.zero_()
        motion.expression.zero_()
        if entry["name"] != "train/still":
            motion.rotations[:, 40, 0] = torch.linspace(0, 0.1, 10)
        if entry["name"] == "train/turned":
            motion.rotations[:, 12, 0] = 7.0
        elif entry["name"] == "train/jumps":
            motion.rotations[4:, 16, 1] = 2.0
        elif entry["name"] == "train/face":
            motion.expression[3, 2] = -11.0
        elif entry["name"] == "train/wraps":  # from pi to -pi is no jump
            motion.rotations[:5, 0, 2], motion.rotations[5:, 0, 2] = 3.14, -3.14
        write_frames(tmp_path / entry["name"], motion)
    notes = dict(survey(Phoenix14T(tmp_path)).splits["train"].notes)
    assert notes == {
        "train/turned": "neck is turned by 7.0 rad in frame 0",
        "train/jumps": "left_shoulder jumps by 2.0 rad after frame 3",
        "train/face": "an expression coefficient of 11.0",
        "train/still": "no joint moves in it: all its frames are one",
    }


def test_packed_frames_that_are_no_longer_those_that_were_packed_are_faulty(root):
    with frame_files_alone():
        pack(Phoenix14T(root), root / "packed", workers=0)
    corpus = Phoenix14T(root)
    assert [clip.name for clip in survey(corpus).splits["train"].broken] == []
    shard = corpus.clips("train")[0].frames
    content = bytearray(shard.read_bytes())
    content[-400:] = bytes(400)  # of the last clip; a copy that broke off may leave zeros
    shard.write_bytes(bytes(content))
    (broken,) = survey(Phoenix14T(root)).splits["train"].broken
    assert broken.name == "train/b" and "train-00000.npy does not hold the numbers that were packed" in broken.reason


def test_rates_that_the_annotated_times_contradict_are_told(tmp_path, capsys):
    """A table without frame rates, whose clips are of 24, 25 and 30."""
    rows, frames = [("a", 0, 4, "x"), ("b", 4, 8, "x"), ("c", 8, 12, "x")], {"a": 96, "b": 100, "c": 120}
    write_how2sign(tmp_path, "train", rows)
    for name, count in frames.items():
        write_how2sign_frames(tmp_path, "train", name, random_motion(count))
    (tmp_path / "train/poses/b/b_7_3D.pkl").unlink()
    assert run(tmp_path / "out", how2sign=tmp_path) == 1, "there is no other split"
    said = "train: 1 last longer or shorter than annotated: is their frame rate right? (e.g. c: 1.20 times)"
    assert said in " ".join(capsys.readouterr().out.split())
    odd = (tmp_path / "out/how2sign/odd_clips.tsv").read_text(encoding="utf-8")
    assert "train\tc\tits frames last 1.20 times as long as annotated" in odd and odd.count("as long") == 1


def test_clips_that_are_in_two_splits_under_whatever_names_are_told(tmp_path, capsys):
    for split, names in (("train", "ab"), ("val", "c"), ("test", "de")):
        write_how2sign(tmp_path, split, [(name, 0, 1, f"sentence {name}") for name in names], fps=24.0)
        for name in names:
            write_how2sign_frames(tmp_path, split, name, random_motion(24, seed={"d": 1, "b": 1}.get(name, ord(name))))
    run(tmp_path / "out", how2sign=tmp_path)
    assert "test: 1 have the very frames of another clip (e.g. d: train b)" in " ".join(capsys.readouterr().out.split())
    odd = (tmp_path / "out/how2sign/odd_clips.tsv").read_text(encoding="utf-8")
    assert "test\td\tits frames are those of train b" in odd and odd.count("are those of") == 1


def test_like_reasons_fall_together():
    assert kind_of("clip a: /x/images0001.pkl holds nan in smplx_expr") == kind_of("clip b: /y/2.pkl holds nan in "
                                                                                   "smplx_expr")


def test_the_command(root, tmp_path, capsys):
    out = tmp_path / "report"
    arguments = ["--cfg", "configs/deto.yaml", "--out", str(out), "--workers", "0", "DATASET.CORPORA.how2sign.ROOT=/no",
                 f"DATASET.CORPORA.phoenix.ROOT={root}", "DATASET.CORPORA.csl.ROOT=/no", "DATASET.LEXICON=null"]
    with pytest.raises(SystemExit):
        check_data.main([*arguments, "--workers", "-1"])
    assert "argument --workers: '-1' is no whole number of at least 0" in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit:
        check_data.main(arguments)
    assert exit.value.code == 1
    screen = capsys.readouterr().out
    assert "folder /no does not exist" in screen and "7,096" in screen and "differs" in screen
    assert "1 lack frames in between (e.g. train/a)" in screen and "constant in train, unused" in screen
    faulty = (out / "phoenix/faulty_clips.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[1] for line in faulty[1:]] == ["train/c", "train/e", "train/d"]
    assert json.loads((out / "phoenix/report.json").read_text())["splits"]["train"]["unreadable"] == 1
    assert (out / "phoenix/overview.png").read_bytes().startswith(b"\x89PNG")


def run(out, **roots):
    """Exit status of the command over some corpora alone."""
    config = out.with_suffix(".yaml")
    corpora = [f"    {name}: {{ROOT: {root}}}" for name, root in roots.items()]
    lines = ["BASE: [configs/parts/soke.yaml]", "DATASET:"]
    config.write_text("\n".join([*lines, "  CORPORA:", *corpora]))
    with pytest.raises(SystemExit) as exit:
        check_data.main(["--cfg", str(config), "--out", str(out), "--workers", "0"])
    return exit.value.code


def still(frames: int) -> Motion:
    return Motion.rest(frames, 24.0)


def test_every_kind_of_damage_is_listed_with_what_was_found(tmp_path, capsys):
    rows = [(name, 0, 2, "x") for name in "abcdefgh"]
    rows[1], rows[2] = ("b", 0, 20, "x"), ("c", 9, 7, "x")
    path = write_how2sign(tmp_path, "train", rows, fps=24.0)
    for name in "abcdefgh":
        write_how2sign_frames(tmp_path, "train", name, still(48))
    lines = path.read_text().splitlines()
    lines[4] = lines[4].replace("24.0", "90000")  # d
    lines[5] = lines[5].replace('"x"', '"x')  # e swallows f and g up to h
    path.write_text("\n".join(lines) + "\n")
    frames = tmp_path / "train/poses"
    (frames / "f/f_3_3D (1).pkl").write_bytes(b"copy")
    (frames / "g/g_003_3D.pkl").write_bytes(b"twice")
    torch.save({}, frames / "h/h_7_3D.pkl")
    assert run(tmp_path / "out", how2sign=tmp_path) == 1
    screen = " ".join(capsys.readouterr().out.split())
    for sentence in (
        "train: 1 ×, e.g. b: the 48 frames", "last 2.00 s at 24 frames/s, but its annotation says 20.00 s",
        "START_REALIGNED 9 and END_REALIGNED 7: it ends before it begins", "has fps '90000', which is no frame rate",
        f"{path.name} line 6: opens a quotation mark", "g_003_3D.pkl and g_3_3D.pkl, two files of frame 3",
        "h_7_3D.pkl was written by torch.save",
        "1 have files beside their frames, which are left out (e.g. f: f_3_3D (1).pkl)",
    ):
        assert sentence in screen
    faulty = (tmp_path / "out/how2sign/faulty_clips.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert [line.split("\t")[1] for line in faulty] == [f"{path.name} line 6", "c", "d", "b", "g", "h"]
    assert "f\tleft out: f_3_3D (1).pkl" in (tmp_path / "out/how2sign/odd_clips.tsv").read_text(encoding="utf-8")
    split = json.loads((tmp_path / "out/how2sign/report.json").read_text())["splits"]["train"]
    assert (split["annotated"], split["used"], split["with_strays"]) == (8, 2, 1)


def test_like_faults_fall_together_and_rare_ones_are_not_lost(tmp_path, capsys):
    entries = [{"name": f"train/{i}", "text": "x", "num_frames": 900 + i} for i in range(12)]
    write_entries(tmp_path / "phoenix14t.train", entries)
    for i in range(12):
        write_frames(tmp_path / f"train/{i}", still(20 + i))
    for i, key in enumerate(("root", "body", "lhand", "rhand", "jaw")):
        path = tmp_path / f"train/{i}/000003.pkl"
        frame = {k: v for k, v in pickle.loads(path.read_bytes()).items() if key not in k}
        path.write_bytes(pickle.dumps(frame))
        entries[i].pop("num_frames")
    entries[5]["text"], entries[6]["name"] = "", "train/gone"
    write_entries(tmp_path / "phoenix14t.train", entries)
    assert run(tmp_path / "out", phoenix=tmp_path) == 1
    screen = " ".join(capsys.readouterr().out.split())
    assert "train: 5 ×, e.g. train/7: the 27 frames" in screen and "train: 2 of other kinds, see faulty" in screen


@pytest.mark.parametrize("emptied", [False, True])
def test_a_split_without_one_usable_clip_ends_in_an_error_status(tmp_path, capsys, emptied):
    unit = 1000 if emptied else 1
    for split in ("train", "val", "test"):
        write_how2sign(tmp_path, split, [("a", 0, 2 * unit, "x"), ("b", 2 * unit, 4 * unit, "x")], fps=24.0)
        for name in "ab":
            write_how2sign_frames(tmp_path, split, name, still(48))
    assert run(tmp_path / "out", how2sign=tmp_path) == int(emptied)
    screen = " ".join(capsys.readouterr().out.split())
    assert ("none of the 2 clips of split train can be used; 2 are dropped by the rule: of 30 s or more" in screen
            and "are they milliseconds" in screen) == emptied
