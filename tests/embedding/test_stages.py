"""Both stages from the command line on a tiny corpus of joint positions, and what a generator's test makes of their models."""
from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import test as test_entry
import train
from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.build.embedding import autoencoder_module, retrieval_module, with_embeddings
from soke.build.per_corpus import configs_of
from soke.build.stages import stage_of
from soke.build.testing import evaluation_setting
from soke.embedding import MotionAutoencoder, TextMotionRetriever
from soke.errors import UserError
from soke.evaluation.references import Setting
from soke.run.config import ROOT, Config, load_config
from tests.data.skels_writing import write_skels_corpus, write_split

FILES = {"retrieval": "configs/retrieval.yaml", "motion_autoencoder": "configs/motion_autoencoder.yaml"}
MADE = "generated, oracle timing"  # row of the regressor
SMALL = (
    "RETRIEVAL.WIDTH=16", "RETRIEVAL.LAYERS=1", "RETRIEVAL.HEADS=2", "RETRIEVAL.FEEDFORWARD=16", "RETRIEVAL.DIMENSION=8",
    "MOTION_AUTOENCODER.WIDTH=8", "MOTION_AUTOENCODER.DIMENSION=4", "MOTION_AUTOENCODER.CHUNK=10", "TRAIN.NUM_WORKERS=0",
    "TRAIN.BATCH_SIZE=6", "TRAIN.END_EPOCH=20", "TRAIN.OPTIM.LR=1e-2", "EVAL.EVERY_EPOCHS=1", "ACCELERATOR=cpu", "DEVICE=1",
    "LOGGER.TENSORBOARD=false", "DATASET.LEXICON=null", "METRIC.BACK_TRANSLATION=''", "DATASET.CACHE_FRAMES=10000",
)


def overrides(root: Path, *more: str) -> list[str]:
    return [
        *SMALL, "DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.csl=null", "DATASET.CORPORA.phoenix=null",
        f"DATASET.CORPORA.skels={{ROOT: {root}/data, READER: soke.data.corpora.skels.SkelsCorpus}}",
        f"FOLDER={root}/experiments", f"RESULTS={root}/results", *more,
    ]


@cache
def config_of(root: Path, stage: str, *more: str) -> Config:
    """The shipped one, with parts of positions."""
    file = root / f"{stage}.yaml"
    file.write_text(f"BASE: [{FILES[stage]}, configs/parts/skeleton_50.yaml]\nNAME: {stage}\n")
    return load_config(file, overrides=overrides(root, *more))


@pytest.fixture(scope="module")
def random_corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("random")
    (root / "data").mkdir()
    for number, (split, count) in enumerate((("train", 6), ("val", 3), ("test", 3))):
        generator = torch.Generator().manual_seed(number)
        motions = [JointMotion(torch.randn(44, 50, 3, generator=generator), SKELETON_50, 25.0) for _ in range(count)]
        write_split(root / "data", split, motions)
    return root


def built(root: Path, stage: str, *more: str):
    """A stage's module, of one model."""
    config = config_of(root, stage, *more)
    (config,) = stage_of(config).models(config)
    make = {"retrieval": retrieval_module, "motion_autoencoder": autoencoder_module}[stage]
    return make(config, stage_of(config).data(config, config.run_folder))


def test_models_are_built_of_the_training_clips(random_corpus):
    retriever = built(random_corpus, "retrieval").retriever
    assert retriever.provenance["corpora"] == ["skels"] and retriever.provenance["training_clips"] == 6
    assert (retriever.language, retriever.level, retriever.fps) == ("DGS", "word", 25.0)
    assert set("012345") <= set(retriever.texts.tokens)  # of its sentences
    autoencoder = built(random_corpus, "motion_autoencoder").autoencoder
    assert autoencoder.provenance["corpora"] == ["skels"] and autoencoder.seen.body == "skeleton-50"
    moving = autoencoder.model.std > 0.5  # of normal numbers, relative to a root's: about 1.4; a root's own stay 0
    assert int((~moving).sum()) == 9 and autoencoder.model.std[moving].mean() == pytest.approx(2**0.5, rel=0.05)
    config = config_of(random_corpus, "retrieval")
    assert [c.name for c in configs_of(config)] == ["retrieval/skels"]
    monitored = config_of(random_corpus, "retrieval").eval
    scores = ("rsum", "R@1", "median_rank", "loss")
    better = {score: replace(monitored, monitor=f"val/{score}").better for score in scores}
    assert better == {"rsum": "max", "R@1": "max", "median_rank": "min", "loss": "min"}
    with pytest.raises(UserError, match="TRAIN.BATCH_SIZE must be at least 2"):
        config_of(random_corpus, "retrieval", "TRAIN.BATCH_SIZE=1")


def test_models_that_do_not_fit_a_test_are_refused(random_corpus, tmp_path, caplog):
    retriever = built(random_corpus, "retrieval").retriever
    autoencoder = built(random_corpus, "motion_autoencoder").autoencoder
    retriever.save_pretrained(tmp_path / "models" / "skels" / "retrieval")
    autoencoder.save_pretrained(tmp_path / "autoencoder")

    config = config_of(random_corpus, "retrieval")

    def tested(retrieval: str = f"{tmp_path}/models", frechet: str = f"{tmp_path}/autoencoder", parts: int = 3) -> Setting:
        chosen = replace(
            config, metric=replace(config.metric, retrieval=retrieval, frechet=frechet), parts=config.parts[:parts]
        )
        return with_embeddings(evaluation_setting(chosen), chosen)

    setting = tested()
    assert setting.retrievers["skels"].hash == retriever.hash and setting.frechet.hash == autoencoder.hash
    assert not caplog.records
    none = tested("", "")
    assert none.retrievers == {} and none.frechet is None
    assert tested(str(tmp_path)).retrievers == {}
    assert "no retrieval of skels: there is no model in" in caplog.text
    with pytest.raises(UserError, match="no motion auto-encoder in .*configs/motion_autoencoder.yaml"):
        tested(frechet=f"{tmp_path}/models")
    with pytest.raises(UserError, match="joints that PARTS moves"):
        tested(retrieval="", parts=1)
    with pytest.raises(UserError, match="the retrieval model in .* reads .*, which PARTS leaves out"):
        tested(parts=1)
    retriever.language = "ASL"
    retriever.save_pretrained(tmp_path / "models" / "skels" / "retrieval")
    with pytest.raises(UserError, match="reads ASL, but skels is DGS; train one on skels"):
        tested()
    retriever.language, retriever.provenance["corpora"] = "DGS", ["news"]
    retriever.save_pretrained(tmp_path / "models" / "skels" / "retrieval")
    tested()
    assert "was trained on news, not on skels" in caplog.text


def test_a_training_begins_from_a_trained_model(random_corpus, tmp_path, caplog):
    first = built(random_corpus, "retrieval").retriever
    first.save_pretrained(tmp_path / "skels" / "retrieval")
    begun = built(random_corpus, "retrieval", f"TRAIN.INIT={tmp_path}").retriever
    assert begun.provenance["begun_from"] == [first.hash] and begun.hash == first.hash  # of the same clips
    encoder = built(random_corpus, "motion_autoencoder").autoencoder
    encoder.save_pretrained(tmp_path / "autoencoder")
    begun = built(random_corpus, "motion_autoencoder", f"TRAIN.INIT={tmp_path}/autoencoder").autoencoder
    assert begun.hash == encoder.hash and begun.provenance["begun_from"] == [encoder.hash]
    with pytest.raises(UserError, match="there is none of skels in .* either; name in TRAIN.INIT"):
        built(random_corpus, "retrieval", f"TRAIN.INIT={tmp_path}/autoencoder")


@pytest.fixture(scope="module")
def shop(tmp_path_factory, body) -> Path:
    """Both trained, on the synthetic corpus of German Sign Language, and a regressor."""
    root = tmp_path_factory.mktemp("embedding")
    write_skels_corpus(root / "data", body)
    for stage in FILES:
        config_of(root, stage)
        train.main(["--cfg", str(root / f"{stage}.yaml"), "--nodebug", *overrides(root)])
    (root / "pt.yaml").write_text("BASE: [configs/progressive_transformer.yaml, configs/parts/skeleton_50.yaml]\nNAME: pt\n")
    small = ("REGRESSOR.WIDTH=16", "REGRESSOR.LAYERS=1", "REGRESSOR.FEEDFORWARD=16", "TRAIN.END_EPOCH=1",
             "EVAL.GENERATE_EVERY=0", "REGRESSOR.TIMING=oracle")
    train.main(["--cfg", str(root / "pt.yaml"), "--nodebug", *overrides(root, *small)])
    test_entry.main(["--cfg", str(root / "pt.yaml"), *overrides(
        root, *small, f"METRIC.RETRIEVAL={root}/experiments/retrieval/retrieval", "METRIC.POOL=3",
        f"METRIC.FRECHET={root}/experiments/motion_autoencoder/motion_autoencoder/motion_autoencoder",
    )])
    return root


def cells(root: Path, name: str) -> dict[tuple[str, str, str], dict]:
    table = json.loads((root / "results" / name / "table.json").read_text())
    return {(cell["row"], cell["metric"], cell["part"]): cell for cell in table["cells"]}


@pytest.mark.slow
def test_a_generator_s_table_has_their_scores(shop):
    found = cells(shop, "pt")
    retriever = TextMotionRetriever.from_pretrained(shop / "experiments" / "retrieval" / "retrieval" / "skels" / "retrieval")
    encoder = MotionAutoencoder.from_pretrained(
        shop / "experiments" / "motion_autoencoder" / "motion_autoencoder" / "motion_autoencoder"
    )
    rows = {row for row, metric, _ in found if metric == "R@1"}
    assert {"ground truth", MADE, f"{MADE}, shuffled", "mean pose"} <= rows
    recall = found[MADE, "R@5", "motion→text"]["signature"]
    assert recall["judge"] == retriever.hash and recall["candidates"] == 4
    assert found[MADE, "R@1", "text→motion of 3"]["signature"]["candidates"] == 3
    assert found["ground truth", "similarity", "to the signer's"]["values"]["cosine"] == pytest.approx(1.0)
    latents = found["mean pose", "Fréchet distance", "latents"]
    assert latents["signature"]["judge"] == encoder.hash and latents["signature"]["chunk"] == 10
    assert found["mean pose", "Fréchet distance", "poses"]["values"]["unit²"] > 0
    with (shop / "results" / "pt" / "clips.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["row"] == MADE]
    assert len(rows) == 4 and all(-1 <= float(row["similarity to its sentence cosine"]) <= 1 for row in rows)


@pytest.mark.slow
def test_both_stages_are_tested(shop):
    for stage in FILES:
        test_entry.main(["--cfg", str(shop / f"{stage}.yaml"), *overrides(shop)])
    found = cells(shop, "retrieval")
    assert {row for row, _, _ in found} == {"ground truth", "ground truth, shuffled"}
    assert found["ground truth", "R@5", "text→motion"]["values"]["percent"] == 100  # of four clips
    found = cells(shop, "motion_autoencoder")
    error = {row: found[row, "reconstruction error", "chunks"]["values"]["milliunit"] for row, m, _ in found if m[0] == "r"}
    assert error["motion auto-encoder"] < error["mean of the training's poses"]
    with pytest.raises(UserError, match=r"MOTION_AUTOENCODER.CHUNK: 10 -> 12"):
        test_entry.main([
            "--cfg", str(shop / "motion_autoencoder.yaml"), *overrides(shop, "MOTION_AUTOENCODER.CHUNK=12"),
            f"--out_dir={shop}/other",
        ])


@pytest.mark.slow
def test_a_run_that_was_broken_off_goes_on(shop, tmp_path):
    """With one more epoch, from the last checkpoint of both."""
    for stage in FILES:
        shutil.copytree(shop / "experiments" / stage, tmp_path / "experiments" / stage)
        more = [f"FOLDER={tmp_path}/experiments", "TRAIN.RESUME=auto", "TRAIN.END_EPOCH=21", "TRAIN.EXTEND=true"]
        train.main(["--cfg", str(shop / f"{stage}.yaml"), "--nodebug", *overrides(shop, *more)])
        (metrics,) = (tmp_path / "experiments" / stage).rglob("csv.1/metrics.csv") or [None]
        with metrics.open() as stream:
            assert {row["epoch"] for row in csv.DictReader(stream) if row["val/loss"]} == {"20"}


def by_processes(count: int, command: str, *arguments: str) -> None:
    """Each on one thread: on others, last digits are others."""
    running = subprocess.Popen(
        [sys.executable, "-m", command, *arguments, f"DEVICE={count}"], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
    )
    try:
        _, errors = running.communicate(timeout=300)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)  # the other process, too
    assert running.returncode == 0, errors.decode()[-4000:]


@pytest.mark.slow
@pytest.mark.parametrize("stage", FILES)
def test_two_processes_train_and_test_as_one(shop, stage, tmp_path):
    """With half of the clips in each one's batches, and no dropout; a test gives the very same numbers."""
    exact = (
        "RETRIEVAL.DROPOUT=0", "TRAIN.END_EPOCH=3", "TEST.BATCH_SIZE=1", "METRIC.POOL=3", f"RESULTS={tmp_path}/results",
    )
    file = ["--cfg", str(shop / f"{stage}.yaml")]
    train.main([*file, "--nodebug", *overrides(shop, *exact, "NAME=one")])
    by_processes(2, "train", *file, "--nodebug", *overrides(shop, *exact, "NAME=two", "TRAIN.BATCH_SIZE=3"))
    one, two = (
        load_file(next((shop / "experiments" / stage / name).rglob("model.safetensors"))) for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=2e-3, rtol=1e-2, msg=lambda told, name=name: f"{name}: {told}")
    by_processes(2, "test", *file, *overrides(shop, *exact, "NAME=one"))
    by_processes(1, "test", *file, "--out_dir", str(tmp_path / "alone"), *overrides(shop, *exact, "NAME=one"))
    alone = json.loads((tmp_path / "alone" / "table.json").read_text())["cells"]
    together = json.loads((tmp_path / "results" / "one" / "table.json").read_text())["cells"]
    assert {(c["row"], c["metric"], c["part"]): c["values"] for c in together} == {
        (c["row"], c["metric"], c["part"]): c["values"] for c in alone
    } and len(alone) >= 4
