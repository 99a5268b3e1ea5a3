"""Several small batches teach what one large batch with all their clips teaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from soke.data.dataset import collate_motions
from soke.data.labels import SignLabel
from soke.recognition.data import SignBatch
from soke.recognition.model import SignClassifier
from soke.recognition.module import RecognitionModule
from soke.recognition.recognizer import SignRecognizer
from soke.regressor.module import RegressorModule
from soke.run.accumulation import WeightedAccumulation
from soke.run.settings import Optim
from soke.tokenizer.module import TokenizerModule
from soke.tokenizer.settings import Loss
from soke.translation.module import TranslationModule
from tests.embedding import helpers as embedding
from tests.recognition.helpers import SIZES
from tests.regressor import helpers as regression
from tests.tokenizer.helpers import SOKE, small_tokenizer
from tests.translation import helpers as reading

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


def test_steps_that_no_epoch_has_the_batches_for_are_said_to_be_smaller(caplog):
    trained([ROWS[:5], ROWS[5:]], 2, WeightedAccumulation(2))
    assert "TRAIN.ACCUMULATE" not in caplog.text
    trained([ROWS[:5], ROWS[5:]], 3, WeightedAccumulation(3))
    assert caplog.text.count("TRAIN.ACCUMULATE is 3, but an epoch has only 2 batches of a process") == 1


def test_lightning_alone_would_take_all_batches_for_equal():
    assert trained([ROWS[:1], ROWS[1:9]], 2).norms != pytest.approx(trained([ROWS], 1).norms, rel=1e-2)


Made = tuple[pl.LightningModule, Callable[[list[int]], Any]]  # a module, and the batch of some of its clips


def tokenizer(body) -> Made:
    """With codebooks that stay as they are: else they follow every batch."""
    made = small_tokenizer(depth=1)
    items = []
    for number, frames in enumerate((16, 4, 8, 12)):
        item = embedding.moving(number)
        features = {part: torch.randn(frames, size) for part, size in SOKE.sizes.items()}
        items.append(replace(item, features=features, motion=SOKE.motion(features, 25.0)))
    module = TokenizerModule(made, body, Loss(), Optim())
    for autoencoder in made.autoencoders.values():
        autoencoder.quantizer.eval()
    return module, of(items)


def regressor(body) -> Made:
    items = [regression.sample(*sentence, i, hold=2 + i) for i, sentence in enumerate(regression.SENTENCES[:4])]
    made = regression.regressor(items, groups="per_language", future=2)
    return RegressorModule(made, Optim(), regression.objectives()), of(items)


def translation(body) -> Made:
    """Normalised by running statistics."""
    items = [reading.sample(f"clip{i}", text, hold=1 + i) for i, text in enumerate(reading.SENTENCES)]
    made = reading.translator(items, settings=replace(reading.SETTINGS, dropout=0.0))
    module = TranslationModule(made, items, reading.TRAINING, Optim(), 0.1)
    for norm in (made.model.frame_norm, made.model.text_norm):
        norm.eval()
    return module, of(items)


def recognition(body) -> Made:
    torch.manual_seed(0)
    classifier = SignClassifier(torch.zeros(2, 8), torch.ones(2, 8), 3, SIZES)
    made = SignRecognizer(classifier, [SignLabel(i, str(i)) for i in range(3)], ["body", "hand"], {})
    states, lengths, signs = torch.randn(4, 5, 2, 8), torch.tensor([5, 1, 2, 4]), torch.tensor([0, 2, 1, 2])
    names = ["a", "b", "c", "d"]
    return RecognitionModule(made, Optim(), 0.1), lambda rows: SignBatch(
        states[rows], lengths[rows], signs[rows], [names[row] for row in rows]
    )


def motion_autoencoder(body) -> Made:
    return embedding.autoencoder_module(), of([embedding.moving(i, 20 + 10 * i) for i in range(4)])


def of(items: Sequence[Any]) -> Callable[[list[int]], Any]:
    return lambda rows: collate_motions([items[row] for row in rows])


class Gradients(pl.Callback):
    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        self.found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.filterwarnings("ignore:Found")  # modules in evaluation mode
@pytest.mark.parametrize("make", [tokenizer, regressor, translation, recognition, motion_autoencoder])
def test_every_stage_learns_of_unequal_batches_what_it_learns_of_one(make, body):
    found = []
    for split in ([[0, 1, 2, 3]], [[0], [1, 2], [3]]):
        torch.manual_seed(0)
        (module, batch), gradients = make(body), Gradients()
        weighed = [WeightedAccumulation(len(split))] * (len(split) > 1)
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=1, logger=False, callbacks=[*weighed, gradients],
            accumulate_grad_batches=len(split), enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, torch.utils.data.DataLoader([batch(rows) for rows in split], batch_size=None))
        found.append(gradients.found)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)
    assert any(gradient.any() for gradient in found[0].values())
