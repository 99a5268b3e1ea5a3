"""Metrics that keep what each clip adds, so that processes merge exactly, intervals can be drawn and clips listed."""
from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from soke.metrics.signature import Signature

RESAMPLES = 1000
LEVEL = 95  # percent of the resamples that an interval holds


@dataclass(frozen=True)
class Score:
    """What a metric says of a system, as it stands in a table.

    signature:        definition and conditions
    values:           unit to value, in the order of the signature's units
    intervals:        unit to (low, high), 95 % of bootstrap resamples of the clips; empty where none can be drawn
    clips:            number of clips scored
    clips_hash:       `hash_of_clips` of their names; None where it is not known which they were
    higher_is_better: None for a quantity that is no quality
    """

    signature: Signature
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    clips: int
    higher_is_better: bool | None
    clips_hash: str | None = None


class ClipMetric(Metric):
    """Base of metrics whose score follows from what each clip adds; a clip is known by its name.

    A clip that was scored more than once, as happens when a distributed sampler fills up the last batch, counts once.
    Clips are added up in an order that does not depend on who scored them, so that any number of processes gives
    exactly the same numbers.

    Subclasses call `_add` and may replace `_values` or `_aggregate`.

    signatures: one per column
    size:       number of statistics that a clip adds
    """

    full_state_update = False
    higher_is_better: bool | None = False
    ids: list[torch.Tensor]  # [1] int64 each
    statistics: list[torch.Tensor]  # [1, size] float64 each

    def __init__(self, signatures: Sequence[Signature], size: int) -> None:
        super().__init__()
        self.signatures, self.size = tuple(signatures), size
        self._names: dict[int, str] = {}  # of the clips that this process has scored
        # Lists and not sums: only ids can tell, after gathering, which clips two processes have both scored.
        self.add_state("ids", [], dist_reduce_fx="cat")
        self.add_state("statistics", [], dist_reduce_fx="cat")

    def _add(self, name: str, statistics: np.ndarray) -> None:
        """What clip `name` adds, [size]."""
        clip = clip_id(name)
        self._names[clip] = name
        self._computed, self._update_count = None, self._update_count + 1  # torchmetrics knows of `update` alone
        self.ids.append(torch.tensor([clip], device=self.device))
        kept = torch.as_tensor(statistics, dtype=torch.float64)
        self.statistics.append(kept.reshape(1, self.size).to(self.device))

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        """Sums of statistics over `clips` clips, [..., size] -> values of all columns and units, [..., U]."""
        return sums / clips

    def _aggregate(self, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Statistics of N clips [N, size], how often each counts [R, N] -> values [R, U]."""
        return self._values(counts @ statistics, len(statistics))

    def per_clip(self) -> dict[str, np.ndarray]:
        """Name to values [U], of the clips that this process has scored."""
        return {self._names[clip]: self._values(row, 1) for clip, row in self._merged().items() if clip in self._names}

    def compute(self) -> dict[str, dict[str, torch.Tensor]]:
        """{part, or name where there is none: {unit: scalar}}. Raises ValueError when no clip was scored."""
        statistics = self._all()
        values = iter(self._aggregate(statistics, np.ones((1, len(statistics))))[0].tolist())
        return {
            s.part or s.name: {
                unit: torch.tensor(next(values), dtype=torch.float64, device=self.device) for unit in s.units
            }
            for s in self.signatures
        }

    def scores(self) -> list[Score]:
        """One per column, over all processes. Raises ValueError when no clip was scored."""
        with self.sync_context():
            statistics, ids = self._all(), list(self._merged())
        clips = len(statistics)
        values = self._aggregate(statistics, np.ones((1, clips)))[0]
        low, high = np.full((2, len(values)), np.nan)
        if clips > 1:
            counts = np.random.default_rng(0).multinomial(clips, np.full(clips, 1 / clips), RESAMPLES)
            tail = (100 - LEVEL) / 2
            low, high = np.percentile(self._aggregate(statistics, counts), [tail, 100 - tail], axis=0)
        columns = iter(zip(values.tolist(), low.tolist(), high.tolist()))
        scores, clips_hash = [], _hash_of_ids(ids)
        for signature in self.signatures:
            of_units = {unit: next(columns) for unit in signature.units}
            intervals = {u: (low, high) for u, (_, low, high) in of_units.items() if np.isfinite([low, high]).all()}
            only_values = {unit: value for unit, (value, _, _) in of_units.items()}
            scores.append(Score(signature, only_values, intervals, clips, self.higher_is_better, clips_hash))
        return scores

    def _all(self) -> np.ndarray:
        """[N, size], one row per clip."""
        merged = self._merged()
        if not merged:
            raise ValueError(f"{self.signatures[0].name} was asked for before any clip was scored")
        return np.stack(list(merged.values()))

    def _merged(self) -> dict[int, np.ndarray]:
        """Clip id to statistics [size], in ascending order of the ids."""
        if len(self.ids) == 0:
            return {}
        ids, rows = dim_zero_cat(self.ids).tolist(), dim_zero_cat(self.statistics).cpu().numpy()
        return dict(sorted(zip(ids, rows, strict=True), key=lambda item: item[0]))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """As in torchmetrics; a process without clips takes part with empty states of the right type.

        Otherwise gathering fails or hangs, because the processes' states differ in type.
        """
        if len(self.ids) == 0:
            self.ids.append(torch.empty(0, dtype=torch.int64, device=self.device))
            self.statistics.append(torch.empty(0, self.size, dtype=torch.float64, device=self.device))
        super().sync(*args, **kwargs)


class Scorecard:
    """Several metrics of one system on one corpus.

    metrics:  all that is scored of a clip
    unscored: clip name to why it could not be scored
    """

    def __init__(self, metrics: Sequence[ClipMetric]) -> None:
        self.metrics = list(metrics)
        self.unscored: dict[str, str] = {}

    def scores(self) -> list[Score]:
        """Of all metrics, over all processes. Raises ValueError when no clip was scored."""
        return [score for metric in self.metrics for score in metric.scores()]

    def per_clip(self) -> dict[str, dict[str, float]]:
        """Clip to {"name part unit": value}, of this process; what is undefined for a clip is left out."""
        table: dict[str, dict[str, float]] = {}
        for metric in self.metrics:
            labels = [s.column(unit) for s in metric.signatures for unit in s.units]
            for name, values in metric.per_clip().items():
                known = {label: v for label, v in zip(labels, values.tolist()) if not math.isnan(v)}
                table.setdefault(name, {}).update(known)
        return table


def clip_id(name: str) -> int:
    """63 bits that stand for a clip's name, the same in every process and run."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def hash_of_clips(names: Iterable[str]) -> str:
    """12 hex digits that stand for a set of clips, in whatever order, by whichever processes they were scored."""
    return _hash_of_ids(clip_id(name) for name in names)


def _hash_of_ids(ids: Iterable[int]) -> str:
    return hashlib.sha256(",".join(map(str, sorted(set(ids)))).encode()).hexdigest()[:12]
