"""Fréchet distances between the motions of a test's rows and the references', over latents of chunks and over poses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch

from soke.body.posed import METRES, JointSet
from soke.evaluation.protocols import ChunkEncoder
from soke.metrics.chunks import chunks_of, joints_of
from soke.metrics.clips import Score, hash_of_clips
from soke.metrics.frechet import Moments, frechet_distance
from soke.metrics.joint_sets import Track
from soke.metrics.signature import Signature
from soke.run.processes import World

_TRUTH = ""  # the references' row
KINDS = ("latents", "poses")


class FrechetScores:
    """Squared Fréchet distances of rows of tracks to those of the references. Columns: latents, of chunks, and poses, of
    the scored joints of single frames relative to their sets' roots, in square centimetres (GENEA reports both).

    Moments are summed in float64, in an order that does not depend on which process has which clips. There are no
    intervals: resampled clips are farther from each other than the clips themselves.

    encoder:    of the latents
    joints:     point sets of the tracks
    unit:       of the tracks
    conditions: body, layout and statistics of the signatures
    """

    def __init__(
        self, encoder: ChunkEncoder, joints: Mapping[str, JointSet], unit: str, **conditions: str | None
    ) -> None:
        self.encoder, self.joints, self.conditions = encoder, joints, conditions
        self.unit, self.factor = ("cm²", 1e4) if unit == METRES else (f"{unit}²", 1.0)
        self._sums: dict[int, dict[tuple[str, str], Moments]] = {}
        self._names: list[str] = []
        self._short: Counter[str] = Counter()

    def add(
        self, place: int, names: Sequence[str], rows: Mapping[str, Sequence[Track]], truth: Sequence[Track]
    ) -> None:
        """Adds clips that can be scored in every row.

        place: of the first of them in the list of the corpus
        rows:  row -> its tracks, one per clip
        """
        if not names:
            return
        self._names += names
        self._sums[place] = {
            (row, kind): moments
            for row, tracks in {_TRUTH: truth, **rows}.items() for kind, moments in self._moments(row, tracks).items()
        }

    def scores(self, world: World) -> tuple[dict[str, list[Score]], list[str]]:
        """Row -> its scores, over all processes, and notes. Every process must call it."""
        sums: dict[tuple[str, str], Moments] = {}
        for _, found in sorted(world.gathered(list(self._sums.items())), key=lambda item: item[0]):
            for key, moments in found.items():
                sums[key] = moments if key not in sums else sums[key] + moments
        names = world.gathered(self._names)
        short = sum(world.gathered([self._short]), Counter())
        scores: dict[str, list[Score]] = {}
        for row, kind in (key for key in sums if key[0] != _TRUTH):
            pair = sums[row, kind], sums.get((_TRUTH, kind))
            if pair[1] is not None and min(moments.count for moments in pair) > 1:
                scores.setdefault(row, []).append(self._score(kind, frechet_distance(*pair), names))
        return scores, self._notes(sums, short, len(names))

    def _moments(self, row: str, tracks: Sequence[Track]) -> dict[str, Moments]:
        if not tracks:
            return {}
        frames = [joints_of(track, self.joints, self.encoder.fps) for track in tracks]
        chunks = [chunks_of(of_clip, self.encoder.chunk) for of_clip in frames]
        self._short[row] += sum(not len(of_clip) for of_clip in chunks)
        latents = self.encoder.encode(torch.cat(chunks))
        return dict(zip(KINDS, (Moments.of(latents), Moments.of(torch.cat(frames).flatten(1).cpu().numpy()))))

    def _score(self, kind: str, distance: float, names: Sequence[str]) -> Score:
        latents = kind == "latents"
        unit, value = ("latent²", distance) if latents else (self.unit, distance * self.factor)
        scored, total = (sum(counts) for counts in zip(*((len(of.scored), of.total) for of in self.joints.values())))
        signature = Signature(
            "Fréchet distance", kind, "root", f"{scored}of{total}", units=(unit,),
            fps=self.encoder.fps, judge=self.encoder.hash if latents else None,
            chunk=self.encoder.chunk if latents else None, **self.conditions,
        )
        return Score(signature, {unit: value}, {}, len(names), False, hash_of_clips(names))

    def _notes(self, sums: Mapping[tuple[str, str], Moments], short: Counter[str], clips: int) -> list[str]:
        """A sentence on each kind of which there are too few features, and one on clips without a chunk."""
        notes = []
        for kind in KINDS:
            few = {row: moments for (row, of), moments in sums.items() if of == kind and moments.count <= moments.size}
            if few:
                size, counts = next(iter(few.values())).size, {row: moments.count for row, moments in few.items()}
                notes.append(
                    f"Fréchet distance of {kind}: too few for a covariance of {size} numbers ({_listed(counts)}), so it is "
                    "too large (of fewer than two there is none): test more clips"
                )
        left_out = {row: count for row, count in short.items() if count}
        if left_out:
            notes.append(
                f"Fréchet distance of latents: of {clips} clips those are left out that are shorter than a chunk of "
                f"{self.encoder.chunk} frames at {self.encoder.fps:g} frames/s ({_listed(left_out)})"
            )
        return notes


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{row or 'references'}: {count}" for row, count in counts.items())
