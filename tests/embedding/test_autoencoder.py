"""Motion auto-encoders: what they learn, single chunks and batches, saving, what they refuse."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soke.data.clip import SkippedClip
from soke.data.dataset import collate_motions
from soke.embedding import MotionAutoencoder
from soke.embedding.autoencoder_module import MotionAutoencoderModule
from soke.errors import UserError
from soke.metrics.chunks import chunks_of, joints_of
from soke.metrics.joint_sets import track_of
from tests.embedding.helpers import BODY, SMALL, autoencoder, autoencoder_module, fit, moving


@pytest.fixture(scope="module")
def trained() -> tuple[MotionAutoencoderModule, float, float]:
    """With its error at first and in the end, in mm."""
    items = [moving(i, 20 + 5 * (i % 3)) for i in range(8)]
    module = autoencoder_module(cache_frames=1000)
    first = fit(module, items, 1).callback_metrics["val/error"].item()
    return module, first, fit(module, items, 30).callback_metrics["val/error"].item()


def test_it_learns_a_few_motions(trained):
    _, first, last = trained
    assert last < first / 2


def test_a_chunk_is_encoded_as_if_it_were_alone(trained):
    model, motion = trained[0].autoencoder, moving(1, 33).motion
    chunks = model.chunks(BODY, motion)
    assert chunks.shape == (4, SMALL.chunk, 3 * model.seen.count)
    together = model.encode(chunks)
    assert together.shape == (4, SMALL.dimension) and together.dtype == np.float64
    for chunk, latent in zip(chunks, together):
        np.testing.assert_allclose(model.encode(chunk[None])[0], latent, atol=1e-5)
    track = track_of(BODY, motion)
    joints = chunks_of(joints_of(track, BODY.point_sets, 25.0), SMALL.chunk)
    np.testing.assert_array_equal(model.encode(joints), together)
    assert model.chunks(BODY, moving(1, 9).motion).shape[0] == 0 and model.encode(joints[:0]).shape == (0, 4)


def test_the_loss_is_of_all_chunks_whatever_the_batches(trained):
    module, items = trained[0], [moving(i, 20 + 5 * (i % 3)) for i in range(8)]
    with torch.no_grad():
        chunks = torch.cat([module.autoencoder.chunks(BODY, item.motion) for item in items])
        decoded, wanted = module.model.decode(module.model.encode(chunks)), module.model.normalised(chunks)
        expected = (decoded - wanted).square().mean()
        apart = (module.model.reconstruct(chunks) - chunks).unflatten(2, (-1, 3)).norm(dim=3).mean()
    for size in (1, 3, 8):
        for start in range(0, 8, size):
            module.validation_step(collate_motions(items[start : start + size]), 0)
        logged = {}
        module.log_dict = logged.update
        means = module.means["val"].log(module)
        assert means["loss"].item() == pytest.approx(expected.item(), rel=1e-4)
        assert means["error"].item() == pytest.approx(1000 * apart.item(), rel=1e-4)
    assert module.size_of(collate_motions(items)) == len(chunks)


def test_a_clip_of_another_split_may_have_the_same_name():
    module, item = autoencoder_module(cache_frames=1000), moving(0)
    other = replace(moving(1), clip=replace(item.clip, split="val"))
    for one in (item, other, item):
        chunks = module._chunks(collate_motions([one]))
        assert torch.equal(chunks, module.autoencoder.chunks(BODY, one.motion))


def test_it_is_saved_and_loaded(trained, tmp_path: Path):
    model = trained[0].autoencoder
    model.save_pretrained(tmp_path / "model")
    loaded = MotionAutoencoder.from_pretrained(tmp_path / "model")
    chunks = model.chunks(BODY, moving(3, 40).motion)
    assert (loaded.hash, loaded.seen, loaded.settings) == (model.hash, model.seen, SMALL)
    np.testing.assert_array_equal(loaded.encode(chunks), model.encode(chunks))
    assert autoencoder(seed=5).hash != model.hash
    (tmp_path / "model" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="the motion auto-encoder in .* cannot be read"):
        MotionAutoencoder.from_pretrained(tmp_path / "model")


@pytest.mark.parametrize("chunk", [4, 7, 30, 33, 90])
def test_every_length_of_chunks_comes_back(chunk):
    model = autoencoder(replace(SMALL, chunk=chunk)).model
    chunks = torch.randn(2, chunk, len(model.mean))
    assert model.reconstruct(chunks).shape == chunks.shape


def test_what_it_cannot_learn_is_told_or_passed_over():
    items, lost = [moving(i) for i in range(4)], SkippedClip("skels", "lost", "gone")
    message = "clip skels/clip9 holds motion made by regressor ab12, but a motion auto-encoder is trained on reference"
    made = moving(9, made_by="regressor ab12")
    for train, val in (([*items, made], items), (items, [made])):
        with pytest.raises(UserError, match=message):
            fit(autoencoder_module(), train, 1, val)
    logged = fit(autoencoder_module(), [lost, *items, moving(7, 5)], 1, [*items, lost], batch=2).callback_metrics
    assert logged["train/loss"].isfinite()
    with pytest.raises(UserError, match="no clip of the val split .*none is as long as a chunk, 10 frames at 25 frames/s"):
        fit(autoencoder_module(), items, 1, [moving(7, 5)])
    module = autoencoder_module()
    module.training_step(collate_motions([moving(7, 5)]), 0).backward()
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


def test_a_checkpoint_of_another_body_is_refused(trained):
    module, checkpoint = trained[0], {}
    module.on_save_checkpoint(checkpoint)
    module.on_load_checkpoint(checkpoint)
    checkpoint["motion_autoencoder"]["body"] = "smplx"
    with pytest.raises(UserError, match="its body is smplx, the run's is skeleton-50"):
        module.on_load_checkpoint(checkpoint)
