"""Augmentation: training clips that are others each time that they are drawn.

What becomes of a clip depends on the run's seed, the epoch, the clip, and how often the epoch has drawn it before: neither
on who draws it nor on what was drawn before, so that several processes, and runs that continue, see the same clips.
"""
from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from soke.body.joints import mirrored_name
from soke.body.motion import JointMotion, Motion
from soke.body.rotations import turned_axis_angle
from soke.data.clip import SkippedClip
from soke.data.dataset import CodeSample, CodesDataset, FrameCache, MotionDataset, MotionSample
from soke.data.settings import Augment
from soke.errors import UserError

_log = logging.getLogger(__name__)
Drawn = tuple[int, int, int]  # a clip of a data set, the epoch, and how often the epoch has drawn it before


class AugmentedMotions(Dataset):
    """Item `Drawn` is a `MotionSample` of the clip, augmented, or a `SkippedClip`; the data set itself stays as it is.

    Raises UserError for a corpus that is to be mirrored, but whose joints have no counterparts.
    """

    def __init__(self, dataset: MotionDataset, settings: Augment, seed: int):
        self.dataset, self.settings, self.seed = dataset, settings, seed
        self._cache = FrameCache(dataset.cache_frames)
        self._require_mirrors()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, drawn: Drawn) -> MotionSample | SkippedClip:
        index, clip = drawn[0], self.dataset.clips[drawn[0]]
        motion = self._cache.get(index, lambda: self.dataset.load(index), len)
        if isinstance(motion, SkippedClip):
            return motion
        draw = _drawing(self.seed, drawn)
        coin, pace, share, place = draw.random(4)  # all of them, so that no setting changes what another one draws
        s = self.settings
        if coin < s.mirror.get(clip.corpus, 0.0):
            motion = mirrored(motion)
        if s.speed:
            motion = motion.at_speed(1 + s.speed * (2 * pace - 1))
        motion = shaken(motion, s.position_noise if isinstance(motion, JointMotion) else np.radians(s.rotation_noise), draw)
        sample = self.dataset.sample(clip, motion)
        if not s.time_mask or isinstance(sample, SkippedClip):
            return sample
        return replace(sample, masked=_run(len(sample.motion), share * s.time_mask, place))

    def _require_mirrors(self) -> None:
        """Tries it on one clip of each corpus."""
        asked = {corpus for corpus, probability in self.settings.mirror.items() if probability}
        for index, clip in enumerate(self.dataset.clips if asked else ()):
            if clip.corpus not in asked:
                continue
            motion = self.dataset.load(index)
            if isinstance(motion, SkippedClip):
                continue
            asked.remove(clip.corpus)
            try:
                mirrored(motion)
            except ValueError as error:
                raise UserError(f"AUGMENT.MIRROR.{clip.corpus}: {error}; leave the corpus out of it") from error
        if self.settings.mirror and "expression" in self.dataset.layout.covers:
            _log.info("mirrored clips keep their expression coefficients, which have no left and right to swap")


class AugmentedCodes(Dataset):
    """Item `Drawn` is a `CodeSample` of the clip, augmented, or a `SkippedClip`; the data set itself stays as it is."""

    def __init__(self, dataset: CodesDataset, settings: Augment, seed: int):
        self.dataset, self.settings, self.seed = dataset, settings, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, drawn: Drawn) -> CodeSample | SkippedClip:
        sample = self.dataset[drawn[0]]
        coin, end = _drawing(self.seed, drawn).random(2)
        if isinstance(sample, SkippedClip) or coin >= self.settings.drop_step or len(sample.codes) < 2:
            return sample
        return replace(sample, codes=sample.codes[1:] if end < 0.5 else sample.codes[:-1])


def mirrored(motion: Motion | JointMotion) -> Motion | JointMotion:
    """The same signing by the other hand. Positions are reflected where the signer stands, in the plane of the mean place
    of the neck, or of all joints that are their own counterparts, which need not be at x = 0: in a picture it is not.

    Raises ValueError for positions without counterparts.
    """
    reflected = motion.mirrored()
    if isinstance(motion, Motion):
        return reflected
    middle = [joint for joint in motion.joints if mirrored_name(joint) == joint]
    middle = [joint for joint in middle if joint == "neck"] or middle or list(motion.joints)
    plane = motion.positions[:, [motion.joints.index(joint) for joint in middle], 0].mean()
    return replace(reflected, positions=reflected.positions + torch.stack([2 * plane, *plane.new_zeros(2)]))


def shaken(motion: Motion | JointMotion, strength: float, draw: np.random.Generator) -> Motion | JointMotion:
    """With normal noise in every frame: rotations after turns of the standard deviation `strength` in radians about each
    axis, positions beside their places, in their own unit. What stands still through the clip does, for it was not
    recorded, or is an origin."""
    if not strength:
        return motion
    values = motion.positions if isinstance(motion, JointMotion) else motion.rotations
    noise = torch.from_numpy(draw.standard_normal(values.shape, dtype=np.float32)).to(values) * strength
    moving = (values != values[:1]).any(dim=0)  # [J, 3]
    if isinstance(motion, JointMotion):
        return replace(motion, positions=values + noise * moving)
    joints = moving.any(dim=-1)
    rotations = values.clone()
    rotations[:, joints] = turned_axis_angle(values[:, joints], noise[:, joints])
    return replace(motion, rotations=rotations)


def _drawing(seed: int, drawn: Drawn) -> np.random.Generator:
    """The last number keeps it from being that of the order of an epoch's clips."""
    return np.random.default_rng([seed, *drawn, 1])


def _run(length: int, share: float, place: float) -> Tensor:
    """[length] bool, a run of so large a share; place: 0, at the beginning, to 1, at the end."""
    count = int(share * length)
    start = int(place * (length - count + 1))
    frames = torch.arange(length)
    return (frames >= start) & (frames < start + count)
