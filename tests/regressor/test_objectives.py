"""Objectives weigh clips as their formulas say, alone and over processes; shares are those of the batches."""
from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed, multiprocessing, nn

from soke.regressor.objectives import Objectives
from soke.regressor.settings import Priority, objective_problems
from soke.run import processes
from soke.settings import SettingsError

PRIORITY = Priority(form="exp", eta=1.0, temperature=0.5, quantile=0.5, window=8, warmup=1, by="sample")
ERRORS = st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(1, 50)), min_size=1, max_size=8)


def step(objectives: Objectives, kind: str, squared, frames, epoch: int = 1) -> tuple[torch.Tensor, object]:
    """The gradient [B] of the loss by each clip's error, and what was chosen."""
    squared = torch.tensor(squared, dtype=torch.float64)
    errors = squared.clone().requires_grad_()
    chosen = objectives(kind, errors, squared, torch.tensor(frames), epoch)
    chosen.loss.backward()
    return errors.grad, chosen


@given(ERRORS)
def test_mse_is_the_mean_over_all_frames_and_its_rewards_are_negative_errors(clips):
    squared, frames = zip(*clips)
    for shares in ({"mse": 1.0}, {"mse": 0.5, "plc": 0.5}):
        gradient, chosen = step(Objectives(shares, PRIORITY), "mse", squared, frames)
        assert gradient.tolist() == pytest.approx([f / sum(frames) for f in frames])
        assert chosen.loss.item() == pytest.approx(sum(e * f for e, f in clips) / sum(frames))
        assert chosen.values["reward"].item() == pytest.approx(-sum(squared) / len(squared))


@given(ERRORS)
def test_rwr_weighs_by_the_reward_over_the_mean(clips):
    squared, frames = zip(*clips)
    exps = [math.exp(-e / 0.5) for e in squared]
    weights = [w / (sum(exps) / len(exps)) for w in exps]
    gradient, chosen = step(Objectives({"rwr": 1.0}, PRIORITY), "rwr", squared, frames)
    total = sum(w * f for w, f in zip(weights, frames))
    assert gradient.tolist() == pytest.approx([w * f / total for w, f in zip(weights, frames)])
    size = sum(weights) ** 2 / sum(w * w for w in weights)
    assert chosen.values["effective_share"].item() == pytest.approx(size / len(clips))
    assert "skipped" not in chosen.values


@given(ERRORS, st.sampled_from(["exp", "inverse", "rank"]))
def test_plc_without_skipping_is_rwr_or_with_equal_priorities_mse(clips, form):
    squared, frames = zip(*clips)
    everything = replace(PRIORITY, quantile=0.0)
    rwr, _ = step(Objectives({"rwr": 1.0}, everything), "rwr", squared, frames)
    plc, chosen = step(Objectives({"plc": 1.0}, everything), "plc", squared, frames)
    assert torch.allclose(plc, rwr) and chosen.values["skipped"] == 0
    plc, chosen = step(Objectives({"plc": 1.0}, replace(everything, eta=0.0, form=form)), "plc", squared, frames)
    mse, _ = step(Objectives({"mse": 1.0}, everything), "mse", squared, frames)
    assert torch.allclose(plc, mse) and chosen.values["effective_share"].item() == pytest.approx(1.0)


def test_plc_skips_the_worse_half_after_the_warm_up():
    objectives = Objectives({"plc": 1.0}, PRIORITY)
    gradient, chosen = step(objectives, "plc", [0.1, 0.2, 0.3, 0.4], [10] * 4, epoch=0)
    assert (gradient > 0).all() and chosen.values["skipped"] == 0
    gradient, chosen = step(objectives, "plc", [0.1, 0.2, 0.3, 0.4], [10] * 4, epoch=1)  # 8 rewards: the 4th lowest
    assert (gradient > 0).tolist() == [True, True, False, False] and chosen.values["skipped"] == 0.5
    assert gradient[:2].tolist() == pytest.approx([1 / (1 + math.exp(-0.2)), 1 / (1 + math.exp(0.2))])
    assert chosen.values["reward"].item() == pytest.approx(-0.25)
    gradient, chosen = step(objectives, "plc", [9.0, 8.0], [10] * 2, epoch=1)  # both below: the better one is kept
    assert gradient.tolist() == [0, 1]


def test_a_batch_below_the_quantile_is_skipped_as_a_whole_and_has_a_gradient_of_zero():
    objectives = Objectives({"plc": 1.0}, replace(PRIORITY, by="batch", warmup=0))
    step(objectives, "plc", [0.1, 0.2], [10] * 2)
    gradient, chosen = step(objectives, "plc", [0.1, 0.1], [10] * 2)
    assert gradient.tolist() == pytest.approx([0.5, 0.5])
    gradient, chosen = step(objectives, "plc", [0.1, 9.0], [10] * 2)
    assert gradient.tolist() == [0, 0] and chosen.loss == 0
    assert (chosen.values["skipped"], chosen.values["effective_share"]) == (1, 0)


def test_batches_of_other_objectives_tell_the_channel_their_rewards():
    objectives = Objectives({"mse": 0.5, "plc": 0.5}, PRIORITY)
    step(objectives, "mse", [0.1, 0.1, 0.1], [10] * 3)
    gradient, _ = step(objectives, "plc", [0.2, 0.1], [10] * 2)
    assert gradient.tolist() == [0, 1]


def test_a_lost_clip_loses_the_step_and_no_other():
    objectives = Objectives({"plc": 1.0}, PRIORITY)
    _, chosen = step(objectives, "plc", [0.1, math.nan], [10] * 2)
    assert chosen.loss.isnan()
    gradient, chosen = step(objectives, "plc", [0.1, 0.2], [10] * 2)
    assert chosen.loss.isfinite() and gradient.isfinite().all()


def test_a_batch_without_clips_has_a_loss_of_zero_and_nothing_to_tell():
    for kind in ("mse", "plc", "rwr"):
        chosen = Objectives({kind: 1.0}, PRIORITY)(kind, *(torch.zeros(0) for _ in range(3)), 1)
        assert chosen.loss == 0 and not chosen.values


def test_shares_are_those_of_the_batches():
    torch.manual_seed(0)
    counts = Counter(Objectives({"mse": 0.5, "plc": 0.3, "rwr": 0.2}, PRIORITY).draw() for _ in range(2000))
    assert [counts[kind] / 2000 for kind in ("mse", "plc", "rwr")] == pytest.approx([0.5, 0.3, 0.2], abs=0.04)
    before = torch.get_rng_state()
    assert Objectives({"mse": 1.0, "plc": 0.0}, PRIORITY).draw() == "mse"
    assert torch.equal(before, torch.get_rng_state())  # nothing is drawn where there is no choice
    assert Objectives({"mse": 0.5, "rwr": 0.5}, PRIORITY).draw(lambda drawn: 0.75) == "rwr"  # as the first process drew


@pytest.mark.parametrize("shares", [{"mse": 1.0, "plc": 0.5}, {"mse": -0.5, "plc": 1.5}, {"mse": 0.0}, {}, {"mse": math.nan}])
def test_shares_that_do_not_add_up_are_refused(shares):
    (problem,) = objective_problems(shares)
    assert "add up to 1" in problem
    assert objective_problems({"mse": 0.1, "plc": 0.2, "rwr": 0.7}) == []


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"form": "power"}, "the printed P ~ r .. eta, is undefined"), ({"form": "exq"}, "did you mean exp"),
        ({"eta": -1.0}, "`eta`"), ({"eta": math.nan}, "`eta`"), ({"temperature": 0.0}, "`temperature`"),
        ({"quantile": 1.0}, "`quantile`.*all would be skipped"), ({"window": 0}, "`window`"), ({"warmup": -1}, "`warmup`"),
    ],
)
def test_priorities_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(SettingsError, match=message):
        replace(PRIORITY, **wrong)


BATCHES = st.lists(st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(1, 50)), max_size=4), min_size=1, max_size=4)


@given(BATCHES.filter(any), st.sampled_from(["rwr", "plc"]), st.sampled_from(["sample", "batch"]))
def test_gradients_of_processes_together_are_those_of_one_with_all_clips(batches, kind, by):
    """And those of clips that are skipped are 0 in a process that has no others, which takes part all the same."""
    priority = replace(PRIORITY, by=by, quantile=0.5 if by == "sample" else 0.0)
    alone, whole = step(Objectives({kind: 1.0}, priority), kind, *zip(*(clip for batch in batches for clip in batch)))
    everyone = [torch.tensor([[-e, f] for e, f in batch], dtype=torch.float64).reshape(-1, 2) for batch in batches]
    gradients = []
    for rank, batch in enumerate(batches):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(processes, "count", lambda: len(batches))
            patch.setattr(processes, "rank", lambda: rank)
            patch.setattr(processes, "tensors_of_all", lambda own: everyone)
            squared, frames = zip(*batch) if batch else ([], [])
            gradient, chosen = step(Objectives({kind: 1.0}, priority), kind, squared, frames)
        gradients += (gradient / len(batches)).tolist()  # the mean over processes
        assert chosen.values == whole.values
    assert gradients == pytest.approx(alone.tolist())


# In the third step one process has only clips that are skipped, in the fourth one has none at all.
STEPS = [
    ([0.1, 0.4, 0.3], [0.2, 0.5]), ([0.3, 0.2], [0.1, 0.2, 0.6]), ([0.1, 0.1], [5.0, 6.0]), ([], [0.4, 0.1]),
    ([0.2], [0.3, 0.1]),
]


def trained(batches: list[list[float]], by: str) -> tuple[nn.Module, Objectives, list[dict]]:
    """A weight after some steps, whose clips have these errors, times the weight; and what was logged."""
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data.fill_(1.0)
    objectives = Objectives({"plc": 1.0}, replace(PRIORITY, by=by))
    parallel = nn.parallel.DistributedDataParallel(model) if distributed.is_initialized() else model
    seen = []
    for epoch, batch in enumerate(batches):
        inputs = torch.tensor(batch, dtype=torch.float64)
        errors = parallel(inputs[:, None])[:, 0]
        chosen = objectives("plc", errors, inputs, torch.full((len(batch),), 10), epoch)
        parallel.zero_grad()
        (chosen.loss + 0 * model.weight.sum()).backward()
        seen.append({"gradient": model.weight.grad.item(), **{k: v.item() for k, v in chosen.values.items()}})
    return model, objectives, seen


def _of_two(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    for by in ("sample", "batch"):
        _, objectives, seen = trained([batches[rank] for batches in STEPS], by)
        torch.save({"seen": seen, **objectives.state_dict()}, f"{folder}/{by}{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one_with_all_clips(tmp_path):
    multiprocessing.spawn(_of_two, args=(str(tmp_path),), nprocs=2)
    for by in ("sample", "batch"):
        first, second = (torch.load(tmp_path / f"{by}{rank}.pt", weights_only=True) for rank in (0, 1))
        assert first.pop("seen") == (seen := second.pop("seen"))
        assert all(torch.equal(value, second[name]) for name, value in first.items())  # the same rewards are remembered
        if by == "sample":
            _, alone, expected = trained([a + b for a, b in STEPS], by)
            assert [pytest.approx(of_step) for of_step in expected] == seen
            assert seen[2]["skipped"] == 0.5
            assert torch.equal(alone.channel.rewards, first["channel.rewards"])
