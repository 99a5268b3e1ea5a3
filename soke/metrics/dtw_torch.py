"""DTW-JPE and DTW-PA-JPE of many pairs of tracks at once, by operations on padded batches: for the GPU.

The same numbers as soke.metrics.dtw, which is faster on the CPU. Everywhere: B pairs of a batch; T1 and T2 its longest
tracks; S scored joints; D = T1 + T2 - 1 anti-diagonals. Joints and coordinates come first, where sums are fast.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from soke.metrics.dtw import (
    DtwResult,
    check_alignment,
    check_pairing,
    check_track_shape,
    checked_joints,
    common_joints,
    pair_named,
)
from soke.metrics.dtw_kernels import NEWTON_PRECISION, NEWTON_STEPS, POINT_EXTENT, SEPARATION

FRAME_PAIRS = 2**18  # whose costs are computed together; procrustes takes about 0.2 GB for them


@torch.no_grad()
def dtw_jpe_batch(
    preds: Sequence[Tensor],
    refs: Sequence[Tensor],
    align: str,
    joints: Sequence[int] | np.ndarray | None = None,
    *,
    batch: int = 128,
) -> list[DtwResult]:
    """soke.metrics.dtw.dtw_jpe_pairs on the device of the tracks, in float64.

    preds:  N tracks [T1, J, 3] in metres, T1 their own, J the same for all
    refs:   N tracks [T2, J, 3] in metres, T2 their own
    align:  "root" or "procrustes", as for dtw_jpe
    joints: indices of the joints scored; all when None
    batch:  pairs scored together, of like lengths; at 400 frames each takes 10 MB

    Returns N results, equal to those of dtw_jpe but for rounding.

    Raises ValueError as dtw_jpe_pairs, for tracks of different numbers of joints, and for `batch` below 1.
    """
    check_alignment(align)
    check_pairing(preds, refs)
    if batch < 1:
        raise ValueError(f"batch is {batch}, it must be at least 1")
    for position, (pred, ref) in enumerate(zip(preds, refs, strict=True)):
        with pair_named(position):
            check_track_shape(pred.shape, "prediction")
            check_track_shape(ref.shape, "reference")
            if common_joints(pred.shape, ref.shape) != preds[0].shape[1]:
                raise ValueError(f"it has {pred.shape[1]} joints and pair 0 has {preds[0].shape[1]}")
            scored = checked_joints(joints, pred.shape[1])

    results = {}
    order = sorted(range(len(preds)), key=lambda position: len(preds[position]) * len(refs[position]))
    for start in range(0, len(order), batch):
        positions = order[start : start + batch]
        pred, ref = _padded(preds, positions, "prediction"), _padded(refs, positions, "reference")
        costs = _frame_costs(pred, ref, align, torch.from_numpy(scored).to(pred.device))
        lengths = torch.tensor([[len(tracks[position]) for position in positions] for tracks in (preds, refs)])
        results.update(zip(positions, _cheapest_paths(costs, lengths.to(pred.device)), strict=True))
    return [results[position] for position in range(len(preds))]


def _padded(tracks: Sequence[Tensor], positions: Sequence[int], role: str) -> Tensor:
    """[J, 3, B, T] of the tracks at `positions`; shorter ones stay at their last frame, which is harmless."""
    longest = max(len(tracks[position]) for position in positions)
    padded = torch.stack(
        [
            torch.cat([track, track[-1:].expand(longest - len(track), -1, -1)])
            for track in (tracks[position].double() for position in positions)
        ]
    )
    wrong = ~padded.isfinite().flatten(2).all(dim=2)  # [B, T]
    if wrong.any():
        row, frame = wrong.nonzero()[0].tolist()
        with pair_named(positions[row]):
            raise ValueError(f"the {role} holds NaN or infinite positions, first in frame {frame}")
    return padded.permute(2, 3, 0, 1).contiguous()


def _frame_costs(pred: Tensor, ref: Tensor, align: str, joints: Tensor) -> Tensor:
    """Cost of every pair of frames in metres, [B, T1, T2], of pred [J, 3, B, T1] and ref [J, 3, B, T2]."""
    rows = max(1, FRAME_PAIRS // ref[0, 0].numel())  # of the costs, at once
    if align == "root":
        pred, ref = pred[joints] - pred[:1], ref[joints] - ref[:1]
        return torch.cat([_root_costs(some, ref) for some in pred.split(rows, dim=3)], dim=1)
    pred, variance = _centred(pred)
    ref, _ = _centred(ref)
    some = zip(pred.split(rows, dim=3), variance.split(rows, dim=1), strict=True)
    return torch.cat([_procrustes_costs(pred, ref, variance, joints) for pred, variance in some], dim=1)


def _root_costs(pred: Tensor, ref: Tensor) -> Tensor:
    """Mean joint distances [B, T1, T2] of pred [S, 3, B, T1] and ref [S, 3, B, T2], both relative to their root."""
    costs = pred.new_zeros(*pred.shape[2:], ref.shape[3])
    for of_pred, of_ref in zip(pred, ref, strict=True):
        costs += _lengths(of_pred[..., None] - of_ref[:, :, None])
    return costs / len(pred)


def _centred(track: Tensor) -> tuple[Tensor, Tensor]:
    """Positions relative to the mean of their frame [J, 3, B, T], and their variance times J, [B, T].

    A frame whose points all coincide is zero, and so is its variance.
    """
    smallest = len(track) * (POINT_EXTENT * track.abs().amax(dim=(0, 1))).square()
    track = track - track.mean(dim=0)
    variance = track.square().sum(dim=(0, 1))
    extended = variance > smallest
    return track * extended, variance * extended


def _procrustes_costs(pred: Tensor, ref: Tensor, variance: Tensor, joints: Tensor) -> Tensor:
    """Mean distances of `joints` after the best similarity of each pair of frames, [B, T1, T2].

    pred [J, 3, B, T1] and ref [J, 3, B, T2], centred; variance [B, T1], of pred.
    """
    covariances = torch.einsum("jpbs,jrbt->prbst", pred, ref).contiguous()
    similarities = _similarities(covariances, variance[..., None])
    costs = torch.zeros_like(similarities[0, 0])
    for (x, y, z), of_ref in zip(pred[joints][..., None], ref[joints][:, :, :, None], strict=True):
        aligned = torch.addcmul(similarities[0] * x, similarities[1], y).addcmul_(similarities[2], z)
        costs += _lengths(aligned.sub_(of_ref))
    return costs / len(joints)


def _lengths(vectors: Tensor) -> Tensor:
    """[...] of [3, ...]; many times as fast as torch's norm over the first axis."""
    x, y, z = vectors
    return (x * x).addcmul_(y, y).addcmul_(z, z).sqrt_()


def _similarities(c: Tensor, variance: Tensor) -> Tensor:
    """As in soke.metrics.dtw_kernels: the best proper rotations of frames with covariances c [3, 3, ...], times scales.

    variance broadcasts with [...]. Returns [3, 3, ...]; zero where c is, and where more than one rotation is best, or
    nearly, from the singular value decomposition.
    """
    cofactors = torch.stack([torch.linalg.cross(c[row - 2], c[row - 1], dim=0) for row in range(3)])
    squares, determinant = c.square().sum(dim=(0, 1)), (c[0] * cofactors[0]).sum(dim=0)
    trace = _traces(squares, determinant, cofactors.square().sum(dim=(0, 1)))
    half = 0.5 * (trace.square() - squares)
    z = half * trace - determinant
    gram = torch.stack([(row * c).sum(dim=1) for row in c])  # c c'
    rotations = (half + squares) * c - torch.stack([(row[:, None] * c).sum(dim=0) for row in gram]) + trace * cofactors

    separated = z > SEPARATION * trace**3
    similarities = torch.where(separated, trace / (variance * z) * rotations, 0.0)
    inseparable = ~separated & (squares > 0.0)
    u, singular, vt = torch.linalg.svd(c[:, :, inseparable].permute(2, 0, 1))
    sign = torch.ones_like(singular)
    sign[:, 2] = (torch.linalg.det(u) * torch.linalg.det(vt)).sign()
    scale = (singular * sign).sum(dim=1) / variance.expand_as(trace)[inseparable]
    similarities[:, :, inseparable] = (scale[:, None, None] * (u * sign[:, None]) @ vt).permute(1, 2, 0)
    return similarities


def _traces(squares: Tensor, determinant: Tensor, cofactors: Tensor) -> Tensor:
    """The largest roots of soke.metrics.dtw_kernels' polynomial, for the sums of squares of c and cof(c) and det(c)."""
    constant = squares.square() - 4.0 * cofactors
    trace = (squares + 2.0 * (3.0 * cofactors).sqrt()).sqrt()  # not below the root
    for _ in range(NEWTON_STEPS):
        twice = trace.square() - squares
        value = (twice - squares) * trace.square() - 8.0 * determinant * trace + constant
        step = value / (4.0 * (twice * trace - 2.0 * determinant))
        trace = trace - step
        if not (step > NEWTON_PRECISION * trace).any():
            break
    return trace


def _cheapest_paths(costs: Tensor, lengths: Tensor) -> list[DtwResult]:
    """The results of costs [B, T1, T2] of tracks of `lengths` [2, B]; ties go as in soke.metrics.dtw_kernels."""
    accumulated = _accumulated(costs)
    diagonals, pairs = costs.shape[1] + costs.shape[2] - 1, torch.arange(len(costs), device=costs.device)
    frames = lengths - 1
    totals = accumulated[frames.sum(dim=0) + 2, pairs, frames[0] + 1].tolist()

    back = torch.tensor([[2, 1, 1], [1, 1, 0]], device=costs.device)[..., None]  # diagonals and rows, of steps
    steps = torch.tensor([[1, 1, 0], [1, 0, 1]], device=costs.device)
    visited = frames.new_empty(diagonals, *frames.shape)
    for visit in visited:
        visit.copy_(frames)
        before = accumulated[frames.sum(dim=0) + 2 - back[0], pairs, frames[0] + 1 - back[1]]  # [3, B]
        frames = (frames - steps[:, before.argmin(dim=0)]).clamp_min(0)  # stays at the beginning
    path_lengths = ((visited.sum(dim=1) > 0).sum(dim=0) + 1).tolist()
    paths = visited.permute(2, 1, 0).cpu().numpy()  # [B, 2, D], from the end
    return [
        DtwResult(total, path[:, :length][:, ::-1].copy())
        for total, path, length in zip(totals, paths, path_lengths, strict=True)
    ]


def _accumulated(costs: Tensor) -> Tensor:
    """[D + 2, B, T1 + 1]: at [i + j + 2, :, i + 1] the accumulated cost of frames i and j, infinite outside."""
    pairs, rows, columns = costs.shape
    diagonals = rows + columns - 1
    # Rows that are one longer than the distance of rows in the result are shifted by one each.
    sheared = torch.nn.functional.pad(costs, (0, rows), value=torch.inf).flatten(1)[:, : rows * diagonals]
    sheared = sheared.view(pairs, rows, diagonals).permute(2, 0, 1).contiguous()  # [D, B, T1]
    accumulated = costs.new_full((diagonals + 2, pairs, rows + 1), torch.inf)
    accumulated[0, :, 0] = 0.0  # before the first pair of frames
    for diagonal, cost in enumerate(sheared):
        two_back, one_back, here = accumulated[diagonal : diagonal + 3]
        best = torch.minimum(torch.minimum(two_back[:, :-1], one_back[:, :-1]), one_back[:, 1:])
        torch.add(best, cost, out=here[:, 1:])
    return accumulated
