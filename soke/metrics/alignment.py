"""Alignment of point sets, frame by frame and batched: translation of the root, and similarity Procrustes."""
from __future__ import annotations

import torch

# Points that lie closer together than this many rounding steps of their distance from the origin are one point:
# rounding is all that is left of their shape, and a scale computed from it would be noise.
POINT_EXTENT = 100


def root_align(pred: torch.Tensor, ref: torch.Tensor) -> torch.Tensor:
    """Moves pred [..., J, 3] so that its joint 0 lies on joint 0 of ref [..., J, 3]; same unit in and out."""
    return pred - pred[..., :1, :] + ref[..., :1, :]


def procrustes_align(pred: torch.Tensor, ref: torch.Tensor) -> torch.Tensor:
    """Similarity transform of pred onto ref with least squared error over all points, scale included (Umeyama 1991).

    The rotation is always proper: a mirrored point set is not mirrored back. Points that all coincide end on the
    mean of ref.

    pred: [..., J, 3] float32 or float64 points
    ref:  [..., J, 3] points of the same shape, in the same unit

    Returns [..., J, 3] aligned points.
    """
    ref_mean = ref.mean(dim=-2, keepdim=True)
    centred = pred - pred.mean(dim=-2, keepdim=True)
    u, singular, vt = torch.linalg.svd(centred.mT @ (ref - ref_mean))  # [..., 3, 3], [..., 3], [..., 3, 3]
    reflected = torch.linalg.det(u) * torch.linalg.det(vt) < 0
    sign = torch.ones_like(singular)
    sign[..., 2] = torch.where(reflected, -1.0, 1.0)

    variance = centred.square().sum(dim=(-2, -1))
    smallest = pred.shape[-2] * (POINT_EXTENT * torch.finfo(pred.dtype).eps * pred.abs().amax(dim=(-2, -1))).square()
    scale = torch.where(variance > smallest, (singular * sign).sum(dim=-1) / variance, 0.0)
    return scale[..., None, None] * (centred @ (u * sign[..., None, :]) @ vt) + ref_mean
