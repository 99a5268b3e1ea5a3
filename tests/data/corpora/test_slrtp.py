"""SLRTP 2025's files: what is written is read again, by others and by us, and faulty entries are named."""
from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from prepare import to_poses
from soke.data.clip import ClipError
from soke.data.corpora.joint_tables import read_joint_table
from soke.data.corpora.slrtp import JOINTS, SlrtpClip, SlrtpCorpus, in_slrtp_s_order, read_slrtp, write_slrtp
from soke.data.storage.saved import write_motion
from soke.errors import UserError
from soke.evaluation.score import main
from soke.run.config import ROOT


def poses(seed: int = 0, frames: int = 6) -> torch.Tensor:
    return torch.randn(frames, 178, 3, generator=torch.Generator().manual_seed(seed))


def entry(**changed: object) -> dict[str, object]:
    return {"name": "a", "text": "ein satz", "gloss": "SATZ", "poses_3d": poses(), "speaker": "Signer01"} | changed


def test_joints_are_those_of_the_table() -> None:
    assert read_joint_table(ROOT / "configs" / "joints" / "slrtp_178.yaml").joints == JOINTS


@pytest.mark.parametrize("form", [lambda p: p, lambda p: p.numpy(), lambda p: p.double().numpy()])
def test_tensors_and_arrays_are_read(tmp_path: Path, form) -> None:
    other = entry(name="b", gloss=["A", "B"], speaker=3, poses_3d=form(poses(1)))
    torch.save({"x/1": entry(poses_3d=form(poses())), "2": other}, tmp_path / "test.pt")
    clips, faults = read_slrtp(tmp_path / "test.pt")
    assert not faults and list(clips) == ["x/1", "2"]
    assert (clips["2"].gloss, clips["2"].speaker, clips["x/1"].text) == ("A B", "3", "ein satz")
    torch.testing.assert_close(clips["x/1"].motion.positions, poses())


@pytest.mark.parametrize("speaker", [np.int64(7), torch.tensor(7)])
def test_a_speaker_may_be_a_number_of_a_library(tmp_path: Path, speaker) -> None:
    made = poses().numpy() if isinstance(speaker, np.generic) else poses()
    torch.save({"a": entry(poses_3d=made, speaker=speaker)}, tmp_path / "test.pt")
    clips, faults = read_slrtp(tmp_path / "test.pt")
    assert clips["a"].speaker == "7" and not faults


def test_what_is_written_loads_by_torch_alone(tmp_path: Path) -> None:
    clips = {"a": SlrtpClip("a", "ein satz", poses(), "SATZ", "Signer01"), "b": SlrtpClip("b", "", poses(1), made_by="m")}
    write_slrtp(tmp_path / "test.pt", clips)
    content = torch.load(tmp_path / "test.pt", weights_only=True)
    assert set(content["a"]) == {"name", "text", "gloss", "poses_3d", "speaker"} and content["b"]["made_by"] == "m"
    read, _ = read_slrtp(tmp_path / "test.pt")
    assert all(torch.equal(read[key].positions, clips[key].positions) for key in clips)
    assert read["b"].motion.made_by == "m" and read["a"].gloss == "SATZ"


class Evil:
    def __reduce__(self):
        return (Path("ran").touch, ())


def test_nothing_is_run_and_other_files_are_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = entry(poses_3d=poses().numpy())
    for content, told in (
        ({"a": entry(), "b": arrays}, "holds other things beside tensors; write it again, with tensors or numpy arrays alone"),
        ({"a": entry(gloss=Evil())}, "asks to load"), ([1, 2], "is no file of SLRTP's"), ({"a": 3}, "is no file of SLRTP's"),
    ):
        torch.save(content, tmp_path / "x.pt")
        with pytest.raises(UserError, match=f"x.pt.*{told}"):
            read_slrtp(tmp_path / "x.pt")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "x.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UserError, match="x.pt is cut off or is no file of torch.save"):
        read_slrtp(tmp_path / "x.pt")


def test_faulty_entries_stop_no_other(tmp_path: Path) -> None:
    nan = poses()
    nan[2, 3] = float("nan")
    torch.save({
        "good": entry(), "flat": entry(poses_3d=poses().flatten(1)), "nan": entry(poses_3d=nan), "none": {"text": "x"},
        "empty": entry(poses_3d=poses()[:0]), "words": entry(text=["a", 1]),
    }, tmp_path / "dev.pt")
    clips, faults = read_slrtp(tmp_path / "dev.pt")
    assert list(clips) == ["good"] and faults["nan"] == "its poses_3d holds NaN or infinity"
    assert faults["flat"] == "the shape of its poses_3d is [6, 534], it must be [N, 178, 3]"
    assert faults["none"].startswith("its poses_3d is missing") and "[0, 178, 3]" in faults["empty"]
    assert faults["words"] == "its text is of type list, it must be text"
    corpus = SlrtpCorpus(tmp_path)
    assert [clip.name for clip in corpus.clips("val")] == ["good"] and len(corpus.skipped("val")) == 5
    (clip,) = corpus.clips("val")
    assert (clip.text, clip.gloss, clip.signer, corpus.length(clip)) == ("ein satz", "SATZ", "Signer01", 6)
    assert torch.equal(corpus.load(clip).positions, poses())
    with pytest.raises(UserError, match="test.pt is not there"):
        corpus.clips("test")
    torch.save({"short": entry(poses_3d=poses()[:1])}, tmp_path / "train.pt")
    with pytest.raises(ClipError, match="clip short: 1 frames"):
        corpus.load(corpus.clips("train")[0])


def test_predictions_go_from_a_corpus_to_the_scorer(tmp_path: Path, capsys, caplog) -> None:
    """A corpus of SLRTP's is written as it was read, with its texts, and saved predictions are scored against it."""
    refs = {f"s/{i}": SlrtpClip(f"s/{i}", f"satz {i}", poses(i, 8), "SATZ", "Signer01") for i in range(3)}
    write_slrtp(tmp_path / "data" / "test.pt", refs)
    common = [
        "--cfg", "configs/skels/tokenizer.yaml", "--form", "slrtp", "DATASET.CORPORA.skels=null",
        "DATASET.CORPORA.slrtp.READER=soke.data.corpora.slrtp.SlrtpCorpus", f"DATASET.CORPORA.slrtp.ROOT={tmp_path}/data",
    ]
    to_poses.main([*common, "--out", str(tmp_path / "ref")])
    read, _ = read_slrtp(tmp_path / "ref" / "slrtp.pt")
    assert {key: (c.text, c.gloss, c.speaker) for key, c in read.items()} == {
        key: (c.text, c.gloss, c.speaker) for key, c in refs.items()
    }
    for key, clip in refs.items():
        write_motion(tmp_path / "saved" / "slrtp" / f"{key}.npz", clip.motion)
    to_poses.main([*common, "--from", str(tmp_path / "saved"), "--out", str(tmp_path / "pred")])
    made, _ = read_slrtp(tmp_path / "pred" / "slrtp.pt")
    assert "no text" not in caplog.text and made["s/1"].text == "satz 1" and torch.equal(made["s/1"].positions, refs["s/1"].positions)

    write_slrtp(tmp_path / "data" / "dev.pt", {"x": SlrtpClip("x", "satz", poses(0, 8)), "y": SlrtpClip("y", "", poses(0, 8))})
    to_poses.main([*common, "--from", str(tmp_path / "saved"), "--out", str(tmp_path / "dev"), "--split", "val"])
    assert "3 motions are of no clip of the split, so they have no text: --split names it" in caplog.text
    to_poses.main([*common, "--out", str(tmp_path / "dev"), "--split", "val"])
    assert (tmp_path / "dev" / "skipped_clips.txt").read_text() == "slrtp/y\tval\tits text is empty\n"

    bad = dict(made, **{"s/9": made["s/0"]})
    bad["s/2"] = SlrtpClip("s/2", "", poses(2, 8) * float("nan"))
    write_slrtp(tmp_path / "pred.pt", bad)
    (tmp_path / "hyp.tsv").write_text("".join(f"{key}\t{clip.text}\n" for key, clip in refs.items()))
    capsys.readouterr()
    main(["--pred", str(tmp_path / "pred.pt"), "--ref", str(tmp_path / "data" / "test.pt"),
          "--hyp", str(tmp_path / "hyp.tsv"), "--ref_text", str(tmp_path / "data" / "test.pt"),
          "--out", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    assert "motion: scored 2 of 3 clips" in shown and "text: scored 3 of 3 clips" in shown
    assert "s/2: of the prediction, its poses_3d holds NaN" in shown and "s/9: there is no reference" in shown
    table = (tmp_path / "out" / "table.csv").read_text()
    assert "SLRTP DTW-MJE" in table and "BLEU-4,,percent,100.0" in table
    with pytest.raises(UserError, match="give the file of its references, which ends in .pt, with --ref"):
        main(["--pred", str(tmp_path / "pred.pt")])


def test_other_skeletons_are_named(tmp_path: Path) -> None:
    motion = SlrtpClip("a", "", poses()).motion
    assert in_slrtp_s_order(motion).shape == (6, 178, 3)
    with pytest.raises(ValueError, match="it has no joint right_shoulder and 7 others of SLRTP's 178"):
        in_slrtp_s_order(type(motion)(motion.positions[:, 8:], JOINTS[8:], 25.0))
    assert np.allclose(in_slrtp_s_order(type(motion)(motion.positions.flip(1), JOINTS[::-1], 25.0)), motion.positions)


@pytest.mark.parametrize("times, doubted", [(1.3, False), (1000, True), (0.01, True)])
def test_predictions_in_another_unit_are_doubted(tmp_path: Path, capsys, times, doubted) -> None:
    """Nobody says the unit, and scores of a signer a thousand times as tall would look like those of a bad one."""
    for name, scale in (("ref", 1), ("pred", times)):
        write_slrtp(tmp_path / f"{name}.pt", {key: SlrtpClip(key, "", scale * poses(8, 8)) for key in "ab"})
    main(["--pred", str(tmp_path / "pred.pt"), "--ref", str(tmp_path / "ref.pt"), "--out", str(tmp_path / "out")])
    shown = "".join(capsys.readouterr().out.split())
    assert ("indoubt:scale(2found;thefirst,a:itsjointsextendover" in shown) == doubted
    assert ("both must be in one unit" in (tmp_path / "out" / "table.txt").read_text().replace("\n", " ")) == doubted
