"""Training of a sign recognizer with Lightning: cross-entropy over signs, chosen by the top-1 of validation."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soke.metrics.recognition import ALL, TOP, TopAccuracy, ranks
from soke.recognition.data import SignBatch
from soke.recognition.recognizer import SignRecognizer
from soke.run import processes
from soke.run.module import TrainedModule
from soke.run.precision import in_float32
from soke.run.settings import Optim
from soke.run.training import EpochMeans, no_loss


class RecognitionModule(TrainedModule):
    """Trains `recognizer`, which has no part in the encoders: their states come in the batches.

    Logs for both stages <stage>/loss, a mean over clips, in validation without label smoothing; <stage>/top-1, and in
    validation top-5, in percent. All of it is of all processes; validation is in float32.

    label_smoothing: of the loss in training
    """

    monitor, monitor_mode = "val/top-1", "max"
    section, agreeing = "recognizer", ("tokenizer", "parts", "signs_hash", "window", "limits")

    def __init__(self, recognizer: SignRecognizer, optim: Optim, label_smoothing: float = 0.0):
        super().__init__()
        self.recognizer, self.optim, self.label_smoothing = recognizer.train(), optim, label_smoothing
        self.tops = nn.ModuleDict({f"top-{k}": TopAccuracy(k, ALL, len(recognizer.signs)) for k in TOP})
        self.means = {"train": EpochMeans("train", ("loss", "top-1")), "val": EpochMeans("val", ("loss",))}

    def training_step(self, batch: SignBatch, batch_index: int) -> Tensor:
        share = processes.share(torch.full((), len(batch.names), device=self.device))
        if not batch.names:  # the other processes have the last clips
            return no_loss(self)
        scores = self.recognizer(batch.states, batch.lengths)
        loss = F.cross_entropy(scores, batch.signs, label_smoothing=self.label_smoothing)
        right = 100.0 * (scores.argmax(1) == batch.signs).double().mean()
        self.means["train"].add({"loss": loss, "top-1": right}, len(batch.signs))
        self.log("loss", loss.detach(), prog_bar=True, logger=False, batch_size=len(batch.signs))
        return loss * share

    @in_float32
    def validation_step(self, batch: SignBatch, batch_index: int) -> None:
        if not batch.names:  # the other processes have the last clips
            return
        scores = self.recognizer(batch.states, batch.lengths).float()
        self.means["val"].add({"loss": F.cross_entropy(scores, batch.signs)}, len(batch.signs))
        for name, rank in zip(batch.names, ranks(scores.cpu().numpy(), batch.signs.cpu().numpy()).tolist()):
            for top in self.tops.values():
                top.update(name, rank)

    def on_validation_epoch_end(self) -> None:
        """Logs the scores."""
        self.means["val"].log(self)
        scores = {f"val/{name}": top.compute()[ALL]["percent"].float() for name, top in self.tops.items()}
        for top in self.tops.values():
            top.reset()
        self.log_dict(scores)

    def size_of(self, batch: SignBatch) -> Tensor:
        """Clips."""
        return torch.tensor(len(batch.names))

    @property
    def trained(self) -> nn.Module:
        return self.recognizer

    def export(self, folder: Path) -> None:
        """Writes the recognizer for `SignRecognizer.from_pretrained`; of several processes, the first does."""
        if self.global_rank == 0:
            self.recognizer.save_pretrained(folder)

    def provenance(self) -> dict[str, Any]:
        return self.recognizer.provenance()
