"""SMPL-X: motions to joints and meshes, through the smplx package and an SMPL-X file in npz format."""
from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from soke.body.clothes import clothed_colors, worn_marks
from soke.body.motion import Motion
from soke.body.skinned import SLIGHT, SkinnedBody
from soke.body.skinning import Directions, Skin
from soke.errors import UserError


class BodyModel(SkinnedBody):
    """SMPL-X, a `Posed`.

    Up to 100 expression coefficients are taken, as many as the file has columns for (UserError for more). Those that
    have no direction in it (of the stand-in: from the 40th on) and eyelids move nothing, which the log says once.
    Arguments are those of `SkinnedBody`.
    """

    def _made_skin(self) -> Skin:
        model = self._model
        return Skin(
            model.v_template, self._regressor @ model.v_template,
            {
                name: Directions(each, torch.einsum("jv,vck->jck", self._regressor, each))
                for name, each in (("betas", model.shapedirs), ("expression", model.expr_dirs))
            },
            model.posedirs if model.posedirs.any() else None, model.lbs_weights,
        )

    def _coefficients(self, motion: Motion) -> Mapping[str, Tensor]:
        expression = motion.expression
        known = min(expression.shape[1], self.expression_directions.shape[2])
        if expression[:, known:].any():
            raise UserError(
                f"{self.file} has {known} expression coefficients, the motion uses {expression.shape[1]}: "
                "put an SMPL-X file with 400 shape directions there"
            )
        return {"betas": self._betas(motion), "expression": expression[:, :known]}

    def _still(self, motion: Motion) -> list[str]:
        """Eyelids, and coefficients without a direction."""
        known, lids = self.expressions, motion.eyelids
        more = bool((motion.expression[:, known:].abs() > SLIGHT).any())
        return [*["eyelids"] * (lids is not None and bool(lids.any())), *[f"expressions beyond {known}"] * more]

    @cached_property
    def face_vertices(self) -> Tensor:
        """Vertices of the face: those that one of the first ten expression coefficients moves by more than 5 % of the
        furthest that any vertex moves."""
        moves = self.expression_directions[..., :10].norm(dim=1).amax(dim=1)
        return (moves > 0.05 * moves.max()).nonzero().squeeze(1)

    @cached_property
    def colors(self) -> Tensor:
        """[V, 3] in 0..1: a dressed body; the stand-in names its lips and the inside of its mouth."""
        weights, template, brows = (each.cpu().numpy() for each in (self.weights, self.template, self.brows))
        return torch.from_numpy(clothed_colors(weights, template, *worn_marks(self.file), brows=brows))
