"""Training of the generator: cross-entropy per head, AdamW with a cosine schedule."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from soke import __version__
from soke.data.dataset import CodeBatch
from soke.errors import UserError
from soke.generator.model import SignGenerator
from soke.generator.producer import SignProducer
from soke.tokenizer.tokenizer import SignTokenizer
from soke.training import OptimSettings, adamw_with_cosine


class GeneratorModule(pl.LightningModule):
    """Logs the loss and, per part, cross-entropy (nats) and accuracy under teacher forcing, for both stages."""

    monitor = None  # the last checkpoint is exported: cross-entropy grows again long before generated motion gets worse

    def __init__(self, generator: SignGenerator, tokenizer: SignTokenizer, optim: OptimSettings):
        super().__init__()
        self.generator, self.optim = generator.train(), optim  # Lightning would leave a loaded model in evaluation mode
        self._producer = [SignProducer(generator, tokenizer)]  # in a list, so that checkpoints leave the tokenizer out

    def training_step(self, batch: CodeBatch, batch_index: int) -> torch.Tensor | None:
        return self._step(batch, "train") if batch.texts else None  # every clip of the batch was unreadable

    def validation_step(self, batch: CodeBatch, batch_index: int) -> None:
        if batch.texts:
            self._step(batch, "val")

    def _step(self, batch: CodeBatch, stage: str) -> torch.Tensor:
        output = self.generator(batch.texts, batch.languages, batch.codes, batch.lengths)
        values = {f"{stage}/loss": output.loss}
        for part in output.losses:
            values[f"{stage}/loss_{part}"] = output.losses[part]
            values[f"{stage}/accuracy_{part}"] = output.accuracy[part]
        size = len(batch.texts)
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=size, sync_dist=stage == "val")
        if stage == "train":
            self.log("loss", output.loss, prog_bar=True, logger=False, batch_size=size)
        return output.loss

    def configure_optimizers(self) -> dict[str, Any]:
        return adamw_with_cosine(self.generator.parameters(), self.optim)

    def export(self, folder: Path) -> None:
        """Writes generator and tokenizer for `SignProducer.from_pretrained`."""
        self._producer[0].save_pretrained(folder)

    def provenance(self) -> dict[str, Any]:
        """What the run's models are made of, in plain types."""
        (producer,) = self._producer
        return {
            **producer.tokenizer.provenance(),
            "tokenizer hash": producer.tokenizer.hash,
            **asdict(self.generator.spec),
        }

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
