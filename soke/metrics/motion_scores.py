"""Scores of motion against a reference that are warped in time, as torchmetrics, and all of them together."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from soke.metrics.clips import ClipMetric, Scorecard
from soke.metrics.dtw import DtwResult, dtw_jpe_pairs
from soke.metrics.dtw_torch import dtw_jpe_batch
from soke.metrics.joint_sets import TRACK_JOINTS, WEIGHTS, Array, Track
from soke.metrics.signature import Signature

DTW_NAMES = {"root": "DTW-JPE", "procrustes": "DTW-PA-JPE"}
# Column -> weight of each part of a track in it.
_COLUMNS = {
    "body": {"body": 1.0},
    "left hand": {"left_hand": 1.0},
    "right hand": {"right_hand": 1.0},
    "hand": {"left_hand": 0.5, "right_hand": 0.5},
    "avg": {part: weight / sum(WEIGHTS.values()) for part, weight in WEIGHTS.items()},
}
_MOMENTS = 8  # of a clip that its diversity is measured at
_FPS_TOLERANCE = 1e-3


class Pairs:
    """Predictions and references, N tracks each; what several scores need of them is found once."""

    def __init__(self, preds: Sequence[Track], refs: Sequence[Track]) -> None:
        self.preds, self.refs = preds, refs
        self._warped: dict[tuple[str, str, str], list[DtwResult]] = {}

    def warped(self, part: str, align: str, method: str = "exact") -> list[DtwResult]:
        """DTW over the scored points of a part, on the GPU where the tracks are there; see soke.metrics.dtw."""
        key = (part, align, method)
        if key not in self._warped:
            preds, refs = ([getattr(track, part) for track in side] for side in (self.preds, self.refs))
            scored = TRACK_JOINTS[part].scored if part in TRACK_JOINTS else range(1, preds[0].shape[1])
            if method == "exact" and isinstance(preds[0], torch.Tensor) and preds[0].is_cuda:
                self._warped[key] = dtw_jpe_batch(preds, refs, align, scored)
            else:
                preds, refs = ([_array(track) for track in side] for side in (preds, refs))
                self._warped[key] = dtw_jpe_pairs(preds, refs, align, scored, method=method)
        return self._warped[key]


class TrackMetric(ClipMetric):
    """Base of metrics that compare tracks: subclasses say what one pair adds.

    Args:
        signatures, size: see ClipMetric.
        parts: of the tracks, that must be there.
    """

    def __init__(self, signatures: Sequence[Signature], size: int, parts: Iterable[str] = ()) -> None:
        super().__init__(signatures, size)
        self.parts = tuple(parts)

    def update(self, name: str, pred: Track, ref: Track) -> None:
        """Scores one clip. Raises ValueError that names it where `check_tracks` does."""
        self.update_many([name], [pred], [ref])

    def update_many(self, names: Sequence[str], preds: Sequence[Track], refs: Sequence[Track]) -> None:
        """Scores clips together, on all cores of the CPU or on the tracks' GPU. Raises as `update`, before any."""
        for name, pred, ref in zip(names, preds, refs, strict=True):
            check_tracks(name, pred, ref, self.parts)
        if names:
            self.add_checked(names, Pairs(preds, refs))

    def add_checked(self, names: Sequence[str], pairs: Pairs) -> None:
        """Scores at least one clip, of which `check_tracks` has found nothing to say."""
        for name, statistics in zip(names, self._measure(pairs), strict=True):
            self._add(name, statistics)

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        """[size] of every pair."""
        raise NotImplementedError


class DTWJPE(TrackMetric):
    """Mean over clips of DTW-JPE or DTW-PA-JPE (SOKE, evaluation metrics; joints as in its evaluation).

    Columns: body (12 of 144 joints), left hand, right hand (21 joints each), hand, their mean, and avg, the average
    weighted by scored joints, (12 body + 42 hand) / 54, of SOKE's table 2. Units: "m", accumulated path cost in metres,
    as published, and "mm", mean cost of a frame pair on the path in millimetres; both means over clips.

    Args:
        align: "root" for DTW-JPE, "procrustes" for DTW-PA-JPE.
        parts: of the tracks; a column is there when its parts are.
        method: "exact" or "fastdtw", see soke.metrics.dtw.
        fps: frames per second of the scored motion.
        body: body model that made the joints, "stand-in" or "smplx".
        layout: hash of the motion layout.
        statistics: hash of the normalisation statistics.
    """

    def __init__(
        self, align: str, *, parts: Sequence[str] = tuple(TRACK_JOINTS), method: str = "exact",
        **conditions: float | str | None,
    ) -> None:
        columns = _columns(parts)
        signatures = [
            Signature(
                DTW_NAMES[align], column, align, _label(weights), method, units=("m", "mm"), **conditions
            )
            for column, weights in columns.items()
        ]
        parts = [part for part in TRACK_JOINTS if part in parts]
        self._weights = _matrix(columns, parts)  # [C, P]
        # fastdtw's scores are followed by the exact ones, in metres.
        super().__init__(signatures, len(columns) * (2 if method == "exact" else 3), parts)
        self.align, self.method = align, method

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        measured = self._of_parts(pairs, self.method)  # [N, P, 2]
        statistics = (self._weights @ measured).reshape(len(measured), -1)  # [N, C * 2]
        if self.method == "exact":
            return statistics
        exact = self._weights @ self._of_parts(pairs, "exact")[..., :1]
        return np.concatenate([statistics, exact[..., 0]], axis=1)

    def _of_parts(self, pairs: Pairs, method: str) -> np.ndarray:
        results = [[(r.cost, r.mean_mm) for r in pairs.warped(part, self.align, method)] for part in self.parts]
        return np.array(results).transpose(1, 0, 2)

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        return sums[..., : 2 * len(self.signatures)] / clips

    def deviation(self) -> dict[str, tuple[float, float]]:
        """Column to (mean over clips, greatest) of how much fastdtw's cost is above the exact one, in percent."""
        with self.sync_context():
            statistics = self._all()
        metres, exact = np.split(statistics, [2 * len(self.signatures)], axis=1)
        above = 100 * (metres[:, ::2] / np.maximum(exact, 1e-12) - 1)
        return {s.part: (float(a.mean()), float(a.max())) for s, a in zip(self.signatures, above.T)}


class DTWVPE(TrackMetric):
    """Face DTW-VPE (M3T): DTW over the vertices of the face, moved so that the head joints coincide.

    Units as of DTWJPE; args as there.
    """

    def __init__(self, *, vertices: int, **conditions: float | str | None) -> None:
        signature = Signature(
            "DTW-VPE", "face", "root", f"{vertices}of{vertices}", "exact", units=("m", "mm"), **conditions
        )
        super().__init__([signature], 2, ["face"])

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        return [np.array([r.cost, r.mean_mm]) for r in pairs.warped("face", "root")]


class LengthRatio(TrackMetric):
    """Mean over clips of predicted seconds / seconds of the reference; 1 is right, so there is no better end."""

    higher_is_better = None

    def __init__(self, **conditions: float | str | None) -> None:
        super().__init__([Signature("length", units=("ratio",), **conditions)], 1)

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        return [np.array([len(p) / p.fps / (len(r) / r.fps)]) for p, r in zip(pairs.preds, pairs.refs)]


class DynamicsError(TrackMetric):
    """Error of velocities (m/s) or accelerations (m/s²): mean distance over the joints and over the frame pairs of the
    DTW-JPE path of the same part, then over clips.

    Derivatives are differences of second order in time of positions relative to the part's root (pelvis, wrist); a clip
    of a single frame stands still. Columns: body, hand.

    Args:
        order: 1 for velocities, 2 for accelerations; others as of DTWJPE.
    """

    def __init__(self, order: int, *, parts: Sequence[str] = tuple(TRACK_JOINTS), **conditions: float | str | None):
        self.order = order
        name, unit = {1: ("velocity error", "m/s"), 2: ("acceleration error", "m/s²")}[order]
        columns = {column: w for column, w in _columns(parts).items() if column in ("body", "hand")}
        parts = [part for part in TRACK_JOINTS if any(part in weights for weights in columns.values())]
        self._weights = _matrix(columns, parts)
        signatures = [
            Signature(name, column, "root", _label(weights), "exact", units=(unit,), **conditions)
            for column, weights in columns.items()
        ]
        super().__init__(signatures, len(columns), parts)

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        errors = []
        for part in self.parts:
            preds, refs = ([self._derivative(track, part) for track in side] for side in (pairs.preds, pairs.refs))
            paths = [result.path for result in pairs.warped(part, "root")]
            errors.append([
                np.linalg.norm(pred[path[0]] - ref[path[1]], axis=-1).mean()
                for pred, ref, path in zip(preds, refs, paths)
            ])
        return np.array(errors).T @ self._weights.T

    def _derivative(self, track: Track, part: str) -> np.ndarray:
        """[T, S, 3] m/s or m/s²."""
        points, fps = _array(getattr(track, part)), track.fps
        moved = points[:, list(TRACK_JOINTS[part].scored)] - points[:, :1]
        for _ in range(self.order):
            exact_ends = {"edge_order": 2} if len(moved) > 2 else {}
            moved = np.gradient(moved, 1 / fps, axis=0, **exact_ends) if len(moved) > 1 else np.zeros_like(moved)
        return moved


class Diversity(TrackMetric):
    """How different the predicted clips are from each other: mean over pairs of clips of the mean distance of their 54
    scored joints, body and hands, relative to their roots, at 8 evenly spaced moments, in millimetres.

    No quality in itself: the references' own diversity is what it should come near.
    """

    higher_is_better = None

    def __init__(self, **conditions: float | str | None) -> None:
        signature = Signature("diversity", "avg", "root", _label(_COLUMNS["avg"]), units=("mm",), **conditions)
        super().__init__([signature], _MOMENTS * sum(WEIGHTS.values()) * 3, TRACK_JOINTS)

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        return [self._postures(track) for track in pairs.preds]

    @staticmethod
    def _postures(track: Track) -> np.ndarray:
        moments = np.linspace(0, len(track) - 1, _MOMENTS).round().astype(int)
        relative = [
            points[moments][:, list(TRACK_JOINTS[part].scored)] - points[moments, :1]
            for part in TRACK_JOINTS for points in [_array(getattr(track, part))]
        ]
        return np.concatenate(relative, axis=1).ravel()

    def _aggregate(self, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
        clips = len(statistics)
        if clips < 2:
            return np.zeros((len(counts), 1))
        points = torch.from_numpy(statistics).unflatten(1, (-1, 3)).transpose(0, 1).contiguous()  # [M, N, 3]
        distances = sum(torch.cdist(p, p, compute_mode="donot_use_mm_for_euclid_dist") for p in points) / len(points)
        between = ((counts @ distances.numpy()) * counts).sum(1)  # a clip is at no distance from itself
        pairs = clips**2 - (counts**2).sum(1)
        return 1000 * (between / np.maximum(pairs, 1))[:, None]

    def per_clip(self) -> dict[str, np.ndarray]:
        """Nothing: a single clip has no diversity."""
        return {}


class MotionScores(Scorecard):
    """Every score of produced motion, of one system on one corpus.

    Args:
        parts: what the tracks hold, see Track.
        face_vertices: number F of the faces' vertices.
        method: of the DTW; "fastdtw" is slow and approximate.
        conditions: fps, body, layout and statistics of the signatures.
    """

    metrics: list[TrackMetric]

    def __init__(
        self, parts: Sequence[str] = (*TRACK_JOINTS, "face"), face_vertices: int = 0, method: str = "exact",
        **conditions: float | str | None,
    ) -> None:
        joints = [part for part in parts if part in TRACK_JOINTS]
        self._dtw = [DTWJPE(align, parts=joints, method=method, **conditions) for align in DTW_NAMES] if joints else []
        metrics: list[TrackMetric] = [*self._dtw]
        if "face" in parts:
            metrics.append(DTWVPE(vertices=face_vertices, **conditions))
        metrics.append(LengthRatio(**conditions))
        if _columns(joints):
            metrics += [DynamicsError(order, parts=joints, **conditions) for order in (1, 2)]
        if len(joints) == len(TRACK_JOINTS):
            metrics.append(Diversity(**conditions))
        super().__init__(metrics)
        self._parts = tuple(parts)

    def update(self, names: Sequence[str], preds: Sequence[Track], refs: Sequence[Track]) -> None:
        """Scores clips; one that cannot be scored is noted in `unscored` and keeps no other from its score."""
        self.unscored |= self.faults(names, preds, refs)
        good = [i for i, name in enumerate(names) if name not in self.unscored]
        self.add_checked([names[i] for i in good], [preds[i] for i in good], [refs[i] for i in good])

    def faults(self, names: Sequence[str], preds: Sequence[Track], refs: Sequence[Track]) -> dict[str, str]:
        """Clip to what `check_tracks` has to say of it, of those that cannot be scored."""
        found = {}
        for name, pred, ref in zip(names, preds, refs, strict=True):
            try:
                check_tracks(name, pred, ref, self._parts)
            except ValueError as error:
                found[name] = str(error)
        return found

    def add_checked(self, names: Sequence[str], preds: Sequence[Track], refs: Sequence[Track]) -> None:
        """Scores clips in which `faults` has found none."""
        if names:
            pairs = Pairs(preds, refs)
            for metric in self.metrics:
                metric.add_checked(names, pairs)

    def deviations(self) -> dict[str, tuple[float, float]]:
        """Of fastdtw, "metric part" to (mean, greatest) percent above the exact cost; empty for exact DTW."""
        return {
            f"{metric.signatures[0].name} {column}": above
            for metric in self._dtw if metric.method != "exact" for column, above in metric.deviation().items()
        }

    def notes(self) -> list[str]:
        """A sentence on each of `deviations`."""
        return [
            f"fastdtw's {column} is {mean:.2f} % above the exact cost, at most {most:.2f} %"
            for column, (mean, most) in self.deviations().items()
        ]


def check_tracks(name: str, pred: Track, ref: Track, parts: Iterable[str]) -> None:
    """Raises ValueError that names the clip when `parts` of it cannot be compared: absent, no frames, NaN, other joints
    or another frame rate."""
    where = f"clip {name} cannot be scored:"
    if abs(pred.fps - ref.fps) > _FPS_TOLERANCE * ref.fps:
        raise ValueError(
            f"{where} it has {pred.fps:g} frames/s, the reference {ref.fps:g}; resample one to the other's rate"
        )
    for part in parts:
        for role, track in (("prediction", pred), ("reference", ref)):
            points = getattr(track, part)
            if points is None:
                raise ValueError(f"{where} the {role} has no {part.replace('_', ' ')}")
            if points.ndim != 3 or points.shape[2] != 3:
                raise ValueError(f"{where} the {role} has shape {list(points.shape)}, it must be [T, J, 3]")
            expected = TRACK_JOINTS[part].total if part in TRACK_JOINTS else ref.face.shape[1]
            if points.shape[1] != expected:
                noun = "points" if part == "face" else "joints"
                raise ValueError(
                    f"{where} the {role} has {points.shape[1]} {noun}, a {part.replace('_', ' ')} has {expected}"
                )
            if len(points) == 0:
                raise ValueError(f"{where} the {role} has no frames")
            finite = torch.isfinite(points) if isinstance(points, torch.Tensor) else np.isfinite(points)
            if not finite.all():
                frame = int((~finite.all(-1).all(-1)).nonzero()[0][0])
                raise ValueError(f"{where} the {role} holds NaN or infinite positions, first in frame {frame}")


def _columns(parts: Iterable[str]) -> Mapping[str, dict[str, float]]:
    """The columns whose parts are all there."""
    return {column: weights for column, weights in _COLUMNS.items() if set(weights) <= set(parts)}


def _matrix(columns: Mapping[str, dict[str, float]], parts: Sequence[str]) -> np.ndarray:
    """[C, P] weights."""
    return np.array([[weights.get(part, 0.0) for part in parts] for weights in columns.values()])


def _label(weights: Mapping[str, float]) -> str:
    return "+".join(dict.fromkeys(TRACK_JOINTS[part].label for part in weights))


def _array(track: Array) -> np.ndarray:
    return track.detach().cpu().numpy() if isinstance(track, torch.Tensor) else np.asarray(track)
