from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins import MixedPrecision
from torch.utils.data import DataLoader

from soke.body.layout import MotionLayout
from soke.body.motion import Motion
from soke.body.smplx import BodyModel
from soke.data.clip import Clip
from soke.data.dataset import MotionSample, collate_motions
from soke.errors import UserError
from soke.metrics.joint_sets import BODY_JOINTS
from soke.metrics.motion_errors import MotionErrors
from soke.run.callbacks import FiniteWeights
from soke.run.settings import Optim
from soke.tokenizer.module import TokenizerModule
from soke.tokenizer.quantizers.codebook import CodebookQuantizer
from soke.tokenizer.settings import Ema, Fsq, Loss, Residual, Vq
from soke.tokenizer.tokenizer import SignTokenizer
from tests.tokenizer.helpers import MIRRORED, SOKE, small_tokenizer, smooth_features

FRAMES = (16, 12)


def fresh_tokenizer(layout: MotionLayout = SOKE, **settings) -> SignTokenizer:
    """Before its first batch."""
    tokenizer = small_tokenizer(layout, depth=1, **settings)
    for module in tokenizer.modules():
        if isinstance(module, CodebookQuantizer):
            module.updates.fill_(0)
    return tokenizer


def loader(layout: MotionLayout = SOKE) -> DataLoader:
    """Two batches of two clips, and one of none."""
    features, _ = smooth_features(clips=4, frames=max(FRAMES), layout=layout)
    samples = []
    for i in range(4):
        own = {part: values[i, : FRAMES[i % 2]] for part, values in features.items()}
        clip = Clip(f"clip{i}", "test", "train", "ASL", "hello", Path("nowhere"), 25.0)
        samples.append(MotionSample(clip, own, layout.motion(own, 25.0)))
    batches = [collate_motions(samples[:2]), collate_motions([]), collate_motions(samples[2:])]
    return DataLoader(batches, batch_size=None)


def trainer(folder: Path, epochs: int, more: Sequence[pl.Callback] = (), **options) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", max_epochs=epochs, default_root_dir=folder, logger=CSVLogger(folder, name="", version="log"),
        callbacks=[ModelCheckpoint(folder, filename="last", save_weights_only=False), *more],
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1, **options,
    )


def fit(
    folder: Path,
    body: BodyModel,
    tokenizer: SignTokenizer,
    epochs: int,
    more: Sequence[pl.Callback] = (),
    resume: Path | None = None,
) -> TokenizerModule:
    module = TokenizerModule(tokenizer, body, Loss(), Optim(lr=1e-3))
    batches = loader(tokenizer.layout)
    trainer(folder, epochs, more).fit(module, batches, batches, ckpt_path=resume, weights_only=True)
    return module


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, body: BodyModel) -> tuple[Path, TokenizerModule]:
    """Two epochs, and the folder of log and checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, fit(folder, body, fresh_tokenizer(), epochs=2)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_everything_is_logged(trained: tuple[Path, TokenizerModule]):
    folder, module = trained
    logged = {key: float(value) for row in rows(folder) for key, value in row.items() if value}
    expected = {"train/loss", "train/feature", "val/loss", "val/feature"}
    expected |= {f"train/commitment_{part}" for part in SOKE.names}
    for stage in ("train", "val"):
        expected |= {f"{stage}/{kind}_{part}" for kind in ("codebook_percent", "perplexity") for part in SOKE.names}
    expected |= {f"val/{name}" for name in module.motion_errors.errors}
    assert expected <= logged.keys()
    assert all(value > 0 for key, value in logged.items() if key in expected)


def test_the_loss_is_the_weighted_sum_over_parts(body: BodyModel):
    tokenizer = small_tokenizer()
    batch = next(iter(loader()))
    output = tokenizer(batch.features, batch.lengths)
    loss = {}
    for weights in [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (2.0, 3.0, 4.0)]:
        chosen = Loss(**dict(zip(("feature", "commitment", "velocity"), weights)))
        module = TokenizerModule(tokenizer, body, chosen, Optim())
        module.log_dict = lambda *_, **__: None  # there is no trainer to log to
        loss[weights] = module._loss(output, "val", 2).item()
    single = list(loss.values())
    assert single[1] == pytest.approx(sum(output.commitment.values()).item())
    assert single[3] == pytest.approx(2 * single[0] + 3 * single[1] + 4 * single[2], rel=1e-5)


def test_the_released_loss_is_one_mean_over_all_numbers_and_the_padding(body: BodyModel):
    """Its commitment is that of the other, so it weighs more beside the smaller distance of the features."""
    tokenizer = small_tokenizer()
    batch = next(iter(loader()))
    output = tokenizer(batch.features, batch.lengths)
    valid, parts = output.frames, SOKE.names
    off = torch.cat([output.reconstruction[part] - output.target[part] for part in parts], dim=2)[valid].abs()
    total = torch.where(off < 1, 0.5 * off**2, off - 0.5).sum()
    feature = (total / (valid.numel() * 133)).item()
    commitment = sum(output.commitment.values()).item()
    module = TokenizerModule(tokenizer, body, Loss(reduction="all"), Optim())
    module.log_dict = lambda *_, **__: None
    assert module._loss(output, "val", 2).item() == pytest.approx(feature + 0.02 * commitment, rel=1e-5)


def test_clips_that_lack_parts_train_the_others(tmp_path: Path, body: BodyModel):
    """The left hand is in the first clip alone: only that is scored as a whole, and its codes are those of one clip."""
    features, _ = smooth_features(clips=3, frames=16)
    samples = []
    for i in range(3):
        own = {part: values[i] for part, values in features.items()}
        clip, lacking = Clip(f"clip{i}", "test", "train", "ASL", "hello", Path("x"), 25.0), {"lhand"} if i else set()
        motion = replace(SOKE.motion(own, 25.0), lacking=frozenset({"left_thumb1"} if i else ()))
        samples.append(MotionSample(clip, own, motion, frozenset(lacking)))
    batches = DataLoader([collate_motions(samples[1:]), collate_motions(samples)], batch_size=None)
    module = TokenizerModule(fresh_tokenizer(), body, Loss(), Optim(lr=1e-3))
    scored, update = [], module.motion_errors.update
    module.motion_errors.update = lambda name, *motions: (scored.append(name), update(name, *motions))
    trainer(tmp_path, 1, num_sanity_val_steps=0).fit(module, batches, batches)
    assert scored == ["test/clip0"]
    quantizers = {part: autoencoder.quantizer for part, autoencoder in module.tokenizer.autoencoders.items()}
    assert {part: int(quantizer.updates) for part, quantizer in quantizers.items()} == {"body": 2, "lhand": 1, "rhand": 2}


def test_the_rate_falls_from_first_to_last(tmp_path: Path, body: BodyModel):
    module = TokenizerModule(fresh_tokenizer(), body, Loss(), Optim(lr=1e-3, eta_min=1e-5))
    rates = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    trainer(tmp_path, 4, [Watch()], limit_val_batches=0).fit(module, loader())
    assert rates[0] == pytest.approx(1e-3)
    assert all(a >= b for a, b in pairwise(rates)) and 1e-5 <= rates[-1] < 2e-4


def test_mixed_precision_trains(tmp_path: Path, body: BodyModel):
    module = TokenizerModule(fresh_tokenizer(), body, Loss(), Optim(lr=1e-3))
    before = {name: value.clone() for name, value in module.tokenizer.state_dict().items()}
    trainer(tmp_path, 1, precision="bf16-mixed").fit(module, loader(), loader())
    for name, value in module.tokenizer.state_dict().items():
        assert value.dtype == before[name].dtype and value.isfinite().all(), name
    codebooks = [name for name in before if name.endswith("codebook")]
    assert codebooks and all(not torch.equal(before[n], module.tokenizer.state_dict()[n]) for n in codebooks)


def test_the_checkpoint_holds_plain_data_and_no_body(trained: tuple[Path, TokenizerModule]):
    folder, _ = trained
    checkpoint = torch.load(folder / "last.ckpt", weights_only=True)
    assert all(key.startswith("tokenizer.") for key in checkpoint["state_dict"])
    assert checkpoint["tokenizer"]["layout_hash"] == SOKE.hash
    assert "code_version" in checkpoint["tokenizer"]


def validated(folder: Path, body: BodyModel, tokenizer: SignTokenizer, **options) -> dict[str, float]:
    module = TokenizerModule(tokenizer, body, Loss(), Optim())
    (scores,) = trainer(folder, 1, **options).validate(module, loader(tokenizer.layout), verbose=False)
    return scores


def test_validation_does_not_depend_on_the_precision_of_training(tmp_path: Path, body: BodyModel):
    """Half precision would add millimetres to the errors."""
    tokenizer = small_tokenizer()
    expected = validated(tmp_path, body, tokenizer)
    assert expected["val/MPJPE_hand"] > 0
    assert validated(tmp_path, body, tokenizer, precision="bf16-mixed") == pytest.approx(expected, rel=1e-6)


def test_losses_are_means_over_frames_whatever_the_batches(body: BodyModel):
    tokenizer, found = small_tokenizer(), []
    features, _ = smooth_features(4, 16)
    lengths = torch.tensor([16, 12, 4, 8])
    for rows_of_batches in ([[0, 1, 2, 3]], [[0], [1, 2], [3]], [[3, 0, 1], [2]]):
        module = TokenizerModule(tokenizer, body, Loss(), Optim()).eval()
        for rows_ in rows_of_batches:
            output = tokenizer({part: v[rows_] for part, v in features.items()}, lengths[rows_])
            module._loss(output, "val", len(rows_))
        module.log_dict = lambda *_, **__: None  # there is no trainer to log to
        found.append({name: value.item() for name, value in module.means["val"].log(module).items()})
    assert found[1] == pytest.approx(found[0], rel=1e-5) and found[2] == pytest.approx(found[0], rel=1e-5)


def test_losses_of_validation_are_those_of_one_batch_whoever_has_which_parts(body: BodyModel):
    tokenizer, found = small_tokenizer(), []
    features, _ = smooth_features(4, 16)
    lengths, owners = torch.tensor([16, 12, 4, 8]), {"body": [0, 1], "lhand": [2, 3], "rhand": [0, 1, 2, 3]}
    for batches in ([[0, 1, 2, 3]], [[0], [1, 2], [3]]):
        module = TokenizerModule(tokenizer, body, Loss(velocity=0.5), Optim()).eval()
        for batch in batches:
            has = {p: torch.tensor([i for i, c in enumerate(batch) if c in own], dtype=int) for p, own in owners.items()}
            output = tokenizer({part: v[batch] for part, v in features.items()}, lengths[batch], None, has)
            loss = module._loss(output, "val", len(batch))
        module.log_dict = lambda *_, **__: None  # there is no trainer to log to
        means = {name: value.item() for name, value in module.means["val"].log(module).items()}
        found.append((means, loss.item()))
    assert found[0][0].keys() == {"loss", "feature", "velocity"} and found[0][0]["loss"] == pytest.approx(found[0][1])
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)


class Steps(pl.Callback):
    """Every gradient that the optimiser sees, of all parameters in one row."""

    def __init__(self):
        self.gradients: list[torch.Tensor] = []

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        self.gradients.append(torch.cat([p.grad.flatten() for p in module.parameters()]))


@pytest.mark.parametrize("options", [{}, {"gradient_clip_val": 0.5}, {"precision": "bf16-mixed"}])
def test_a_batch_without_clips_adds_a_gradient_of_zero(tmp_path: Path, body: BodyModel, options):
    """Every parameter has one, which the other processes wait for; the codebooks stay as they are."""
    first, empty, _ = loader()
    found, tokenizers = {}, {}
    for name, batches in {"alone": [first], "accumulated": [first, empty], "nothing": [empty]}.items():
        tokenizer, steps = fresh_tokenizer(), Steps()
        module = TokenizerModule(tokenizer, body, Loss(), Optim(lr=0.0))
        fitting = trainer(tmp_path / name, 1, [steps], accumulate_grad_batches=len(batches), **options)
        module.on_train_epoch_end = lambda: None  # there may be nothing to log
        fitting.fit(module, DataLoader(batches, batch_size=None))
        (found[name],) = steps.gradients
        tokenizers[name] = tokenizer
    assert found["alone"].any() and not found["nothing"].any()
    if "gradient_clip_val" not in options:
        torch.testing.assert_close(found["accumulated"], found["alone"] / 2)
    assert tokenizers["accumulated"].hash == tokenizers["alone"].hash
    assert tokenizers["nothing"].hash == fresh_tokenizer().hash


def test_an_infinite_latent_does_not_reach_the_codebooks(tmp_path: Path, body: BodyModel, caplog):
    """The scaler leaves the step out; nothing else is lost."""
    module = TokenizerModule(fresh_tokenizer(), body, Loss(), Optim(lr=1e-3))
    encoder, calls = module.tokenizer.autoencoders["body"].encoder, []

    def overflow(_, __, latents):
        calls.append(module.training)
        if module.training and sum(calls) == 2:
            latents = latents.clone()
            latents[0, 0, 0] = torch.inf
        return latents

    encoder.register_forward_hook(overflow)
    scaled = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    trainer(tmp_path, 2, [FiniteWeights()], plugins=[scaled]).fit(module, loader(), loader())
    assert "NaN or infinite in 1 of 3 batches of epoch 0, first in batch 2" in caplog.text
    for name, value in module.tokenizer.state_dict().items():
        assert value.isfinite().all(), name
    logged = {key: float(value) for row in rows(tmp_path) for key, value in row.items() if value}
    assert not math.isnan(logged["val/loss"]) and not math.isnan(logged["train/loss"])  # of the second epoch


def test_motions_that_finite_weights_make_infinite_end_the_training_with_a_sentence(tmp_path: Path, body: BodyModel):
    module = TokenizerModule(fresh_tokenizer(), body, Loss(), Optim(lr=1e-3))
    for coder in module.tokenizer.autoencoders.values():
        coder.decoder.head.weight.data.fill_(3e38)
    with pytest.raises(UserError, match="in validation clip .* holds NaN or infinite positions, so training ends: lower TRAIN"):
        trainer(tmp_path, 1, []).validate(module, loader())


class StopAfterOneEpoch(pl.Callback):
    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        trainer.should_stop = True


def test_resuming_gives_the_same_tokenizer(trained: tuple[Path, TokenizerModule], tmp_path: Path, body: BodyModel):
    _, whole = trained
    stopped = fit(tmp_path / "a", body, fresh_tokenizer(), 2, more=[StopAfterOneEpoch()])
    assert stopped.tokenizer.hash != whole.tokenizer.hash
    torch.manual_seed(99)
    resumed = fit(tmp_path / "b", body, fresh_tokenizer(), 2, resume=tmp_path / "a" / "last.ckpt")
    assert resumed.tokenizer.hash == whole.tokenizer.hash


@pytest.mark.parametrize("quantizer", [
    Ema(codes=12, decay=0.5), Vq(codes=12, decay=0.5), Residual(count=2, of=Ema(codes=12, decay=0.5)),
], ids=["ema", "vq", "residual"])
def test_codes_that_do_not_last_are_said_once(tmp_path: Path, body: BodyModel, caplog, quantizer):
    """Two clips have seven steps: of twelve codes five at least start anew with every batch, of two none."""
    few = fresh_tokenizer(quantizers={"body": quantizer, "lhand": Ema(codes=2, decay=0.5), "rhand": Ema(codes=2, decay=0.5)})
    fit(tmp_path, body, few, epochs=3)
    (said,) = [record.getMessage() for record in caplog.records if "start anew with every batch" in record.getMessage()]
    assert re.match(r"(\d+) of the (12|24) codes of body start anew with every batch", said)
    caplog.clear()
    fit(tmp_path / "short", body, fresh_tokenizer(quantizers={"body": Ema(codes=12, decay=0.99)}), epochs=3)
    assert "start anew" not in caplog.text  # after six batches a moving mean over a hundred cannot tell


def test_a_loaded_tokenizer_is_trained_on(body: BodyModel):
    tokenizer = small_tokenizer()
    assert not tokenizer.training
    TokenizerModule(tokenizer, body, Loss(), Optim())
    assert tokenizer.training


@pytest.mark.parametrize("change", ["layout", "statistics", "sizes"])
def test_a_checkpoint_of_something_else_is_refused_in_one_sentence(
    trained: tuple[Path, TokenizerModule], tmp_path: Path, body: BodyModel, change: str
):
    folder, module = trained
    if change == "layout":
        other = fresh_tokenizer(MIRRORED)
        mentioned = [SOKE.hash, MIRRORED.hash]
    elif change == "statistics":
        other = fresh_tokenizer()
        other.autoencoders["body"].mean += 1
        mentioned = [module.tokenizer.statistics.hash, other.statistics.hash]
    else:
        other = fresh_tokenizer(num_codes={"body": 13, "lhand": 20, "rhand": 20})
        mentioned = ["num codes of body", "12", "13"]
    with pytest.raises(UserError) as error:
        fit(tmp_path, body, other, 3, resume=folder / "last.ckpt")
    assert all(word in str(error.value) for word in mentioned)


def test_a_foreign_checkpoint_is_refused(tmp_path: Path, body: BodyModel):
    module = TokenizerModule(fresh_tokenizer(), body, Loss(), Optim())
    with pytest.raises(UserError, match="layout hash is None"):
        module.on_load_checkpoint({"state_dict": {}})


def random_motion(frames: int, seed: int = 0) -> Motion:
    generator = torch.Generator().manual_seed(seed)
    zeros = Motion.rest(frames, 25.0)
    zeros.rotations[:, 12:] = 0.2 * torch.randn(frames, 43, 3, generator=generator)
    return zeros


def test_errors_of_a_perfect_reconstruction_are_zero(body: BodyModel):
    errors = MotionErrors(body)
    errors.update("clip", random_motion(5), random_motion(5))
    assert errors.compute() == pytest.approx(dict.fromkeys(errors.errors, 0.0), abs=1e-3)


def test_half_precision_contexts_do_not_change_errors(body: BodyModel):
    found = []
    for enabled in (False, True):
        errors = MotionErrors(body)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            errors.update("clip", random_motion(5, 1), random_motion(5, 2))
            points = body.joints(random_motion(5, 1)), body.vertices(random_motion(2, 1))
        found.append((errors.compute(), points))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(*pair) for pair in zip(found[0][1], found[1][1]))


def test_errors_are_mean_distances_in_millimetres(body: BodyModel):
    """MPJPE against the definition, over two clips; frames weigh the same."""
    errors = MotionErrors(body)
    pairs = [(random_motion(5, 1), random_motion(5, 2)), (random_motion(3, 3), random_motion(3, 4))]
    for i, pair in enumerate(pairs):
        errors.update(f"clip{i}", *pair)
    found = errors.compute()

    distances = {"body": [], "hand": []}
    for produced, reference in pairs:
        points = {"body": [body.joints(m) for m in (produced, reference)]}
        for side in ("left", "right"):
            points[side] = [body.hand_joints(m, side) for m in (produced, reference)]
        for part, (p, r) in points.items():
            moved = p - p[:, :1] + r[:, :1]
            scored = BODY_JOINTS.scored if part == "body" else slice(None)
            error = (moved - r)[:, scored].norm(dim=-1).mean(dim=1)
            distances["body" if part == "body" else "hand"].extend(error.tolist())
    for part, values in distances.items():
        assert found[f"MPJPE_{part}"] == pytest.approx(1000 * sum(values) / len(values), rel=1e-4)
        assert 0 < found[f"PA_MPJPE_{part}"] < found[f"MPJPE_{part}"]
    for part in ("all", "hand", "face"):
        assert found[f"PA_MPVPE_{part}"] > 0
    errors.reset()
    with pytest.raises(ValueError, match="before any clip"):
        errors.compute()


def test_vertices_move_with_pelvis_wrist_and_head(body: BodyModel):
    produced, reference = random_motion(4, 1), random_motion(4, 2)
    errors = MotionErrors(body)
    errors.update("clip", produced, reference)

    def distance(points: list[torch.Tensor], roots: list[torch.Tensor]) -> float:
        (p, r), (root_p, root_r) = points, roots
        return 1000 * (p - root_p[:, None] - r + root_r[:, None]).norm(dim=-1).mean().item()

    both = (produced, reference)
    meshes = [body.vertices(m) for m in both]
    joints = [body.joints(m) for m in both]
    hands = [
        distance([mesh[:, vertices] for mesh in meshes], [body.hand_joints(m, side)[:, 0] for m in both])
        for side, vertices in body.hand_vertices.items()
    ]
    faces = [mesh[:, body.face_vertices] for mesh in meshes]
    expected = {
        "all": distance(meshes, [j[:, 0] for j in joints]), "hand": sum(hands) / 2,
        "face": distance(faces, [j[:, 15] for j in joints]),
    }
    assert {part: errors.compute()[f"MPVPE_{part}"] for part in expected} == pytest.approx(expected, rel=1e-4)


def test_vertices_are_scored_on_evenly_spaced_frames(body: BodyModel):
    produced, reference = random_motion(9, 1), random_motion(9, 2)
    some, picked = MotionErrors(body, vertex_frames=3), MotionErrors(body, vertex_frames=9)
    some.update("clip", produced, reference)
    index = torch.tensor([0, 4, 8])
    picked.update("clip", produced.frames(index), reference.frames(index))
    for name in ("PA_MPVPE_all", "PA_MPVPE_hand"):
        assert some.compute()[name] == pytest.approx(picked.compute()[name], rel=1e-6)


def test_signatures_say_what_was_scored(body: BodyModel):
    (signature,) = MotionErrors(body, layout="abc", statistics="def").errors["PA_MPJPE_hand"].signatures
    signature = str(signature)
    assert signature.startswith("PA-MPJPE|hand|align:procrustes")
    assert all(part in signature for part in ("body:stand-in", "layout:abc", "stats:def", "units:mm"))


def test_unusable_pairs_are_named(body: BodyModel):
    errors = MotionErrors(body)
    with pytest.raises(ValueError, match="clip7"):
        errors.update("clip7", random_motion(4), random_motion(5))
    with pytest.raises(ValueError, match="clip7"):
        errors.update("clip7", random_motion(0), random_motion(0))
    broken = random_motion(4)
    broken.rotations[2, 20] = float("nan")
    with pytest.raises(ValueError, match="clip7"):
        errors.update("clip7", broken, random_motion(4))


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("levels", [(8, 4, 3), (8, 6, 4), (8, 8, 8)])
def test_half_precision_gives_no_code_outside(tmp_path: Path, body: BodyModel, precision, levels):
    """In training, for latents of every size; what is quantized and what stands for the codes is float32, and the codes
    are those of the same latents in float32."""
    fsq = Fsq(levels=levels, bound="standard")
    tokenizer = small_tokenizer(quantizers=dict.fromkeys(SOKE.names, fsq), depth=1, code_dim=3).train()
    quantizer, seen = tokenizer.autoencoders["body"].quantizer, []

    def watch(module, inputs, found):
        latents = inputs[0]
        seen.append((latents.dtype, found))
        assert torch.equal(found.codes, module.encode(latents.float())) and found.quantized.dtype == torch.float32

    for autoencoder in tokenizer.autoencoders.values():
        with torch.no_grad():  # latents beyond the outermost levels, too
            autoencoder.encoder.head.weight.mul_(30)
        autoencoder.quantizer.register_forward_hook(watch)
    module = TokenizerModule(tokenizer, body, Loss(kind="l2"), Optim(lr=1e-2))
    half = torch.bfloat16 if precision == "bf16-mixed" else torch.float16
    if precision == "16-mixed":
        options = {"plugins": [MixedPrecision(precision, "cpu", torch.amp.GradScaler("cpu"))]}
    else:
        options = {"precision": precision}
    trainer(tmp_path, 3, **options).fit(module, loader(), loader())
    codes = torch.cat([found.codes.flatten() for _, found in seen])
    assert half in {dtype for dtype, _ in seen}
    assert 0 <= codes.min() and codes.max() < math.prod(levels) and len(codes.unique()) > 10
    highest = quantizer.encode(torch.full((1, 3, 1), 100.0))
    assert highest.item() == math.prod(levels) - 1
