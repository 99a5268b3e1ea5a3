"""Augmentation: what becomes of a clip, that it is drawn alike by whoever draws it, and that nothing else is touched."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import roma
import torch

from soke.body import Motion
from soke.body.joints import SKELETON_50, SMPLX_JOINTS, joint_indices, mirrored_name
from soke.body.layout import MotionLayout, PartSpec
from soke.body.model import load_smplfx
from soke.body.motion import JointMotion
from soke.body.rotations import nearest_axis_angle
from soke.data.augmentation import AugmentedCodes, AugmentedMotions, mirrored, shaken
from soke.data.clip import Clip, SkippedClip
from soke.data.codes import CodeStore
from soke.data.datamodule import SignDataModule
from soke.data.dataset import CodesDataset, MotionDataset, collate_motions
from soke.data.settings import Augment
from soke.data.statistics import data_hashes
from soke.errors import UserError
from tests.data.writing import LAYOUT

NONE = Augment(drop_step=0.0, speed=0.0, rotation_noise=0.0, position_noise=0.0, mirror={}, time_mask=0.0)
ALL = replace(NONE, speed=0.1, rotation_noise=1.0, mirror={"moving": 0.5}, time_mask=0.3)
MODELS = Path(__file__).parents[2] / "deps" / "smpl_models"
STILL = joint_indices(["left_knee", "left_eye_smplhf"])


def moving(frames: int, seed: int = 0, scale: float = 0.5) -> Motion:
    """Slowly turning joints, two of which stand still."""
    draw = torch.Generator().manual_seed(seed)
    ends = torch.randn(2, 55, 3, generator=draw) * scale
    rotations = torch.lerp(ends[0], ends[1], torch.linspace(0, 1, frames)[:, None, None])
    rotations[:, STILL] = 0
    return Motion(rotations, torch.randn(frames, 10, generator=draw), torch.zeros(10), 25.0)


class Moving:
    """`size` clips of 40 to 160 frames; clip 3 cannot be read."""

    name, language, fps = "moving", "DGS", 25.0

    def __init__(self, size: int = 12):
        self.size = size

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{i}", self.name, split, "DGS", f"text {i}", Path("."), 25.0) for i in range(self.size)]

    def skipped(self, split: str) -> list[SkippedClip]:
        return []

    def length(self, clip: Clip) -> int:
        return 40 + 11 * int(clip.name) % 121

    def load(self, clip: Clip) -> Motion:
        return moving(self.length(clip), int(clip.name))


def data(augment: Augment | None, **options) -> SignDataModule:
    return SignDataModule([Moving()], LAYOUT, **{"batch_size": 4, "max_frames": 200} | options, augment=augment)


def train_batches(augment: Augment | None, epoch: int = 0, trainer=None, **options) -> list:
    module = data(augment, **options)
    module.trainer = trainer
    loader = module.loader("train", "motion", shuffle=True)
    loader.batch_sampler.set_epoch(epoch)
    return list(loader)


def by_clip(batches: list) -> dict[str, dict[str, torch.Tensor]]:
    return {
        clip.name: {part: values[i, : batch.frames[i]] for part, values in batch.features.items()}
        for batch in batches for i, clip in enumerate(batch.clips)
    }


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[clip][part], other[clip][part]) for clip in one for part in one[clip]
    )


@pytest.mark.parametrize("off", [NONE, replace(NONE, mirror={"moving": 0.0})])
def test_nothing_changes_nothing_bit_for_bit(off):
    """Neither where nothing is asked for, nor in the data set that would do it."""
    plain, asked = train_batches(None), train_batches(off)
    assert [[c.name for c in b.clips] for b in plain] == [[c.name for c in b.clips] for b in asked]
    assert same(by_clip(plain), by_clip(asked))
    dataset = MotionDataset([Moving()], "train", LAYOUT)
    for i in range(len(dataset)):
        found = AugmentedMotions(dataset, off, 1)[i, 5, 0]
        assert found.masked is None and torch.equal(found.motion.rotations, dataset[i].motion.rotations)
        assert all(torch.equal(found.features[part], dataset[i].features[part]) for part in LAYOUT.names)


def test_other_clips_than_those_of_training_are_never_augmented():
    module = data(ALL)
    for batches in (module.val_dataloader(), module.test_dataloader()):
        dataset = MotionDataset([Moving()], batches.dataset.split, LAYOUT, max_frames=200)
        plain = {clip.name: dataset[i].features for i, clip in enumerate(dataset.clips)}
        assert same(by_clip(list(batches)), plain)
    assert data_hashes(module.dataset("train", "motion")) == data_hashes(data(None).dataset("train", "motion"))
    assert same(  # what statistics and vocabularies are made of
        by_clip([collate_motions([module.dataset("train", "motion")[i] for i in range(12)])]), by_clip(train_batches(None))
    )


def test_every_epoch_is_another_one_and_workers_draw_as_one_process_does():
    first = by_clip(train_batches(ALL))
    assert same(first, by_clip(train_batches(ALL, workers=2)))
    assert same(first, by_clip(train_batches(ALL, cache_frames=10_000)))
    for other in (train_batches(None), train_batches(ALL, epoch=1), train_batches(ALL, seed=9)):
        assert not any(torch.equal(first[clip]["body"], found["body"]) for clip, found in by_clip(other).items())


def test_two_processes_see_the_batches_of_one():
    alone = train_batches(ALL)
    shares = [
        train_batches(ALL, batch_size=2, trainer=SimpleNamespace(
            world_size=2, global_rank=rank, fit_loop=SimpleNamespace(
                epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0))
            ),
        )) for rank in range(2)
    ]
    assert same(by_clip(alone), by_clip(shares[0] + shares[1]))
    for whole, one, two in zip(alone, *shares, strict=True):
        assert {c.name for c in whole.clips} == {c.name for c in one.clips + two.clips}


class Witness(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.zeros(())), []

    def training_step(self, batch, index):
        self.seen.append(batch.features["body"].clone())
        return self.weight * batch.lengths.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(tmp_path: Path, epochs: int, resume: Path | None = None, **save) -> list[torch.Tensor]:
    model = Witness()
    callbacks = [pl.callbacks.ModelCheckpoint(tmp_path, save_top_k=-1, **save)] if save else []
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, callbacks=callbacks, enable_checkpointing=bool(save),
        enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(model, data(ALL, workers=1), ckpt_path=resume)
    return model.seen


def test_a_run_that_continues_draws_what_the_whole_run_draws(tmp_path):
    whole = fit(tmp_path, 2)
    fit(tmp_path, 2, every_n_train_steps=2)
    checkpoints = list(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) == 3
    for checkpoint in checkpoints[:2]:
        done = torch.load(checkpoint, weights_only=True)["global_step"]
        rest = fit(tmp_path, 2, checkpoint)
        assert len(rest) == 6 - done and all(map(torch.equal, rest, whole[done:]))


def test_a_clip_that_an_epoch_draws_twice_is_two_clips():
    """Of a corpus that is drawn twice as often, beside one that makes room for it."""
    twin = Moving(4)
    twin.name = "twin"
    batches = SignDataModule(
        [Moving(4), twin], LAYOUT, batch_size=3, augment=replace(NONE, rotation_noise=1.0), weights={"twin": 3.0}
    ).loader("train", "motion", shuffle=True)
    drawn = [(c.name, f) for b in batches for c, f in zip(b.clips, b.features["body"]) if c.corpus == "twin"]
    assert len(drawn) == 6 and len({name for name, _ in drawn}) == 4
    for name in {name for name, _ in drawn}:
        found = [features[:40] for other, features in drawn if other == name]
        assert len(found) == 1 or not torch.equal(found[0], found[1])


# Speed

def test_speed_is_that_of_the_angles_and_lengths_follow():
    """One joint turns evenly about its axis: 0.02 rad in each frame."""
    axis = torch.tensor([0.6, 0.0, 0.8])
    rotations = torch.zeros(101, 55, 3)
    rotations[:, 17] = torch.arange(101)[:, None] * 0.02 * axis
    motion = Motion(rotations, torch.arange(101.0)[:, None].expand(-1, 10), torch.zeros(10), 25.0)
    for factor, frames in ((0.9, 112), (1.1, 92), (1.0, 101)):
        changed = motion.at_speed(factor)
        assert (len(changed), changed.fps) == (frames, 25.0)
        angles = torch.arange(frames).mul(factor).clamp_max(100)
        torch.testing.assert_close(changed.rotations[:, 17], (angles * 0.02)[:, None] * axis, atol=1e-4, rtol=0)
        torch.testing.assert_close(changed.expression[:, 0], angles, atol=1e-3, rtol=0)
    assert motion.at_speed(1.0) is motion
    points = JointMotion(torch.arange(101.0)[:, None, None].expand(-1, 50, 3), SKELETON_50, 25.0)
    expected = (torch.arange(92) * 1.1).clamp_max(100)
    torch.testing.assert_close(points.at_speed(1.1).positions[:, 0, 0], expected, atol=1e-4, rtol=0)


def test_axis_angle_numbers_do_not_leap_where_an_angle_is_beyond_half_a_turn():
    motion = moving(60, scale=2.5)  # of up to 4.5 rad: at a whole turn, 6.28, every axis is as good as another
    motion.rotations.mul_((4.5 / motion.rotations.norm(dim=-1, keepdim=True)).clamp_max(1.0))
    for changed in (motion.at_speed(0.93), shaken(motion, 0.01, np.random.default_rng(0))):
        share = torch.linspace(0, 59, len(changed)) if len(changed) != 60 else torch.arange(60.0)
        near = motion.rotations[share.round().long()]
        assert (changed.rotations - near).norm(dim=-1).max() < 0.4
    rotation = torch.tensor([0.0, 3.0, 0.0])
    other = nearest_axis_angle(torch.tensor([0.0, 3.0 - 2 * np.pi, 0.0]), rotation)
    torch.testing.assert_close(other, rotation, atol=1e-5, rtol=0)


def test_frames_of_a_batch_are_counted_at_their_longest():
    """And are what the motion became: whole token steps, within the limits."""
    quick = replace(NONE, speed=0.25)
    lengths = set()
    for epoch in range(4):
        for batch in train_batches(quick, epoch, batch_length=400, max_frames=200):
            assert batch.features["body"].shape[:2].numel() <= 400
            assert all(f % 4 == 0 and 40 <= f <= 200 for f in batch.frames)
            lengths |= {(clip.name, frames) for clip, frames in zip(batch.clips, batch.frames)}
    assert len(lengths) > 36
    for name, frames in lengths:
        raw = Moving().length(Clip(name, "moving", "train", "DGS", "", Path("."), 25.0))
        assert max(raw / 1.25 - 5, 40) <= frames <= min(raw / 0.75 + 1, 200)


# Noise

def test_noise_on_rotations_is_of_the_group_and_of_its_strength():
    motion, strength = moving(400, scale=1.0), np.radians(2.0)
    noisy = shaken(motion, strength, np.random.default_rng(0))
    turns = roma.rotvec_composition((roma.rotvec_inverse(motion.rotations), noisy.rotations))
    assert torch.equal(noisy.rotations[:, STILL], motion.rotations[:, STILL])  # what stands still was not recorded
    others = [i for i in range(55) if i not in STILL]
    torch.testing.assert_close(turns[:, others].std(dim=(0, 1)), torch.full((3,), strength), rtol=0.02, atol=0)
    assert turns[:, others].mean(dim=(0, 1)).abs().max() < 0.001
    assert torch.equal(noisy.expression, motion.expression) and shaken(motion, 0.0, None) is motion


def test_noise_on_positions_leaves_an_origin_where_it_is():
    positions = torch.randn(300, 50, 3, generator=torch.Generator().manual_seed(0))
    positions[:, 1] = 0.016
    positions[:, :, 2] = 0
    motion = JointMotion(positions, SKELETON_50, 25.0)
    noise = shaken(motion, 0.05, np.random.default_rng(0)).positions - positions
    assert not noise[:, 1].any() and not noise[..., 2].any()
    assert noise[:, 2:, :2].std().item() == pytest.approx(0.05, rel=0.02)


# Mirrors

def reflected(points: torch.Tensor) -> torch.Tensor:
    return points * torch.tensor([-1.0, 1.0, 1.0])


def test_a_mirrored_signer_has_the_reflected_joints(body):
    """Of the symmetric stand-in, whose joints lie 0.2 mm from their mirror images; so it is with FLAME's head."""
    order = [SMPLX_JOINTS.index(mirrored_name(name)) for name in SMPLX_JOINTS]
    fx = load_smplfx(MODELS, flat_hand_mean=True)
    for posed, coefficients in ((body, 10), (fx, 100)):
        motion = replace(moving(20), expression=torch.zeros(20, coefficients), eyelids=torch.rand(20, 2))
        motion.rotations[:, STILL] = 0.2
        own, other = (posed.track(m, ["body"])["body"][:, :55] for m in (motion, motion.mirrored()))
        assert (own - own[:, order]).norm(dim=-1).max() > 0.1
        assert (reflected(other)[:, order] - own).norm(dim=-1).max() < 0.001
        twice = motion.mirrored().mirrored()
        assert torch.equal(twice.rotations, motion.rotations) and torch.equal(twice.eyelids, motion.eyelids)
        assert torch.equal(motion.mirrored().expression, motion.expression)  # which has no left and right


def test_a_picture_is_mirrored_where_the_signer_stands():
    positions = torch.rand(30, 50, 3, generator=torch.Generator().manual_seed(1)) * 0.2 + 0.4
    motion = JointMotion(positions, SKELETON_50, 24.0)
    neck, wrists = SKELETON_50.index("neck"), [SKELETON_50.index(f"{side}_wrist") for side in ("left", "right")]
    plane = positions[:, neck, 0].mean()
    found = mirrored(motion).positions
    torch.testing.assert_close(found[:, wrists, 0], 2 * plane - positions[:, wrists[::-1], 0])
    torch.testing.assert_close(found[:, wrists, 1:], positions[:, wrists[::-1], 1:])
    torch.testing.assert_close(mirrored(mirrored(motion)).positions, positions)
    positions[:, neck] = 0  # and at x = 0, where the neck is the origin
    assert torch.equal(mirrored(motion).positions, motion.mirrored().positions)


def test_only_the_corpus_that_is_named_is_mirrored_and_as_often_as_asked():
    dataset = MotionDataset([Moving()], "train", LAYOUT)
    augmented = AugmentedMotions(dataset, replace(NONE, mirror={"moving": 0.25}), 3)
    plain, turned = dataset[0].motion, dataset[0].motion.mirrored()
    found = [augmented[0, epoch, 0].motion.rotations for epoch in range(400)]
    count = sum(torch.equal(rotations, turned.rotations) for rotations in found)
    assert count + sum(torch.equal(rotations, plain.rotations) for rotations in found) == 400
    assert 75 < count < 125
    features, swapped = dataset[0].features, dataset.layout.features(turned)
    assert not torch.equal(features["lhand"], swapped["lhand"])
    other = AugmentedMotions(dataset, replace(NONE, mirror={"other": 1.0}), 3)
    assert all(torch.equal(other[0, epoch, 0].motion.rotations, plain.rotations) for epoch in range(5))


class OneHanded(Moving):
    def load(self, clip: Clip) -> JointMotion:
        return JointMotion(torch.rand(50, 2, 3), ("neck", "left_wrist"), 25.0)


def test_joints_without_counterparts_are_refused_before_the_training():
    layout = MotionLayout([PartSpec("body", ("neck", "left_wrist"), rotation="position")])
    module = SignDataModule([OneHanded()], layout, augment=replace(NONE, mirror={"moving": 0.5}))
    with pytest.raises(UserError, match=r"AUGMENT\.MIRROR\.moving: the motion has no joint right_wrist to mirror; leave"):
        module.loader("train", "motion", shuffle=True)


# Time masks and codes

def test_a_run_of_frames_is_masked_anywhere_up_to_its_share():
    dataset = MotionDataset([Moving()], "train", LAYOUT, max_frames=200)
    augmented = AugmentedMotions(dataset, replace(NONE, time_mask=0.4), 3)
    places = []
    for epoch in range(300):
        sample = augmented[7, epoch, 0]
        masked = sample.masked.nonzero()[:, 0]
        assert torch.equal(sample.motion.rotations, dataset[7].motion.rotations) and len(sample.masked) == 116
        assert len(masked) <= 0.4 * 116 and (len(masked) < 2 or masked[-1] - masked[0] == len(masked) - 1)
        places += masked.tolist()
    assert len(places) / 300 == pytest.approx(0.2 * 116, rel=0.1) and set(places) == set(range(116))
    batch = collate_motions([augmented[0, 0, 0], augmented[7, 0, 0]])
    assert batch.masked.shape == batch.features["body"].shape[:2] and batch.to("cpu").masked.dtype == torch.bool
    assert collate_motions([dataset[0]]).masked is None


def test_the_first_or_the_last_step_is_dropped_as_often_as_asked(tmp_path):
    """A third of the draws, half of them the first, as SOKE's released code does; a single step stays."""
    store, corpus = CodeStore(tmp_path), Moving(2)
    clips = corpus.clips("train")
    codes = torch.arange(36).reshape(12, 3)
    store.write(clips[0], codes)
    store.write(clips[1], codes[:1])
    dataset = CodesDataset([corpus], "train", store, min_steps=1)
    augmented = AugmentedCodes(dataset, replace(NONE, drop_step=1 / 3), 3)
    found = [augmented[0, epoch, 0].codes for epoch in range(900)]
    counts = [sum(torch.equal(c, kept) for c in found) for kept in (codes, codes[1:], codes[:-1])]
    assert sum(counts) == 900
    assert counts[0] == pytest.approx(600, abs=60) and counts[1] == pytest.approx(150, abs=40)
    always = AugmentedCodes(dataset, replace(NONE, drop_step=1.0), 3)
    assert torch.equal(always[1, 0, 0].codes, codes[:1]) and len(always[0, 0, 0].codes) == 11
    module = SignDataModule(
        [corpus], LAYOUT, "codes", store, augment=replace(ALL, drop_step=1.0), min_steps=1, batch_size=2
    )
    (batch,) = module.train_dataloader()
    assert sorted(batch.lengths.tolist()) == [1, 11]
    assert len(module.dataset("train", "codes")[0].codes) == 12
