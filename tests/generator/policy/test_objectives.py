"""What learning by reward minimises, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from soke.generator.policy.objectives import (
    divergence,
    dpo,
    group_advantages,
    grpo,
    policy_gradient,
    whole_divergence,
)

TAKEN = torch.tensor([[[True, True, False]], [[True, True, True]]])  # two samples of two and three steps


def steps(*values: list[float]) -> torch.Tensor:
    return torch.tensor(values)[:, None].requires_grad_()


def test_advantages_are_zero_for_equal_rewards_and_standardised_else():
    found = group_advantages(torch.tensor([[0.3, 0.3, 0.3, 0.3], [1.0, 2.0, 3.0, 4.0]]))
    assert not found[0].any()
    assert found[1].tolist() == pytest.approx([v / math.sqrt(1.25) for v in (-1.5, -0.5, 0.5, 1.5)], rel=1e-5)


def test_divergence_is_zero_at_the_start_and_unbiased():
    now = torch.tensor([0.5, 0.3, 0.2]).log().requires_grad_()
    assert not divergence(now, now.detach()).any()
    start = torch.tensor([0.2, 0.2, 0.6]).log()
    expected = (now.exp() * divergence(now, start)).sum()  # over what the policy draws
    exact = (now.exp() * (now - start)).sum()
    torch.testing.assert_close(expected, exact)
    torch.testing.assert_close(whole_divergence(now[None], start[None], torch.tensor([True])), exact)
    divergence(now, start).sum().backward()
    assert (now.grad != 0).all()


def test_whole_divergence_leaves_out_what_cannot_be_said():
    now, start = torch.tensor([[0.0, -torch.inf], [0.0, 0.0]]), torch.tensor([[0.0, -torch.inf], [-1.0, 0.0]])
    assert whole_divergence(now, start, torch.tensor([True, False])).item() == 0
    assert whole_divergence(now, start, torch.tensor([True, True])).item() == 1


def test_policy_gradient_is_minus_advantage_times_log_probability():
    now, start = steps([-1.0, -2.0, 0.0], [-0.5, -0.5, -1.0]), steps([-1.0, -2.0, 0.0], [-0.5, -1.5, -1.0])
    loss = policy_gradient(now, start.detach(), TAKEN, torch.tensor([2.0, -1.0]), kl=0.5)
    diverged = math.exp(-1.0) + 1.0 - 1
    assert loss.item() == pytest.approx((2.0 * 3.0 + -1.0 * 2.0 + 0.5 * diverged) / 2)
    loss.backward()
    assert now.grad[0, 0].tolist() == [-1.0, -1.0, 0.0]


def test_grpo_is_a_mean_over_steps_and_clips_what_has_gone_far():
    now = steps([-1.0, -2.0, 0.0], [-1.0, -1.0, -1.0])
    before = torch.tensor([[[-1.0, -3.0, 0.0]], [[-1.0, -0.5, -1.0]]])
    loss = grpo(now, before, now.detach(), TAKEN, torch.tensor([1.0, -1.0]), clip=0.2, kl=0.0)
    first = (1.0 + 1.2) / 2  # e is clipped
    second = -(1.0 + 0.8 + 1.0) / 3  # exp(-0.5) is clipped
    assert loss.item() == pytest.approx(-(first + second) / 2)
    loss.backward()
    assert now.grad[0, 0].tolist() == pytest.approx([-0.25, 0.0, 0.0])
    assert now.grad[1, 0].tolist() == pytest.approx([1 / 6, 0.0, 1 / 6])


def test_dpo_prefers_the_best_of_a_sentence_to_its_worst():
    now = steps([-1.0], [-2.0], [-3.0], [-1.0], [-1.0], [-1.0])
    start = torch.tensor([[[-2.0]], [[-2.0]], [[-2.5]], [[-1.0]], [[-3.0]], [[-1.0]]])
    rewards = torch.tensor([[0.1, 0.9, 0.5], [0.7, 0.7, 0.7]])  # best 1, worst 0; none in the second sentence
    loss, preferred = dpo(now, start, rewards, beta=0.5)
    assert loss.item() == pytest.approx(-math.log(1 / (1 + math.exp(0.5 * 1.0))))
    assert preferred.tolist() == [False]
    loss.backward()
    assert now.grad[1] < 0 < now.grad[0] and not now.grad[2:].any()


def test_dpo_of_equal_rewards_is_zero_with_a_gradient():
    now = steps([-1.0], [-2.0])
    loss, preferred = dpo(now, now.detach(), torch.tensor([[0.5, 0.5]]), beta=0.1)
    loss.backward()
    assert loss == 0 and len(preferred) == 0 and not now.grad.any()
