"""The stand-in body's facial actions (named as ARKit names them), and what ten expression coefficients keep of them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soke.body.fitted import Expressive, expression_fit
from soke.body.flame import EXPRESSIONS
from soke.body.model import MODEL_FILE, STAND_IN_NAME, BodyModel
from soke.errors import UserError

STAND_IN = Path(__file__).resolve().parents[3] / "deps" / "smpl_models" / "stand_in"
_LIDS = ("eyeBlinkLeft", "eyeBlinkRight")


@dataclass(frozen=True)
class FacialActions:
    """A actions of a body model.

    names:         A names; those ending in Left or Right move one side
    to_expression: [A, 100], expression coefficients of an action at strength 1
    fit:           [10, 100], all coefficients -> the ten of a fit, see `expression_fit`
    directions:    [F, 3, 100] m per unit of a coefficient, vertices of the face
    """

    names: tuple[str, ...]
    to_expression: Tensor
    fit: Tensor
    directions: Tensor

    def strengths(self, actions: Mapping[str, float]) -> Tensor:
        """[A] of actions by name; a name without its side means both. Raises KeyError for an unknown one."""
        values = torch.zeros(len(self.names))
        for name, strength in actions.items():
            found = [i for i, known in enumerate(self.names) if known in (name, name + "Left", name + "Right")]
            if not found:
                raise KeyError(f"no facial action {name}")
            values[found] = strength
        return values

    def alike(self, strengths: Tensor) -> Tensor:
        """Strengths [..., A] of which every action's left and right are those of its right, so that a face is even."""
        order = [self.names.index(n.removesuffix("Left") + "Right") if n.endswith("Left") and n != "mouthLeft" else i
                 for i, n in enumerate(self.names)]
        return strengths[..., order]

    def expression(self, strengths: Tensor) -> Tensor:
        """Strengths [..., A], 0 to 1 -> expression coefficients [..., 100]."""
        return strengths @ self.to_expression

    def fitted(self, expression: Tensor, eyelids: Tensor) -> Tensor:
        """The ten coefficients that fit a face best: [..., 10]. They have no channel for the lids [..., 2], but move
        what they can of them."""
        return self._whole(expression, eyelids) @ self.fit.T

    def kept(self, expression: Tensor, eyelids: Tensor) -> Tensor:
        """The share [N] of the squared displacement of the face's vertices that ten fitted coefficients keep, for faces
        [N, 100] with lids [N, 2]; not a number at rest."""
        whole, fit = self._whole(expression, eyelids), self.fitted(expression, eyelids)
        moved = torch.einsum("fce,ne->nfc", self.directions, whole)
        lost = moved - torch.einsum("fce,ne->nfc", self.directions[..., : fit.shape[1]], fit)
        return 1 - lost.square().sum((1, 2)) / moved.square().sum((1, 2))

    def _whole(self, expression: Tensor, eyelids: Tensor) -> Tensor:
        """[..., 100] with the lids as coefficients, too: a lid closes as its blink does."""
        return expression + eyelids @ self.to_expression[[self.names.index(lid) for lid in _LIDS]]


@cache
def load_facial_actions(folder: Path = STAND_IN) -> FacialActions:
    """Those of the stand-in body. Raises UserError when its files are missing."""
    extra, model = folder / "standin_extra.npz", folder / MODEL_FILE
    for path in (extra, model):
        if not path.is_file():
            raise UserError(f"{path} is missing, which the synthetic faces need: make it with prepare.stand_in_body.")
    with np.load(extra) as marks:
        names = tuple(str(name) for name in marks["facial_action_labels"])
        known = torch.from_numpy(marks["action_to_expression"])
    body: Expressive = BodyModel(model, STAND_IN_NAME)
    to_expression = torch.nn.functional.pad(known, (0, EXPRESSIONS - known.shape[1]))
    return FacialActions(names, to_expression, expression_fit(body), body.expression_directions[body.face_vertices])
