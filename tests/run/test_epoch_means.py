"""What is said of an epoch: means over the batches of all processes, and weights that are no longer numbers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing, nn

from soke.errors import UserError
from soke.run.config import keyed
from soke.run.training import EpochMeans, no_loss
from tests.run.test_training import Line, run

NAMES = ("loss", "text", "ctc", "never")


class Log:
    """In place of a module."""

    device = torch.device("cpu")

    def __init__(self):
        self.logged: dict[str, float] = {}

    def log_dict(self, values: dict[str, torch.Tensor]) -> None:
        self.logged |= {name: value.item() for name, value in values.items()}


def add(means: EpochMeans, batches: list[tuple[dict[str, float], float]]) -> None:
    for values, weight in batches:
        means.add({name: torch.tensor(value) for name, value in values.items()}, weight)


MINE = [({"loss": 1.0, "text": 2.0}, 3), ({"loss": 5.0, "text": 0.5}, torch.tensor(1)), ({"ctc": 4.0}, 2)]
THEIRS = [({"ctc": 10.0}, 1), ({"text": 1.0, "loss": 7.0}, 4)]
TOGETHER = {
    "val/loss": (3 * 1 + 5 + 4 * 7) / 8, "val/text": (3 * 2 + 0.5 + 4 * 1) / 8, "val/ctc": (2 * 4 + 10) / 3,
}


def test_means_are_weighted_and_begin_anew_with_every_epoch():
    means, log = EpochMeans("val", NAMES), Log()
    add(means, MINE)
    add(means, THEIRS)
    means.log(log)
    assert log.logged == pytest.approx(TOGETHER)
    add(means, [({"loss": 9.0}, 2)])
    assert {name: value.item() for name, value in means.log(log).items()} == {"loss": 9.0}


def test_many_small_batches_are_summed_up_exactly():
    means = EpochMeans("train", ["loss"])
    for _ in range(1000):
        means.add({"loss": torch.tensor(1e4)}, 1e5)
        means.add({"loss": torch.tensor(1.0)}, 1)
    assert means.log(Log())["loss"].item() == pytest.approx((1e12 + 1e3) / (1e8 + 1e3), rel=1e-7)


def test_a_loss_that_is_no_number_is_not_hidden():
    means = EpochMeans("train", ["loss"])
    add(means, [({"loss": math.nan}, 1), ({"loss": 1.0}, 1)])
    assert means.log(Log())["loss"].isnan()


def test_an_epoch_without_clips_is_an_error():
    with pytest.raises(UserError, match="no clip of the val split can be read: check DATASET.CORPORA"), keyed():
        EpochMeans("val", NAMES).log(Log())


def _mean_of_two(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    logged = []
    for batches in ((MINE, THEIRS), ([], [*MINE, *THEIRS])):  # in the second epoch one of them has read nothing
        means, log = EpochMeans("val", NAMES), Log()
        add(means, batches[rank])
        means.log(log)
        logged.append(log.logged)
    torch.save(logged, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_log_the_means_of_both(tmp_path):
    multiprocessing.spawn(_mean_of_two, args=(str(tmp_path),), nprocs=2)
    for rank in (0, 1):
        for logged in torch.load(tmp_path / f"{rank}.pt", weights_only=True):
            assert logged == pytest.approx(TOGETHER)


def test_a_batch_without_clips_gives_every_parameter_a_gradient_of_zero():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    module[1].bias.requires_grad_(False)
    module[0].weight.data.fill_(torch.inf)  # whatever they are, as their numbers are not read
    loss = no_loss(module)
    loss.backward()
    assert loss == 0 and module[0].weight.grad.shape == (4, 3)
    assert [p.grad is not None and not p.grad.any().item() for p in module.parameters()] == [True, True, True, False]


def last_epoch(folder: Path) -> int:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["epoch"]


def losing(patch: pytest.MonkeyPatch, *places: tuple[int, int]) -> None:
    """The loss of these (epoch, batch) becomes NaN."""
    step = Line.training_step

    def stepping(self, batch, index):
        return step(self, batch, index) * (math.nan if (self.current_epoch, index) in places else 1.0)

    patch.setattr(Line, "training_step", stepping)


@pytest.mark.parametrize("every", [1, 6])
def test_lost_weights_end_the_training_and_are_not_kept(tmp_path, monkeypatch, every):
    """With and without a validation after the epoch."""
    losing(monkeypatch, (2, 1), (4, 0))
    settings = ("TRAIN.END_EPOCH=6", f"EVAL.EVERY_EPOCHS={every}")
    message = "NaN or infinite loss in batch 1 of epoch 2 .*TRAIN.OPTIM.LR.*TRAIN.RESUME=auto"
    with pytest.raises(UserError, match=message):
        run(tmp_path, *settings, scores={1: 0.5, 3: 0.1})
    assert last_epoch(tmp_path) == 1
    checkpoints = [torch.load(f, weights_only=True)["state_dict"] for f in (tmp_path / "checkpoints").iterdir()]
    assert all(weights["weight"].isfinite().all() for weights in checkpoints)


def test_weights_lost_in_the_last_step_of_an_epoch_are_noticed(tmp_path, monkeypatch):
    def clip(self, optimizer, *_, **__) -> None:
        self.weight.grad.fill_(math.inf)

    monkeypatch.setattr(Line, "configure_gradient_clipping", clip)
    with pytest.raises(UserError, match="NaN or infinite weights in epoch 0"):
        run(tmp_path, "TRAIN.END_EPOCH=2", "TRAIN.ACCUMULATE=4")
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()


def skip_lost_steps(self, optimizer, *_, **__) -> None:
    """As the scaler of 16-mixed does."""
    if not self.weight.grad.isfinite().all():
        self.weight.grad = None


def test_batches_that_the_scaler_leaves_out_are_mentioned_once(tmp_path, monkeypatch, caplog):
    losing(monkeypatch, (1, 2), (1, 3), (3, 0))
    monkeypatch.setattr(Line, "configure_gradient_clipping", skip_lost_steps)
    assert run(tmp_path, "TRAIN.END_EPOCH=5").weight.isfinite().all()
    (said,) = [r.getMessage() for r in caplog.records if "NaN or infinite" in r.getMessage()]
    assert "in 2 of 4 batches of epoch 1, first in batch 2" in said


def test_an_epoch_of_nothing_but_lost_batches_is_an_error(tmp_path, monkeypatch):
    losing(monkeypatch, *((1, batch) for batch in range(4)))
    monkeypatch.setattr(Line, "configure_gradient_clipping", skip_lost_steps)
    with pytest.raises(UserError, match="in batch 0 of epoch 1"):
        run(tmp_path, "TRAIN.END_EPOCH=5")
