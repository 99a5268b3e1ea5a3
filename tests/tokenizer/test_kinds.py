"""Tokenizers with quantizers of every kind: what holds for one holds for all."""
from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from soke.tokenizer.settings import AutoencoderSettings, Ema, Fsq, Quantizer, Residual, Vq, quantizer_of, written_as
from soke.tokenizer.tokenizer import SignTokenizer
from tests.tokenizer.helpers import CODES, MIRRORED, SOKE, ema, random_features, small_tokenizer, smooth_features

KINDS: dict[str, Quantizer] = {
    "ema": Ema(codes=12, decay=0.99), "vq": Vq(codes=12, decay=0.99), "fsq": Fsq(levels=(5, 4), bound="standard"),
    "fsq_symmetric": Fsq(levels=(5, 4), bound="symmetric"),
    "residual_ema": Residual(count=2, of=Ema(codes=12, decay=0.99)),
    "residual_vq": Residual(count=3, of=Vq(codes=12, decay=0.99)),
    "residual_fsq": Residual(count=2, of=Fsq(levels=(5, 4), bound="standard")),
}
LENGTHS, STEPS = [40, 11, 4, 26], [10, 2, 1, 6]


def tokenizer_of(kind: str, part: str = "body", layout=SOKE) -> SignTokenizer:
    """Of which one part is quantized so."""
    return small_tokenizer(layout, quantizers={part: KINDS[kind]}, depth=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", [0.0, 50.0])
def test_a_clip_in_a_padded_batch_is_the_clip_alone(kind, padding):
    tokenizer = tokenizer_of(kind)
    features, lengths = random_features(LENGTHS, padding=padding)
    codes = tokenizer.encode(features, lengths)
    rebuilt = tokenizer.decode(codes)
    with torch.no_grad():
        output = tokenizer(features, lengths)
    assert torch.equal(output.codes.values, codes.values) and codes.lengths.tolist() == STEPS
    assert codes.values.shape == (4, 10, len(tokenizer.streams))
    for i, (length, steps) in enumerate(zip(LENGTHS, STEPS)):
        single = {part: values[i : i + 1, :length] for part, values in features.items()}
        alone = tokenizer.encode(single, torch.tensor([length]))
        assert torch.equal(codes.clips()[i], alone.values[0]) and (codes.values[i, steps:] == -1).all()
        for part, values in tokenizer.decode(alone).items():
            torch.testing.assert_close(rebuilt[part][i, : 4 * steps], values[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_counts_neither_for_losses_nor_for_what_is_learnt(kind):
    states, losses = [], []
    for padding in (0.0, 50.0):
        tokenizer = tokenizer_of(kind).train()
        output = tokenizer(*random_features(LENGTHS, padding=padding))
        losses.append(torch.stack([*output.commitment.values(), *output.codebook.values()]))
        states.append(tokenizer.state_dict())
    assert torch.equal(*losses)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("kind", KINDS)
def test_saved_is_loaded(kind, tmp_path: Path):
    tokenizer, batch = tokenizer_of(kind), random_features(LENGTHS)
    tokenizer.save_pretrained(tmp_path)
    loaded = SignTokenizer.from_pretrained(tmp_path)
    assert loaded.settings == tokenizer.settings and loaded.streams == tokenizer.streams
    assert loaded.hash == tokenizer.hash
    assert torch.equal(loaded.encode(*batch).values, tokenizer.encode(*batch).values)


def test_streams_are_named_after_their_part_and_numbered_where_there_are_several():
    mixed = small_tokenizer(
        MIRRORED, quantizers={"rhand": KINDS["residual_ema"], "body": Fsq(levels=(8, 5, 5, 5), bound="standard")}
    )
    assert mixed.streams == {"lhand.0": 12, "lhand.1": 12, "rhand.0": 12, "rhand.1": 12, "body": 1000}
    assert set(mixed.autoencoders) == {"rhand", "body"}
    assert tokenizer_of("residual_vq", "lhand").streams == {
        "body": 12, "lhand.0": 12, "lhand.1": 12, "lhand.2": 12, "rhand": 20
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns(kind):
    """Through the loss of a training, which has the quantizer's own terms."""
    tokenizer = small_tokenizer(quantizers={part: KINDS[kind] for part in SOKE.names}, depth=1).train()
    for module in tokenizer.modules():
        if hasattr(module, "updates"):
            module.updates.fill_(0)
    features, lengths = smooth_features(clips=6, frames=32)
    optimiser = torch.optim.AdamW(tokenizer.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        output = tokenizer(features, lengths)
        pairs = ((output.reconstruction[part], output.target[part]) for part in SOKE.names)
        losses.append(sum(torch.nn.functional.smooth_l1_loss(*pair) for pair in pairs))
        optimiser.zero_grad()
        terms = 0.02 * sum(output.commitment.values()) + sum(output.codebook.values())
        (losses[-1] + terms).backward()
        optimiser.step()
    assert losses[-1] < 0.5 * losses[0]


def test_latents_are_what_is_quantized():
    tokenizer = small_tokenizer(MIRRORED)
    features, lengths = random_features(LENGTHS, MIRRORED, padding=3.0)
    latents, codes = tokenizer.latents(features, lengths), tokenizer.encode(features, lengths)
    assert list(latents) == list(MIRRORED.names)
    for i, (part, values) in enumerate(latents.items()):
        assert values.shape == (4, 10, 16)
        quantizer = tokenizer.autoencoders[MIRRORED.distinct[part]].quantizer
        found = quantizer.encode(values.transpose(1, 2))[..., 0]
        for row, steps in enumerate(STEPS):
            assert torch.equal(found[row, :steps], codes.values[row, :steps, i])
            assert not values[row, steps:].any()
    assert latents["body"].requires_grad  # for who wants to train through them


def test_codes_do_not_depend_on_the_caller_s_precision():
    tokenizer, batch = tokenizer_of("fsq"), random_features(LENGTHS)
    expected = tokenizer.encode(*batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = tokenizer.encode(*batch)
        rebuilt = tokenizer.decode(found)
    assert torch.equal(found.values, expected.values)
    assert all(torch.equal(values, rebuilt[part]) for part, values in tokenizer.decode(expected).items())


def test_a_tokenizer_of_before_has_the_hash_it_had(tmp_path: Path):
    """Its settings stand side by side, and the hash is that of layout, settings and weights."""
    tokenizer = small_tokenizer()
    flat = {
        part: {
            "num_codes": CODES[part], "code_dim": 16, "width": 16, "depth": 3, "dilation_growth": 3, "downsample": 4,
            "decay": 0.99,
        } for part in SOKE.names
    }
    digest = hashlib.sha256(json.dumps([SOKE.hash, flat], sort_keys=True).encode())
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    assert tokenizer.hash == digest.hexdigest()[:12]
    tokenizer.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["settings"] == flat
    assert AutoencoderSettings.from_dict(flat["body"]) == ema(12, code_dim=16, width=16)


def test_the_hash_follows_tensors_that_are_replaced():
    """A new one may lie where an old one was."""
    tokenizer, hashes = small_tokenizer(), []
    for i in range(20):
        tokenizer.autoencoders["body"].mean = torch.full((43,), float(i))
        hashes.append(tokenizer.hash)
    assert len(set(hashes)) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_settings_are_written_and_read(kind):
    assert quantizer_of(json.loads(json.dumps(written_as(KINDS[kind])))) == KINDS[kind]
    made = AutoencoderSettings(quantizer=KINDS[kind], code_dim=8, width=9)
    assert AutoencoderSettings.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert asdict(made)["width"] == 9


@settings(deadline=None, max_examples=15)
@given(
    kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 9),
    lengths=st.lists(st.integers(0, 13), min_size=1, max_size=4),
)
def test_lengths_of_any_kind(kind, seed, lengths):
    """Shorter than a step, no multiples of one, of no frames at all."""
    logging.disable(logging.WARNING)
    tokenizer = tokenizer_of(kind)
    features, frames = random_features(lengths)
    codes = tokenizer.encode(features, frames)
    assert codes.lengths.tolist() == [length // 4 for length in lengths]
    rebuilt = tokenizer.decode(codes)
    for row, length in enumerate(lengths):
        single = {part: values[row : row + 1, :length] for part, values in features.items()}
        alone = tokenizer.encode(single, torch.tensor([length]))
        assert torch.equal(alone.values[0], codes.clips()[row])
        for part, values in tokenizer.decode(alone).items():
            torch.testing.assert_close(rebuilt[part][row, : values.shape[1]], values[0], atol=1e-5, rtol=1e-5)
    logging.disable(logging.NOTSET)
