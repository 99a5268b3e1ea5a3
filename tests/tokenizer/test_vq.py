"""The codebook that is trained by gradient."""
from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from soke.tokenizer.quantizers.vq import VqQuantizer

DECAY = 0.9


def quantizer(codes: int = 6, dim: int = 4, started: bool = True) -> VqQuantizer:
    """In training mode, with a random codebook whose codes are far from dead."""
    torch.manual_seed(0)
    made = VqQuantizer(codes, dim, DECAY)
    if started:
        with torch.no_grad():
            made.codebook.normal_()
        made.counts.fill_(50.0)
        made.updates.fill_(1)
    return made


def latents(batch: int = 3, steps: int = 10, seed: int = 1) -> Tensor:
    return torch.randn(batch, 4, steps, generator=torch.Generator().manual_seed(seed))


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_loss_pulls_vectors_to_latents_and_the_commitment_latents_to_vectors():
    """Against d/dc of the mean over valid numbers of (c - x)^2, code by code."""
    made, x = quantizer(), latents().requires_grad_()
    mask = torch.arange(10) < torch.tensor([10, 4, 0])[:, None]
    found = made(x, mask)
    assert found.codes.shape == (3, 10, 1)
    codes, valid = found.codes[..., 0][mask], x.detach().transpose(1, 2)[mask]
    vectors = made.codebook.detach()
    assert torch.equal(codes, torch.cdist(valid, vectors).argmin(1))
    expected = (vectors[codes] - valid).square().mean()
    torch.testing.assert_close(found.loss.detach(), expected)
    torch.testing.assert_close(found.commitment.detach(), expected)

    found.loss.backward(retain_graph=True)
    assert x.grad is None
    gradient = torch.zeros_like(vectors)
    for code, latent in zip(codes, valid):
        gradient[code] += 2 * (vectors[code] - latent) / valid.numel()
    torch.testing.assert_close(made.codebook.grad, gradient)

    made.codebook.grad = None
    found.commitment.backward()
    assert made.codebook.grad is None
    torch.testing.assert_close(x.grad.transpose(1, 2)[mask], 2 * (valid - vectors[codes]) / valid.numel())
    assert not x.grad.transpose(1, 2)[~mask].any()


def test_gradients_pass_straight_through_to_the_latents_alone():
    made, x, weights = quantizer().eval(), latents().requires_grad_(), latents(seed=2)
    found = made(x)
    (found.quantized * weights).sum().backward()
    assert torch.equal(x.grad, weights) and made.codebook.grad is None
    torch.testing.assert_close(found.quantized, made.decode(found.codes))
    assert torch.equal(made.encode(x), found.codes)


def test_steps_of_an_optimiser_bring_the_codebook_to_the_means_of_the_latents():
    made, x = quantizer(codes=2), torch.cat([latents() * 0.1 + 3, latents() * 0.1 - 3])
    optimiser = torch.optim.Adam(made.parameters(), lr=0.05)
    for _ in range(300):
        optimiser.zero_grad()
        made(x).loss.backward()
        optimiser.step()
    flat = x.transpose(1, 2).flatten(0, 1)
    means = torch.stack([flat[flat[:, 0] > 0].mean(0), flat[flat[:, 0] < 0].mean(0)])
    assert torch.cdist(means, made.codebook.detach()).min(dim=1).values.max() < 0.02


def test_the_first_batch_fills_the_codebook_and_a_dead_code_restarts_with_the_next():
    made, x = quantizer(started=False), latents()
    flat = x.transpose(1, 2).flatten(0, 1)
    made(x)
    assert (made.codebook.detach()[:, None] - flat).norm(dim=2).min(dim=1).values.max() == 0 and int(made.updates) == 1
    with torch.no_grad():
        made.codebook[2] = 1e3
    made.counts.fill_(50.0)
    made.counts[2] = 1.0
    made(latents(seed=3))  # nothing chooses it: its count falls below 1
    assert made.counts[2] == pytest.approx(DECAY) and made.codebook[2, 0] == 1e3
    before = made.codebook.detach().clone()
    other = latents(seed=4)
    assert (made(other).codes == 2).any()
    assert (made.codebook[2].detach() == other.transpose(1, 2)).all(2).any()
    kept = torch.arange(6) != 2
    assert torch.equal(made.codebook.detach()[kept], before[kept])


def test_nothing_moves_in_evaluation_and_without_valid_steps():
    made = quantizer()
    before = copy.deepcopy(made.state_dict())
    made.encode(latents())
    made.eval()(latents())
    made.train()(latents(), torch.zeros(3, 10, dtype=torch.bool))
    made(torch.full((3, 4, 10), torch.inf))
    assert equal(made.state_dict(), before)


def test_resuming_continues_with_the_same_codebook():
    batches = [latents(seed=seed) for seed in range(6)]

    def train(made: VqQuantizer, optimiser: torch.optim.Optimizer, some: list[Tensor]) -> None:
        for batch in some:
            optimiser.zero_grad()
            made(batch).loss.backward()
            optimiser.step()

    whole, resumed = quantizer(started=False), quantizer(started=False)
    first, second = (torch.optim.Adam(made.parameters(), lr=0.1) for made in (whole, resumed))
    train(whole, first, batches[:3])
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(whole, first, batches[3:])
    torch.manual_seed(123)
    train(resumed, second, batches[3:])
    assert equal(whole.state_dict(), resumed.state_dict())


def _on_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    made = quantizer(started=False)
    for seed in range(4):
        made(latents(seed=2 * seed + rank) * 10**seed)
    torch.save(made.state_dict(), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_restart_and_count_as_one_that_sees_both_batches(tmp_path):
    multiprocessing.spawn(_on_two, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = quantizer(started=False)
    for seed in range(4):
        dealt_out = torch.stack([latents(seed=2 * seed), latents(seed=2 * seed + 1)], dim=1).flatten(0, 1)
        alone(dealt_out * 10**seed)
    assert equal(first, second)
    torch.testing.assert_close(first, alone.state_dict())
