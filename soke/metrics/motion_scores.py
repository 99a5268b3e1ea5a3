"""Scores of motion against a reference that are warped in time, as torchmetrics, and all of them together."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from soke.body.posed import METRES, WHOLE, Landmarks, Posed
from soke.body.skinned import SMPLX_LANDMARKS
from soke.metrics.clips import Score, Scorecard
from soke.metrics.contacts import Contact, contacts_of
from soke.metrics.joint_sets import TRACK_JOINTS, JointSet, Track, thousandth, weights_of
from soke.metrics.keypoint_dtw import DTWP, NDTWP, KeypointDTW
from soke.metrics.position_scores import DTWMJE, PTDTW
from soke.metrics.ratios import MotionRatio, MouthOpening, OfReferences, WristPath
from soke.metrics.signature import Signature
from soke.metrics.slrtp import slrtp_scores
from soke.metrics.track_metric import (
    Pairs,
    TrackMetric,
    as_array,
    check_tracks,
    columns_of,
    label_of,
    matrix_of,
    present_parts,
)

DTW_NAMES = {"root": "DTW-JPE", "procrustes": "DTW-PA-JPE"}
RATIOS = ("speed", "temporal SD", "jitter")
_MOMENTS = 8  # of a clip that its diversity is measured at


class DTWJPE(TrackMetric):
    """Mean over clips of DTW-JPE or DTW-PA-JPE (SOKE, evaluation metrics; joints as in its evaluation).

    Columns: body (12 of 144 joints), left hand, right hand (21 joints each), hand, their mean, and avg, the average
    weighted by scored joints, (12 body + 42 hand) / 54, of SOKE's table 2. Units: "m", accumulated path cost in metres,
    as published, and "mm", mean cost of a frame pair on the path in millimetres; both means over clips. Other bodies
    have other joints or point sets, a column each, and perhaps another unit.

    align:      "root" for DTW-JPE, "procrustes" for DTW-PA-JPE
    parts:      point sets of the tracks; a column is there when its parts are. By default all that have joints.
    joints:     of the parts
    unit:       of the tracks
    method:     "exact" or "fastdtw", see soke.metrics.dtw
    fps:        frames per second of the scored motion
    body:       body model that made the joints, "stand-in" or "smplx"
    layout:     hash of the motion layout
    statistics: hash of the normalisation statistics
    """

    def __init__(
        self, align: str, *, parts: Sequence[str] | None = None, joints: Mapping[str, JointSet] = TRACK_JOINTS,
        unit: str = METRES, method: str = "exact", **conditions: float | str | None,
    ) -> None:
        columns, units = columns_of(parts, joints), (unit, thousandth(unit))
        signatures = [
            Signature(DTW_NAMES[align], column, align, label_of(weights, joints), method, units=units, **conditions)
            for column, weights in columns.items()
        ]
        parts = present_parts(parts, joints)
        self._weights = matrix_of(columns, parts)  # [C, P]
        # fastdtw's scores are followed by the exact ones, in metres.
        super().__init__(signatures, len(columns) * (2 if method == "exact" else 3), parts, joints)
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

    vertices: how many
    region:   their name, "" for SMPL-X's
    """

    def __init__(self, *, vertices: int, region: str = "", **conditions: float | str | None) -> None:
        points = f"{vertices}of{vertices}" + f" {region}" * bool(region)
        signature = Signature("DTW-VPE", "face", "root", points, "exact", units=("m", "mm"), **conditions)
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
    """Error of velocities (m/s) or accelerations (m/s²), or in another unit of length: mean distance over the joints
    and over the frame pairs of the DTW-JPE path of the same part, then over clips.

    Derivatives are differences of second order in time of positions relative to the part's root (pelvis, wrist); a clip
    of a single frame stands still. Columns: body, hand.

    order: 1 for velocities, 2 for accelerations; others as of DTWJPE
    """

    def __init__(
        self, order: int, *, parts: Sequence[str] | None = None, joints: Mapping[str, JointSet] = TRACK_JOINTS,
        unit: str = METRES, **conditions: float | str | None,
    ) -> None:
        self.order = order
        name, per = {1: ("velocity error", "s"), 2: ("acceleration error", "s²")}[order]
        columns = {column: w for column, w in columns_of(parts, joints).items() if column in ("body", "hand")}
        parts = [part for part in joints if any(part in weights for weights in columns.values())]
        self._weights = matrix_of(columns, parts)
        signatures = [
            Signature(name, column, "root", label_of(weights, joints), "exact", units=(f"{unit}/{per}",), **conditions)
            for column, weights in columns.items()
        ]
        super().__init__(signatures, len(columns), parts, joints)

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
        points, fps = as_array(track.points[part]), track.fps
        moved = points[:, list(self.joints[part].scored)] - points[:, :1]
        for _ in range(self.order):
            exact_ends = {"edge_order": 2} if len(moved) > 2 else {}
            moved = np.gradient(moved, 1 / fps, axis=0, **exact_ends) if len(moved) > 1 else np.zeros_like(moved)
        return moved


class Diversity(TrackMetric):
    """How different the predicted clips are from each other: mean over pairs of clips of the mean distance of their 54
    scored joints (SMPL-X), body and hands, relative to their roots, at 8 evenly spaced moments, in millimetres.

    No quality in itself: the references' own diversity is what it should come near.
    """

    higher_is_better = None

    def __init__(
        self, *, joints: Mapping[str, JointSet] = TRACK_JOINTS, unit: str = METRES, **conditions: float | str | None
    ) -> None:
        label, units = label_of(joints, joints), (thousandth(unit),)
        signature = Signature("diversity", "avg", "root", label, units=units, **conditions)
        super().__init__([signature], _MOMENTS * sum(weights_of(joints).values()) * 3, joints, joints)

    @classmethod
    def of(cls, body: Posed, **conditions: float | str | None) -> Diversity:
        """For the tracks that `track_of` makes with a body."""
        return cls(joints=body.point_sets, unit=body.unit, body=body.label, **conditions)

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        return [self._postures(track) for track in pairs.preds]

    def _postures(self, track: Track) -> np.ndarray:
        moments = np.linspace(0, len(track) - 1, _MOMENTS).round().astype(int)
        relative = [
            points[moments][:, list(of_part.scored)] - points[moments, :1]
            for part, of_part in self.joints.items() for points in [as_array(track.points[part])]
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

    def scores(self) -> list[Score]:
        """As of `ClipMetric`; nothing of a single clip."""
        return [score for score in super().scores() if score.clips > 1]


class MotionScores(Scorecard):
    """Every score of produced motion, of one system on one corpus.

    parts:         what the tracks hold, see Track. By default all that have joints, and the face where it has vertices.
    face_vertices: number F of the faces' vertices
    face_region:   their name, see `Posed.face_region`
    joints:        of the parts, see `Posed.point_sets`
    unit:          of the tracks
    method:        of the DTW; "fastdtw" is slow and approximate
    whole:         all joints, of tracks that hold them, see `Posed.whole`
    landmarks:     see `Posed.landmarks`
    conditions:    fps, body, layout and statistics of the signatures
    """

    metrics: list[TrackMetric]

    def __init__(
        self, parts: Sequence[str] | None = None, face_vertices: int = 0, method: str = "exact",
        joints: Mapping[str, JointSet] = TRACK_JOINTS, unit: str = METRES, face_region: str = "",
        whole: JointSet | None = None, landmarks: Landmarks = SMPLX_LANDMARKS, **conditions: float | str | None,
    ) -> None:
        self._parts = tuple((*joints, *["face"] * (face_vertices > 0)) if parts is None else parts)
        self._joints, jointed, of_joints = joints, present_parts(self._parts, joints), {"joints": joints, "unit": unit}
        self._dtw = [
            DTWJPE(align, parts=jointed, method=method, **of_joints, **conditions) for align in DTW_NAMES if jointed
        ]
        metrics: list[TrackMetric] = [*self._dtw]
        if whole is not None:
            metrics += [PTDTW(whole, unit=unit, **conditions), DTWMJE(whole, unit=unit, method=method, **conditions)]
            metrics += slrtp_scores(whole, landmarks, unit, conditions)
        if "face" in self._parts:
            metrics.append(DTWVPE(vertices=face_vertices, region=face_region, **conditions))
        metrics.append(LengthRatio(**conditions))
        if {"body", "hand"} & set(columns_of(jointed, joints)):
            metrics += [DynamicsError(order, parts=jointed, **of_joints, **conditions) for order in (1, 2)]
        if len(jointed) == len(joints):
            metrics.append(Diversity(**of_joints, **conditions))
        self._needed = (*self._parts, *[WHOLE] * (whole is not None))
        self._counted = joints if whole is None else {**joints, WHOLE: whole}
        super().__init__([*metrics, *self._of_landmarks(jointed, landmarks, unit, conditions)])

    def _of_landmarks(
        self, parts: Sequence[str], landmarks: Landmarks, unit: str, conditions: Mapping[str, float | str | None]
    ) -> list[TrackMetric]:
        """Ratios, contacts and DTW of keypoints, as far as the parts and landmarks allow them."""
        known = {name: of for name, of in landmarks.items() if of[0] in (*parts, WHOLE) and of[0] in self._counted}
        found: list[TrackMetric] = []
        if {"body", "hand"} & set(columns_of(parts, self._joints)):
            found += [MotionRatio(what, parts=parts, joints=self._joints, **conditions) for what in RATIOS]
        of_landmarks = [
            *(ratio for name, ratio in (("wrists", WristPath), ("lips", MouthOpening)) if name in known),
            *(partial(Contact, name) for name in contacts_of(known, parts)),
        ]
        found += [metric(known, self._counted, **conditions) for metric in of_landmarks]
        if {"left_hand", "right_hand"} <= set(parts) and "shoulders" in known:
            found += [KeypointDTW(variant, known, self._counted, unit=unit, **conditions) for variant in (NDTWP, DTWP)]
        return found

    @classmethod
    def of(cls, body: Posed, method: str = "exact", **conditions: float | str | None) -> MotionScores:
        """For the tracks that `track_of` makes with a body."""
        vertices = 0 if body.face_vertices is None else len(body.face_vertices)
        return cls(
            None, vertices, method, body.point_sets, body.unit, body.face_region, body.whole, body.landmarks,
            body=body.label, **conditions,
        )

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
                check_tracks(name, pred, ref, self._needed, self._counted)
            except ValueError as error:
                found[name] = str(error)
        return found

    def add_checked(self, names: Sequence[str], preds: Sequence[Track], refs: Sequence[Track]) -> None:
        """Scores clips in which `faults` has found none."""
        if names:
            pairs = Pairs(preds, refs, self._joints)
            for metric in self.metrics:
                metric.add_checked(names, pairs)

    def deviations(self) -> dict[str, tuple[float, float]]:
        """Of fastdtw, "metric part" to (mean, greatest) percent above the exact cost; empty for exact DTW."""
        return {
            f"{metric.signatures[0].name} {column}": above
            for metric in self._dtw if metric.method != "exact" for column, above in metric.deviation().items()
        }

    def undefined(self) -> list[str]:
        """The columns that no reference defines; they are the same for all systems."""
        return [name for metric in self.metrics if isinstance(metric, OfReferences) for name in metric.undefined()]

    def notes(self) -> list[str]:
        """A sentence on each of `deviations`."""
        return [
            f"fastdtw's {column} is {mean:.2f} % above the exact cost, at most {most:.2f} %"
            for column, (mean, most) in self.deviations().items()
        ]
