"""Mean and standard deviation of every feature over the training clips: what normalises a tokenizer's input."""
from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from soke.body.layout import MotionLayout
from soke.data.dataset import MotionBatch, MotionDataset, collate_motions
from soke.data.fingerprints import Watch, digest, evidence, fingerprint_of
from soke.data.storage.formats import SOKE_FRAMES
from soke.data.storage.frames import FRAME_SIZE, motion_from_frames
from soke.errors import UserError
from soke.storage import new_file, read_text

_log = logging.getLogger(__name__)
# Features that hardly move (0.06 degrees) are noise; without a floor, normalising would blow them up.
STD_FLOOR = 1e-3
_CLIPS_PER_BATCH = 8
_TURNED = 159  # of the 179 numbers of a frame, those of rotations; shape and expression follow


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and standard deviation per feature.

    mean, std: {part: [D]} float32, std at least `STD_FLOOR`; a part that mirrors another shares its numbers
    layout:    hash of the layout whose features these are
    clips, frames: how many they were computed from (0: published numbers, where it is not known)
    data, poses:   hashes of the list of those clips with the settings that shape them, and of their stored frames;
                   empty where they are not known
    form:          name of the format of those frames
    """

    mean: dict[str, Tensor]
    std: dict[str, Tensor]
    layout: str
    clips: int = 0
    frames: int = 0
    data: str = ""
    poses: str = ""
    form: str = SOKE_FRAMES.name

    @cached_property
    def hash(self) -> str:
        """12 hex digits that change with any number or part."""
        digest = hashlib.sha256(self.layout.encode())
        for part in sorted(self.mean):
            digest.update(part.encode())
            digest.update(torch.stack([self.mean[part], self.std[part]]).cpu().float().numpy().tobytes())
        return digest.hexdigest()[:12]

    def save(self, path: Path | str) -> None:
        """Write one JSON file, whole or not at all."""
        content = {
            "layout": self.layout,
            "clips": self.clips,
            "frames": self.frames,
            "data": self.data,
            "poses": self.poses,
            "form": self.form,
            "mean": {part: values.tolist() for part, values in self.mean.items()},
            "std": {part: values.tolist() for part, values in self.std.items()},
        }
        with new_file(Path(path)) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")

    def fits(self, data: str, poses: str) -> bool:
        """Whether they were computed from this data; frames that are not known on either side are taken for theirs."""
        return self.data == data and (not self.poses or not poses or self.poses == poses)

    @classmethod
    def load(cls, path: Path | str, layout: MotionLayout) -> Statistics:
        """Raises UserError when the file cannot be read or belongs to another layout; the message names both hashes."""
        try:
            content = json.loads(read_text(path))
            mean, std = ({p: torch.tensor(v) for p, v in content[key].items()} for key in ("mean", "std"))
            counts, hashes = (content["clips"], content["frames"]), (content.get("data", ""), content.get("poses", ""))
            form = content.get("form", SOKE_FRAMES.name)  # files of earlier versions know no other
            statistics = cls(mean, std, content["layout"], *counts, *hashes, form)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} does not hold statistics ({error!r}); remove it to have them computed") from error
        if statistics.layout != layout.hash:
            raise UserError(
                f"{path} was computed for the layout {statistics.layout}, this one is {layout.hash}; remove it to "
                "have the statistics computed anew"
            )
        sizes = [{part: tuple(v.shape) for part, v in values.items()} for values in (mean, std)]
        if any(size != {part: (d,) for part, d in layout.sizes.items()} for size in sizes):
            raise UserError(f"{path} does not hold the features of {layout}; remove it to have them computed")
        return statistics


class _Moments:
    """Count, mean and sum of squared deviations of rows that arrive in blocks (Chan, Golub, LeVeque 1983)."""

    def __init__(self, size: int):
        self.count = 0
        self.mean = torch.zeros(size, dtype=torch.float64)
        self.squares = torch.zeros(size, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        rows = rows.double()  # [T, D]
        count, mean = len(rows), rows.mean(0)
        total, step = self.count + count, mean - self.mean
        self.squares += (rows - mean).square().sum(0) + step.square() * (self.count * count / total)
        self.mean += step * (count / total)
        self.count = total


def compute_statistics(features: Iterable[Mapping[str, Tensor]], layout: MotionLayout) -> Statistics:
    """Statistics of the clips' features ({part: [T, D]} each, of the parts that it has) in one pass. Raises UserError
    for no clips, and for a part that none has."""
    original = layout.distinct
    moments = {name: _Moments(layout.sizes[name]) for name in set(original.values())}
    clips = frames = 0
    for clip in features:
        clips += 1
        frames += len(next(iter(clip.values())))
        for part, rows in clip.items():
            moments[original[part]].add(rows)
    if not clips:
        raise UserError("there are no clips to compute mean and standard deviation from; check `corpora`")
    unseen = [part for part in layout.names if not moments[original[part]].count]
    if unseen:
        raise UserError(f"none of the {clips} clips has the part {unseen[0]}: add a corpus that has it, or leave it out")
    mean = {part: moments[original[part]].mean.float() for part in layout.names}
    std = {part: (moments[original[part]].squares / moments[original[part]].count).sqrt().float() for part in mean}
    return Statistics(mean, _floored(std), layout.hash, clips, frames)


def load_or_compute_statistics(
    path: Path | str, dataset: MotionDataset, workers: int = 0, form: str = SOKE_FRAMES.name
) -> Statistics:
    """The statistics in the file `path`; when it is absent, or of other clips, frames or settings than `dataset`
    (training clips), computed from that and saved there.

    form: name of the format of the frames

    Bad clips are left out and counted in the log. Raises UserError as `Statistics.load` does.
    """
    path = Path(path)
    data, poses = data_hashes(dataset)
    if path.exists():
        found = Statistics.load(path, dataset.layout)
        if found.fits(data, poses) and found.form == form:
            torch.empty((), dtype=torch.int64).random_()  # as the loader below does: later draws are the same without it
            return found
        _log.warning("%s was computed from other clips, frames or settings: it is computed again", path)
    _log.info("computing mean and standard deviation of %d clips, to be saved in %s", len(dataset), path)
    batches = DataLoader(dataset, batch_size=_CLIPS_PER_BATCH, num_workers=workers, collate_fn=collate_motions)
    statistics = compute_statistics((clip for batch in batches for clip in _unpadded(batch)), dataset.layout)
    if statistics.clips < len(dataset):
        _log.warning("%d of %d clips were left out of the statistics", len(dataset) - statistics.clips, len(dataset))
    statistics = replace(statistics, data=data, poses=poses, form=form)
    statistics.save(path)
    return statistics


def data_hashes(dataset: MotionDataset) -> tuple[str, str]:
    """The hashes `data` and `poses` of statistics of a data set."""
    watch, corpora = Watch(), dataset.corpora
    rates = {name: corpus.fps for name, corpus in corpora.items()}
    clips = [[clip.corpus, clip.name, clip.fps] for clip in dataset.clips]
    poses = evidence(fingerprint_of(corpora[clip.corpus], clip, watch) for clip in dataset.clips)
    return digest([dataset.layout.hash, dataset.split, dataset.limits, rates, clips]), poses


def _unpadded(batch: MotionBatch) -> Iterator[dict[str, Tensor]]:
    rows = None if batch.rows is None else {part: set(found.tolist()) for part, found in batch.rows.items()}
    for i, length in enumerate(batch.lengths.tolist()):
        of_clip = (part for part in batch.features if rows is None or i in rows[part])
        yield {part: batch.features[part][i, :length] for part in of_clip}


def published_statistics(mean: Path | str, std: Path | str, layout: MotionLayout) -> Statistics:
    """The field's mean.pt and std.pt (tensors of 179 numbers, one per frame value) as statistics of `layout`.

    Raises UserError when a file is not such a tensor, or cannot hold what its name says, and for layouts whose features are no plain selection of those
    numbers: 6D rotations, mirrored parts, eyelids, more than 10 expression coefficients.
    """
    if any(part.rotation != "axis_angle" or part.mirrors for part in layout.parts):
        raise UserError(f"{mean} and {std} fit axis-angle parts without mirroring only; let the statistics be computed")
    numbers = [read_statistics(path) for path in (mean, std)]
    try:
        doubt = doubt_of_statistics(*numbers)
    except ValueError as error:
        raise UserError(f"{mean} and {std} cannot be used: {error}") from error
    if doubt:
        _log.warning("%s and %s are in doubt: %s", mean, std, doubt)
    frames = [motion_from_frames(values[None], fps=1.0) for values in numbers]
    try:
        mean_features, std_features = ({p: v[0] for p, v in layout.features(frame).items()} for frame in frames)
    except ValueError as error:
        raise UserError(f"{mean} and {std} do not fit the layout: {error}; let the statistics be computed") from error
    return Statistics(mean_features, _floored(std_features), layout.hash)


def doubt_of_statistics(mean: np.ndarray, std: np.ndarray) -> str | None:
    """Whether [179] mean and [179] std can be such, of radians: raises ValueError with the numbers where they certainly
    cannot, and returns the doubt where they hardly can; None where nothing speaks against them."""
    if (std < 0).any():
        raise ValueError(
            f"{int((std < 0).sum())} of {len(std)} standard deviations are below zero, the lowest is {std.min():.3g}; "
            "were mean and standard deviation swapped?"
        )
    if np.array_equal(mean, std):
        raise ValueError("mean and standard deviation are the same numbers; give mean.pt and std.pt")
    if mean.any() and (mean >= 0).all():
        return (
            f"all {len(mean)} means are at least 0 (the greatest is {mean.max():.3g}), which standard deviations are, "
            "but means of rotations hardly"
        )
    if std[:_TURNED].max() > math.pi:
        return (
            f"the greatest standard deviation of a rotation is {std[:_TURNED].max():.3g} rad, more than half a "
            "turn; statistics must be those of radians"
        )
    return None


def read_statistics(path: Path | str) -> np.ndarray:
    """The field's mean.pt or std.pt, [179] float32. Raises UserError for anything else."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(f"{path} is not a saved tensor ({type(error).__name__})") from error
    if not isinstance(values, Tensor) or values.shape != (FRAME_SIZE,) or not values.isfinite().all():
        raise UserError(f"{path} does not hold a tensor of {FRAME_SIZE} finite numbers")
    return values.float().numpy()


def _floored(std: dict[str, Tensor]) -> dict[str, Tensor]:
    low = sum(int((values < STD_FLOOR).sum()) for values in std.values())
    if low:
        total = sum(len(values) for values in std.values())
        _log.info("%d of %d features have a standard deviation below %g, which is used instead", low, total, STD_FLOOR)
    return {part: values.clamp_min(STD_FLOOR) for part, values in std.items()}
