"""PolicyLearner: draws samples of a batch, has them rewarded, and makes a loss of them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from soke.data.clip import Clip, SkippedClip
from soke.generator.model import SignGenerator
from soke.generator.policy import objectives
from soke.generator.policy.likelihood import Samples, distributions, drawn, log_probabilities
from soke.generator.policy.rewards import Attempts, Points, Reference, References, rewards_of
from soke.generator.producer import SignProducer
from soke.generator.schemes import ABSENT
from soke.generator.settings import Policy, Search
from soke.run import processes
from soke.translation import BackTranslator


@dataclass(frozen=True)
class Rollout:
    """Samples, and what they are worth.

    rewards:    [B, G] weighted sums
    advantages: [N] rewards above what the objective compares them with
    before:     [N, R, S] log-probabilities of their steps when they were drawn
    start:      [N, R, S] those under the generator that training began from
    values:     name -> [] means over the samples, of what is logged
    """

    samples: Samples
    rewards: Tensor
    advantages: Tensor
    before: Tensor
    start: Tensor
    values: dict[str, Tensor]


class PolicyLearner:
    """No torch module: checkpoints leave out the generator that training began from, of which this keeps a copy.

    settings:   of the policy
    producer:   of the generator that learns
    references: of the clips that are signed
    readers:    corpus -> reads the motions that are made for it, for the reward `bleu`
    begun_from: hash of the generator that training began from
    skip:       takes the clips whose motion cannot be used
    """

    def __init__(
        self, settings: Policy, producer: SignProducer, references: References, points: Points,
        readers: Mapping[str, BackTranslator], begun_from: str, skip: Callable[[Iterable[SkippedClip]], None],
    ):
        self.settings, self.producer, self.references, self.points = settings, producer, references, points
        self.readers, self.begun_from, self.skip = dict(readers), begun_from, skip
        generator, source = producer.generator, producer.generator.source  # which reads text and learns nothing
        self.start: SignGenerator = deepcopy(generator, {id(source): source}).eval().requires_grad_(False)
        self.baseline: float | None = None  # of REINFORCE, once there was a reward
        self._kept: Rollout | None = None
        self._uses = 0  # of the rollout that is kept

    @property
    def names(self) -> list[str]:
        """Of what is logged of a rollout."""
        return ["reward", *(f"reward_{name}" for name in self.settings.weights), "reward_spread", "kl", "steps"]

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"baseline": self.baseline, "begun_from": self.begun_from}

    @property
    def draws_next(self) -> bool:
        return self._uses % self.settings.updates == 0

    def forget(self) -> None:
        """Draws anew in the next step: an epoch begins, as it would in a run that continues."""
        self._kept, self._uses = None, 0

    def loss(self, clips: Sequence[Clip]) -> tuple[Tensor | None, dict[str, Tensor], int]:
        """The loss [] of a batch, what is logged of it, and of how many samples; None and nothing for no clips.

        Every process must call it in the same steps.
        """
        if self.draws_next:
            self._kept = self._rollout(clips)
        self._uses += 1
        if self._kept is None:
            processes.share(torch.zeros((), device=self.producer.generator.device))
            return None, {}, 0
        kept, s = self._kept, self.settings
        output, taken = kept.samples.output, kept.samples.taken
        now = self._log_probabilities(self.producer.generator, kept.samples)
        values, counted = kept.values if (self._uses - 1) % s.updates == 0 else {}, len(output)
        if s.objective == "grpo":
            loss = objectives.grpo(now, kept.before, kept.start, taken, kept.advantages, s.clip, s.kl)
            outside = ((now - kept.before).exp() - 1).abs() > s.clip
            values = values | {"clipped": (outside & taken).sum() / taken.sum()}
        elif s.objective == "dpo":
            loss, preferred = objectives.dpo(now, kept.start, kept.rewards, s.beta)
            counted = len(preferred)
            if len(preferred):
                values = values | {"preferred": preferred.float().mean()}
        else:
            loss = objectives.policy_gradient(now, kept.start, taken, kept.advantages, s.kl)
        return loss * processes.share(torch.full((), counted, device=loss.device)), values, len(output)

    @torch.no_grad()
    def _rollout(self, clips: Sequence[Clip]) -> Rollout | None:
        self._on_one_device()
        clips, references = self._usable(self._chosen(clips))
        s, generator = self.settings, self.producer.generator
        samples = values = rewards = None
        seed = torch.randint(2**31, ()).to(generator.device)
        processes.first_to_all([seed])  # a sentence has the same samples, whichever process draws them
        if clips:
            samples = drawn(generator, clips, s.search(int(seed)), s.samples)
            values = self._rewards(samples, references)
            rewards = values["reward"].unflatten(0, (len(clips), -1))
        advantages = self._advantages(clips, references, rewards)  # every process takes part in it
        if not clips:
            return None
        before, start = (self._log_probabilities(model, samples) for model in (generator, self.start))
        taken = samples.taken
        logged = {name: of.mean() for name, of in values.items()}
        logged["reward_spread"] = rewards.std(1, correction=0).mean()
        logged["kl"] = (objectives.divergence(before, start) * taken).sum() / taken.sum()
        logged["steps"] = _steps(samples).mean()
        return Rollout(samples, rewards, advantages, before, start, logged)

    def _chosen(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        """At most as many as are signed."""
        most = self.settings.sentences or len(clips)
        return clips if len(clips) <= most else [clips[i] for i in torch.randperm(len(clips))[:most].sort().values]

    def _usable(self, clips: Sequence[Clip]) -> tuple[list[Clip], list[Reference]]:
        """Clips that have a reference, and these."""
        found = [self.references.of(clip) for clip in clips]
        self.skip([of for of in found if isinstance(of, SkippedClip)])
        pairs = [(clip, of) for clip, of in zip(clips, found) if isinstance(of, Reference)]
        return [clip for clip, _ in pairs], [of for _, of in pairs]

    def _rewards(self, samples: Samples, references: Sequence[Reference]) -> dict[str, Tensor]:
        """Name -> [N]."""
        codes = [self.producer.generator.scheme.revert(rows) for rows in samples.output]
        repeated = [reference for reference in references for _ in range(samples.each)]
        attempts = Attempts(codes, repeated, self.producer, self.points, self.readers)
        device = samples.output.device
        return {name: of.to(device) for name, of in rewards_of(attempts, self.settings.weights).items()}

    def _advantages(
        self, clips: Sequence[Clip], references: Sequence[Reference], rewards: Tensor | None
    ) -> Tensor | None:
        """[N] of rewards [B, G]; None for none."""
        objective = self.settings.objective
        if objective == "reinforce":
            baseline = self._running_mean(rewards)
            return None if rewards is None else (rewards - baseline).flatten()
        if rewards is None:
            return None
        if objective == "scst":
            greedy = self._rewards(drawn(self.producer.generator, clips, Search()), references)["reward"]
            return (rewards - greedy[:, None]).flatten()
        return objectives.group_advantages(rewards).flatten()

    def _running_mean(self, rewards: Tensor | None) -> float:
        """Of the rewards of all processes' batches before this one, with which it then goes on; of the first one, its
        own mean."""
        sums = torch.zeros(2, dtype=torch.float64, device=self.producer.generator.device)
        if rewards is not None:
            sums += torch.stack([rewards.double().sum(), sums.new_tensor(rewards.numel())])
        total, count = processes.sum_over_all(sums).tolist()
        if not count:
            return self.baseline or 0.0
        mean, before = total / count, self.baseline
        self.baseline = mean if before is None else self.settings.decay * before + (1 - self.settings.decay) * mean
        return mean if before is None else before

    def _log_probabilities(self, generator: SignGenerator, samples: Samples) -> Tensor:
        end = generator.scheme.end.to(samples.output.device)
        return log_probabilities(distributions(generator, samples), samples.output, end)

    @torch.no_grad()
    def validated(self, clips: Sequence[Clip]) -> dict[str, Tensor]:
        """Name -> [n, 2] of the greedy outputs for the clips: sums, and over how many; `kl` is exact, nats per step along
        these outputs."""
        self._on_one_device()
        clips, references = self._usable(clips)
        if not clips:
            return {}
        found: dict[str, Tensor] = {}
        size = self.producer.batch_size
        for first in range(0, len(clips), size):
            rows = slice(first, first + size)
            samples = drawn(self.producer.generator, clips[rows], Search())
            now, start = (distributions(model, samples) for model in (self.producer.generator, self.start))
            diverged = objectives.whole_divergence(now, start, samples.output != ABSENT)[samples.taken]
            values = {**self._rewards(samples, references[rows]), "kl": diverged, "steps": _steps(samples)}
            for name, of in values.items():
                sums = torch.stack([of.double().sum(), of.new_tensor(of.numel(), dtype=torch.float64)])
                found[name] = sums + found.get(name, 0.0)
        return found

    def _on_one_device(self) -> None:
        """All that works for the generator goes where a training has moved it."""
        device = self.producer.generator.device
        self.producer.on_one_device()
        for model in (self.start, self.points.body, *(reader.model for reader in self.readers.values())):
            model.to(device)


def _steps(samples: Samples) -> Tensor:
    """[N] decoder steps of each sample's longest row, the end included."""
    return samples.taken.sum(2).amax(1).float()
