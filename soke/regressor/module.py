"""Training of regressors with Lightning: errors under teacher forcing, by one objective a batch; validation by
generation."""
from __future__ import annotations

from collections.abc import Sequence
from operator import eq
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soke.data.clip import Clip
from soke.data.dataset import MotionBatch
from soke.evaluation.validation import GENERATED, GenerationScore
from soke.metrics.text_scores import BLEU
from soke.regressor.group import RegressorOutput
from soke.regressor.objectives import Objectives, mean_error
from soke.regressor.regressor import PoseRegressor
from soke.run import processes
from soke.run.module import TrainedModule
from soke.run.precision import in_float32
from soke.run.saving import Running
from soke.run.settings import Optim
from soke.run.training import EpochMeans, no_loss, scoring

_EXACT = "lang_gloss_exact"


class RegressorModule(TrainedModule):
    """Logs for both stages, under teacher forcing, <stage>/loss, error, squared (of the features of the next frame),
    counter (mean absolute error) and the groups' further terms, means over frames; of training, what the objectives
    say of rewards; and what `generation` says of generated motion. Where LangGloss is written also, of what is written
    of the validation's sentences, val/lang_gloss_BLEU-4, and val/lang_gloss_exact, the share that is right to the last
    token. All of it is of all processes; validation is in float32, and its loss is the error of all frames, whatever
    the objectives.

    objectives:     of training batches
    generation:     the score by which the exported checkpoint is chosen, by its DTW-JPE; None: the last one is exported
    generate_every: epochs between two scores; the last epoch, where it is validated, is scored too
    """

    section = "regressor"
    agreeing = ("layout_hash", "statistics_hash", "form_of_frames", "groups", "frozen_groups")

    def __init__(
        self, regressor: PoseRegressor, optim: Optim, objectives: Objectives,
        generation: GenerationScore | None = None, generate_every: int = 1,
    ):
        super().__init__()
        self.regressor, self.optim, self.objectives = regressor.train(), optim, objectives
        self.generation, self.generate_every = generation, generate_every
        self.monitor, self.monitor_mode = None if generation is None else "val/DTW_JPE", "min"
        names = ["loss", "error", "squared", "counter", *regressor.terms]
        self.bleu = BLEU(level="word") if regressor.writes else None
        exact = [_EXACT] if regressor.writes else []
        self.means = {"train": EpochMeans("train", [*names, *objectives.VALUES]), "val": EpochMeans("val", [*names, *exact])}

    @property
    def running(self) -> dict[str, Running]:
        return {**super().running, **{name: group.spread for name, group in self.regressor.groups.items()}}

    @property
    def later(self) -> tuple[str, ...]:
        """Scores that not every validation has."""
        return GENERATED if self.generation is not None else ()

    def training_step(self, batch: MotionBatch, batch_index: int) -> Tensor:
        self.regressor.epoch = self.current_epoch
        kind = self.objectives.draw(self.trainer.strategy.broadcast)  # a step of all processes has one
        if not batch.clips:  # all were unreadable, but the other processes ask for rewards
            chosen = self.objectives(kind, *torch.zeros(3, 0, device=self.device), self.current_epoch)
            self.means["train"].add({"loss": chosen.loss}, chosen.frames)
            processes.share(torch.zeros((), device=self.device))
            return no_loss(self)
        output = self.regressor(batch.clips, batch.features, batch.lengths, batch.frames)
        chosen = self.objectives(kind, output.errors, output.squared, output.frames, self.current_epoch)
        share = processes.share(torch.full((), len(batch.clips), device=self.device))
        loss = chosen.loss + self._terms(output) * share
        self._count(output, loss, "train", chosen.frames)
        self.means["train"].add(chosen.values, len(batch.clips))
        self.log("loss", loss.detach(), prog_bar=True, logger=False, batch_size=len(batch.clips))
        return loss + no_loss(self)  # DDP waits for the gradient of groups that have no clip in this batch, too

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.regressor.end_epoch()

    @in_float32
    def validation_step(self, batch: MotionBatch, batch_index: int) -> None:
        if batch.clips:
            output = self.regressor(batch.clips, batch.features, batch.lengths, batch.frames)
            loss = mean_error(output.errors, output.frames) + self._terms(output)
            self._count(output, loss, "val", output.frames.sum())
            if self.bleu is not None:
                self._score_lang_gloss(batch.clips)

    def _score_lang_gloss(self, clips: Sequence[Clip]) -> None:
        hypotheses, references = self.regressor.lang_glosses(clips), self.regressor.own_lang_glosses(clips)
        for clip, hypothesis, reference in zip(clips, hypotheses, references):
            self.bleu.update_tokens(f"{clip.corpus}/{clip.name}", hypothesis, reference)
        exact = sum(map(eq, hypotheses, references)) / len(clips)
        self.means["val"].add({_EXACT: torch.tensor(exact, device=self.device)}, len(clips))

    @in_float32
    def on_validation_epoch_end(self) -> None:
        self.means["val"].log(self)
        if self.bleu is not None:
            self.log("val/lang_gloss_BLEU-4", self.bleu.compute()["BLEU-4"]["percent"].float())
            self.bleu.reset()
        epoch = self.current_epoch + 1
        if self.generation is not None and (epoch % self.generate_every == 0 or epoch == self.trainer.max_epochs):
            with scoring():
                scores = self.generation.compute(self.global_rank, self.trainer.world_size, self.device)
            self.log_dict({f"val/{name}": value.float() for name, value in scores.items()})

    def size_of(self, batch: MotionBatch) -> Tensor:
        """Frames."""
        return batch.lengths.sum()

    @property
    def trained(self) -> nn.Module:
        return self.regressor

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Of several groups, each by itself, and one without a gradient takes no step, which its momentum and its weight
        decay else would make: nothing that happens to one depends on what others have to learn."""
        groups = [group for group in self.regressor.groups.values() if not group.frozen]
        if len(groups) == 1:
            return self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        parameters = [[p for p in group.parameters() if p.grad is not None] for group in groups]
        limit = gradient_clip_val or float("inf")
        norms = torch.stack([nn.utils.clip_grad_norm_(own, limit) for own in parameters])
        for own, norm in zip(parameters, norms.tolist()):
            for parameter in own if norm == 0 else ():
                parameter.grad = None

    def _count(self, output: RegressorOutput, loss: Tensor, stage: str, counts: Tensor) -> None:
        """counts: [] how many frames the loss is a mean of"""
        values = {"error": output.errors, "squared": output.squared, "counter": output.counter, **output.terms}
        frames = output.frames
        means = {name: (value.detach() * frames).sum() / frames.sum() for name, value in values.items()}
        self.means[stage].add(means, frames.sum())
        self.means[stage].add({"loss": loss}, counts)

    @staticmethod
    def _terms(output: RegressorOutput) -> Tensor:
        """The groups' further losses, means over clips."""
        return sum((term.mean() for term in output.terms.values()), output.errors.new_zeros(()))

    def export(self, folder: Path) -> None:
        """Writes the regressor for `PoseRegressor.from_pretrained`; of several processes, the first does."""
        if self.global_rank == 0:
            self.regressor.save_pretrained(folder)

    def provenance(self) -> dict[str, Any]:
        return self.regressor.provenance()
