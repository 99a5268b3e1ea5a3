"""What a signed sample is worth: its codes, its motion and what a reader reads in it, beside those of the signer."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Callable, Mapping, Sequence

import numpy as np
import sacrebleu
import torch
from torch import Tensor

from soke.body.motion import JointMotion, Motion
from soke.body.posed import JointSet, Posed
from soke.data.clip import Clip, SkippedClip
from soke.data.dataset import MotionDataset, MotionSample
from soke.generator.producer import SignProducer
from soke.metrics.joint_sets import Track, track_of, weights_of
from soke.metrics.track_metric import Pairs, as_array
from soke.text.words import text_tokens
from soke.translation import BackTranslator

_REMEMBERED = 2_000_000  # frames of references, about a gigabyte of points


@dataclass(frozen=True)
class Reference:
    """What the signer of a clip did.

    track: the scored points, see `Points`
    codes: [K, S]
    """

    clip: Clip
    track: Track
    codes: Tensor


class Points:
    """The points of a body that scores are taken over: of each point set the root, and those that are scored.

    joints: of the smaller point sets
    """

    def __init__(self, body: Posed):
        self.body = body
        self._kept = {name: [0, *(j for j in of.scored if j)] for name, of in body.point_sets.items()}
        self.joints = {
            name: JointSet(of.part, len(self._kept[name]), tuple(self._kept[name].index(j) for j in of.scored))
            for name, of in body.point_sets.items()
        }
        weights = weights_of(self.joints)
        self.weights = {name: weight / sum(weights.values()) for name, weight in weights.items()}

    def of(self, motions: Sequence[Motion | JointMotion]) -> list[Track]:
        """Of motions of one body shape, whose frames are tracked as if they were one motion."""
        if not motions:
            return []
        track = track_of(self.body, _joined(motions), face=False)
        lengths = [len(motion) for motion in motions]
        points = {name: track.points[name][:, kept].split(lengths) for name, kept in self._kept.items()}
        return [
            Track({name: of[i] for name, of in points.items()}, motion.fps) for i, motion in enumerate(motions)
        ]


class References:
    """The references of clips, each found once and remembered while there is room.

    datasets: split -> its motions
    producer: of whose tokenizer the codes are, and at whose rates the motions are scored
    points:   of the body
    """

    def __init__(self, datasets: Mapping[str, MotionDataset], producer: SignProducer, points: Points):
        self.datasets, self.producer, self.points = dict(datasets), producer, points
        self._places = {
            (split, clip.corpus, clip.name): place
            for split, dataset in self.datasets.items() for place, clip in enumerate(dataset.clips)
        }
        self._found: OrderedDict[tuple[str, str, str], Reference] = OrderedDict()
        self._frames = 0

    def of(self, clip: Clip) -> Reference | SkippedClip:
        """A SkippedClip for one whose motion cannot be used."""
        key = clip.split, clip.corpus, clip.name
        if key in self._found:
            self._found.move_to_end(key)
            return self._found[key]
        if key not in self._places:
            return SkippedClip(clip.corpus, clip.name, "it has codes, but its motion cannot be used", clip.split)
        sample = self.datasets[clip.split][self._places[key]]
        if not isinstance(sample, MotionSample):
            return sample
        found = self._found[key] = self._made(sample)
        self._frames += len(found.track)
        while self._frames > _REMEMBERED and len(self._found) > 1:
            self._frames -= len(self._found.popitem(last=False)[1].track)
        return found

    def _made(self, sample: MotionSample) -> Reference:
        producer, clip = self.producer, sample.clip
        rate = producer.generator.spec.rate(clip.language, clip.corpus)
        motion = producer.layout.covered(sample.motion).resampled(rate)
        (track,) = self.points.of([motion])
        return Reference(clip, track, producer.tokenizer.encode_motion(sample.motion))


class Attempts:
    """N samples, and what of them the rewards that count look at.

    codes:      N of [K, S]
    references: N, of their sentences
    producer:   makes motions of codes
    points:     of the body
    readers:    corpus -> reads the motions that are made for it
    """

    def __init__(
        self, codes: Sequence[Tensor], references: Sequence[Reference], producer: SignProducer, points: Points,
        readers: Mapping[str, BackTranslator],
    ):
        self.codes, self.references, self.readers = list(codes), list(references), dict(readers)
        self.producer, self.points = producer, points

    @cached_property
    def motions(self) -> list[Motion | JointMotion]:
        clips = [reference.clip for reference in self.references]
        return self.producer.decoded(self.codes, [clip.language for clip in clips], clips)

    @cached_property
    def tracks(self) -> list[Track]:
        return self.points.of(self.motions)

    @cached_property
    def texts(self) -> list[str]:
        """What the readers read; "" where a corpus has none."""
        texts = [""] * len(self.codes)
        for corpus, reader in self.readers.items():
            rows = [i for i, reference in enumerate(self.references) if reference.clip.corpus == corpus]
            for row, text in zip(rows, reader.translate([self.motions[i] for i in rows])):
                texts[row] = text
        return texts

    @property
    def pairs(self) -> list[tuple[Track, Track]]:
        """The tracks of samples and of their references."""
        return [(track, reference.track) for track, reference in zip(self.tracks, self.references, strict=True)]


def dtw(attempts: Attempts) -> list[float]:
    """Minus DTW-JPE of all points that are scored, per frame of the reference: the published score (the average that is
    weighted by joints) over a constant of the clip, so that who raises the one lowers the other."""
    of_points = attempts.points
    references = [reference.track for reference in attempts.references]
    warped = Pairs(attempts.tracks, references, of_points.joints)
    costs = sum(
        weight * np.array([result.cost for result in warped.warped(name, "root")])
        for name, weight in of_points.weights.items()
    )
    return [-float(cost) / len(reference) for cost, reference in zip(costs, references)]


def codes(attempts: Attempts) -> list[float]:
    """Clipped unigram precision of the codes of all streams, and BLEU's brevity penalty: 1 for the reference's."""
    found = []
    for made, reference in zip(attempts.codes, attempts.references):
        counts, wanted = (_counted(of) for of in (made, reference.codes))
        common, total = (counts & wanted).total(), counts.total()
        brevity = math.exp(min(0.0, 1 - len(reference.codes) / max(len(made), 1)))
        found.append(brevity * common / max(total, 1))
    return found


def bleu(attempts: Attempts) -> list[float]:
    """BLEU-4 of what the corpus's reader reads against the sentence, as a share, smoothed, because most single
    sentences have no four right tokens in a row (sacreBLEU's `exp`; orders longer than the sentence are left out)."""
    scorer = sacrebleu.BLEU(tokenize="none", smooth_method="exp", effective_order=True, force=True)
    found = []
    for text, reference in zip(attempts.texts, attempts.references):
        level = attempts.readers[reference.clip.corpus].targets.level
        written, wanted = (" ".join(text_tokens(of, level)) for of in (text, reference.clip.text))
        found.append(scorer.sentence_score(written, [wanted]).score / 100)
    return found


def length(attempts: Attempts) -> list[float]:
    """The shorter duration as a share of the longer one."""
    seconds = [(len(made) / made.fps, len(right) / right.fps) for made, right in attempts.pairs]
    return [min(pair) / max(pair) for pair in seconds]


def smoothness(attempts: Attempts) -> list[float]:
    """0 for a sample whose points accelerate, relative to their roots and in the mean, no more than the reference's;
    else minus the share by which they do, at least -1."""
    found = []
    for pair in attempts.pairs:
        made, right = (_acceleration(track, attempts.points) for track in pair)
        found.append(-min(max(made - right, 0.0) / max(right, 1e-6), 1.0))
    return found


REWARDS: dict[str, Callable[[Attempts], list[float]]] = {
    "dtw": dtw, "codes": codes, "bleu": bleu, "length": length, "smoothness": smoothness,
}


def rewards_of(attempts: Attempts, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Name -> [N] float32 on the CPU of each reward that has a weight, and `reward`, their weighted sum."""
    values = {f"reward_{name}": torch.tensor(REWARDS[name](attempts)) for name in weights}
    return {"reward": sum(weight * values[f"reward_{name}"] for name, weight in weights.items()), **values}


def _counted(codes: Tensor) -> Counter:
    """How often each code of each stream is in codes [K, S]."""
    return Counter((stream, code) for row in codes.tolist() for stream, code in enumerate(row))


def _acceleration(track: Track, points: Points) -> float:
    """Mean over frames and scored points, weighed by joints, of the acceleration relative to the root, in the body's unit
    per second squared; 0 for fewer than three frames."""
    if len(track) < 3:
        return 0.0
    total = 0.0
    for name, weight in points.weights.items():
        of_set = as_array(track.points[name])
        moved = of_set[:, list(points.joints[name].scored)] - of_set[:, :1]
        total += weight * float(np.linalg.norm(np.diff(moved, 2, axis=0), axis=-1).mean()) * track.fps**2
    return total


def _joined(motions: Sequence[Motion | JointMotion]) -> Motion | JointMotion:
    """Their frames one after the other, with the first one's rate and shapes."""
    first = motions[0]
    if isinstance(first, JointMotion):
        return replace(first, positions=torch.cat([motion.positions for motion in motions]))
    return replace(
        first, rotations=torch.cat([motion.rotations for motion in motions]),
        expression=torch.cat([motion.expression for motion in motions]),
        eyelids=None if first.eyelids is None else torch.cat([motion.eyelids for motion in motions]),
    )
