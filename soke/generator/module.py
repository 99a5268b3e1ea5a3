"""Training of the generator: cross-entropy per head, AdamW with a cosine schedule."""
from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from soke import __version__
from soke.data.dataset import CodeBatch
from soke.errors import UserError
from soke.generator.model import SignGenerator
from soke.training import OptimSettings, adamw_with_cosine


class GeneratorModule(pl.LightningModule):
    """Logs `train/loss`, and per part cross-entropy (nats) and accuracy under teacher forcing, also on validation."""

    def __init__(self, generator: SignGenerator, optim: OptimSettings):
        super().__init__()
        self.generator, self.optim = generator, optim

    def training_step(self, batch: CodeBatch, batch_index: int) -> torch.Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: CodeBatch, batch_index: int) -> None:
        self._step(batch, "val")

    def _step(self, batch: CodeBatch, stage: str) -> torch.Tensor:
        output = self.generator(batch.texts, batch.languages, batch.codes, batch.lengths)
        values = {f"{stage}/loss": output.loss}
        for part in output.losses:
            values[f"{stage}/loss_{part}"] = output.losses[part]
            values[f"{stage}/accuracy_{part}"] = output.accuracy[part]
        size = len(batch.texts)
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=size, sync_dist=stage == "val")
        self.log("loss", output.loss, prog_bar=True, logger=False, batch_size=size)
        return output.loss

    def configure_optimizers(self) -> dict[str, Any]:
        return adamw_with_cosine(self.generator.parameters(), self.optim)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["soke"] = {"version": __version__, "tokenizer_hash": self.generator.spec.tokenizer_hash}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        theirs = checkpoint.get("soke", {}).get("tokenizer_hash")
        ours = self.generator.spec.tokenizer_hash
        if theirs != ours:
            raise UserError(
                f"this checkpoint was trained on the codes of tokenizer {theirs}, the run uses tokenizer {ours}: "
                "start a new run, or set TOKENIZER.PATH to the tokenizer it was trained with"
            )
