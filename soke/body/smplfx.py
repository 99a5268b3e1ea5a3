"""SMPL-FX: SMPL-X's body with FLAME's head (M3T, appendix C)."""
from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from soke.body.clothes import clothed_colors, worn_marks
from soke.body.flame import EXPRESSIONS, read_flame, read_vertex_ids
from soke.body.graft import Place, graft_of
from soke.body.joints import JOINT_GROUPS, NUM_JOINTS, joint_indices
from soke.body.motion import Motion
from soke.body.skinned import SLIGHT, SkinnedBody
from soke.body.skinning import Directions, Skin
from soke.body.teeth import LOWER, TEETH, UPPER, teeth_of, teeth_rows
from soke.errors import UserError

_EYES = joint_indices(JOINT_GROUPS["eyes"])
_HEAD, _JAW = joint_indices(["head", "jaw"])
_FACE_SHARE = 0.1  # of the furthest that expressions move a vertex


class SMPLFX(SkinnedBody):
    """SMPL-X with FLAME's head, its 300 shape and 100 expression directions, eyelids and teeth, a `Posed`.

    FLAME's template stands in SMPL-X's at the same vertices, moved onto its eyes. Over nine rings of the neck all that
    belongs to the head fades out and all that belongs to the body fades in. SMPL-X's shape does not deform the head,
    but carries it as a whole, as it does its eyes: a head that stayed where it is would tear at the neck. Shapes,
    expression and eyelids are added to the template (their order is of no account), then SMPL-X's weights, pose
    correctives and regressor move it. Joints that the regressor takes mostly from elsewhere stay where SMPL-X has them,
    so that below the neck a neutral motion is exactly SMPL-X's.

    With 120 vertices of teeth there are 10595, without them SMPL-X's 10475; M3T prints 10,995, which no public set of
    teeth gives, and which differs in one digit.

    file:           npz in the SMPL-X format
    flame:          FLAME as npz or pkl, with eyelids beside it
    vertex_ids:     npy: SMPL-X's vertices in FLAME's order
    place:          onto SMPL-X's eyes, or by the mean distance between the heads
    teeth:          whether there are any
    others:         as of `SkinnedBody`; with fixed betas the head's shape is the mean one, else each motion's own

    Raises UserError that names the file which does not fit the others.
    """

    face_region = "flame-face"

    def __init__(
        self, file: Path, flame: Path, vertex_ids: Path, name: str, flat_hand_mean: bool = False,
        betas: Tensor | None = None, place: Place = "eyes", teeth: bool = True,
    ):
        self.place, self.teeth = place, teeth
        self._flame, self._ids_file = read_flame(Path(flame)), Path(vertex_ids)
        super().__init__(file, name, flat_hand_mean, betas)

    def _made_skin(self) -> Skin:
        model, flame = self._model, self._flame
        own_joints = self._regressor @ model.v_template
        own_betas = torch.einsum("jv,vck->jck", self._regressor, model.shapedirs)
        graft = self._graft = graft_of(
            model.v_template.numpy(), model.faces_tensor.numpy(), own_joints[_EYES].mean(0).numpy(), flame,
            read_vertex_ids(self._ids_file), self.place, str(self._ids_file),
        )
        carried = own_betas[_EYES].mean(0) if self.place == "eyes" else model.shapedirs[graft.ids].mean(0)
        buffers = {
            "head_shape": graft.scattered(flame.shape),
            "betas": graft.blended(model.shapedirs.numpy(), carried.expand(len(graft.ids), -1, -1).numpy()),
            "expression": graft.scattered(flame.expression),
        }
        if flame.eyelids is not None:
            buffers["eyelids"] = graft.scattered(flame.eyelids)
        template = torch.from_numpy(graft.blended(model.v_template.numpy(), flame.template + graft.moved))
        own = (self._regressor[:, graft.ids].sum(1) <= 0.5)[:, None]  # joints that are the body's [55, 1]
        directions = {}
        for of, each in buffers.items():
            vertices = torch.from_numpy(each)
            joints = torch.einsum("jv,vck->jck", self._regressor, vertices)
            body = own_betas if of == "betas" else torch.zeros_like(joints)
            directions[of] = Directions(vertices, torch.where(own[..., None], body, joints))
        skin = Skin(
            template, torch.where(own, own_joints, self._regressor @ template), directions,
            model.posedirs if model.posedirs.any() else None, model.lbs_weights,
        )
        return self._with_teeth(skin) if self.teeth else skin

    def _with_teeth(self, skin: Skin) -> Skin:
        """With teeth as the last vertices: their shape is the lips' mean one, and no expression moves them."""
        lips = torch.from_numpy(self._graft.ids[self._flame.lips])  # [2, 15]
        vertices, triangles = teeth_of(*skin.template[lips].double().numpy())
        self._teeth_faces = torch.from_numpy(triangles) + len(skin.template)
        upper, lower = teeth_rows(UPPER), teeth_rows(LOWER)
        weights = torch.zeros(TEETH, NUM_JOINTS)
        weights[upper, _HEAD] = 1
        weights[lower, _JAW] = 1
        directions = {}
        for name, each in skin.directions.items():
            moved = torch.zeros(TEETH, 3, each.vertices.shape[2])
            if name in ("head_shape", "betas"):
                moved[upper], moved[lower] = (each.vertices[ring].mean(0) for ring in lips)
            directions[name] = Directions(torch.cat([each.vertices, moved]), each.joints)
        correctives = skin.correctives
        if correctives is not None:
            correctives = torch.nn.functional.pad(correctives, (0, 3 * TEETH))
        return Skin(
            torch.cat([skin.template, torch.from_numpy(vertices)]), skin.joints, directions, correctives,
            torch.cat([skin.weights, weights]),
        )

    @property
    def label(self) -> str:
        """As of `SkinnedBody`, with what is not as usual."""
        unusual = {
            "no-eyelids": not self.eyelids, "no-teeth": not self.teeth, "head-by-mean": self.place == "mean",
        }
        return ",".join([super().label, *(name for name, holds in unusual.items() if holds)])

    @property
    def eyelids(self) -> bool:
        """Whether eyelids of motions are shown: the files of them are there."""
        return self._flame.eyelids is not None

    @property
    def faces(self) -> Tensor:
        """As of `SkinnedBody`, teeth last."""
        faces = self._model.faces_tensor
        return torch.cat([faces, self._teeth_faces.to(faces.device)]) if self.teeth else faces

    @cached_property
    def face_vertices(self) -> Tensor:
        """Vertices of FLAME's face: of its head without neck and eyeballs those that expressions, whose coefficients
        vary by 1, move by more than a tenth of the furthest (root of the mean square)."""
        moves = self.expression_directions.flatten(1).norm(dim=1)
        head = torch.zeros_like(moves, dtype=torch.bool)
        head[: len(self._graft.share)] = torch.from_numpy(self._graft.share == 0)
        balls = self.weights[:, _EYES].sum(1) > 0.5
        return (head & ~balls & (moves > _FACE_SHARE * moves.max())).nonzero().squeeze(1)

    @cached_property
    def colors(self) -> Tensor:
        """[V, 3] in 0..1: a dressed body with white teeth; the stand-in names its lips and the inside of its mouth."""
        return torch.from_numpy(
            clothed_colors(
                self.weights.cpu().numpy(), self.template.cpu().numpy(), *worn_marks(self.file), TEETH * self.teeth,
                self.brows.cpu().numpy(),
            )
        )

    def _coefficients(self, motion: Motion) -> Mapping[str, Tensor]:
        expression = motion.expression
        if expression[:, EXPRESSIONS:].any():
            raise UserError(
                f"SMPL-FX has {EXPRESSIONS} expression coefficients, the motion uses {expression.shape[1]}"
            )
        coefficients = {"betas": self._betas(motion), "expression": expression[:, :EXPRESSIONS]}
        if self.eyelids and motion.eyelids is not None:
            coefficients["eyelids"] = motion.eyelids
        if self.fixed_betas is None and motion.head_shape is not None:
            coefficients["head_shape"] = motion.head_shape
        return coefficients

    def _still(self, motion: Motion) -> list[str]:
        """Eyelids without files of them, and coefficients without a direction."""
        known, lids = self.expressions, motion.eyelids
        return [
            *["eyelids"] * (not self.eyelids and lids is not None and bool(lids.any())),
            *[f"expressions beyond {known}"] * bool((motion.expression[:, known:].abs() > SLIGHT).any()),
        ]
