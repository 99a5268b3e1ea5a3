"""Training of a generator that learns by reward, beside its other objectives."""

from __future__ import annotations

import logging
from typing import Any, Callable, Sequence

import torch
from torch import Tensor

from soke.data.clip import Clip
from soke.data.dataset import CodeBatch
from soke.errors import UserError
from soke.generator.module import GeneratorModule
from soke.generator.policy.learner import PolicyLearner
from soke.run import processes
from soke.run.precision import in_float32
from soke.run.training import EpochMeans, no_loss

log = logging.getLogger(__name__)


class PolicyModule(GeneratorModule):
    """Logs besides, of the samples of the batches that learn by reward, means over the epoch: `reward`, the weighted
    sum, and reward_<name>, drawn and learnt from in float32; reward_spread, the standard deviation between samples of a sentence; kl, estimated, nats per
    step to the generator that training began from; steps, the decoder's. In validation the same, but for the spread,
    of greedy outputs for fixed sentences, with the exact kl; val/reward chooses the exported checkpoint, and
    start/reward is what it was before training. All of it is of all processes.

    learner: makes the loss
    clips:   of the val split, on which the reward is validated
    others:  as of `GeneratorModule`
    """

    def __init__(self, *arguments: Any, learner: PolicyLearner, clips: Sequence[Clip], **settings: Any):
        super().__init__(*arguments, **settings)
        self.learner, self.clips = learner, list(clips)
        self.monitor, self.monitor_mode = "val/reward", "max"
        of_objective = {"grpo": ["clipped"], "dpo": ["preferred"]}.get(learner.settings.objective, [])
        known = self.means["train"].names
        self.means["train"] = EpochMeans("train", [*known, *learner.names, *of_objective])
        self._start: float | None = None  # reward of the validation before training
        self._best: float | None = None  # of all of them, this one too
        self._waited = 0  # validations since

    @property
    def shares(self) -> dict[Callable[[CodeBatch, str], Tensor], float]:
        return {**super().shares, self._policy_step: self.learner.settings.share}

    @in_float32
    def _policy_step(self, batch: CodeBatch, stage: str) -> Tensor:
        loss, values, count = self.learner.loss(batch.clips)
        if loss is None:
            return no_loss(self)
        if values:
            self.means[stage].add(values, count)
        return loss + no_loss(self.generator.text_head)  # DDP waits for the gradient of every parameter

    @property
    def resumable(self) -> bool:
        """Whether the next step that learns by reward draws samples, which checkpoints leave out."""
        return self.learner.draws_next

    def on_train_start(self) -> None:
        """The reward of the start, which later ones are compared with."""
        if self._best is None:
            start = self._validate_reward()["reward"]
            self._start = self._best = float(start)
            self.log("start/reward", start.float())
        self.trainer.should_stop = self.trainer.should_stop or self._over  # of a run that continues

    def on_train_end(self) -> None:
        if self._best == self._start:
            log.warning(
                "the reward of the val split has not risen above %.4g, that of TRAIN.INIT: by it, what is exported is no "
                "better than what training began from", self._start,
            )

    def on_train_epoch_start(self) -> None:
        self.learner.forget()

    def _score(self) -> None:
        super()._score()
        found = {f"val/{name}": value.float() for name, value in self._validate_reward().items()}
        self.log_dict(found)
        self._stop_in_time(float(found["val/reward"]))

    def _validate_reward(self) -> dict[str, Tensor]:
        """Means over the clips of all processes, the same in each."""
        names = ["reward", *(f"reward_{name}" for name in self.learner.settings.weights), "kl", "steps"]
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            own = self.learner.validated(self.clips[self.global_rank :: self.trainer.world_size])
        nothing = torch.zeros(2, dtype=torch.float64, device=self.device)
        sums = processes.sum_over_all(torch.stack([own.get(name, nothing) for name in names]))
        if not sums[0, 1]:
            raise UserError(
                "no motion of the val split can be read, so the reward cannot be validated: check DATASET.CORPORA, or "
                "set POLICY.SHARE=0"
            )
        return {name: total / count for name, (total, count) in zip(names, sums)}

    def _stop_in_time(self, reward: float) -> None:
        if self._best is None or reward > self._best:
            self._best, self._waited = reward, 0
            return
        self._waited += 1
        if self._over:
            log.warning(
                "training stops: for %d validations the reward has not risen above %.4g, the last is %.4g", self._waited,
                self._best, reward,
            )
            self.trainer.should_stop = True

    @property
    def _over(self) -> bool:
        return 0 < self.learner.settings.patience <= self._waited

    def provenance(self) -> dict[str, Any]:
        return {**super().provenance(), "begun from": self.learner.begun_from}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        validated = {"start": self._start, "best": self._best, "waited": self._waited}
        policy = {**self.learner.state(), **validated, "readers": list(self.generator.spec.readers)}
        checkpoint["soke"] |= {"policy": policy}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises UserError as that of `GeneratorModule`, and for one that began from another generator, or whose rewards
        another reader gave."""
        super().on_load_checkpoint(checkpoint)
        saved = checkpoint["soke"].get("policy")
        if saved is None:
            raise UserError("this checkpoint has not learnt by reward: begin from its exported generator, TRAIN.INIT")
        if saved["begun_from"] != self.learner.begun_from:
            raise UserError(
                f"this checkpoint began from the generator {saved['begun_from']}, TRAIN.INIT is "
                f"{self.learner.begun_from}: name the one that it began from, or start a new run"
            )
        if saved["readers"] != self.generator.spec.readers:
            raise UserError(
                "POLICY.READER holds other models than those that rewarded this checkpoint: name these, or start a new run"
            )
        self.learner.baseline = saved["baseline"]
        self._start, self._best, self._waited = saved["start"], saved["best"], saved["waited"]
