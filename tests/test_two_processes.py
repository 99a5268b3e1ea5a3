"""Two processes train every stage, with batches that one of them cannot read: nobody waits in vain, and all know the
same, which is what one process would have measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

import get_motion_code
import train
from soke.build import devices
from soke.build.stages import stage_of
from soke.data.corpora.csl_daily import CSLDaily
from soke.run.config import ROOT, load_config
from soke.tokenizer.tokenizer import SignTokenizer
from tests.test_chain import Workshop

SECONDS = 600  # after which the processes are taken to be waiting for each other
TRAININGS = (
    "tokenizer/two", "generator/two", "translation/two/csl", "translation/two/phoenix", "regressor/two", "generator/grpo",
)
TWO = [
    "NAME=two", "DEVICE=2", "EVAL.BATCH_SIZE=1", "EVAL.GENERATE_CLIPS=2", "EVAL.BEST=per_part", "GENERATOR.TRANSLATION=0.5",
    "REGRESSOR.WIDTH=16", "REGRESSOR.FEEDFORWARD=16", "REGRESSOR.MAX_FRAMES=24",
]


def tear(file: Path) -> None:
    """As a failing disk does, which leaves size and time as they were."""
    whole, times = file.read_bytes(), file.stat()
    file.write_bytes(whole[:40] + bytes(len(whole) - 40))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    """Trained by two processes; some clips are torn. A training batch is one clip, so that one of the processes often
    has nothing where the other has something."""
    more = ("DATASET.CORPORA.how2sign=null", "TRAIN.BATCH_SIZE=1", "TRAIN.NUM_WORKERS=0", "TRANSLATION.BEAMS=[1,3]")
    shop = Workshop(tmp_path_factory.mktemp("two"), *more)
    shop.overrides = [o for o in shop.overrides if "how2sign.ROOT" not in o]
    shop.furnish()
    alone = ["DATASET.CORPORA.phoenix=null", "TRAIN.END_EPOCH=1", "TRAIN.BATCH_SIZE=8"]
    shop.run(train, "deto", *alone)
    shop.run(get_motion_code, "soke", *alone)
    corpus = CSLDaily(shop.folder("data", "CSL-Daily"))
    for clip in [*corpus.clips("train")[:3], *corpus.clips("val")[:1]]:
        tear(next(shop.folder("data", "CSL-Daily", "poses", clip.name).glob("*.pkl")))
        tear(shop.folder("codes", "csl", f"{clip.name}.npy"))
    command = [sys.executable, "-m", "tests.on_two_processes", str(shop.root), *shop.overrides, *TWO]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    try:
        _, errors = running.communicate(timeout=SECONDS)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)  # the other process, too
    assert running.returncode == 0, errors.decode()[-4000:]
    return shop


def seen(shop: Workshop, rank: int) -> list[dict]:
    return json.loads(shop.folder(f"rank{rank}.json").read_text(encoding="utf-8"))


def test_all_stages_end_and_all_processes_know_the_same(shop):
    first, second = seen(shop, 0), seen(shop, 1)
    assert first == second and len(first) == len(TRAININGS)
    assert all(training["processes"] == 2 for training in first)
    skipped = shop.folder("experiments", "tokenizer", "two").glob("skipped_clips*.txt")
    assert any("csl/" in file.read_text(encoding="utf-8") for file in skipped)


@pytest.mark.parametrize("index", range(len(TRAININGS)), ids=TRAININGS)
def test_scores_are_those_of_one_process(shop, index, tmp_path, monkeypatch):
    """And what is trained is built on the CPU, from where every process moves it to its own device."""
    monkeypatch.setattr(devices, "device_of", lambda config: "nowhere")
    run = shop.folder("experiments", TRAININGS[index])
    config = load_config(run / "config.yaml")
    stage = stage_of(config)
    data = stage.data(config, tmp_path)
    module = stage.module(config, data)
    weights = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    module.load_state_dict(weights)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (alone,) = trainer.validate(module, datamodule=data, verbose=False)
    together = {name: value for name, value in seen(shop, 0)[index]["scores"].items() if name.startswith("val/")}
    assert alone == pytest.approx(together, rel=1e-4, abs=1e-6)


def test_each_part_is_exported_at_its_own_best_of_all_processes(shop):
    run = shop.folder("experiments", "tokenizer", "two")
    saved = SignTokenizer.from_pretrained(run / "tokenizer")
    for part in saved.autoencoders:
        best = torch.load(run / "checkpoints" / f"best.tokenizer.autoencoders.{part}.ckpt", weights_only=True)
        assert best["epoch"] == saved.epochs[part]
        for name, value in saved.autoencoders[part].state_dict().items():
            assert torch.equal(value, best["state_dict"][f"tokenizer.autoencoders.{part}.{name}"])


def test_the_search_is_that_of_one_process(shop, tmp_path):
    run = shop.folder("experiments", "translation", "two", "csl")
    config = load_config(run / "config.yaml")
    stage = stage_of(config)
    module = stage.module(config, stage.data(config, tmp_path))
    module.load_state_dict(torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"])
    module.export(tmp_path / "alone")
    alone, together = (
        json.loads((folder / "translator.json").read_text(encoding="utf-8"))
        for folder in (tmp_path / "alone", run / "translation")
    )
    assert alone == together
