"""A codebook that a new training begins from is not thrown away: a code restarts only when it was long not chosen."""

from __future__ import annotations

import math

import pytest
import torch

from soke.build.tokenizer import begin_codebooks
from soke.tokenizer.quantizers.codebook import CodebookQuantizer
from soke.tokenizer.quantizers.ema import EmaQuantizer
from soke.tokenizer.quantizers.vq import VqQuantizer
from tests.tokenizer.helpers import small_tokenizer

DECAY, CODES, DIM = 0.9, 6, 4


@pytest.fixture(params=[EmaQuantizer, VqQuantizer])
def trained(request) -> CodebookQuantizer:
    """As `prepare.import_soke` leaves one: nothing is known of how often its codes were chosen."""
    torch.manual_seed(0)
    made = request.param(CODES, DIM, DECAY).train()
    with torch.no_grad():
        made.codebook.normal_()
        if hasattr(made, "sums"):
            made.sums.copy_(made.codebook)
        made.updates.fill_(1)
    return made


def near(made: CodebookQuantizer, code: int, count: int, seed: int = 0) -> torch.Tensor:
    """[1, D, count] latents beside a code."""
    noise = torch.randn(DIM, count, generator=torch.Generator().manual_seed(seed))
    return (made.codebook[code].detach()[:, None] + 0.01 * noise)[None]


def test_what_the_first_batches_do_not_use_stays(trained):
    before, x = trained.codebook.detach().clone(), near(trained, 0, 40)
    trained.go_on()
    trained(x)
    torch.testing.assert_close(trained.codebook[1:].detach(), before[1:], atol=1e-6, rtol=1e-5)
    if isinstance(trained, EmaQuantizer):  # one tenth of the way, as after long training with such batches
        expected = DECAY * before[0] + (1 - DECAY) * x[0].mean(1)
        torch.testing.assert_close(trained.codebook[0], expected, atol=1e-6, rtol=1e-5)
        assert trained.counts[0] == pytest.approx(40)
    for _ in range(8):
        trained(x)
    torch.testing.assert_close(trained.codebook[1:].detach(), before[1:], atol=1e-6, rtol=1e-5)
    for _ in range(4):  # after -1 / log(DECAY) = 9.5 batches
        trained(x)
    assert 9 < -1 / math.log(DECAY) < 10
    assert all(not torch.allclose(now, old, atol=1e-3) for now, old in zip(trained.codebook[1:].detach(), before[1:]))


def test_without_it_they_restart_at_once(trained):
    before, x = trained.codebook.detach().clone(), near(trained, 0, 40)
    trained(x)
    trained(x)
    assert not torch.allclose(trained.codebook[1:].detach(), before[1:], atol=1e-3)


def test_a_run_that_continues_does_not_count_anew(trained):
    other = type(trained)(CODES, DIM, DECAY).train()
    other.load_state_dict(trained.state_dict())
    other.go_on()
    trained.go_on()
    batches = [near(trained, 0, 40), near(trained, 1, 10), near(trained, 2, 5)]
    trained(batches[0])
    other.load_state_dict(trained.state_dict())  # its checkpoint
    for x in batches[1:]:
        trained(x)
        other(x)
    for name, value in trained.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_nothing_changes_before_the_first_batch(trained):
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    trained.go_on()
    trained.eval()
    trained(near(trained, 0, 4))
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_all_codebooks_of_a_tokenizer_go_on_but_those_that_are_new():
    tokenizer = small_tokenizer()
    first, *others = (module for module in tokenizer.modules() if isinstance(module, CodebookQuantizer))
    first.updates.fill_(0)
    begin_codebooks(tokenizer)
    assert not first._goes_on() and others and all(quantizer._goes_on() for quantizer in others)
