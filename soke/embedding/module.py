"""Training of a retrieval model with Lightning: contrastive in both directions, chosen by the loss of validation."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from soke.data.clip import Clip, require_signers
from soke.data.dataset import MotionBatch
from soke.embedding.model import contrastive_loss
from soke.embedding.retriever import KIND, TextMotionRetriever
from soke.errors import UserError
from soke.metrics.retrieval_scores import FIRST, ranks_of
from soke.run import processes
from soke.run.module import TrainedModule
from soke.run.precision import in_float32
from soke.run.settings import Optim
from soke.run.training import EpochMeans, no_loss


class RetrievalModule(TrainedModule):
    """Trains `retriever` on batches of the motion of signers; refuses any other (UserError).

    A clip is told from those of the whole step, of all processes. Logs train/loss and train/temperature; in validation,
    over the whole split as one batch, val/loss, val/R@1, R@5, R@10 (percent, means of both directions), val/rsum, their
    sum over both directions, and val/median_rank. All of it is of all processes; validation is in float32.
    """

    monitor, monitor_mode = "val/loss", "min"  # ranks of few clips are soon 1
    section, agreeing = "retriever", ("language", "layout_hash", "statistics_hash", "words")

    def __init__(self, retriever: TextMotionRetriever, optim: Optim):
        super().__init__()
        self.retriever, self.model, self.optim = retriever, retriever.model.train(), optim
        self.means = {"train": EpochMeans("train", ("loss", "temperature"))}
        self._ids: dict[str, Tensor] = {}
        self._seen: dict[tuple[str, str], tuple[str, np.ndarray, np.ndarray]] = {}  # clip -> text and both embeddings

    def training_step(self, batch: MotionBatch, batch_index: int) -> Tensor:
        motions, texts = self._embedded(batch) if batch.clips else (self._nothing(), self._nothing())
        numbers: dict[str, int] = {}
        everyone = processes.items_of_all([clip.text for clip in batch.clips])
        groups = torch.tensor([numbers.setdefault(text, len(numbers)) for text in everyone], device=self.device)
        loss = contrastive_loss(_of_all(motions), _of_all(texts), self.model.scale, groups) if everyone else no_loss(self)
        clips = len(batch.clips)
        self.means["train"].add({"loss": loss, "temperature": 1 / self.model.scale}, clips)
        if clips:
            self.log("loss", loss.detach(), prog_bar=True, logger=False, batch_size=clips)
        return loss + no_loss(self)

    @in_float32
    def validation_step(self, batch: MotionBatch, batch_index: int) -> None:
        if not batch.clips:
            return
        embedded = (values.float().cpu().numpy() for values in self._embedded(batch))
        for clip, motion, text in zip(batch.clips, *embedded):
            self._seen[clip.corpus, clip.name] = clip.text, motion, text

    def on_validation_epoch_end(self) -> None:
        """Logs the scores. Raises UserError when no clip was read."""
        found = dict(sorted(processes.items_of_all(list(self._seen.items()))))
        self._seen = {}
        if not found:
            raise UserError("no clip of the val split can be read: check `corpora`")
        sentences, motions, texts = zip(*found.values())
        numbers = {text: number for number, text in enumerate(dict.fromkeys(sentences))}
        groups = np.array([numbers[text] for text in sentences])
        similarity, same = np.stack(texts).astype(np.float64) @ np.stack(motions).T, groups[:, None] == groups
        ranks = np.stack([ranks_of(similarity, same), ranks_of(similarity.T, same)])
        scores = {f"R@{k}": 100.0 * float((ranks <= k).mean()) for k in FIRST}
        scores |= {"rsum": 2 * sum(scores.values()), "median_rank": float(np.median(ranks, axis=1).mean())}
        both = (torch.tensor(np.stack(values), device=self.device) for values in (motions, texts))
        loss = contrastive_loss(*both, self.model.scale.detach(), torch.tensor(groups, device=self.device))
        self.log_dict({"val/loss": loss} | {f"val/{name}": torch.tensor(v) for name, v in scores.items()})

    def size_of(self, batch: MotionBatch) -> Tensor:
        """Clips."""
        return torch.tensor(len(batch.clips))

    @property
    def trained(self) -> nn.Module:
        return self.model

    def export(self, folder: Path) -> None:
        """Writes the model for `TextMotionRetriever.from_pretrained`; of several processes, the first does."""
        if self.global_rank == 0:
            self.retriever.save_pretrained(folder)

    def provenance(self) -> dict[str, Any]:
        return {**self.retriever.provenance, "words": list(self.retriever.texts.tokens)}

    def _embedded(self, batch: MotionBatch) -> tuple[Tensor, Tensor]:
        """[B, D] of the motions and of the sentences."""
        require_signers(zip(batch.clips, batch.motions), KIND)
        features = torch.cat([batch.features[part] for part in self.retriever.layout.names], dim=2)
        tokens = pad_sequence([self._clip_ids(clip) for clip in batch.clips], True, self.retriever.texts.PADDING)
        return self.model.embed_motions(features, batch.lengths), self.model.embed_texts(tokens.to(self.device))

    def _nothing(self) -> Tensor:
        return torch.zeros(0, self.model.settings.dimension, device=self.device)

    def _clip_ids(self, clip: Clip) -> Tensor:
        if clip.text not in self._ids:  # segmentation takes longer than reading the clip
            self._ids[clip.text] = torch.tensor(self.retriever.ids(clip.text))
        return self._ids[clip.text]


def _of_all(own: Tensor) -> Tensor:
    """[N, D] -> those of all processes, process by process. A gradient flows to the own ones alone, times the number of
    processes: averaged over them, it is that of one process that has all."""
    count = processes.count()
    if count == 1:
        return own
    rows: Sequence[Tensor] = processes.tensors_of_all(own.detach())
    scaled = own * count - (own * (count - 1)).detach()
    return torch.cat([scaled if rank == processes.rank() else row for rank, row in enumerate(rows)])
