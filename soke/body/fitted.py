"""A face in fewer expression coefficients: what SMPL-X with ten of them can hold of a face that has a hundred."""
from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from soke.body.joints import JOINT_GROUPS, joint_indices
from soke.body.motion import Motion

SMPLX_EXPRESSION = 10  # coefficients of SMPL-X fits, and so of SOKE's frames


class Expressive(Protocol):
    """A body whose expression coefficients move vertices along fixed directions.

    expression_directions: [V, 3, E] metres per unit
    face_vertices:         [F] vertices of the face
    """

    @property
    def expression_directions(self) -> Tensor: ...

    @property
    def face_vertices(self) -> Tensor: ...


def expression_fit(body: Expressive, coefficients: int = SMPLX_EXPRESSION) -> Tensor:
    """[coefficients, E]: what a fit of the first coefficients gives of all E, `expression @ fit.T`.

    Least squares over the vertices of the face at rest, so that coefficients beyond the first few are not merely cut
    off, but expressed by these as far as they can be. The first `coefficients` columns are the unit matrix.
    """
    directions = body.expression_directions[body.face_vertices].flatten(0, 1).double().cpu()  # [3F, E]
    few = directions[:, :coefficients]
    # the pseudo-inverse: a direction that moves nothing gets nothing
    fit = torch.linalg.pinv(few) @ directions
    fit[:, : few.shape[1]] = torch.eye(few.shape[1], dtype=fit.dtype)
    return fit.float().to(body.expression_directions.device)


def with_fitted_expression(body: Expressive, motion: Motion, coefficients: int = SMPLX_EXPRESSION) -> Motion:
    """The motion as a fit of SMPL-X gives it: an expression [T, coefficients], no eyelids, both eyes straight ahead.

    All else stays, the jaw too. A motion with no more coefficients than that keeps them.
    """
    expression = motion.expression
    if expression.shape[1] > coefficients:
        known = min(expression.shape[1], body.expression_directions.shape[2])
        fit = expression_fit(body, coefficients).to(expression)[:, :known]
        expression = expression[:, :known] @ fit.T
    rotations = motion.rotations.clone()
    rotations[:, joint_indices(JOINT_GROUPS["eyes"])] = 0.0
    return replace(motion, rotations=rotations, expression=expression, eyelids=None)
