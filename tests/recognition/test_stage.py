"""The stage from the command line: public lists on disk, training, test, results, by one process and by two."""
from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

import test as test_entry
import train
from soke.body.joints import joint_indices
from soke.build.stages import stage_of
from soke.errors import UserError
from soke.report.results import read_results
from soke.run.config import ROOT, load_config
from tests.data.writing import write_frames
from tests.recognition.helpers import signed
from tests.tokenizer.helpers import SOKE, small_tokenizer

CLASSES = (0, 1, 610, 611)  # of the signs of the helpers
YAML = """
BASE: [configs/recognition.yaml, configs/parts/soke.yaml]
NAME: toy
FOLDER: {root}/experiments
RESULTS: {root}/results
ACCELERATOR: cpu
DEVICE: 1
TRAIN: {{BATCH_SIZE: 8, END_EPOCH: 12, NUM_WORKERS: 0, OPTIM: {{LR: 3.0e-3}}}}
TOKENIZER: {{PATH: {root}/tokenizer, CODE_DIM: 16, WIDTH: 16, DEPTH: 3}}
DATASET: {{CORPORA: {{nmfs_csl: {{ROOT: {root}/NMFs-CSL}}}}, FRAMES: soke}}
RECOGNITION: {{WIDTH: 32, LAYERS: 1, FEEDFORWARD: 64, HIDDEN: 32, DROPOUT: 0.0, VAL_SHARE: 0.25}}
LOGGER: {{TENSORBOARD: false}}
"""
FRAMES = 36


def write_corpus(root: Path) -> None:
    """Eight training clips and four test clips of four signs; a clip begins and ends with arms that hang down."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for index, number in enumerate(CLASSES):
        for i in range(12):
            motion = signed(index, i, frames=FRAMES)
            rotations = motion.rotations.clone()
            for side, turn in (("left", -1.0), ("right", 1.0)):
                rotations[:, joint_indices([f"{side}_shoulder"])] = torch.tensor([0.0, 0.0, 1.4 * turn])
                rotations[10:26, joint_indices([f"{side}_elbow"])] = torch.tensor([0.0, 2.0 * turn, 0.0])
                rotations[10:26, joint_indices([f"{side}_shoulder"])] = torch.tensor([0.0, 0.6 * turn, 0.9 * turn])
            write_frames(root / "poses" / f"{number:03d}" / f"P{i:02d}", replace(motion, rotations=rotations))
            lists["train" if i < 8 else "test"].append(f"{number:03d}/P{i:02d}.avi" + f" {number}" * (i < 8))
    lists["train"].append("5/P00.avi 6")
    (root / "traintestlist").mkdir()
    for split, lines in lists.items():
        (root / "traintestlist" / f"{split}list01.txt").write_text("\n".join(lines) + "\n")


def write_shop(root: Path) -> Path:
    """Corpus, tokenizer and, which is returned, configuration of a run."""
    write_corpus(root / "NMFs-CSL")
    small_tokenizer(SOKE, {"body": 96, "lhand": 192, "rhand": 192}).save_pretrained(root / "tokenizer")
    (root / "toy.yaml").write_text(YAML.format(root=root))
    return root / "toy.yaml"


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """The folder of a run that is trained and tested."""
    root = tmp_path_factory.mktemp("signs")
    write_shop(root)
    train.main(["--cfg", str(root / "toy.yaml"), "--nodebug"])
    test_entry.main(["--cfg", str(root / "toy.yaml")])
    return root


def cells(folder: Path) -> dict[tuple[str, str], float]:
    return {cell.metric: cell.score.values["percent"] for cell in read_results(folder).cells}


def test_results(shop):
    folder = shop / "results" / "toy"
    found = read_results(folder).cells
    parts = ("all", "confusing", "normal")
    assert {cell.metric for cell in found} == {(f"top-{k}", part) for k in (1, 5) for part in parts}
    assert {(c.row, c.corpus, c.split) for c in found} == {("recognition", "nmfs_csl", "test")}
    assert all(cell.score.clips == cell.total for cell in found)
    scores = cells(folder)
    assert scores["top-1", "normal"] == scores["top-1", "all"] == 100.0
    content = json.loads((folder / "table.json").read_text())
    made_with = content["conditions"]["recognizer"]
    tokenizer = json.loads((shop / "tokenizer" / "config.json").read_text())["hash"]
    assert made_with["tokenizer"] == tokenizer and made_with["parts"] == ["body", "lhand", "rhand"]
    assert made_with["window"]["height"] == 0.25 and made_with["window"]["body"]
    assert (made_with["training_clips"], made_with["validation_clips"]) == (24, 8)
    assert set(content["conditions"]["models"]) == {"recognition"}
    said = re.search(r"the active window keeps ([\d.]+) % of the frames, 0 of 16 clips whole", str(content["notes"]))
    kept = float(said[1])
    assert kept == pytest.approx(100 * 20 / FRAMES, abs=0.05)  # sixteen raised frames, and two more at each end
    assert made_with["window_keeps"].startswith(f"{kept:.1f} %")
    with (folder / "clips.csv").open(encoding="utf-8") as stream:
        clips = list(csv.DictReader(stream))
    assert len(clips) == 16 and {clip["label"] for clip in clips} == set(map(str, CLASSES))
    assert all(clip["top 1"] == clip["label"] == str(int(clip["clip"].split("/")[0])) for clip in clips)


def test_a_validation_split_that_was_taken_out_of_train_is_tested_as_it_was(shop, tmp_path):
    """Whatever SEED the test has: else it would be tested on what it was trained on."""
    for split, seed, clips in (("val", 99, 8), ("train", 99, 24)):
        changes = [f"TEST.SPLIT={split}", f"SEED={seed}"]
        test_entry.main(["--cfg", str(shop / "toy.yaml"), "--out_dir", str(tmp_path / split), *changes])
        found = read_results(tmp_path / split).cells
        assert {cell.score.clips for cell in found if cell.metric[1] == "all"} == {clips}
    names = {}
    for split in ("val", "train"):
        with (tmp_path / split / "clips.csv").open(encoding="utf-8") as stream:
            names[split] = {clip["clip"] for clip in csv.DictReader(stream)}
    assert not names["val"] & names["train"]


def test_a_line_whose_label_is_not_its_folder_is_listed(shop):
    lines = (shop / "experiments" / "recognition" / "toy" / "skipped_clips.txt").read_text().splitlines()
    assert [line.split("\t")[2] for line in lines] == ["gives 5/P00 the label 6, but its folder is that of class 5"]


def test_a_finished_run_is_continued_without_a_change(shop, capsys):
    run = shop / "experiments" / "recognition" / "toy"
    before = (run / "recognition" / "model.safetensors").read_bytes()
    train.main(["--cfg", str(shop / "toy.yaml"), "--nodebug", "TRAIN.RESUME=auto"])
    assert (run / "recognition" / "model.safetensors").read_bytes() == before
    assert "features of nmfs_csl" not in capsys.readouterr().err  # none was computed again


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("RECOGNITION.PARTS=[mouth]", "RECOGNITION.PARTS names mouth, but the PARTS are body, lhand, rhand"),
        ("RECOGNITION.PARTS=[rhand]", "RECOGNITION.PARTS: body, lhand, rhand -> rhand"),
        ("RECOGNITION.LAYERS=2", "RECOGNITION.LAYERS: 1 -> 2"),
        ("RECOGNITION.WINDOW=null", "trained on features of another window"),
        ("RECOGNITION.HEADS=5", "RECOGNITION.WIDTH must be even and a multiple of RECOGNITION.HEADS"),
        ("RECOGNITION.WINDOW.PAD=-1", "RECOGNITION.WINDOW.PAD must be at least 0, not -1"),
        ("TOKENIZER.PATH=", "TOKENIZER.PATH is empty: recognition reads the encoders of a trained tokenizer"),
        ("TOKENIZER.PATH=nowhere", "no tokenizer in .*nowhere"),
        ("TOKENIZER.WIDTH=32", "TOKENIZER.WIDTH: 16 -> 32"),
        ("DATASET.CORPORA.csl.ROOT=x", "recognition learns the signs of one corpus, but DATASET.CORPORA names"),
        ("TRAIN.BATCH_FRAMES=800", "TRAIN.BATCH_FRAMES must be 0 for recognition"),
        ("TEST.CHECKPOINT=nowhere", "no sign recognizer in .*nowhere"),
    ],
)
def test_what_does_not_fit_is_one_sentence(shop, tmp_path, override, expected):
    with pytest.raises(UserError, match=expected):
        test_entry.main(["--cfg", str(shop / "toy.yaml"), "--out_dir", str(tmp_path / "out"), override])


def test_another_tokenizer_is_refused(shop, tmp_path):
    other = small_tokenizer(SOKE, {"body": 96, "lhand": 192, "rhand": 192})
    other.autoencoders["body"].encoder.head.bias.data.add_(1.0)
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match=r"trained on features of another tokenizer \(trained -> asked\)"):
        out = ["--out_dir", str(tmp_path / "out")]
        test_entry.main(["--cfg", str(shop / "toy.yaml"), *out, f"TOKENIZER.PATH={tmp_path}/other"])


def test_a_corpus_of_sentences_has_no_labels(shop):
    corpora = f"DATASET.CORPORA={{nmfs_csl: null, csl: {{ROOT: {shop}/NMFs-CSL}}}}"
    with pytest.raises(UserError, match="DATASET.CORPORA.csl has no labels of isolated signs"):
        train.main(["--cfg", str(shop / "toy.yaml"), "NAME=sentences", corpora])


@pytest.mark.slow
def test_two_processes_train_and_test_as_one(shop, tmp_path):
    sizes = ["TRAIN.BATCH_SIZE=4", "EVAL.BATCH_SIZE=3", "TRAIN.END_EPOCH=3"]
    config = ["--cfg", str(shop / "toy.yaml"), "NAME=two", *sizes]
    for command in (["train", "--nodebug"], ["test"]):
        running = subprocess.Popen(
            [sys.executable, "-m", *command, *config, "DEVICE=2"], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
        )
        try:
            _, errors = running.communicate(timeout=300)
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)  # the other process, too
        assert running.returncode == 0, errors.decode()[-4000:]
    test_entry.main([*config, "--out_dir", str(tmp_path / "alone")])
    together, alone = (read_results(folder).cells for folder in (shop / "results" / "two", tmp_path / "alone"))
    assert [(c.metric, c.score) for c in together] == [(c.metric, c.score) for c in alone]
    assert (shop / "results" / "two" / "clips.csv").read_text() == (tmp_path / "alone" / "clips.csv").read_text()
    run = shop / "experiments" / "recognition" / "two"
    plain = load_config(run / "config.yaml", overrides=["DEVICE=1"])
    stage = stage_of(plain)
    data = stage.data(plain, tmp_path)
    module = stage.module(plain, data)
    module.load_state_dict(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (validated,) = trainer.validate(module, data.val_dataloader(), verbose=False)
    with (run / "csv" / "metrics.csv").open(encoding="utf-8") as stream:
        logged = [row for row in csv.DictReader(stream) if row["val/top-1"]][-1]
    assert validated == pytest.approx({name: float(logged[name]) for name in validated}, rel=1e-5)
