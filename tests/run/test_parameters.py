"""Weights that are named stay as they are, to the bit; the rates of others are shares of the schedule's, all the time."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from soke.errors import UserError
from soke.run import optim, watching
from soke.run.config import load_config
from soke.run.optim import follow, optimizers_of
from soke.run.parameters import Still, freeze, groups_of
from soke.run.settings import Optim
from soke.tokenizer.quantizers.ema import EmaQuantizer
from soke.tokenizer.quantizers.vq import VqQuantizer
from tests.generator.helpers import make_generator


class Model(nn.Module):
    """Layers of all kinds that training moves."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.ema, self.vq = EmaQuantizer(3, 4), VqQuantizer(3, 4)
        nn.init.normal_(self.ema.codebook)
        self.last = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x)).T[None]
        ema = self.ema(x)
        vq = self.vq(ema.quantized)
        return self.last(vq.quantized[0].T).square().mean() + vq.loss


class Module(pl.LightningModule):
    def __init__(self, optim: Optim) -> None:
        super().__init__()
        self.model, self.optim = Model().train(), optim

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        return self.model(batch)

    def on_train_batch_end(self, *arguments) -> None:
        self.model.train()  # as what evaluates between batches may do

    def configure_optimizers(self):
        return optimizers_of(groups_of(self.model, self.optim), self.optim, self.trainer.max_epochs)


def changed(patterns: list[str], folder, optim: Optim = Optim(lr=0.1, weight_decay=0.1)) -> set[str]:
    """Names of the weights that a training of three batches changes."""
    torch.manual_seed(0)
    module = Module(optim)
    still = Still(freeze(module.model, patterns))
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, default_root_dir=folder, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[still],
    )
    trainer.fit(module, DataLoader(torch.randn(24, 4), batch_size=8))
    return {name for name, value in module.model.state_dict().items() if not torch.equal(before[name], value)}


ALL = set(Model().state_dict())


@pytest.mark.parametrize(("patterns", "kept"), [
    ([], set()),
    (["first.*"], {"first.weight", "first.bias"}),
    (["*.bias", "norm.*"], {"first.bias", "last.bias", *(name for name in ALL if name.startswith("norm"))}),
    (["ema.*"], {name for name in ALL if name.startswith("ema")}),
    (["vq.*", "last.weight"], {"last.weight", *(name for name in ALL if name.startswith("vq"))}),
    (["[!l]*"], {name for name in ALL if not name.startswith("last")}),
])
def test_what_is_named_stays_to_the_bit_and_all_else_learns(patterns, kept, tmp_path):
    assert changed(patterns, tmp_path) == ALL - kept


@pytest.mark.parametrize(("pattern", "fault"), [
    ("frist.*", r"TRAIN.FREEZE: frist.\* matches none of the 16 weights; near are first.\*"),
    ("ema.codebook", r"keeps ema.codebook, but not all of ema, whose training moves it: name ema.\*"),
    ("vq.codebook", r"keeps vq.codebook, but not all of vq"),
    ("norm.running_mean", r"keeps norm.running_mean, but not all of norm"),
])
def test_what_cannot_be_kept_alone_is_an_error(pattern, fault):
    assert len(ALL) == 16
    with pytest.raises(UserError, match=fault):
        freeze(Model(), [pattern])


def test_something_has_to_learn():
    model = Model()
    freeze(model, ["*"])
    with pytest.raises(UserError, match="TRAIN.FREEZE leaves no weight that could learn"):
        groups_of(model, Optim())


def test_frozen_weights_that_nothing_has_trained_are_told(caplog):
    model = Model()
    model.fresh = ("last.weight", "last.bias")
    freeze(model, ["first.*"])
    assert not caplog.text
    freeze(model, ["last.*"])
    freeze(Model(), ["first.*"])
    assert "keeps 2 weights as they are that nothing has trained yet, first.bias among them" in caplog.text
    assert "keeps 2 weights as they are that nothing has trained yet, last.bias among them" in caplog.text


@pytest.mark.parametrize(("schedule", "rates"), [
    ("cosine", [0.5, 1.0, 0.55, 0.1]),  # a warm-up of one epoch, then half a cosine from 1 to 0.1 over two
    ("constant", [0.5, 1.0, 1.0, 1.0]),
])
def test_every_group_has_its_share_of_the_schedule(schedule, rates):
    model = Model()
    settings = Optim(
        lr=1.0, eta_min=0.1, schedule=schedule, warmup_epochs=1, factors={"*": 0.5, "first.*": 0.01, "last.*": 1.0}
    )
    made = optimizers_of(groups_of(model, settings), settings, 3)
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    names = {id(value): name for name, value in model.named_parameters()}
    sets = {group["factor"]: {names[id(p)] for p in group["params"]} for group in optimizer.param_groups}
    assert list(sets) == [1.0, 0.01, 0.5]
    assert sets[1.0] == {"last.weight", "last.bias"} and sets[0.01] == {"first.weight", "first.bias"}
    assert sets[0.5] == {"norm.weight", "norm.bias", "vq.codebook"}
    for rate in rates:
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate, rate * 0.01, rate * 0.5])
        optimizer.step()
        scheduler.step()


def test_a_plateau_lowers_every_group_to_its_share_of_the_lowest_rate():
    model = Model()
    settings = Optim(lr=1.0, eta_min=0.3, schedule="plateau", patience=0, factor=0.5, factors={"first.*": 0.1})
    made = optimizers_of(groups_of(model, settings), settings, 9)
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]

    class Watched:
        class trainer:
            sanity_checking = should_stop = False

        def lr_schedulers(self):
            return scheduler

    module, found = Watched(), []
    for _ in range(3):
        follow(module, 1.0, settings)
        found.append(([group["lr"] for group in optimizer.param_groups], module.trainer.should_stop))
    assert [stop for _, stop in found] == [False, False, True]
    assert [rates for rates, _ in found] == [pytest.approx(r) for r in ([1.0, 0.1], [0.5, 0.05], [0.3, 0.03])]


def test_without_factors_there_is_one_group_as_ever():
    model, settings = Model(), Optim()
    (group,) = optimizers_of(groups_of(model, settings), settings, 3)["optimizer"].param_groups
    assert group["params"] == list(model.parameters()) and "factor" not in group


def test_factors_are_of_weights_that_learn():
    model = Model()
    freeze(model, ["first.*"])
    with pytest.raises(UserError, match=r"FACTORS: first.\* matches none of the 5 weights that learn; near are"):
        groups_of(model, Optim(factors={"first.*": 0.1}))
    with pytest.raises(UserError, match="TRAIN.OPTIM.FACTORS must be above 0, not 0.0 for first.*TRAIN.FREEZE" ):
        load_config("configs/deto.yaml", overrides=["TRAIN.OPTIM.FACTORS={first: 0}"])
    found = load_config("configs/deto.yaml", overrides=["TRAIN.OPTIM.FACTORS={mbart.*: 0.1}", "TRAIN.FREEZE=['*.bias']"])
    assert found.train.optim.factors == {"mbart.*": 0.1} and found.train.freeze == ["*.bias"]


@pytest.mark.parametrize("divided", [False, True], ids=["whole", "of the second of two processes"])
@pytest.mark.parametrize("kind", ["adamw", "adam"])
def test_rows_of_a_table_learn_at_their_own_rate(kind, divided, monkeypatch):
    """As if they were tables of their own: to 1e-6 of weights of size 1, over steps of a schedule."""
    def fit(tables: list[nn.Parameter], groups: list, gradient: torch.Tensor) -> torch.Tensor:
        made = optimizers_of(groups, settings, 3)
        for step in range(3):
            for table, part in zip(tables, gradient[step].split(list(map(len, tables)))):
                table.grad = part.clone()
            made["optimizer"].step()
            made["lr_scheduler"]["scheduler"].step()
        return torch.cat(tables).detach()

    torch.manual_seed(0)
    start, gradient = torch.randn(7, 4), torch.randn(3, 7, 4)
    settings = Optim(
        kind=kind, lr=0.1, eta_min=0.01, weight_decay=0.1, factors={"*": 0.5, "table": 2.0, "table.text": 0.1}
    )
    apart = [nn.Parameter(part.clone()) for part in start.split([5, 2])]
    groups = [{"params": [apart[0]], "lr": 0.01, "factor": 0.1}, {"params": [apart[1]], "lr": 0.2, "factor": 2.0}]
    expected = fit(apart, groups, gradient)
    if divided:  # it has rows 4 to 6, of which the first is one of the text
        monkeypatch.setattr(optim, "own_part", lambda table: table[4:])
        monkeypatch.setattr(optim.processes, "count", lambda: 2)
        monkeypatch.setattr(optim.processes, "rank", lambda: 1)
    model = nn.Module()
    model.table, model.tables = nn.Parameter(start.clone()), {"table": {"text": 5, "signs": 2}}
    (group,) = groups_of(model, settings)
    assert group["factor"] == 2 and group["rows"] == [5, 0.05]
    assert watching._rates(torch.optim.SGD([dict(group)])) == {"lr_2": 0.2, "lr_0.1": pytest.approx(0.01)}
    found = fit([model.table], [group], gradient)
    torch.testing.assert_close(found[4 * divided :], expected[4 * divided :], rtol=0, atol=1e-6)


def test_a_generator_s_table_has_rows_of_text_and_of_signs():
    generator = make_generator()
    settings = Optim(lr=1.0, factors={"mbart.*": 0.1, "mbart.shared.weight.signs": 1.0})
    first, second, table = groups_of(generator, settings)
    assert [group["factor"] for group in (first, second, table)] == [1.0, 0.1, 1.0]
    assert table["params"] == [generator.mbart.shared.weight]
    assert table["rows"] == [len(generator.source.text_tokenizer), pytest.approx(0.1)]
    (plain, _) = groups_of(generator, Optim(factors={"mbart.*": 0.1, "mbart.shared.weight": 1.0}))
    assert any(value is generator.mbart.shared.weight for value in plain["params"]) and "rows" not in plain
