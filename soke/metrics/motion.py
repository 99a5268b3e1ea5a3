"""Scores of motion against a reference, as torchmetrics: warped in time (DTWJPE), or frame by frame (JointError)."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from soke.metrics.alignment import procrustes_align, root_align
from soke.metrics.dtw import DtwResult, dtw_jpe
from soke.metrics.joint_sets import JOINT_SETS
from soke.metrics.signature import Signature

DTW_NAMES = {"root": "DTW-JPE", "procrustes": "DTW-PA-JPE"}
ALIGN = {"root": root_align, "procrustes": procrustes_align}


class DTWJPE(Metric):
    """Mean over clips of DTW-JPE or DTW-PA-JPE (SOKE, evaluation metrics; joints as in its evaluation).

    `compute` gives {"m": accumulated path cost in metres, as published, "mm": mean cost of a frame pair on the path
    in millimetres}, each a mean over clips. A hand's score is the mean of the left and the right hand's. A clip that
    was scored more than once, as happens when a distributed sampler fills up the last batch, counts once.

    Args:
        part: "body" (12 of 144 joints) or "hand" (21 joints on each side).
        align: "root" for DTW-JPE, "procrustes" for DTW-PA-JPE.
        fps: frames per second of the scored motion.
        body: body model that made the joints, "stand-in" or "smplx".
        layout: hash of the motion layout.
        statistics: hash of the normalisation statistics.
        method: "exact" or "fastdtw", see soke.metrics.dtw.
    """

    full_state_update = False
    higher_is_better = False
    indices: list[torch.Tensor]  # [1] clip index each, int64
    scores: list[torch.Tensor]  # [1, 2] accumulated metres, mean millimetres each, float64

    def __init__(
        self,
        part: str,
        align: str,
        *,
        fps: float | None = None,
        body: str | None = None,
        layout: str | None = None,
        statistics: str | None = None,
        method: str = "exact",
    ) -> None:
        super().__init__()
        self.joint_set = JOINT_SETS[part]
        self.align = align
        self.method = method
        self.signature = Signature(
            DTW_NAMES[align],
            part,
            alignment=align,
            joints=self.joint_set.label,
            dtw=method,
            units=("m", "mm"),
            fps=fps,
            body=body,
            layout=layout,
            statistics=statistics,
        )
        # Lists and not sums: only indices can tell, after gathering, which clips two processes have both scored.
        self.add_state("indices", [], dist_reduce_fx="cat")
        self.add_state("scores", [], dist_reduce_fx="cat")

    def update(self, index: int, name: str, pred: Any, ref: Any) -> None:
        """Scores one clip.

        Args:
            index: number of the clip in its split, the same in every process.
            name: the clip's name, for messages.
            pred: joint positions in metres, tensor or array: [T1, 144, 3] for the body, for hands the pair
                (left, right) of [T1, 21, 3].
            ref: the same with T2 frames.

        Raises:
            ValueError: no frames, NaN, or wrong shapes; names the clip.
        """
        try:
            pairs = [(pred, ref)] if self.joint_set.part == "body" else list(zip(pred, ref, strict=True))
            results = [self._score(_array(p), _array(r)) for p, r in pairs]
        except ValueError as error:
            raise ValueError(f"clip {name} cannot be scored: {error}") from error
        score = torch.tensor([[result.cost, result.mean_mm] for result in results], dtype=torch.float64)
        self.indices.append(torch.tensor([index], device=self.device))
        self.scores.append(score.mean(dim=0, keepdim=True).to(self.device))

    def _score(self, pred: np.ndarray, ref: np.ndarray) -> DtwResult:
        if pred.ndim == 3 and pred.shape[1] != self.joint_set.total:
            raise ValueError(f"it has {pred.shape[1]} joints, a {self.joint_set.part} has {self.joint_set.total}")
        return dtw_jpe(pred, ref, self.align, self.joint_set.scored, method=self.method)

    def per_clip(self) -> dict[int, tuple[float, float]]:
        """Clip index to (accumulated metres, mean millimetres), of the clips that this process has scored."""
        if len(self.indices) == 0:
            return {}
        indices, scores = dim_zero_cat(self.indices).tolist(), dim_zero_cat(self.scores).tolist()
        return {index: (metres, millimetres) for index, (metres, millimetres) in zip(indices, scores, strict=True)}

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """As in torchmetrics; a process without clips takes part with empty states of the right type.

        Otherwise gathering fails or hangs, because the processes' states differ in type.
        """
        if len(self.indices) == 0:
            self.indices.append(torch.empty(0, dtype=torch.int64, device=self.device))
            self.scores.append(torch.empty(0, 2, dtype=torch.float64, device=self.device))
        super().sync(*args, **kwargs)

    def compute(self) -> dict[str, torch.Tensor]:
        """Raises ValueError when no clip was scored."""
        scores = self.per_clip()
        if not scores:
            raise ValueError(f"{self.signature.name} was asked for before any clip was scored")
        metres, millimetres = torch.tensor(list(scores.values()), dtype=torch.float64, device=self.device).mean(dim=0)
        return {"m": metres, "mm": millimetres}


class JointError(Metric):
    """Mean distance of points over all frames, in millimetres, prediction and reference paired frame by frame.

    MPJPE is JointError("MPJPE", "root"), PA-MPJPE JointError("PA-MPJPE", "procrustes"), and PA-MPVPE the latter on
    vertices. `compute` gives {"mm": mean}; long clips weigh more than short ones.

    Args:
        name: metric, as it stands in tables.
        align: "root" moves point 0 onto point 0; "procrustes" fits a similarity with scale, in every frame.
        part: what the points are of, for the signature; so are the following.
        scored: the points whose error counts, among those that are aligned; None: all.
        joints: which points, for example "12of144" or "mesh".
        fps: frames per second of the scored motion.
        body: body model that made the points, "stand-in" or "smplx".
        layout: hash of the motion layout.
        statistics: hash of the normalisation statistics.
    """

    full_state_update = False
    higher_is_better = False
    error_sum: torch.Tensor  # [] metres
    frames: torch.Tensor  # []

    def __init__(
        self,
        name: str,
        align: str,
        *,
        part: str | None = None,
        scored: Sequence[int] | None = None,
        joints: str | None = None,
        fps: float | None = None,
        body: str | None = None,
        layout: str | None = None,
        statistics: str | None = None,
    ) -> None:
        super().__init__()
        self._align = ALIGN[align]
        self._scored = slice(None) if scored is None else list(scored)
        self.signature = Signature(
            name,
            part,
            alignment=align,
            joints=joints,
            units=("mm",),
            fps=fps,
            body=body,
            layout=layout,
            statistics=statistics,
        )
        self.add_state("error_sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("frames", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, name: str, pred: torch.Tensor, ref: torch.Tensor) -> None:
        """Adds one clip.

        Args:
            name: the clip's name, for messages.
            pred: [T, V, 3] points in metres, without padding.
            ref: [T, V, 3] the same points of the reference.

        Raises:
            ValueError: no frames, NaN, or shapes that differ; names the clip.
        """
        if pred.ndim != 3 or pred.shape[-1] != 3 or pred.shape != ref.shape:
            raise ValueError(
                f"clip {name} cannot be scored: the prediction has shape {list(pred.shape)} and the reference "
                f"{list(ref.shape)}, both must be [T, V, 3]"
            )
        if pred.numel() == 0:
            raise ValueError(f"clip {name} cannot be scored: it has no frames")
        pred, ref = pred.detach().double(), ref.detach().double()
        if not (torch.isfinite(pred).all() and torch.isfinite(ref).all()):  # before the SVD, which may raise on NaN
            raise ValueError(f"clip {name} cannot be scored: it holds NaN or infinite positions")
        error = (self._align(pred, ref) - ref)[:, self._scored].norm(dim=-1).mean(dim=-1).sum()
        self.error_sum += error
        self.frames += len(pred)

    def compute(self) -> dict[str, torch.Tensor]:
        """Raises ValueError when no frame was scored."""
        if self.frames == 0:
            raise ValueError(f"{self.signature.name} was asked for before any clip was scored")
        return {"mm": 1000.0 * self.error_sum / self.frames}


def _array(track: torch.Tensor | np.ndarray) -> np.ndarray:
    return track.detach().cpu().numpy() if isinstance(track, torch.Tensor) else np.asarray(track)
