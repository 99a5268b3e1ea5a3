"""The published VQ-VAE's outputs, reproduced from its weights under its own key names."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from soke.body.joints import UPPER_BODY
from soke.body.layout import MotionLayout, PartSpec
from soke.tokenizer.soke_weights import check_part, load_part, reference_forward
from soke.tokenizer.tokenizer import SignTokenizer
from tests.tokenizer.helpers import ema

GOLDEN = Path(__file__).parents[1] / "golden" / "vqvae.pt"


@pytest.fixture(scope="module")
def golden() -> dict:
    return torch.load(GOLDEN, weights_only=True)


@pytest.fixture(scope="module")
def tokenizer(golden: dict) -> SignTokenizer:
    layout = MotionLayout([PartSpec("body", UPPER_BODY, jaw=True, expression=10)])
    settings = ema(golden["config"]["code_num"], code_dim=64, width=64)
    statistics = {"body": torch.zeros(43)}, {"body": torch.ones(43)}
    tokenizer = SignTokenizer(layout, *statistics, {"body": settings}).eval()
    load_part(tokenizer.autoencoders["body"], golden["state_dict"])
    return tokenizer


def test_sizes_are_told_by_the_weights(tokenizer: SignTokenizer, golden: dict):
    assert check_part(golden["state_dict"], features=43) == tokenizer.settings["body"]


@pytest.mark.parametrize(("given", "codes", "expected"), [
    ("input", "codes", "reconstruction"),
    ("input_long", "codes_long", "recon_long"),
])
def test_the_reference_is_one(golden: dict, given: str, codes: str, expected: str):
    _, found, rebuilt = reference_forward(golden["state_dict"], golden[given])
    assert torch.equal(found, golden[codes])
    torch.testing.assert_close(rebuilt, golden[expected], atol=1e-5, rtol=0)


def test_latents(tokenizer: SignTokenizer, golden: dict):
    with torch.no_grad():
        latents = tokenizer.autoencoders["body"].encoder(golden["input"].transpose(1, 2))
    torch.testing.assert_close(latents, golden["encoder_out"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("given", "codes", "expected"), [
    ("input", "codes", "reconstruction"),
    ("input_long", "codes_long", "recon_long"),
])
def test_codes_and_reconstruction(tokenizer: SignTokenizer, golden: dict, given: str, codes: str, expected: str):
    features = golden[given]
    lengths = torch.full((len(features),), features.shape[1])
    found = tokenizer.encode({"body": features}, lengths)
    assert torch.equal(found.values[..., 0], golden[codes])
    rebuilt = tokenizer.decode(found)["body"]
    torch.testing.assert_close(rebuilt, golden[expected], atol=1e-5, rtol=0)


def test_the_training_pass(tokenizer: SignTokenizer, golden: dict):
    with torch.no_grad():
        output = tokenizer({"body": golden["input"]}, torch.tensor([64, 64]))
    torch.testing.assert_close(output.reconstruction["body"], golden["reconstruction"], atol=1e-5, rtol=0)
    torch.testing.assert_close(output.commitment["body"], golden["commit_loss"], atol=1e-5, rtol=0)


def test_the_published_clip_in_a_padded_batch(tokenizer: SignTokenizer, golden: dict):
    """Where the published code lets padding leak, ours gives what the clip gives alone."""
    batch = torch.full((2, 200, 43), 7.0)
    batch[0], batch[1, :64] = golden["input_long"][0], golden["input"][0]
    codes = tokenizer.encode({"body": batch}, torch.tensor([200, 64]))
    assert torch.equal(codes.values[1, :16, 0], golden["codes"][0])
    rebuilt = tokenizer.decode(codes)["body"]
    torch.testing.assert_close(rebuilt[1, :64], golden["reconstruction"][0], atol=1e-5, rtol=0)
