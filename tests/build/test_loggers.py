"""Pictures of what is signed in validation, and the loggers that take them."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch.utils.data import DataLoader

from soke.build import loggers
from soke.build.loggers import SamplePictures, loggers_of
from soke.build.trainer import new_trainer
from soke.errors import UserError
from soke.evaluation.validation import GenerationScore, spread_samples
from soke.generator.producer import SignProducer
from soke.run.config import load_config
from soke.run.folders import Run
from tests.evaluation.test_validation import corpora, val_split
from tests.generator.helpers import make_generator
from tests.run.test_saving import Noisy
from tests.tokenizer.helpers import small_tokenizer

BATCHES = DataLoader(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), 2)


class Signing(Noisy):
    """Fits numbers, and has a model that signs; `drawn` is what its generator of random numbers gives after training."""

    generation: GenerationScore | None

    def on_train_end(self) -> None:
        self.drawn = torch.randn(3)


def run_of(folder: Path, *overrides: str) -> Run:
    fixed = (f"FOLDER={folder}", "ACCELERATOR=cpu", "TRAIN.END_EPOCH=5", "EVAL.EVERY_EPOCHS=1", "TRAIN.NUM_WORKERS=0")
    config = load_config("configs/soke.yaml", overrides=[*fixed, *overrides])
    return Run(config, folder, None, debug=False)


def trained(folder: Path, generation: GenerationScore | None, *overrides: str) -> Signing:
    run = run_of(folder, *overrides)
    module = Signing(run.config)
    module.generation = generation
    new_trainer(run, module).fit(module, BATCHES, BATCHES)
    return module


@pytest.fixture(scope="module")
def score(body) -> GenerationScore:
    """Of eight sentences, those of two corpora."""
    tokenizer = small_tokenizer()
    generator = make_generator(streams=tokenizer.streams, tokenizer_hash=tokenizer.hash)
    samples, _ = spread_samples(val_split(corpora()), 32)
    return GenerationScore(SignProducer(generator, tokenizer), body, samples)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Small pictures of two sentences."""
    monkeypatch.setattr(loggers, "_SENTENCES", 2)
    monkeypatch.setattr(loggers, "_SIZE", (48, 48))


def pictures(folder: Path) -> dict[str, list]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), {"images": 0})
    events.Reload()
    return {tag: events.Images(tag) for tag in events.Tags()["images"]}


def test_tensorboard_gets_pictures_and_training_does_not_notice(tmp_path, score):
    """A row of frames of the reference and one of what is signed."""
    settings = "LOGGER.PICTURES=1", "TRAIN.END_EPOCH=1"
    module = trained(tmp_path / "with", score, *settings)
    plain = trained(tmp_path / "without", score, *settings[1:])
    assert torch.equal(module.weight, plain.weight) and torch.equal(module.drawn, plain.drawn)
    shown = pictures(tmp_path / "with")
    assert sorted(shown) == ["samples/0", "samples/1"] and not list((tmp_path / "with").rglob("*.png"))
    for (image,) in shown.values():
        found = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
        assert image.step == 2 and found.shape[1] == 8 * 48 + 7 * 4 and found.shape[0] > 2 * 48 and found.std() > 1


def test_fixed_sentences_are_drawn_after_every_so_many_validations_and_the_last(tmp_path, score, monkeypatch):
    """The first of each corpus."""
    drawn = []

    def sheet(path, figures, caption, **more):
        drawn.append((caption, [figure.label for figure in figures]))
        Image.new("RGB", (2, 2)).save(path)

    monkeypatch.setattr(loggers, "contact_sheet", sheet)
    trained(tmp_path, score, "LOGGER.PICTURES=2")
    texts = [score.samples[number].clip.text for number in (0, 4)]  # of eight
    assert drawn == [(text, ["reference", f"epoch {epoch}"]) for epoch in (1, 3, 4) for text in texts]
    assert [image.step for image in pictures(tmp_path)["samples/1"]] == [4, 8, 10]


def test_what_is_drawn_is_signed_by_the_average(tmp_path, score, monkeypatch):
    """The weights that are validated."""
    seen = []
    monkeypatch.setattr(loggers, "_signed", lambda module, clips: seen.append(module.weight.detach().clone()) or [])
    trained(tmp_path, score, "LOGGER.PICTURES=1", "TRAIN.AVERAGE=0.75", "TRAIN.OPTIM.LR=0.1", "TRAIN.END_EPOCH=1")
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert torch.equal(seen[0], saved["state_dict"]["weight"]) and not torch.equal(
        seen[0], saved["callbacks"]["MovingAverage"]["weights"]["weight"]
    )


def test_nothing_is_drawn_for_nobody_and_by_no_other_process(score, body, monkeypatch):
    monkeypatch.setattr(loggers, "_signed", lambda module, clips: pytest.fail("drawn"))
    csv, board = (kind.__new__(kind) for kind in (pl.loggers.CSVLogger, pl.loggers.TensorBoardLogger))
    module = type("Module", (), {"generation": score})()
    state = {"current_epoch": 0, "max_epochs": 1, "check_val_every_n_epoch": 1, "sanity_checking": False}
    for others in ({"loggers": [csv], "is_global_zero": True}, {"loggers": [board], "is_global_zero": False}):
        SamplePictures(body, 1).on_validation_epoch_end(type("Trainer", (), {**state, **others})(), module)


def test_pictures_without_generation_are_an_error(tmp_path):
    with pytest.raises(UserError, match="LOGGER.PICTURES draws what EVAL.GENERATE_EVERY scores"):
        trained(tmp_path, None, "LOGGER.PICTURES=2")


def test_stages_that_sign_nothing_draw_nothing(tmp_path):
    run = run_of(tmp_path, "LOGGER.PICTURES=2")
    callbacks = new_trainer(run, Noisy(run.config)).callbacks
    assert not any(isinstance(callback, SamplePictures) for callback in callbacks)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_that_is_missing_says_what_to_install(tmp_path, name):
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(UserError, match=f"LOGGER.{name.upper()}=true needs {name}: `pip install {name}`"):
        loggers_of(run_of(tmp_path, f"LOGGER.{name.upper()}=true"))


def test_mlflow_keeps_settings_numbers_and_pictures(tmp_path, score, monkeypatch):
    """In the run's folder, where no server is named."""
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    trained(tmp_path, score, "LOGGER.MLFLOW=true", "LOGGER.TENSORBOARD=false", "LOGGER.PICTURES=5", "LOGGER.EVERY_STEPS=2")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("soke").experiment_id])
    assert run.info.run_name == "deto" and run.data.params["TRAIN/END_EPOCH"] == "5"
    assert {"train/lr", "train/grad_norm", "time/forward", "val/loss"} <= run.data.metrics.keys()
    names = [file.path for file in client.list_artifacts(run.info.run_id, "samples")]
    assert sorted(names) == [f"samples/sample_{number}.step_10.png" for number in (0, 1)]
    with Image.open(client.download_artifacts(run.info.run_id, names[0], str(tmp_path))) as picture:
        assert np.asarray(picture).std() > 0
