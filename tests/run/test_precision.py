"""In which precision is computed, and what is compiled."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from soke.run.callbacks import FastSteps, layers_of
from soke.run.precision import in_float32, whole_float32


class Small(pl.LightningModule):
    """Notes how products are computed in its steps, and whether its layers' compiled forms are run."""

    def __init__(self) -> None:
        super().__init__()
        self.trained = nn.Sequential(nn.Linear(4, 4), nn.ModuleList([nn.Linear(4, 4), nn.ModuleList([nn.Linear(4, 4)])]))
        self.layer = self.trained[1][0]
        self.seen: dict[str, str] = {}
        self.losses: list[float] = []

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        self.seen["train"] = torch.get_float32_matmul_precision()
        loss = self.layer(batch).pow(2).mean()
        self.losses.append(loss.item())
        return loss

    @in_float32
    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.seen["val"] = torch.get_float32_matmul_precision()
        self.layer(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fitted(tf32: bool, compiled: bool) -> Small:
    torch.manual_seed(0)
    module, data = Small(), torch.randn(6, 4)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, callbacks=[FastSteps(tf32, compiled)],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )
    loaders = (torch.utils.data.DataLoader(data, batch_size=size) for size in (2, 3))
    trainer.fit(module, *loaders)
    return module


@pytest.mark.parametrize("tf32", [True, False])
def test_training_multiplies_as_asked_and_validation_in_float32(tf32):
    before = torch.get_float32_matmul_precision()
    assert fitted(tf32, False).seen == {"train": "high" if tf32 else "highest", "val": "highest"}
    assert torch.get_float32_matmul_precision() == before


def test_whole_float32_is_left_as_it_was_found():
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    with whole_float32():
        assert convolutions.fp32_precision == "ieee"
        assert not torch.is_autocast_enabled("cpu")
    assert convolutions.fp32_precision == before


def test_layers_are_the_entries_of_the_outermost_lists():
    model = Small()
    assert list(layers_of(model.trained)) == list(model.trained[1])


@pytest.mark.slow
def test_compiled_layers_learn_the_same():
    plain, compiled = fitted(True, False), fitted(True, True)
    assert compiled.layer._compiled_call_impl is not None and plain.layer._compiled_call_impl is None
    assert compiled.losses == pytest.approx(plain.losses, rel=1e-5)
    assert plain.state_dict().keys() == compiled.state_dict().keys()
