from __future__ import annotations

import pytest
import torch
from torch import Tensor

from soke.tokenizer.autoencoder import ConvDecoder, ConvEncoder

SIZES = {"features": 7, "code_dim": 8, "width": 8, "depth": 3, "dilation_growth": 3}
LENGTHS = [40, 8, 4, 24]


def tail_of(lengths: list[int], total: int) -> Tensor:
    """[B, 1, S] of ones and zeros over the steps that the shortest clip lacks."""
    return (torch.arange(min(lengths), total) < torch.tensor(lengths)[:, None]).float()[:, None]


def padded(clips: list[Tensor], total: int, rubbish: float) -> Tensor:
    """[B, D, total] with rubbish beyond each clip [D, T]."""
    batch = torch.full((len(clips), len(clips[0]), total), rubbish)
    for row, clip in zip(batch, clips):
        row[:, : clip.shape[1]] = clip
    return batch


@pytest.fixture(params=[0, 1, 2, 3], ids="stages={}".format)
def stages(request: pytest.FixtureRequest) -> int:
    torch.manual_seed(0)
    return request.param


def test_shapes_and_the_factor(stages: int):
    encoder, decoder = ConvEncoder(stages=stages, **SIZES), ConvDecoder(stages=stages, **SIZES)
    latents = encoder(torch.randn(2, 7, 40))
    assert latents.shape == (2, 8, 40 // 2**stages)
    assert decoder(latents).shape == (2, 7, 40)


@pytest.mark.parametrize("rubbish", [0.0, 100.0])
@pytest.mark.parametrize("lengths", [LENGTHS, [48, 48, 40]], ids=str)
def test_padding_never_changes_a_valid_frame(stages: int, lengths: list[int], rubbish: float):
    lengths = [max(length, 2**stages) for length in lengths]
    steps = [length // 2**stages for length in lengths]
    encoder, decoder = ConvEncoder(stages=stages, **SIZES), ConvDecoder(stages=stages, **SIZES)
    clips = [torch.randn(7, length) for length in lengths]
    latents = encoder(padded(clips, 48, rubbish), tail_of(lengths, 48))
    noisy = padded([row[:, :n].detach() for row, n in zip(latents, steps)], latents.shape[2], rubbish)
    frames = decoder(noisy, tail_of(steps, latents.shape[2]))

    for i, clip in enumerate(clips):
        alone = encoder(clip[None])
        torch.testing.assert_close(latents[i, :, : steps[i]], alone[0], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(frames[i, :, : clip.shape[1]], decoder(alone)[0], atol=1e-6, rtol=1e-5)
        assert not latents[i, :, steps[i] :].any() and not frames[i, :, clip.shape[1] :].any()


@pytest.mark.parametrize("lengths", [LENGTHS, [48, 48, 40]], ids=str)
def test_gradients_are_the_sum_of_those_of_the_clips_alone(stages: int, lengths: list[int]):
    lengths = [max(length, 2**stages) for length in lengths]
    networks = ConvEncoder(stages=stages, **SIZES), ConvDecoder(stages=stages, **SIZES)
    clips, wanted = ([torch.randn(7, length) for length in lengths] for _ in range(2))

    def gradients(batches: list[tuple[Tensor, Tensor, Tensor | None, Tensor | None]]) -> list[Tensor]:
        for network in networks:
            network.zero_grad()
        for given, target, frames, steps in batches:
            encoder, decoder = networks
            (decoder(encoder(given, frames), steps) * target).sum().backward()
        return [parameter.grad.clone() for network in networks for parameter in network.parameters()]

    tails = tail_of(lengths, 48), tail_of([length // 2**stages for length in lengths], 48 // 2**stages)
    together = gradients([(padded(clips, 48, 100.0), padded(wanted, 48, 100.0), *tails)])
    alone = gradients([(clip[None], target[None], None, None) for clip, target in zip(clips, wanted)])
    for ours, reference in zip(together, alone):
        torch.testing.assert_close(ours, reference, atol=1e-3, rtol=1e-3)


def test_a_mask_of_nothing_and_of_no_padding_is_none(stages: int):
    encoder, decoder = ConvEncoder(stages=stages, **SIZES), ConvDecoder(stages=stages, **SIZES)
    clips = torch.randn(2, 7, 16)
    latents = encoder(clips)
    for beginning in (0, 1, 2):  # in steps
        tail = torch.ones(2, 1, latents.shape[2] - beginning)
        assert torch.equal(encoder(clips, tail.repeat_interleave(2**stages, dim=2)), latents)
        assert torch.equal(decoder(latents, tail), decoder(latents))


def test_the_widest_dilation_comes_first():
    encoder = ConvEncoder(stages=1, **SIZES)
    assert [block.spread.dilation for block in encoder.stages[0].residual.blocks] == [(9,), (3,), (1,)]
    decoder = ConvDecoder(stages=1, **SIZES)
    assert [block.spread.dilation for block in decoder.stages[0].residual.blocks] == [(9,), (3,), (1,)]
