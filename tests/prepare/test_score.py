"""Other people's outputs by the codes of a tokenizer of ours."""
from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from prepare import score
from soke.errors import UserError
from soke.evaluation.predictions import TrackReader
from soke.metrics.sibleu import SiBLEU
from tests.build.test_build import make_tokenizer
from tests.evaluation.test_score import BODIES, motion

SMALL = ("TOKENIZER.WIDTH=8", "TOKENIZER.CODE_DIM=8", "TOKENIZER.DEPTH=1")


def save(path: Path, seed: int, frames: int, fps: float = 25.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = motion(seed, frames)
    arrays = {"rotations": made.rotations, "expression": made.expression, "betas": made.betas}
    np.savez(path, **{name: value.numpy() for name, value in arrays.items()}, fps=fps)


def test_sibleu_of_given_files(tmp_path: Path, capsys) -> None:
    torch.manual_seed(0)
    tokenizer = make_tokenizer("configs/deto.yaml", SMALL).eval()
    for autoencoder in tokenizer.autoencoders.values():  # codes of their own for other motions
        autoencoder.std.fill_(0.3)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    for i, (made, wanted) in enumerate(((16, 24), (20, 20))):
        save(tmp_path / "pred" / f"{i}.npz", i, made)
        save(tmp_path / "ref" / f"{i}.npz", 10 * i, wanted)
    for name, frames, fps in (("short", 2, 25.0), ("slow", 20, 50.0)):
        save(tmp_path / "pred" / f"{name}.npz", 1, 20)
        save(tmp_path / "ref" / f"{name}.npz", 1, frames, fps)
    common = ["--pred", str(tmp_path / "pred"), "--ref", str(tmp_path / "ref"), "--no_face", "--out", str(tmp_path / "out")]
    score.main([*common, "--tokenizer", str(tmp_path / "tokenizer")])
    assert "codes: scored 2 of 4 clips" in capsys.readouterr().out
    metric = SiBLEU({"body": [96], "lhand": [192], "rhand": [192]}, ["lhand", "rhand"], tokenizer.hash)
    reader = TrackReader(BODIES)
    for name in "01":
        made, wanted, _ = reader.motions(tmp_path / "pred" / f"{name}.npz", tmp_path / "ref" / f"{name}.npz")
        metric.update(name, *tokenizer.encode_motions([made, wanted]))
    expected = {s.signature.part: s.values["percent"] for s in metric.scores()}
    with (tmp_path / "out" / "table.csv").open() as stream:
        found = {row["part"]: row for row in csv.DictReader(stream) if row["metric"] == "SiBLEU"}
    assert {part: float(row["value"]) for part, row in found.items()} == pytest.approx(expected)
    assert f"tokenizer:{tokenizer.hash}|in:rotations rad" in found["hand"]["signature"].replace("fps:25|", "")
    reasons = (tmp_path / "out" / "unscored.txt").read_text()
    assert "short\tits reference is shorter than a step" in reasons and "slow\tit has 25 frames/s, the reference 50" in reasons
    with pytest.raises(UserError, match="no tokenizer in"):
        score.main([*common, "--tokenizer", str(tmp_path / "pred")])


def test_a_tokenizer_needs_parameters(tmp_path: Path) -> None:
    (tmp_path / "hyp.tsv").write_text("a\train\n", encoding="utf-8")
    texts = ["--hyp", str(tmp_path / "hyp.tsv"), "--ref_text", str(tmp_path / "hyp.tsv")]
    for given in (["--pred", "hyp.pt", "--ref", "test.pt"], texts):
        with pytest.raises(UserError, match="no motions in parameters, to be read by --tokenizer"):
            score.main([*given, "--tokenizer", str(tmp_path)])
