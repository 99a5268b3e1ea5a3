from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from soke.body.motion import Motion
from soke.build.body import layout_of
from soke.data.statistics import STD_FLOOR, Statistics
from soke.errors import UserError
from soke.run.config import load_config
from soke.tokenizer.codes import Codes
from soke.tokenizer.losses import reconstruction
from soke.tokenizer.settings import Fsq
from soke.tokenizer.tokenizer import SignTokenizer
from tests.data.m3t_corpus import expressive
from tests.tokenizer.helpers import CODES, MIRRORED, SOKE, ema, random_features, small_tokenizer, smooth_features

LENGTHS = [40, 11, 4, 26]  # frames, not all multiples of 4
STEPS = [10, 2, 1, 6]


def random_motion(frames: int) -> Motion:
    torch.manual_seed(frames)
    return Motion(torch.randn(frames, 55, 3) * 0.3, torch.randn(frames, 10), torch.zeros(10), 25.0)


@pytest.mark.parametrize("layout", [SOKE, MIRRORED])
def test_shapes_and_padding_of_codes(layout):
    tokenizer = small_tokenizer(layout)
    encoded = tokenizer.encode(*random_features(LENGTHS, layout))
    codes = encoded.values
    assert codes.shape == (4, 10, 3) and codes.dtype == torch.long and encoded.lengths.tolist() == STEPS
    valid = torch.arange(10) < torch.tensor(STEPS)[:, None]
    assert (codes[~valid] == -1).all()
    assert (codes[valid] >= 0).all() and (codes[valid] < torch.tensor([CODES[p] for p in layout.names])).all()
    features = tokenizer.decode(encoded)
    assert {part: tuple(v.shape) for part, v in features.items()} == {p: (4, 40, d) for p, d in layout.sizes.items()}


@pytest.mark.parametrize("layout", [SOKE, MIRRORED])
@pytest.mark.parametrize("padding", [0.0, 50.0])
def test_a_clip_in_a_padded_batch_is_the_clip_alone(layout, padding: float):
    tokenizer = small_tokenizer(layout)
    features, lengths = random_features(LENGTHS, layout, padding)
    codes = tokenizer.encode(features, lengths)
    rebuilt = tokenizer.decode(codes)
    with torch.no_grad():
        output = tokenizer(features, lengths)
    assert torch.equal(output.codes.values, codes.values)
    for i, (length, steps) in enumerate(zip(LENGTHS, STEPS)):
        single = {part: values[i : i + 1, :length] for part, values in features.items()}
        alone = tokenizer.encode(single, torch.tensor([length]))
        assert torch.equal(codes.values[i, :steps], alone.values[0])
        for part, values in tokenizer.decode(alone).items():
            torch.testing.assert_close(rebuilt[part][i, : 4 * steps], values[0], atol=1e-5, rtol=1e-5)
        with torch.no_grad():
            trained = tokenizer(single, torch.tensor([length]))
        for part, values in trained.reconstruction.items():
            torch.testing.assert_close(output.reconstruction[part][i, : 4 * steps], values[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(output.target[part][i, : 4 * steps], values_of(trained.target[part]))
        assert output.frames[i].sum() == 4 * steps


def values_of(batch: torch.Tensor) -> torch.Tensor:
    """The one clip of a batch of one."""
    assert len(batch) == 1
    return batch[0]


@pytest.mark.parametrize("layout", [SOKE, MIRRORED])
def test_hidden_states_are_what_latents_are_projected_from(layout):
    """Of a clip in a padded batch as of the clip alone; zero beyond its steps."""
    tokenizer = small_tokenizer(layout, width=24)
    features, lengths = random_features(LENGTHS, layout, padding=50.0)
    with torch.no_grad():
        hidden, latents = tokenizer.hidden(features, lengths), tokenizer.latents(features, lengths)
    assert {part: tuple(states.shape) for part, states in hidden.items()} == dict.fromkeys(layout.names, (4, 10, 24))
    for i, (length, steps) in enumerate(zip(LENGTHS, STEPS)):
        single = {part: values[i : i + 1, :length] for part, values in features.items()}
        with torch.no_grad():
            alone = tokenizer.hidden(single, torch.tensor([length]))
            for part, distinct in layout.distinct.items():
                torch.testing.assert_close(hidden[part][i, :steps], alone[part][0], atol=1e-5, rtol=1e-5)
                assert not hidden[part][i, steps:].any() and hidden[part][i, :steps].any()
                projected = tokenizer.autoencoders[distinct].encoder.head(alone[part].transpose(1, 2))[0].T
                torch.testing.assert_close(projected, latents[part][i, :steps], atol=1e-5, rtol=1e-5)
    nothing = tokenizer.hidden({part: values[:, :3] for part, values in features.items()}, torch.tensor([3, 2, 1, 0]))
    assert all(states.shape == (4, 0, 24) for states in nothing.values())


def test_features_are_normalised_inside():
    """Shifting and scaling the features together with the statistics changes no code and shifts the reconstruction."""
    tokenizer, moved = small_tokenizer(), small_tokenizer()
    for autoencoder in moved.autoencoders.values():
        autoencoder.mean.mul_(3).add_(1)
        autoencoder.std.mul_(3)
    features, lengths = random_features([16, 16])
    codes = tokenizer.encode(features, lengths)
    assert torch.equal(moved.encode({part: 3 * v + 1 for part, v in features.items()}, lengths).values, codes.values)
    for part, values in tokenizer.decode(codes).items():
        torch.testing.assert_close(moved.decode(codes)[part], 3 * values + 1, atol=1e-4, rtol=1e-4)


def test_constant_features_are_not_blown_up():
    settings = {part: ema(4, code_dim=8, width=8) for part in SOKE.names}
    zeros = {part: torch.zeros(size) for part, size in SOKE.sizes.items()}
    tokenizer = SignTokenizer(SOKE, zeros, zeros, settings)
    assert all((a.std == STD_FLOOR).all() for a in tokenizer.autoencoders.values())


def test_mirrored_parts_share_one_autoencoder():
    tokenizer = small_tokenizer(MIRRORED)
    assert set(tokenizer.autoencoders) == {"rhand", "body"}
    assert tokenizer.streams == {"lhand": 20, "rhand": 20, "body": 12}
    motion = random_motion(20)
    codes, mirrored = tokenizer.encode_motion(motion), tokenizer.encode_motion(motion.mirrored())
    left, right = MIRRORED.names.index("lhand"), MIRRORED.names.index("rhand")
    assert torch.equal(codes[:, left], mirrored[:, right])
    assert not torch.equal(codes[:, left], codes[:, right])


@pytest.mark.parametrize("bound", ["standard", "symmetric"])
def test_one_hand_s_codes_are_the_other_s_of_the_mirrored_motion(bound):
    """M3T's layout, six numbers per rotation, and its FSQ: exactly, for each hand and for batches of several lengths."""
    levels = {"body": (8, 4, 3), "rhand": (8, 6, 4), "face": (8, 8, 8)}
    quantizers = {part: Fsq(levels=of, bound=bound) for part, of in levels.items()}
    layout = layout_of(load_config("configs/m3t_tokenizer.yaml"))
    tokenizer = small_tokenizer(layout, {**CODES, "face": 9}, quantizers, code_dim=3)
    with torch.no_grad():  # untrained latents are all near zero
        for autoencoder in tokenizer.autoencoders.values():
            autoencoder.encoder.head.weight.mul_(50)
    motions = [expressive(random_motion(frames), seed) for seed, frames in enumerate((20, 9, 41))]
    codes = tokenizer.encode_motions(motions)
    mirrored = tokenizer.encode_motions([motion.mirrored() for motion in motions])
    body, left, right, face = (list(layout.names).index(name) for name in ("body", "lhand", "rhand", "face"))
    for own, others in zip(codes, mirrored, strict=True):
        assert torch.equal(own[:, left], others[:, right]) and torch.equal(own[:, right], others[:, left])
    assert not torch.equal(torch.cat(codes)[:, left], torch.cat(codes)[:, right])
    assert not torch.equal(torch.cat(codes)[:, body], torch.cat(mirrored)[:, body])
    assert len(torch.cat(codes)[:, face].unique()) > 1


def test_a_motion_of_ten_coefficients_has_no_codes_of_a_hundred():
    tokenizer = small_tokenizer(
        layout_of(load_config("configs/m3t_tokenizer.yaml")), {**CODES, "face": 9}, code_dim=3
    )
    for encode in (tokenizer.encode_motion, lambda motion: tokenizer.encode_motions([motion, motion])):
        with pytest.raises(ValueError, match="^part face needs 100 expression coefficients, the motion has 10$"):
            encode(random_motion(20))


def test_training_a_shared_codebook_sees_both_hands_once():
    tokenizer = small_tokenizer(MIRRORED).train()
    before = tokenizer.autoencoders["rhand"].quantizer.counts.clone()
    tokenizer(*random_features([40, 40], MIRRORED))
    quantizer = tokenizer.autoencoders["rhand"].quantizer
    assert int(quantizer.updates) == 2
    assert (quantizer.counts != before).any()


def test_motions_go_in_and_come_out():
    tokenizer = small_tokenizer()
    motions = [random_motion(frames) for frames in (21, 3, 8)]
    codes = [tokenizer.encode_motion(motion) for motion in motions]
    assert [tuple(c.shape) for c in codes] == [(5, 3), (0, 3), (2, 3)]
    betas = torch.ones(10)
    decoded = tokenizer.decode_motions(codes, [25.0, 30.0, 24.0], betas)
    assert [len(motion) for motion in decoded] == [20, 0, 8]
    assert [motion.fps for motion in decoded] == [25.0, 30.0, 24.0]
    for motion, own in zip(decoded, codes):
        alone = tokenizer.decode_motion(own, motion.fps, betas)
        torch.testing.assert_close(alone.rotations, motion.rotations, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone.expression, motion.expression, atol=1e-5, rtol=1e-5)
        assert torch.equal(motion.betas, betas)


def test_a_motion_that_is_not_finite_has_no_codes():
    motion = random_motion(21)
    motion.rotations[9, 20] = torch.nan
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        small_tokenizer().encode_motions([random_motion(30), motion])


def test_many_motions_are_reconstructed_as_each_alone():
    tokenizer = small_tokenizer()
    motions = [
        replace(random_motion(frames), betas=torch.full((10,), float(i)), fps=20.0 + i)
        for i, frames in enumerate((21, 3, 8, 120, 9, 0, 50))
    ]
    codes = tokenizer.encode_motions(motions, batch_size=2)
    rebuilt = tokenizer.decode_like(codes, motions, batch_size=2)
    assert [len(motion) for motion in rebuilt] == [20, 0, 8, 120, 8, 0, 48]
    for i, (motion, own, found) in enumerate(zip(motions, codes, rebuilt, strict=True)):
        single = {part: values[None] for part, values in SOKE.features(motion).items()}
        assert torch.equal(own, tokenizer.encode(single, torch.tensor([len(motion)])).values[0])
        alone = tokenizer.decode_motion(own, motion.fps, motion.betas)
        torch.testing.assert_close(found.rotations, alone.rotations, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.expression, alone.expression, atol=1e-5, rtol=1e-5)
        assert (found.betas[0], found.fps, found.made_by) == (i, 20.0 + i, f"tokenizer {tokenizer.hash}")
    assert tokenizer.encode_motions([]) == tokenizer.decode_like([], []) == []


def test_lengths_that_are_known_change_nothing_and_are_checked():
    tokenizer = small_tokenizer()
    features, lengths = random_features(LENGTHS)
    with torch.no_grad():
        asked, known = tokenizer(features, lengths), tokenizer(features, lengths, LENGTHS)
    assert torch.equal(asked.codes.values, known.codes.values) and torch.equal(asked.frames, known.frames)
    for wrong in (LENGTHS[:3], [44, *LENGTHS[1:]]):
        with pytest.raises(ValueError, match="lengths"):
            tokenizer(features, lengths, wrong)


def test_no_codes_at_all():
    tokenizer = small_tokenizer()
    assert tokenizer.decode_motions([], []) == []
    empty = torch.zeros(0, 3, dtype=torch.long)
    assert [len(m) for m in tokenizer.decode_motions([empty, empty], [25.0, 25.0])] == [0, 0]
    assert tokenizer.encode(*random_features([3, 1])).values.shape == (2, 0, 3)
    assert tokenizer.encode_motion(random_motion(0)).shape == (0, 3)


def test_wrong_input_is_refused():
    tokenizer = small_tokenizer()
    features, lengths = random_features([8, 8])
    with pytest.raises(ValueError, match="lhand"):
        tokenizer.encode({**features, "lhand": features["body"]}, lengths)
    with pytest.raises(ValueError, match="lengths"):
        tokenizer.encode(features, lengths + 4)
    with pytest.raises(ValueError, match="lengths"):
        tokenizer.encode(features, lengths[:1])
    codes = tokenizer.encode(features, lengths)
    with pytest.raises(ValueError, match=r"\[B, K, 3\]"):
        tokenizer.decode(Codes(codes.values[..., :2], codes.lengths))
    for wrong in (-1, 20):
        with pytest.raises(ValueError, match="outside its codebook"):
            tokenizer.decode(Codes(torch.full_like(codes.values, wrong), codes.lengths))


def test_contradicting_settings_are_refused():
    sizes = SOKE.sizes
    statistics = {part: torch.ones(size) for part, size in sizes.items()}
    settings = {part: ema(4, code_dim=8, width=8) for part in sizes}
    with pytest.raises(ValueError, match="own parts"):
        SignTokenizer(SOKE, statistics, statistics, {"body": settings["body"]})
    with pytest.raises(ValueError, match="one time step"):
        SignTokenizer(SOKE, statistics, statistics, {**settings, "body": ema(4, code_dim=8, width=8, downsample=8)})
    with pytest.raises(ValueError, match="std of 45"):
        SignTokenizer(SOKE, statistics, {**statistics, "lhand": torch.ones(43)}, settings)
    with pytest.raises(UserError, match="power of two"):
        ema(4, downsample=3)


def test_saving_and_loading(tmp_path: Path):
    tokenizer = small_tokenizer(MIRRORED)
    tokenizer.save_pretrained(tmp_path / "deep" / "folder")
    loaded = SignTokenizer.from_pretrained(tmp_path / "deep" / "folder")
    assert not loaded.training
    assert (loaded.hash, loaded.statistics.hash) == (tokenizer.hash, tokenizer.statistics.hash)
    assert loaded.layout == MIRRORED and loaded.settings == tokenizer.settings
    batch = random_features(LENGTHS, MIRRORED)
    assert torch.equal(loaded.encode(*batch).values, tokenizer.encode(*batch).values)
    assert sorted(p.name for p in (tmp_path / "deep" / "folder").iterdir()) == ["config.json", "model.safetensors"]


def test_the_hash_changes_with_weights_codebook_and_statistics():
    hashes, statistics = set(), set()
    for name in ("nothing", "encoder.stem.bias", "quantizer.codebook", "mean", "std"):
        tokenizer = small_tokenizer()
        if name != "nothing":
            tokenizer.autoencoders["lhand"].state_dict()[name][0] += 0.1
        hashes.add(tokenizer.hash)
        statistics.add(tokenizer.statistics.hash)
    assert len(hashes) == 5 and len(statistics) == 3
    assert small_tokenizer().hash == small_tokenizer().hash and len(small_tokenizer().hash) == 12


def test_the_hash_follows_what_is_written_after_it_was_asked_for():
    tokenizer = small_tokenizer()
    state, hashes = {name: value.clone() for name, value in tokenizer.state_dict().items()}, [tokenizer.hash]
    tokenizer.autoencoders["lhand"].state_dict()["encoder.stem.bias"][0] += 0.1
    hashes.append(tokenizer.hash)
    tokenizer.double()
    hashes.append(tokenizer.hash)
    tokenizer.float().load_state_dict(state)
    assert tokenizer.hash == hashes[0] and len(set(hashes)) == 3


@pytest.mark.parametrize("layout", [SOKE, MIRRORED])
def test_the_statistics_hash_is_that_of_the_statistics(layout):
    given = [{part: torch.rand(layout.sizes[name]) + 0.1 for name, part in layout.distinct.items()} for _ in range(2)]
    mean, std = ({name: of[part] for name, part in layout.distinct.items()} for of in given)
    statistics = Statistics(mean, std, layout.hash)
    settings = {part: ema(4, code_dim=8, width=8) for part in given[0]}
    assert SignTokenizer(layout, statistics.mean, statistics.std, settings).statistics.hash == statistics.hash


def test_a_missing_tokenizer_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(UserError, match="python -m train --cfg configs/deto.yaml"):
        SignTokenizer.from_pretrained(tmp_path / "nowhere")


def damaged(folder: Path, file: str, content: bytes) -> Path:
    small_tokenizer().save_pretrained(folder)
    (folder / file).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1, 2]", b'{"layout": [], "settings": []}', b"not json", b"\xff\xfe"]
)
@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_damaged_files_are_one_sentence(tmp_path: Path, file: str, content: bytes):
    with pytest.raises(UserError, match="cannot be read") as error:
        SignTokenizer.from_pretrained(damaged(tmp_path, file, content))
    assert "\n" not in str(error.value)


def test_files_that_do_not_belong_together_are_named_by_hash(tmp_path: Path):
    old, new = small_tokenizer(), small_tokenizer()
    new.autoencoders["body"].encoder.stem.bias.data += 1
    new.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    old.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as error:
        SignTokenizer.from_pretrained(tmp_path)
    assert old.hash in str(error.value) and new.hash in str(error.value)

    config["layout"][0]["joints"].reverse()  # same sizes, other meaning
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=SOKE.hash):
        SignTokenizer.from_pretrained(tmp_path)


def test_a_small_data_set_is_learnt():
    tokenizer = small_tokenizer(code_dim=32, width=32, depth=1).train()
    for autoencoder in tokenizer.autoencoders.values():
        autoencoder.quantizer.updates.fill_(0)
    features, lengths = smooth_features(clips=6, frames=32)
    optimiser = torch.optim.AdamW(tokenizer.parameters(), lr=3e-3, betas=(0.9, 0.99))
    losses = []
    for _ in range(60):
        output = tokenizer(features, lengths)
        loss = reconstruction(output.reconstruction, output.target, output.masks)
        optimiser.zero_grad()
        (loss + 0.02 * sum(output.commitment.values())).backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert all((output.codes.values[..., i].unique().numel() > 3) for i in range(3))


def test_a_tokenizer_knows_of_which_frames_it_is(tmp_path):
    soke = small_tokenizer()
    before = soke.hash
    other = SignTokenizer(
        soke.layout, *({n: getattr(a, kind) for n, a in soke.autoencoders.items()} for kind in ("mean", "std")),
        soke.settings, "smplfx",
    ).eval()
    other.load_state_dict(soke.state_dict())
    assert other.hash != before and soke.hash == before
    other.save_pretrained(tmp_path / "other")
    soke.save_pretrained(tmp_path / "soke")
    assert SignTokenizer.from_pretrained(tmp_path / "other").form == "smplfx"
    assert SignTokenizer.from_pretrained(tmp_path / "other").hash == other.hash
    assert SignTokenizer.from_pretrained(tmp_path / "soke").form == "soke"


def test_a_reconstruction_keeps_the_shape_of_the_head():
    tokenizer, head = small_tokenizer(), torch.rand(300)
    motions = [replace(random_motion(21), head_shape=head), random_motion(8)]
    shaped, plain = tokenizer.decode_like(tokenizer.encode_motions(motions), motions)
    assert torch.equal(shaped.head_shape, head) and plain.head_shape is None


@pytest.mark.parametrize("layout", [SOKE, MIRRORED])
def test_each_part_is_computed_of_the_clips_that_have_it(layout):
    """As when the tokenizer had been given those clips alone."""
    tokenizer = small_tokenizer(layout)
    features, lengths = random_features(LENGTHS, layout), torch.tensor(LENGTHS)
    owners = {"body": [0, 1, 2, 3], "lhand": [2], "rhand": [0, 3]}
    own = {part: torch.tensor(owners[part]) for part in layout.names}
    poisoned = {  # what a clip does not have is not looked at
        part: values.masked_fill(~torch.isin(torch.arange(4), own[part])[:, None, None], torch.nan)
        for part, values in features[0].items()
    }
    output, whole = tokenizer(poisoned, lengths, LENGTHS, own), tokenizer(features[0], lengths)
    for i, part in enumerate(layout.names):
        rows = owners[part]
        valid = output.masks[part][..., None]
        assert torch.equal(output.masks[part], whole.frames[rows])
        assert torch.equal(output.target[part] * valid, whole.target[part][rows] * valid)
        expected = whole.reconstruction[part][rows]
        torch.testing.assert_close(output.reconstruction[part] * valid, expected * valid, atol=1e-5, rtol=1e-4)
        assert torch.equal(output.codes.values[rows, :, i], whole.codes.values[rows, :, i])
        others = [row for row in range(4) if row not in rows]
        assert (output.codes.values[others, :, i] == -1).all()


@pytest.mark.parametrize("layout", [SOKE, MIRRORED])
def test_a_part_that_no_clip_of_a_batch_has_gets_a_gradient_of_zero_everywhere(layout):
    """The other processes wait for that of each parameter."""
    tokenizer = small_tokenizer(layout).train()
    features, lengths = random_features(LENGTHS, layout)
    before = {name: value.clone() for name, value in tokenizer.autoencoders["rhand"].state_dict().items()}
    nobody = torch.zeros(0, dtype=torch.int64)
    own = {"body": torch.arange(4), "lhand": nobody, "rhand": nobody}
    output = tokenizer(features, lengths, LENGTHS, {part: own[part] for part in layout.names})
    loss = reconstruction(output.reconstruction, output.target, output.masks) + sum(output.commitment.values())
    loss.backward()
    gradients = {n: p.grad for n, p in tokenizer.named_parameters() if p.requires_grad}
    assert all(gradient is not None for gradient in gradients.values())
    assert all(not gradient.any() for name, gradient in gradients.items() if "hand" in name)
    assert any(gradient.any() for name, gradient in gradients.items() if "body" in name)
    after = tokenizer.autoencoders["rhand"].state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())  # a codebook, too
