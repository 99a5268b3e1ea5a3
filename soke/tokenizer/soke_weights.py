"""The public SOKE tokenizer's weights: their names, their sizes, and what they compute.

A part's state dict has the keys `encoder.model.*`, `decoder.model.*` and `quantizer.codebook`. The numbers in the names
are positions in stacks of layers, counted with the activations: with S stages, `model.0` opens a network,
`model.2` ... `model.{S+1}` are its stages, `model.{S+2}` follows them, and `decoder.model.{S+4}` ends the decoder.
"""
from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from soke.errors import UserError
from soke.tokenizer.autoencoder import ConvDecoder, ConvEncoder
from soke.tokenizer.part import PartAutoencoder
from soke.tokenizer.settings import AutoencoderSettings, Ema

CODEBOOK, STEM = "quantizer.codebook", "encoder.model.0.weight"
# Assumption: dilations leave no trace in the weights; 3 is what the public code was seen to run with.
DILATION_GROWTH = 3
DECAY = 0.99  # of the codebook's moving averages, as SOKE trained it


def our_names(stages: int, depth: int) -> dict[str, str]:
    """Public name -> our name of every tensor of a part, like `encoder.model.2.0.bias` -> `encoder.stages.0.down.bias`.

    stages: halvings of the number of steps; depth: residual blocks per stage
    """
    layers = {
        "encoder.model.0": "encoder.stem",
        f"encoder.model.{stages + 2}": "encoder.head",
        "decoder.model.0": "decoder.stem",
        f"decoder.model.{stages + 2}": "decoder.smooth",
        f"decoder.model.{stages + 4}": "decoder.head",
    }
    for stage in range(stages):
        encoder, decoder = f"encoder.model.{stage + 2}", f"decoder.model.{stage + 2}"
        layers[f"{encoder}.0"] = f"encoder.stages.{stage}.down"
        layers[f"{decoder}.2"] = f"decoder.stages.{stage}.up"
        for block in range(depth):
            for theirs, ours in (("conv1", "spread"), ("conv2", "mix")):
                layer = f"stages.{stage}.residual.blocks.{block}.{ours}"
                layers[f"{encoder}.1.model.{block}.{theirs}"] = f"encoder.{layer}"
                layers[f"{decoder}.0.model.{block}.{theirs}"] = f"decoder.{layer}"
    names = {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in layers.items() for kind in ("weight", "bias")}
    return {**names, CODEBOOK: "quantizer.codebook"}


def settings_of(public: Mapping[str, Tensor]) -> AutoencoderSettings:
    """The sizes that a part's tensors have. Raises UserError when those that tell them are missing or misshapen."""
    for key, axes in ((STEM, "[width, features, 3]"), (CODEBOOK, "[codes, size of a code]")):
        if key not in public:
            raise UserError(f"{key} {axes} is missing")
        if public[key].ndim != axes.count(",") + 1:
            raise UserError(f"{key} is {list(public[key].shape)}, expected {axes}")
    num_codes, code_dim = public[CODEBOOK].shape
    return AutoencoderSettings(
        quantizer=Ema(codes=num_codes, decay=DECAY),
        code_dim=code_dim,
        width=len(public[STEM]),
        depth=_count(public, r"encoder\.model\.2\.1\.model\.\d+\.conv1\.weight"),
        dilation_growth=DILATION_GROWTH,
        downsample=2 ** max(_stages(public), 1),  # no stage at all: the first one's keys will be missed
    )


def check_part(public: Mapping[str, Tensor], features: int) -> AutoencoderSettings:
    """The sizes of a part of `features` numbers per frame.

    Raises UserError that names the key when one is missing or unknown, has another shape than the others ask for (both
    shapes are named), or holds NaN or infinity.
    """
    settings = settings_of(public)
    stages = settings.downsample.bit_length() - 1
    names = our_names(stages, settings.depth)
    missing, unknown = [k for k in names if k not in public], [k for k in public if k not in names]
    if missing:
        raise UserError(f"{missing[0]} is missing ({len(missing)} keys are)")
    if unknown:
        raise UserError(f"{unknown[0]!r} is not known ({len(unknown)} keys are not)")
    size = {
        "features": features, "code_dim": settings.code_dim, "width": settings.width, "stages": stages,
        "depth": settings.depth, "dilation_growth": DILATION_GROWTH,
    }
    with torch.device("meta"):  # shapes only: misshapen weights must not decide how much memory is taken
        networks = {"encoder": ConvEncoder(**size), "decoder": ConvDecoder(**size)}
    shapes = {f"{n}.{key}": list(v.shape) for n, network in networks.items() for key, v in network.state_dict().items()}
    for key, ours in names.items():
        found = list(public[key].shape)
        expected = found if key == CODEBOOK else shapes[ours]
        if found != expected:
            raise UserError(f"{key} is {found}, expected {expected}")
        if not public[key].isfinite().all():
            raise UserError(f"{key} holds NaN or infinity")
    return settings


def load_part(autoencoder: PartAutoencoder, public: Mapping[str, Tensor]) -> None:
    """Load a part's public state dict, which `check_part` has checked; mean and standard deviation stay.

    The codebook's moving averages are not in it: sums equal the codebook and counts are 1, so that they agree with it.
    """
    names = our_names(_stages(public), len(autoencoder.encoder.stages[0].residual.blocks))
    codebook = public[CODEBOOK]
    autoencoder.load_state_dict({
        **{ours: public[theirs] for theirs, ours in names.items()},
        "quantizer.sums": codebook,
        "quantizer.counts": torch.ones(len(codebook)),
        "quantizer.updates": torch.tensor(1),
        "mean": autoencoder.mean,
        "std": autoencoder.std,
    })


def reference_forward(public: Mapping[str, Tensor], normalised: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the public tokenizer computes, straight from its weights: a plain second opinion on ours.

    normalised [B, T, D], T a multiple of the downsampling factor -> latents [B, C, K], codes [B, K], [B, T, D]
    """
    latents = reference_encoder(public, normalised)
    codes = torch.cdist(latents.transpose(1, 2), public[CODEBOOK]).argmin(-1)
    return latents, codes, reference_decoder(public, codes)


def reference_encoder(public: Mapping[str, Tensor], normalised: Tensor) -> Tensor:
    """[B, T, D] -> latents [B, C, K]."""
    stages = _stages(public)
    hidden = _convolved(public, "encoder.model.0", normalised.transpose(1, 2), padding=1).relu()
    for layer in range(2, stages + 2):
        hidden = _convolved(public, f"encoder.model.{layer}.0", hidden, stride=2, padding=1)
        hidden = _residual(public, f"encoder.model.{layer}.1.model", hidden)
    return _convolved(public, f"encoder.model.{stages + 2}", hidden, padding=1)


def reference_decoder(public: Mapping[str, Tensor], codes: Tensor) -> Tensor:
    """Codes [B, K] -> [B, T, D]."""
    stages = _stages(public)
    hidden = _convolved(public, "decoder.model.0", public[CODEBOOK][codes].transpose(1, 2), padding=1).relu()
    for layer in range(2, stages + 2):
        hidden = _residual(public, f"decoder.model.{layer}.0.model", hidden)
        hidden = F.interpolate(hidden, scale_factor=2, mode="nearest")
        hidden = _convolved(public, f"decoder.model.{layer}.2", hidden, padding=1)
    hidden = _convolved(public, f"decoder.model.{stages + 2}", hidden, padding=1).relu()
    return _convolved(public, f"decoder.model.{stages + 4}", hidden, padding=1).transpose(1, 2)


def _residual(public: Mapping[str, Tensor], stack: str, hidden: Tensor) -> Tensor:
    """Block 0 has the widest dilation."""
    depth = _count(public, rf"{re.escape(stack)}\.\d+\.conv1\.weight")
    for block in range(depth):
        dilation = DILATION_GROWTH ** (depth - 1 - block)
        inner = _convolved(public, f"{stack}.{block}.conv1", hidden.relu(), padding=dilation, dilation=dilation)
        hidden = hidden + _convolved(public, f"{stack}.{block}.conv2", inner.relu())
    return hidden


def _convolved(public: Mapping[str, Tensor], layer: str, hidden: Tensor, **options: int) -> Tensor:
    return F.conv1d(hidden, public[f"{layer}.weight"], public[f"{layer}.bias"], **options)


def _stages(public: Mapping[str, Tensor]) -> int:
    return _count(public, r"encoder\.model\.\d+\.0\.weight")


def _count(public: Mapping[str, Tensor], pattern: str) -> int:
    return sum(re.fullmatch(pattern, key) is not None for key in public)
