"""Training of regressors: what is minimised, the augmentations, what a resumed run does, what is learnt."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from soke.body.layout import MotionLayout
from soke.build.body import layout_of
from soke.data.corpora.skels import SkelsCorpus
from soke.data.dataset import MotionDataset, MotionSample, collate_motions
from soke.errors import UserError
from soke.evaluation.validation import GenerationScore
from soke.metrics.dtw import dtw_of_frames
from soke.regressor.module import RegressorModule
from soke.regressor.objectives import mean_error
from soke.regressor.producer import RegressorProducer
from soke.regressor.regressor import PoseRegressor
from soke.regressor.spread import ErrorSpread
from soke.run.callbacks import BatchSeed
from soke.run.config import load_config
from soke.run.settings import Optim
from tests.data.skels_writing import write_skels_corpus
from tests.regressor.helpers import FEATURES, LAYOUT, SETTINGS, batch_of, objectives, regressor, samples


def loader() -> DataLoader:
    """Two batches, and one of none."""
    items = samples()
    return DataLoader([collate_motions(items[:3]), collate_motions([]), collate_motions(items[3:])], batch_size=None)


def fit(model: PoseRegressor, folder: Path, epochs: int, resume: Path | None = None, lr: float = 1e-3, **more) -> pl.Trainer:
    module = RegressorModule(model, Optim(lr=lr, schedule="constant"), objectives(), **more)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, default_root_dir=folder, logger=False, enable_progress_bar=False,
        callbacks=[BatchSeed(3), ModelCheckpoint(folder, filename="last", save_weights_only=False)],
        enable_model_summary=False, num_sanity_val_steps=0,
    )
    trainer.fit(module, loader(), loader(), ckpt_path=resume, weights_only=True)
    return trainer


def slow_errors(model: PoseRegressor, batch, loss: str, weight: float, future: int) -> list[float]:
    """Frame by frame and number by number, as the words say it."""
    errors = []
    group = model.groups["all"]
    for row, clip in enumerate(batch.clips):
        frames = model._normalised({part: values[row, : batch.lengths[row]] for part, values in batch.features.items()})
        total, count, steps = 0.0, 0.0, len(frames)
        memory = group.read([clip]).memory
        for step in range(steps):
            first = torch.cat([group.start, torch.zeros(1)])
            before = [torch.cat([frame, torch.tensor([(i + 1) / steps])]) for i, frame in enumerate(frames[:step])]
            output = group.network.decode(torch.stack([first, *before])[None], memory)[0][0, -1]
            for ahead, predicted in enumerate(output[:-1].split(FEATURES)):
                if step + ahead < steps:
                    missed = predicted - frames[step + ahead]
                    total += float((missed**2 if loss == "mse" else missed.abs()).detach().sum())
                    count += FEATURES
            off = output[-1] - (step + 1) / steps
            total += weight * float((off**2 if loss == "mse" else off.abs()).detach())
            count += weight
        errors.append(total / count)
    return errors


@pytest.mark.parametrize("loss, weight, future", [("mse", 1.0, 1), ("l1", 3.0, 1), ("mse", 2.0, 4)])
def test_errors_are_means_over_the_numbers_that_there_are(loss, weight, future):
    model, batch = regressor(loss=loss, counter_weight=weight, future=future), batch_of(samples())
    output = model(batch.clips, batch.features, batch.lengths)
    assert output.errors.tolist() == pytest.approx(slow_errors(model, batch, loss, weight, future), rel=1e-4)
    assert output.frames.tolist() == batch.lengths.tolist() and output.terms == {}
    assert output.errors.requires_grad and not output.squared.requires_grad
    if (loss, future) == ("mse", 4):
        alone = regressor(counter_weight=1e-9)
        exact = alone(batch.clips, batch.features, batch.lengths)
        torch.testing.assert_close(exact.squared, exact.errors.detach(), rtol=1e-4, atol=1e-6)


def test_frames_of_a_batch_count_the_same():
    model, batch = regressor(), batch_of(samples())
    output = model(batch.clips, batch.features, batch.lengths)
    loss = mean_error(output.errors, output.frames)
    expected = sum(e * f for e, f in zip(output.errors.tolist(), output.frames.tolist())) / sum(output.frames.tolist())
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_noise_is_as_large_as_the_errors_of_the_epoch_before(tmp_path):
    """The counter, and the frame that is read first, have none."""
    model = regressor(noise=2.0)
    group = model.groups["all"]
    assert not group.deviation.any()  # so that the first epoch has none
    errors = []
    for items in (samples()[:3], samples()[3:]):
        batch = batch_of(items)
        for row in range(len(items)):
            frames = model._normalised({p: v[row, : batch.lengths[row]] for p, v in batch.features.items()})[None]
            steps = torch.arange(1, len(frames[0]) + 1) / len(frames[0])
            inputs = group._inputs(frames, steps[None])
            errors.append(group.network.decode(inputs, group.read(batch.clips[row : row + 1]).memory)[0][0, :, :-1] - frames[0])
    fit(model, tmp_path, epochs=1, lr=0.0)
    expected = torch.cat(errors).std(0, correction=0)
    torch.testing.assert_close(group.deviation, expected, rtol=1e-3, atol=1e-5)
    frames, counters = torch.zeros(400, 11, FEATURES), torch.linspace(0.1, 1, 11).expand(400, -1)
    inputs = group.train()._inputs(frames, counters)
    torch.testing.assert_close(inputs[:, 1:, :-1].flatten(0, 1).std(0), 2 * expected, rtol=0.1, atol=1e-3)
    assert torch.equal(inputs[:, :, -1], torch.nn.functional.pad(counters[:, :-1], (1, 0)))
    assert torch.equal(inputs[:, 0, :-1], group.start.expand(400, -1))
    assert torch.equal(group.eval()._inputs(frames, counters)[:, 1:, :-1], frames[:, 1:])


def test_counters_are_read_too_fast_or_too_slow_clip_by_clip():
    group = regressor(counter_noise=0.1).groups["all"].train()
    counters = torch.linspace(0.1, 1, 10).expand(3000, -1)
    read = group._inputs(torch.zeros(3000, 10, FEATURES), counters)[:, :, -1]
    speed = read[:, 1] / 0.1
    assert speed.mean().item() == pytest.approx(1, abs=0.01) and speed.std().item() == pytest.approx(0.1, abs=0.01)
    torch.testing.assert_close(read[:, 1:], (counters[:, :-1] * speed[:, None]).clamp(0, 1))
    assert not read[:, 0].any()
    plain = group.eval()._inputs(torch.zeros(3000, 10, FEATURES), counters)[:, 1:, -1]
    assert torch.equal(plain, counters[:, :-1])


def test_the_spread_of_errors_is_their_standard_deviation():
    errors, spread = torch.randn(50, 4) * torch.tensor([1.0, 2, 0, 4]) + 3, ErrorSpread()
    assert spread.of_all(torch.zeros(4)) is None
    for block in errors.split([20, 1, 29]):  # a clip each, and what was not there
        there = torch.ones(2, len(block), dtype=torch.bool)
        there[1] = False
        spread.add(torch.stack([block, block + 1]), there)
    torch.testing.assert_close(spread.of_all(torch.zeros(4)), errors.std(0, correction=0))
    assert spread.of_all(torch.zeros(4)) is None  # it begins anew


def test_just_the_counter_is_read():
    model = regressor(just_counter=True)
    network = model.groups["all"].network
    memory = model.groups["all"].read([samples()[0].clip]).memory
    frames = torch.randn(1, 4, FEATURES + 1)
    other = torch.cat([torch.randn(1, 4, FEATURES), frames[..., -1:]], dim=2)
    assert torch.equal(network.decode(frames, memory)[0], network.decode(other, memory)[0])
    other[..., -1] += 0.1
    assert not torch.equal(network.decode(frames, memory)[0], network.decode(other, memory)[0])


@pytest.mark.parametrize("settings", [{"noise": 1.0, "future": 2}, {"groups": "per_language", "noise": 1.0}], ids=str)
def test_a_resumed_run_is_one_without_interruption(settings, tmp_path):
    whole, halves = regressor(**settings), regressor(**settings)
    fit(whole, tmp_path / "whole", epochs=3)
    fit(halves, tmp_path / "first", epochs=1)
    resumed = regressor(seed=1, **settings)
    fit(resumed, tmp_path / "second", epochs=3, resume=tmp_path / "first" / "last.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert any(value.any() for name, value in whole.state_dict().items() if name.endswith("deviation"))
    with pytest.raises(UserError, match="it has other groups than the run"):
        fit(regressor(**{**settings, "future": 1, "noise": 2.0}), tmp_path, 3, tmp_path / "first" / "last.ckpt")


def test_what_is_logged_is_of_errors_and_of_generated_motion(tmp_path, body):
    model, items = regressor(), samples()
    score = GenerationScore(RegressorProducer(model, max_frames=12, warns=False), body, items[:2])
    trainer = fit(model, tmp_path, epochs=2, generation=score)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert {f"{s}/{name}" for s in ("train", "val") for name in ("loss", "error", "squared", "counter")} <= logged.keys()
    assert "val/DTW_JPE" in logged and trainer.lightning_module.monitor == "val/DTW_JPE"
    batch = batch_of(items)
    model.eval()
    output = model(batch.clips, batch.features, batch.lengths)
    weights = output.frames / output.frames.sum()
    for name in ("squared", "counter"):
        assert logged[f"val/{name}"] == pytest.approx(float((getattr(output, name) * weights).sum()), rel=1e-4)


def distance(made: dict, reference: dict) -> float:
    """DTW of the features, threes of them taken for joints."""
    pred, ref = (torch.cat(list(features.values()), dim=1).unflatten(1, (-1, 3)) for features in (made, reference))
    return dtw_of_frames(pred.numpy(), ref.numpy(), "l1").cost


def learnt_by_heart(items: Sequence[MotionSample], layout: MotionLayout, steps: int = 300, **settings) -> list[float]:
    """Of each clip, DTW of what is signed free running, without anything of the reference, in that of the mean pose;
    every motion must be as long as its reference within a tenth."""
    model = regressor(items, layout=layout, width=32, counter_noise=0.3, counter_weight=50.0, **settings)
    optimizer = torch.optim.Adam(model.train().parameters(), lr=3e-3)
    batch = batch_of(items)
    for step in range(steps):
        output = model(batch.clips, batch.features, batch.lengths)
        optimizer.zero_grad()
        mean_error(output.errors, output.frames).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 19:
            model.end_epoch()
    made = model.eval().generate([item.clip for item in items], 150)
    assert all(made.ended)
    ratios = []
    for item, own in zip(items, made.features):
        frames = len(item.motion)
        assert abs(len(own[layout.names[0]]) - frames) <= frames / 10
        mean = {part: values.expand(frames, -1) for part, values in model.statistics.mean.items()}
        ratios.append(distance(own, item.features) / distance(mean, item.features))
    return ratios


def test_a_few_clips_are_learnt_by_heart():
    """With the frames that were made before in its input."""
    assert max(learnt_by_heart(samples(hold=5), LAYOUT, noise=1.0, future=3)) < 0.25


@pytest.mark.slow
def test_a_few_clips_of_positions_are_learnt_by_heart(tmp_path, body):
    write_skels_corpus(tmp_path, body)
    layout = layout_of(load_config("configs/skels/data.yaml"))
    items = [MotionDataset([SkelsCorpus(tmp_path)], "train", layout)[i] for i in range(3)]
    assert max(learnt_by_heart(items, layout, just_counter=True)) < 0.25


def test_settings_that_make_no_sense_are_refused():
    for wrong, match in (
        ({"future": 0}, "`future` must be at least 1"), ({"counter_weight": 0.0}, "or no motion would end"),
        ({"noise": 1.0, "just_counter": True}, "has no effect with `just_counter`"),
        ({"objectives": {"msse": 1.0}}, r"has no msse, but .*\(did you mean mse"),
        ({"objectives": {"mse": 0.0}}, "add up to 1, not mse 0"), ({"max_frames": 0}, "`max_frames` must be at least 1"),
    ):
        with pytest.raises(UserError, match=match):
            replace(SETTINGS, **wrong)
