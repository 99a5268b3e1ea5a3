"""Validation by generation: motions of a few fixed sentences, scored against those of the signers."""

from __future__ import annotations

from typing import Sequence

import torch

from soke.body.posed import Posed
from soke.data.clip import SkippedClip
from soke.data.dataset import MotionDataset, MotionSample
from soke.errors import UserError
from soke.evaluation.protocols import Producer
from soke.metrics.joint_sets import Track, track_of
from soke.metrics.motion_scores import DTWJPE

NAMES = {"root": "DTW_JPE", "procrustes": "DTW_PA_JPE"}
COLUMNS = {"body": "_body", "hand": "_hand", "avg": ""}  # of a score -> how its name ends
GENERATED = tuple(f"val/{name}{end}" for name in NAMES.values() for end in COLUMNS.values())  # as modules log them


def spread_samples(dataset: MotionDataset, count: int) -> tuple[list[MotionSample], list[SkippedClip]]:
    """At most `count` readable clips of each corpus, evenly spaced over its list, the same ones every time; and the
    unreadable ones that were met.

    The list is cut into equal runs of clips, and the first readable one of each is taken; no more clips are read.
    """
    samples, skipped = [], []
    for corpus in dataset.corpora:
        indices = [i for i, clip in enumerate(dataset.clips) if clip.corpus == corpus]
        runs = min(count, len(indices))
        for run in range(runs):
            for index in indices[run * len(indices) // runs : (run + 1) * len(indices) // runs]:
                sample = dataset[index]
                if isinstance(sample, MotionSample):
                    samples.append(sample)
                    break
                skipped.append(sample)
    return samples, skipped


class GenerationScore:
    """DTW-JPE and DTW-PA-JPE of what `producer` makes of the samples' sentences, as a test scores them, at the frame
    rate that it signs their corpus at.

    The references' joints are computed once. Raises UserError for no samples.

    producer: of the model that is in training
    body:     makes joints of motions
    samples:  sentences with their reference motions, at lengths that the producer can make
    dtw:      exact or fastdtw
    """

    def __init__(self, producer: Producer, body: Posed, samples: Sequence[MotionSample], dtw: str = "exact"):
        self.producer, self.body, self.samples, self.dtw = producer, body, list(samples), dtw
        self._references: dict[int, Track] = {}  # of this process's share
        if not self.samples:
            raise UserError(
                "no clip of the val split can be read, so generated motion has nothing to be compared with: check "
                "`corpora`, or set `generate_every`=0"
            )

    @torch.no_grad()
    def compute(
        self, rank: int = 0, world_size: int = 1, device: torch.device = torch.device("cpu")
    ) -> dict[str, torch.Tensor]:
        """Accumulated metres (the body's unit), each the mean over corpora of their clips' means.

        DTW_JPE_body, DTW_JPE_hand (both as far as the body has them), DTW_JPE, the average weighed by joints; the same
        of DTW_PA_JPE. Sample i is scored by process i % world_size, and every process gets the scores of all. Draws no
        random number that training would miss.

        device: where the model in training is, and where is scored
        """
        self.body.to(device)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            indices = range(rank, len(self.samples), world_size)
            motions = self.producer.produce([self.samples[i].clip for i in indices])
        corpora = dict.fromkeys(sample.clip.corpus for sample in self.samples)
        metrics = {
            (c, align): DTWJPE(align, joints=self.body.point_sets, unit=self.body.unit, method=self.dtw).to(device)
            for c in corpora for align in NAMES
        }
        tracks = [track_of(self.body, motion, face=False) for motion in motions]
        for corpus in corpora:
            pairs = zip(indices, tracks, strict=True)
            own = [(i, track) for i, track in pairs if self.samples[i].clip.corpus == corpus]
            names, truth = [self.samples[i].clip.name for i, _ in own], [self._reference(i, t.fps) for i, t in own]
            for align in NAMES:
                metrics[corpus, align].update_many(names, [track for _, track in own], truth)
        results = {key: metric.compute() for key, metric in metrics.items()}
        return {
            name + suffix: torch.stack([results[corpus, align][column][self.body.unit] for corpus in corpora]).mean()
            for align, name in NAMES.items() for column, suffix in COLUMNS.items()
            if all(column in results[corpus, align] for corpus in corpora)
        }

    def _reference(self, index: int, fps: float) -> Track:
        if index not in self._references:
            motion = self.producer.layout.covered(self.samples[index].motion).resampled(fps)
            self._references[index] = track_of(self.body, motion, face=False)
        return self._references[index]
