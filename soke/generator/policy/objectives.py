"""What learning by reward minimises: REINFORCE, self-critical training, GRPO and DPO."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

_EPSILON = 1e-6  # of GRPO's spread of rewards


def divergence(now: Tensor, start: Tensor) -> Tensor:
    """Of log-probabilities of steps under the policy and under the one that it started from, both [...], the unbiased
    estimate of their Kullback-Leibler divergence, which is never negative (DeepSeekMath, equation 4); with gradients."""
    return (start - now).exp() - (start - now) - 1


def whole_divergence(now: Tensor, start: Tensor, active: Tensor) -> Tensor:
    """[...] Kullback-Leibler divergence of the active heads' choices at each step, exact, in nats.

    now, start: [..., P, V + 1] log-probabilities
    active:     [..., P] bool
    """
    terms = torch.where(now > -torch.inf, now.exp() * (now - start), 0.0)
    return (terms.sum(-1) * active).sum(-1)


def group_advantages(rewards: Tensor) -> Tensor:
    """[B, G] rewards of the G samples of each sentence -> how many standard deviations they are above their mean."""
    spread = rewards.std(1, correction=0, keepdim=True)
    return (rewards - rewards.mean(1, keepdim=True)) / (spread + _EPSILON)


def policy_gradient(now: Tensor, start: Tensor, taken: Tensor, advantages: Tensor, kl: float) -> Tensor:
    """[] REINFORCE's loss, with whatever baseline: minus the advantage times the sample's log-probability, and the
    divergence of the whole sample; a mean over samples.

    now, start: [N, R, S] log-probabilities of the steps, zero where none was taken
    taken:      [N, R, S] bool
    advantages: [N] reward above the baseline
    kl:         weight of the divergence
    """
    diverged = (divergence(now, start) * taken).sum((1, 2))
    return (kl * diverged - advantages * (now * taken).sum((1, 2))).mean()


def grpo(
    now: Tensor, drawn: Tensor, start: Tensor, taken: Tensor, advantages: Tensor, clip: float, kl: float
) -> Tensor:
    """[] GRPO's loss (DeepSeekMath, equation 3): the clipped surrogate and the divergence, means over each sample's
    steps, then over samples. Arguments as of `policy_gradient`, and

    drawn: [N, R, S] log-probabilities of the steps when they were drawn
    clip:  how far from 1 a step's ratio of probabilities still counts
    """
    ratio, advantages = (now - drawn).exp(), advantages[:, None, None]
    gain = torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
    loss = (kl * divergence(now, start) - gain) * taken
    return (loss.sum((1, 2)) / taken.sum((1, 2))).mean()


def dpo(now: Tensor, start: Tensor, rewards: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """DPO's loss [] of the best and the worst sample of each sentence, a mean over the sentences whose samples differ
    in reward; and which of those sentences prefer the best one already, [B'] bool.

    now, start: [N, R, S] log-probabilities of the steps, zero where none was taken
    rewards:    [B, G]
    beta:       scale of the log-ratios
    """
    margin = (now - start).sum((1, 2)).unflatten(0, rewards.shape)  # [B, G]
    best, worst = (margin.gather(1, end(1, keepdim=True).indices)[:, 0] for end in (rewards.max, rewards.min))
    differ = rewards.amax(1) - rewards.amin(1) > _EPSILON
    preferred = (best - worst)[differ]
    return -logsigmoid(beta * preferred).sum() / differ.sum().clamp_min(1), preferred > 0
