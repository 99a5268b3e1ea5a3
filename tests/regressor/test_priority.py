"""Priorities are a distribution for any rewards; the channel skips the worst, and never everything."""
from __future__ import annotations

import math
from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soke.errors import UserError
from soke.regressor.priority import Channel, priorities, weights_of
from soke.regressor.settings import FORMS

REWARDS = st.lists(
    st.one_of(st.floats(-3.0, 0.0), st.floats(-1e300, 1e300), st.sampled_from([0.0, -1.0, 1e308, -1e308])),
    min_size=1, max_size=12,
)
FORM = st.sampled_from(FORMS)
ETA = st.sampled_from([0.0, 0.5, 1.0, 3.0, 1e308])
TEMPERATURE = st.sampled_from([1e-308, 0.05, 1.0, 1e300])


def double(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(REWARDS, FORM, ETA, TEMPERATURE)
def test_priorities_are_a_distribution_for_any_rewards(rewards, form, eta, temperature):
    found = priorities(double(rewards), form, eta, temperature)
    assert found.shape == (len(rewards),) and (found >= 0).all() and found.sum().item() == pytest.approx(1.0)
    order = np.argsort(rewards, kind="stable")
    assert (np.diff(found.numpy()[order]) >= -1e-12).all()  # a higher reward never has less
    for value in set(rewards):
        assert len({found[i].item() for i, reward in enumerate(rewards) if reward == value}) == 1
    if eta == 0 or len(set(rewards)) == 1:
        assert found.tolist() == pytest.approx([1 / len(rewards)] * len(rewards))


@given(REWARDS, FORM, ETA, TEMPERATURE, st.data())
def test_what_is_skipped_has_no_priority_and_no_influence(rewards, form, eta, temperature, data):
    kept = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(rewards), max_size=len(rewards))))
    found = weights_of(double(rewards), kept, form, eta, temperature)
    assert not found[~kept].any()
    alone = double(rewards)[kept]
    assert torch.allclose(found[kept], weights_of(alone, torch.ones_like(alone, dtype=torch.bool), form, eta, temperature))


def test_the_forms_are_those_of_their_formulas():
    rewards = double([-0.1, -0.4, -0.4, -2.0])
    expected = {
        "exp": [math.exp(2 * r / 0.5) for r in (-0.1, -0.4, -0.4, -2.0)],
        "inverse": [(0.5 + e) ** -2 for e in (0.1, 0.4, 0.4, 2.0)],
        "rank": [1.0, 2.5**-2, 2.5**-2, 4.0**-2],
    }
    for form, values in expected.items():
        assert priorities(rewards, form, 2.0, 0.5).tolist() == pytest.approx([v / sum(values) for v in values])


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_is_refused(lost):
    with pytest.raises(UserError, match="the reward of clip 1 .* is .*but priorities need finite rewards"):
        priorities(torch.tensor([-1.0, lost, -2.0]), "rank", 1.0, 1.0)
    everyone = torch.ones(3, dtype=torch.bool)
    for form in FORMS:  # of a training step: its loss is lost, as it would be without priorities
        assert weights_of(torch.tensor([-1.0, lost, -2.0]), everyone, form, 1.0, 1.0).isnan().all()


@pytest.mark.parametrize("name", ["power", "r^eta", "r ** eta", "Power"])
def test_the_printed_form_is_refused_with_the_reason(name):
    with pytest.raises(UserError, match="undefined for rewards up to 0.*choose one of exp, inverse, rank"):
        priorities(torch.tensor([-1.0]), name, 1.0, 1.0)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(UserError, match="`form` is expp, but must be one of exp, inverse, rank .did you mean exp"):
        priorities(torch.tensor([-1.0]), "expp", 1.0, 1.0)
    for eta, temperature in ((-1.0, 1.0), (math.nan, 1.0), (1.0, 0.0), (1.0, math.inf)):
        with pytest.raises(UserError, match="`eta` must be at least 0 and `temperature` above 0"):
            priorities(torch.tensor([-1.0]), "exp", eta, temperature)


class SlowChannel:
    """The same in plain Python."""

    def __init__(self, quantile: float, window: int, by: str):
        self.quantile, self.by, self.last, self.skipped = quantile, by, deque(maxlen=window), 0

    def __call__(self, rewards: list[list[float]], skips: bool) -> list[list[bool]]:
        judged = [[sum(r) / len(r)] if self.by == "batch" and r else r for r in rewards]
        values = [value for of_one in judged for value in of_one]
        self.last.extend(values)
        if not skips or not values:
            return [[True] * len(r) for r in rewards]
        threshold = sorted(self.last)[int(self.quantile * len(self.last))]
        kept = [[value >= threshold for value in of_one] for of_one in judged]
        patient = self.by == "batch" and self.skipped < math.ceil(4 / (1 - self.quantile))
        if not any(map(any, kept)) and not patient:
            kept = [[value == max(values) for value in of_one] for of_one in judged]
        self.skipped = 0 if any(map(any, kept)) else self.skipped + 1
        return [own * len(r) if self.by == "batch" else own for own, r in zip(kept, rewards)]


# Sums of two or four of these are exact.
STEP = st.lists(st.lists(st.integers(-20, 0).map(float), max_size=4).filter(lambda r: len(r) != 3), min_size=1, max_size=3)


@given(
    st.lists(STEP, min_size=1, max_size=12), st.sampled_from([0.0, 0.25, 0.5, 0.9]), st.integers(1, 9),
    st.sampled_from(["sample", "batch"]), st.integers(0, 4),
)
def test_the_channel_is_the_slow_one(steps, quantile, window, by, warmup):
    fast, slow = Channel(quantile, window, by), SlowChannel(quantile, window, by)
    for number, rewards in enumerate(steps):
        skips = number >= warmup
        assert [own.tolist() for own in fast([double(r) for r in rewards], skips)] == slow(rewards, skips)


@given(st.integers(1, 5), st.sampled_from([0.0, 0.5, 0.9]), st.integers(1, 50), st.sampled_from(["sample", "batch"]))
def test_the_channel_never_skips_everything(size, quantile, window, by):
    """Not even where every step is worse than all before."""
    channel, skipped = Channel(quantile, window, by), 0
    for step in range(60):
        kept = channel([torch.full((size,), -float(step))], True)
        skipped = 0 if kept[0].any() else skipped + 1
        assert skipped <= (0 if by == "sample" else math.ceil(4 / (1 - quantile)))


def test_half_of_the_clips_are_skipped_in_the_long_run():
    draw = torch.Generator().manual_seed(0)
    for by in ("sample", "batch"):
        channel = Channel(0.5, 128, by)
        kept = [channel([-torch.rand(8, generator=draw)], step >= 20)[0] for step in range(320)][20:]
        assert torch.stack(kept).double().mean().item() == pytest.approx(0.5, abs=0.04)


def test_state_survives_and_is_that_of_the_last_rewards():
    channel, again = Channel(0.5, 4, "sample"), Channel(0.5, 4, "sample")
    channel([double([-9.0, -1.0, -2.0]), double([]), double([-3.0, -4.0])], False)
    assert channel.threshold == -2.0  # of -1, -2, -3, -4
    again.load_state_dict(channel.state_dict())
    for rewards in ([-2.5], [-5.0, -2.0], [-1.0]):
        first, second = (c([double(rewards)], True) for c in (channel, again))
        assert torch.equal(first[0], second[0])
    assert torch.equal(channel.threshold, again.threshold)


def test_rewards_that_are_no_numbers_are_not_remembered():
    channel = Channel(0.5, 4, "sample")
    channel([double([-1.0, -2.0])], True)
    channel([double([-1.0, math.nan])], True)
    channel([double([-math.inf])], True)
    assert channel.count == 2 and channel.threshold == -1.0 and channel.rewards.isfinite().all()
