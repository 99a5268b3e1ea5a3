"""Training of a motion auto-encoder with Lightning: squared error of normalised joints, chosen by that of validation."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from soke.body.layout import MotionLayout
from soke.body.posed import Posed
from soke.data.clip import require_signers
from soke.data.dataset import FrameCache, MotionBatch
from soke.embedding.autoencoder import KIND, MotionAutoencoder
from soke.errors import UserError
from soke.metrics.chunks import count_of, frames_at
from soke.run import processes
from soke.run.module import TrainedModule
from soke.run.precision import in_float32
from soke.run.settings import Optim
from soke.run.training import EpochMeans, no_loss


class MotionAutoencoderModule(TrainedModule):
    """Trains `autoencoder` on batches of the motion of signers; refuses any other (UserError).

    Logs for both stages <stage>/loss, the mean squared error of normalised coordinates, and <stage>/error, the mean
    distance of the joints in thousandths of the body's unit (mm); means over chunks, of all processes; validation is in
    float32.

    body:         makes joints of motions
    layout:       what of a motion is kept
    cache_frames: chunks of clips are kept in memory until they hold so many frames
    """

    monitor, monitor_mode = "val/loss", "min"
    section, agreeing = "motion_autoencoder", ("body", "layout_hash", "form_of_frames", "training_clips")

    def __init__(
        self, autoencoder: MotionAutoencoder, body: Posed, layout: MotionLayout, optim: Optim, cache_frames: int = 0
    ):
        super().__init__()
        self.autoencoder, self.model = autoencoder, autoencoder.model.train()
        self.body, self.layout, self.optim = body, layout, optim
        self.means = {stage: EpochMeans(stage, ("loss", "error")) for stage in ("train", "val")}
        self._kept = FrameCache(cache_frames)

    def training_step(self, batch: MotionBatch, batch_index: int) -> Tensor:
        chunks = self._chunks(batch)
        share = processes.share(torch.full((), float(len(chunks)), device=self.device))
        if not len(chunks):  # all were unreadable, or shorter than a chunk; the other processes have theirs
            return no_loss(self)
        loss = self._loss(chunks, "train")
        self.log("loss", loss.detach(), prog_bar=True, logger=False, batch_size=len(batch.clips))
        return loss * share

    def on_train_epoch_end(self) -> None:
        self._log("train")

    @in_float32
    def validation_step(self, batch: MotionBatch, batch_index: int) -> None:
        chunks = self._chunks(batch)
        if len(chunks):
            self._loss(chunks, "val")

    def on_validation_epoch_end(self) -> None:
        self._log("val")

    def _log(self, stage: str) -> None:
        """Raises UserError where there was no chunk."""
        seen = self.autoencoder.settings
        try:
            self.means[stage].log(self)
        except UserError as error:
            raise UserError(
                f"{error}; or none is as long as a chunk, {seen.chunk} frames at {seen.fps:g} frames/s: lower `chunk`"
            ) from None

    def size_of(self, batch: MotionBatch) -> Tensor:
        """Chunks."""
        seen = self.autoencoder.settings
        frames = [frames_at(len(motion), motion.fps, seen.fps) for motion in batch.motions]
        return torch.tensor(sum(count_of(count, seen.chunk) for count in frames))

    @property
    def trained(self) -> nn.Module:
        return self.model

    def export(self, folder: Path) -> None:
        """Writes the model for `MotionAutoencoder.from_pretrained`; of several processes, the first does."""
        if self.global_rank == 0:
            self.autoencoder.save_pretrained(folder)

    def provenance(self) -> dict[str, Any]:
        return self.autoencoder.provenance

    def _loss(self, chunks: Tensor, stage: str) -> Tensor:
        target, found = self.model.normalised(chunks), self.model.decode(self.model.encode(chunks))
        loss = functional.mse_loss(found.float(), target)
        apart = ((found.detach().float() - target) * self.model.std).unflatten(2, (-1, 3)).norm(dim=3)
        self.means[stage].add({"loss": loss, "error": 1000 * apart.mean()}, len(chunks))
        return loss

    def _chunks(self, batch: MotionBatch) -> Tensor:
        """[N, chunk, J * 3] of all clips of a batch."""
        require_signers(zip(batch.clips, batch.motions), KIND)
        made = [  # a clip of another split may have the same name
            self._kept.get(
                (clip.corpus, clip.split, clip.name), lambda motion=motion: self._of(motion), lambda c: c.shape[:2].numel()
            ) for clip, motion in zip(batch.clips, batch.motions)
        ]
        return torch.cat(made).to(self.device) if made else torch.zeros(0)

    def _of(self, motion: Any) -> Tensor:
        self.body.to(self.device)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return self.autoencoder.chunks(self.body, self.layout.covered(motion)).cpu()
