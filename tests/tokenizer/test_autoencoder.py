from __future__ import annotations

import pytest
import torch
from torch import Tensor

from soke.tokenizer.autoencoder import ConvDecoder, ConvEncoder

SIZES = {"features": 7, "code_dim": 8, "width": 8, "depth": 3, "dilation_growth": 3}
LENGTHS = [40, 8, 4, 24]


def mask_of(lengths: list[int], total: int) -> Tensor:
    """[B, 1, T] of ones and zeros."""
    return (torch.arange(total) < torch.tensor(lengths)[:, None]).float()[:, None]


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
def test_padding_never_changes_a_valid_frame(stages: int, rubbish: float):
    lengths = [max(length, 2**stages) for length in LENGTHS]
    encoder, decoder = ConvEncoder(stages=stages, **SIZES), ConvDecoder(stages=stages, **SIZES)
    clips = [torch.randn(7, length) for length in lengths]
    padded = torch.full((len(clips), 7, 48), rubbish)
    for row, clip in zip(padded, clips):
        row[:, : clip.shape[1]] = clip

    latents = encoder(padded, mask_of(lengths, 48))
    noisy = latents + rubbish * (1 - mask_of([length // 2**stages for length in lengths], latents.shape[2]))
    frames = decoder(noisy, mask_of([length // 2**stages for length in lengths], latents.shape[2]))

    for i, clip in enumerate(clips):
        steps = clip.shape[1] // 2**stages
        alone = encoder(clip[None])
        torch.testing.assert_close(latents[i, :, :steps], alone[0], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(frames[i, :, : clip.shape[1]], decoder(alone)[0], atol=1e-6, rtol=1e-5)
        assert not latents[i, :, steps:].any() and not frames[i, :, clip.shape[1] :].any()


def test_the_widest_dilation_comes_first():
    encoder = ConvEncoder(stages=1, **SIZES)
    assert [block.spread.dilation for block in encoder.stages[0].residual.blocks] == [(9,), (3,), (1,)]
    decoder = ConvDecoder(stages=1, **SIZES)
    assert [block.spread.dilation for block in decoder.stages[0].residual.blocks] == [(9,), (3,), (1,)]
