"""Laws of all decoding schemes, for any number of streams and any lengths."""
from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from soke.generator.schemes import ABSENT, IGNORE, SCHEMES, DecodingScheme

NAMES = pytest.mark.parametrize("name", SCHEMES)


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[int], Tensor, Tensor]:
    """Number of codes of each of 1 to 5 streams; codes [B, K, P], whatever in the padding; lengths [B], also 0."""
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    lengths = draw(st.lists(st.integers(0, 9), min_size=1, max_size=4))
    steps = max(lengths) + draw(st.integers(0, 2))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    codes = [torch.randint(0, size, (len(lengths), steps), generator=generator) for size in sizes]
    return sizes, torch.stack(codes, dim=-1), torch.tensor(lengths)


def read(scheme: DecodingScheme, targets: Tensor) -> Tensor:
    """The codes of targets [R, S, P] that heads have hit."""
    return scheme.revert(torch.where(targets == IGNORE, ABSENT, targets))


@NAMES
@given(batches())
def test_revert_undoes_build(name, drawn):
    sizes, codes, lengths = drawn
    scheme = SCHEMES[name](sizes)
    for sample, length, targets in zip(codes, lengths, scheme.build(codes, lengths).targets):
        assert torch.equal(read(scheme, targets), sample[:length])


@NAMES
@given(batches())
def test_every_code_is_a_target_once_and_is_read_after_it(name, drawn):
    sizes, codes, lengths = drawn
    scheme = SCHEMES[name](sizes)
    steps = scheme.build(codes, lengths)
    assert steps.inputs.shape == steps.targets.shape
    assert steps.inputs.shape[:2] == (len(codes), scheme.rows) and steps.inputs.shape[3] == len(sizes)
    assert (steps.inputs[:, :, 0] == ABSENT).all()
    for sample, length, inputs, targets in zip(codes, lengths, steps.inputs, steps.targets):
        for stream, size in enumerate(sizes):
            expected = sample[:length, stream].tolist()
            shown, asked = inputs[..., stream] != ABSENT, targets[..., stream]
            place = torch.arange(asked.shape[1]).expand_as(asked)
            codes_asked = (asked != IGNORE) & (asked != size)
            assert asked[codes_asked].tolist() == expected == inputs[..., stream][shown].tolist()
            assert (place[shown] == place[codes_asked] + 1).all(), "a code is read at the step after it is said"
            assert (asked == size).sum() <= 1


@NAMES
@given(batches())
def test_a_sample_is_built_alone_as_in_a_batch_and_its_padding_does_not_matter(name, drawn):
    sizes, codes, lengths = drawn
    scheme = SCHEMES[name](sizes)
    together = scheme.build(codes, lengths)
    for i, length in enumerate(lengths):
        alone = scheme.build(codes[i : i + 1, :length], lengths[i : i + 1])
        used = alone.inputs.shape[2]
        for one, many, nothing in (
            (alone.inputs, together.inputs, ABSENT), (alone.targets, together.targets, IGNORE)
        ):
            assert torch.equal(one[0], many[i, :, :used]) and (many[i, :, used:] == nothing).all()


@NAMES
@given(batches())
def test_targets_stand_where_heads_are_read(name, drawn):
    sizes, codes, lengths = drawn
    scheme = SCHEMES[name](sizes)
    for length, targets in zip(lengths.tolist(), scheme.build(codes, lengths).targets):
        for step in range(length * scheme.period):
            assert torch.equal(targets[:, step] != IGNORE, scheme.active[step % scheme.period])
        assert torch.equal(targets[:, length * scheme.period] == scheme.end, scheme.may_end[0])
