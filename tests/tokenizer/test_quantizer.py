from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from soke.tokenizer.quantizers.ema import EmaQuantizer

DECAY = 0.9


def quantizer(num_codes: int = 6, dim: int = 4, started: bool = True) -> EmaQuantizer:
    """With a random codebook, in training mode."""
    torch.manual_seed(0)
    made = EmaQuantizer(num_codes, dim, DECAY)
    if started:
        made.codebook.copy_(torch.randn(num_codes, dim))
        made.sums.copy_(made.codebook * 50)
        made.counts.fill_(50.0)
        made.updates.fill_(1)
    return made


def latents(batch: int = 3, dim: int = 4, steps: int = 10, seed: int = 1) -> Tensor:
    return torch.randn(batch, dim, steps, generator=torch.Generator().manual_seed(seed))


def state(made: EmaQuantizer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in made.state_dict().items()}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_codes_are_the_nearest_vectors():
    made, x = quantizer().eval(), latents()
    quantized = made(x)
    for b in range(3):
        for k in range(10):
            distances = (made.codebook - x[b, :, k]).norm(dim=1)
            assert quantized.codes[b, k, 0] == distances.argmin()
            assert torch.equal(made.codebook[quantized.codes[b, k, 0]], made.decode(quantized.codes)[b, :, k])
    torch.testing.assert_close(quantized.quantized, made.decode(quantized.codes))
    assert torch.equal(made.encode(x), quantized.codes)


def test_a_codebook_vector_is_its_own_code():
    made = quantizer()
    codes = torch.arange(6)[None, :, None]
    assert torch.equal(made.encode(made.decode(codes)), codes)


def test_gradients_pass_straight_through():
    x = latents().requires_grad_()
    weights = latents(seed=2)
    (quantizer().eval()(x).quantized * weights).sum().backward()
    assert torch.equal(x.grad, weights)


def test_commitment_is_the_squared_distance_of_valid_steps_and_moves_the_latents():
    made, x = quantizer().eval(), latents().requires_grad_()
    mask = torch.arange(10) < torch.tensor([10, 4, 0])[:, None]
    quantized = made(x, mask)
    difference = (x - made.decode(quantized.codes)).transpose(1, 2)[mask]
    torch.testing.assert_close(quantized.commitment, difference.square().mean())
    quantized.commitment.backward()
    assert x.grad[0].any() and not x.grad[2].any() and not x.grad[1, :, 4:].any()


def test_the_codebook_follows_moving_averages():
    """Against the two formulas written as a loop; enough hits that no code is dead."""
    made, x = quantizer(), latents(steps=40)
    sums, counts = made.sums.clone(), made.counts.clone()
    codes = made(x).codes[..., 0]
    for code in range(6):
        chosen = x.transpose(1, 2)[codes == code]
        sums[code] = DECAY * sums[code] + (1 - DECAY) * chosen.sum(0)
        counts[code] = DECAY * counts[code] + (1 - DECAY) * len(chosen)
    torch.testing.assert_close(made.counts, counts)
    torch.testing.assert_close(made.sums, sums)
    torch.testing.assert_close(made.codebook, sums / counts[:, None])


def test_the_pass_that_moves_the_codebook_uses_it_as_it_was():
    made, x = quantizer(), latents()
    before = made.codebook.clone()
    quantized = made(x)
    assert not torch.equal(made.codebook, before)
    torch.testing.assert_close(quantized.quantized.transpose(1, 2), before[quantized.codes[..., 0]])


def test_nothing_moves_in_evaluation_or_encoding():
    made = quantizer()
    before = state(made)
    made.encode(latents())
    made.eval()(latents())
    assert equal(state(made), before)


@pytest.mark.parametrize("steps", [10, 1])
def test_the_first_batch_fills_the_codebook_from_valid_latents(steps: int):
    made, x = quantizer(started=False), latents(steps=steps)
    mask = torch.ones(3, steps, dtype=torch.bool)
    mask[2] = False
    valid = x.transpose(1, 2)[mask]
    filled = made(x, mask).quantized.transpose(1, 2).flatten(0, 1)
    assert torch.cdist(filled, valid).min(dim=1).values.max() < 0.05  # the noise of repeated ones
    assert len(made.codebook.unique(dim=0)) == 6
    assert int(made.updates) == 1


def test_the_first_pass_reconstructs_a_batch_smaller_than_the_codebook():
    made, x = quantizer(num_codes=64, started=False), latents()
    torch.testing.assert_close(made(x).quantized, x, atol=0.05, rtol=0)


def test_dead_codes_restart_at_latents_of_the_batch():
    made, x = quantizer(), latents()
    made.codebook[2] = 1e3
    made.sums[2], made.counts[2] = 1e3, 1.0  # its count falls below 1 with the next batch
    assert not (made(x).codes == 2).any()
    distance = torch.cdist(made.codebook[2:3], x.transpose(1, 2).flatten(0, 1)).min()
    assert distance < 1e-6
    assert made.counts[2] == 1.0
    assert (made.eval()(x).codes == 2).any()


def test_used_codes_do_not_restart():
    made, x = quantizer(), latents()
    made(x)
    assert (torch.cdist(made.codebook, x.transpose(1, 2).flatten(0, 1)).min(dim=1).values > 1e-6).all()


def test_masked_steps_change_neither_state_nor_loss():
    mask = torch.arange(10) < torch.tensor([10, 4, 7])[:, None]
    other = torch.where(mask[:, None], latents(), 1e4)
    for started in (True, False):
        a, b = quantizer(started=started), quantizer(started=started)
        for _ in range(3):
            results = a(latents(), mask), b(other, mask)
        assert equal(state(a), state(b))
        assert torch.equal(results[0].commitment, results[1].commitment)


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("nothing", [latents(), latents(batch=0), latents() * torch.nan])
def test_a_batch_without_valid_steps_changes_nothing(started: bool, nothing: Tensor):
    """Nor is the codebook filled from it: the next batch does that."""
    made, other = quantizer(started=started), quantizer(started=started)
    before = state(made)
    result = made(nothing, torch.zeros(len(nothing), 10, dtype=torch.bool))
    assert result.commitment == 0
    assert equal(state(made), before)
    made(latents())
    other(latents())
    assert equal(state(made), state(other))


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan])
def test_latents_that_are_not_finite_are_ignored_and_mentioned_once(started: bool, bad: float, caplog):
    """The codebook is that of the other latents; the batch's loss is not finite either."""
    x = latents()
    x[1, 2, 3] = bad
    finite = x.isfinite().all(1)
    a, b = quantizer(started=started), quantizer(started=started)
    for _ in range(3):
        assert not a(x).commitment.isfinite()
        b(x.nan_to_num(0.0, 0.0, 0.0), finite)
    assert equal(state(a), state(b))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "1 of 30 latents of a training batch are infinite or not a number"
    ]
    assert all(value.isfinite().all() for value in a.state_dict().values())


def test_a_batch_of_nothing_but_infinite_latents_leaves_the_codebook_as_it_is():
    for started in (True, False):
        made = quantizer(started=started)
        before = state(made)
        made(torch.full((3, 4, 10), torch.inf))
        assert equal(state(made), before)


def test_resuming_continues_with_the_same_codebook():
    """All state is in the state dict, and random restarts do not depend on the global generator."""
    batches = [latents(seed=seed) for seed in range(6)]
    whole = quantizer(started=False)
    for batch in batches[:3]:
        whole(batch)
    resumed = quantizer(started=False)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for batch in batches[3:]:
        whole(batch)
    torch.manual_seed(123)
    for batch in batches[3:]:
        resumed(batch)
    assert equal(state(whole), state(resumed))


def test_half_precision_contexts_do_not_merge_codes():
    made = quantizer(num_codes=2, dim=4).eval()
    made.codebook.copy_(torch.tensor([[100.0] * 4, [100.01] * 4]))
    x = torch.full((1, 4, 1), 100.01)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert made(x).codes == 1 and made.encode(x) == 1


NOTHING = torch.zeros(3, 10, dtype=torch.bool)
HALF = torch.arange(10) < torch.tensor([10, 4, 0])[:, None]
# What two processes see in each batch: latents and mask. In the first nobody sees anything.
SHARED_BATCHES: list[tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]] = [
    ((latents(), NOTHING), (latents(batch=0), None)),
    ((latents(seed=1), NOTHING), (latents(seed=2), None)),
    ((latents(seed=3), None), (latents(seed=4) + 2, HALF)),
    ((latents(batch=0), None), (10 * latents(seed=5), HALF)),  # far away: dead codes restart there
    ((10 * latents(seed=6), HALF), (latents(batch=0), None)),
    ((latents(batch=0), None), (latents(seed=7), NOTHING)),
    ((torch.full((1, 4, 10), torch.inf), None), (latents(seed=8), None)),
]


def _train_on_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    made, states = quantizer(started=False), []
    for batch in SHARED_BATCHES:
        made(*batch[rank])
        states.append(state(made))
    torch.save(states, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_learn_as_one_that_sees_both_batches(tmp_path):
    """Also where one of them, or both, have no valid latents."""
    multiprocessing.spawn(_train_on_two, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = quantizer(started=False)
    for batch, ours, theirs in zip(SHARED_BATCHES, first, second):
        pair = [(x, torch.ones(len(x), 10, dtype=torch.bool) if mask is None else mask) for x, mask in batch]
        alone(*(torch.cat(both) for both in zip(*pair)))
        assert equal(ours, theirs)
        torch.testing.assert_close(ours, state(alone), atol=1e-5, rtol=1e-5)
    assert int(alone.updates) == 5
