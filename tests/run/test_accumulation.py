"""Several small batches teach what one large batch with all their clips teaches."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from soke.run.accumulation import WeightedAccumulation

ROWS = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))


class Fit(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.line = nn.Linear(4, 1)
        self.norms: list[float] = []

    def size_of(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.tensor(len(batch))

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        if not len(batch):
            return sum(p.flatten()[:0].sum() for p in self.parameters())
        return self.line(batch).exp().mean()

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        self.norms.append(nn.utils.get_total_norm([p.grad for p in self.parameters()]).item())
        super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def trained(batches: list[torch.Tensor], accumulate: int, *callbacks: pl.Callback, precision: str = "32-true") -> Fit:
    module = Fit()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, callbacks=list(callbacks), accumulate_grad_batches=accumulate,
        gradient_clip_val=0.5, precision=precision, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, torch.utils.data.DataLoader(batches, batch_size=None))
    return module


@pytest.mark.parametrize(("small", "large", "accumulate"), [
    ([ROWS[:1], ROWS[1:6], ROWS[6:9]], [ROWS], 3),
    ([ROWS[:5], ROWS[5:6], ROWS[6:9]], [ROWS[:6], ROWS[6:9]], 2),  # the epoch's last step has one batch only
    ([ROWS[:0], ROWS[:6], ROWS[6:9]], [ROWS], 3),  # all clips of the first were unreadable
])
def test_accumulated_batches_are_one_batch(small, large, accumulate):
    accumulated, whole = trained(small, accumulate, WeightedAccumulation(accumulate)), trained(large, 1)
    assert accumulated.norms == pytest.approx(whole.norms, rel=1e-5)
    for ours, theirs in zip(accumulated.parameters(), whole.parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_lightning_alone_would_take_all_batches_for_equal():
    assert trained([ROWS[:1], ROWS[1:9]], 2).norms != pytest.approx(trained([ROWS], 1).norms, rel=1e-2)
