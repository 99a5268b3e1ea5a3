"""The body model: motions to joints and meshes, through the smplx package and an SMPL-X file in npz format."""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Callable, Collection, Literal

import numpy as np
import torch
from torch import Tensor

from soke.body.clothes import clothed_colors
from soke.body.head import Head, head_of
from soke.body.joints import LEFT_HAND, NUM_JOINTS, RIGHT_HAND, joint_indices
from soke.body.motion import JointMotion, Motion
from soke.body.posed import METRES, JointSet
from soke.errors import UserError

log = logging.getLogger(__name__)

Side = Literal["left", "right"]
MODEL_FILE = Path("smplx") / "SMPLX_NEUTRAL.npz"
STAND_IN = "stand_in"  # its folder
STAND_IN_NAME = "stand-in"
# Vertices at the fingertips, thumb to little finger, as published for hand scores on SMPL-X.
FINGERTIPS: dict[str, tuple[int, ...]] = {
    "left": (5361, 4933, 5058, 5169, 5286),
    "right": (8079, 7669, 7794, 7905, 8022),
}
_HAND_JOINTS = {"left": ("left_wrist", *LEFT_HAND), "right": ("right_wrist", *RIGHT_HAND)}
NUM_BODY_POINTS = 144
# SOKE's evaluation: neck, shoulders, elbows, wrists, ears, eyes, nose, among the 144 joints that smplx returns.
BODY_JOINTS = JointSet("body", NUM_BODY_POINTS, (12, 16, 17, 18, 19, 20, 21, 59, 58, 57, 56, 55))
# Wrist, 15 finger joints, 5 fingertips.
HAND_JOINTS = JointSet("hand", 21, tuple(range(21)))
SMPLX_POINT_SETS = {"body": BODY_JOINTS, "left_hand": HAND_JOINTS, "right_hand": HAND_JOINTS}
(_HEAD,) = joint_indices(["head"])
_FRAMES_AT_ONCE = 64  # bounds the memory of skinning a whole mesh to some 100 MB


@dataclass(frozen=True)
class _Vertices:
    """The rows of the model that skinning a set of N vertices needs."""

    template: Tensor  # [N, 3]
    shape: Tensor  # [N, 3, betas]
    expression: Tensor  # [N, 3, E]
    correctives: Tensor | None  # [486, N * 3], None when they are all zero
    weights: Tensor  # [N, 55]


class BodyModel:
    """SMPL-X, a `Posed`. Joints are computed from the few vertices they need, the same numbers as from the whole mesh.

    Up to 100 expression coefficients are taken, as many as the file has columns for (UserError for more). Those that
    have no direction in it (of the stand-in: from the 40th on) and eyelids move nothing, which the log says once.

    file:           npz in the SMPL-X format
    name:           `smplx` or `stand-in`
    flat_hand_mean: False adds the model's mean hand pose to the finger rotations (smplx's default)
    betas:          [10] shape used for every motion; None uses each motion's own
    """

    unit = METRES
    point_sets = SMPLX_POINT_SETS

    def __init__(self, file: Path, name: str, flat_hand_mean: bool = False, betas: Tensor | None = None):
        import smplx

        self.file, self.name, self.flat_hand_mean, self.fixed_betas = Path(file), name, flat_hand_mean, betas
        self._still_named = False
        with contextlib.redirect_stdout(io.StringIO()):  # smplx prints about its gender
            model = smplx.SMPLX(
                str(file), gender="neutral", ext="npz", use_pca=False, use_face_contour=True,
                flat_hand_mean=flat_hand_mean, num_betas=10, num_expression_coeffs=100, dtype=torch.float32,
            )
        self._model = model.requires_grad_(False)
        self._parents: Tensor = model.parents.clone()  # stays on the CPU: smplx reads it joint by joint
        self._regressor: Tensor = model.J_regressor  # [55, V]
        self._joint_template = self._regressor @ model.v_template  # [55, 3]
        self._joint_shape = torch.einsum("jv,vck->jck", self._regressor, model.shapedirs)
        self._joint_expression = torch.einsum("jv,vck->jck", self._regressor, model.expr_dirs)

    @property
    def device(self) -> torch.device:
        return self.template.device

    @property
    def label(self) -> str:
        """The name with everything else that moves joints, for signatures: `stand-in,flat-hands`."""
        return ",".join([self.name, *["flat-hands"] * self.flat_hand_mean, *["own-betas"] * (self.fixed_betas is None)])

    @property
    def faces(self) -> Tensor:
        """[F, 3] vertex indices, counter-clockwise from outside."""
        return self._model.faces_tensor

    @property
    def weights(self) -> Tensor:
        """[V, 55] skinning weights."""
        return self._model.lbs_weights

    @property
    def template(self) -> Tensor:
        """[V, 3] the unposed mesh in metres, y up, facing +z."""
        return self._model.v_template

    @property
    def expression_directions(self) -> Tensor:
        """[V, 3, E] how far each expression coefficient moves the vertices, metres per unit."""
        return self._model.expr_dirs

    @cached_property
    def expressions(self) -> int:
        """How many expression coefficients there are, up to the last one that moves anything."""
        moves = self._model.expr_dirs.flatten(0, 1).any(dim=0).nonzero()
        return int(moves.max()) + 1 if len(moves) else 0

    @cached_property
    def hand_vertices(self) -> dict[str, Tensor]:
        """Vertices of each hand: those that the wrist and the fingers move by more than half."""
        return {
            side: (self.weights[:, joint_indices(joints)].sum(1) > 0.5).nonzero().squeeze(1)
            for side, joints in _HAND_JOINTS.items()
        }

    @cached_property
    def face_vertices(self) -> Tensor:
        """Vertices of the face: those that one of the first ten expression coefficients moves by more than 5 % of the
        furthest that any vertex moves."""
        moves = self._model.expr_dirs[..., :10].norm(dim=1).amax(dim=1)
        return (moves > 0.05 * moves.max()).nonzero().squeeze(1)

    @cached_property
    def head(self) -> Head:
        """See `Posed`."""
        return head_of(self.weights, self._regressor)

    @cached_property
    def colors(self) -> Tensor:
        """[V, 3] in 0..1: a dressed body; the stand-in names its lips and the inside of its mouth."""
        extra = self.file.parent.parent / "standin_extra.npz"
        marks = np.load(extra) if self.name == STAND_IN_NAME and extra.is_file() else {}
        return torch.from_numpy(
            clothed_colors(
                self.weights.cpu().numpy(), self.template.cpu().numpy(), marks.get("lips"), marks.get("mouth_interior")
            )
        )

    def track(self, motion: Motion | JointMotion, names: Collection[str] | None = None) -> dict[str, Tensor]:
        """See `Posed`; also of the point set `face`."""
        motion = self._own(motion)
        points = {
            "body": self.joints, "left_hand": lambda m: self.hand_joints(m, "left"),
            "right_hand": lambda m: self.hand_joints(m, "right"), "face": self.face_points,
        }
        return {name: points[name](motion) for name in (self.point_sets if names is None else names)}

    def surface(self, motion: Motion | JointMotion) -> Tensor:
        """[T, V, 3] metres."""
        return self.vertices(self._own(motion))

    def sticks(self, motion: Motion | JointMotion) -> None:
        """None: it has a surface."""

    def _own(self, motion: Motion | JointMotion) -> Motion:
        if isinstance(motion, JointMotion):
            raise ValueError(f"{self.name} poses rotations, the motion holds joint positions")
        self._name_what_stays_still(motion)
        return motion.to(self.device)

    def _name_what_stays_still(self, motion: Motion) -> None:
        """Logs, once, what of motions moves nothing of this body: eyelids, and coefficients without a direction."""
        if self._still_named:
            return
        known, lids, beyond = self.expressions, motion.eyelids, motion.expression[:, self.expressions :]
        if not (lids is not None and lids.any()) and not (beyond.shape[1] and beyond.any()):
            return
        self._still_named = True
        more = beyond.shape[1] > 0
        still = [*["eyelids"] * (lids is not None), *[f"expressions beyond {known}"] * more]
        log.warning(
            "the body model %s has no %s: those of the motions are neither scored nor shown", self.name,
            " and no ".join(still),
        )

    def to(self, device: torch.device | str) -> BodyModel:
        """Moves the model (in place) and returns it."""
        self._model.to(device)
        for name in ("_joint_template", "_joint_shape", "_joint_expression", "_regressor"):
            setattr(self, name, getattr(self, name).to(device))
        for name in ("_whole", "_landmarks", "_hands", "_face", "hand_vertices", "face_vertices", "head"):
            self.__dict__.pop(name, None)
        return self

    def vertices(self, motion: Motion) -> Tensor:
        """[T, V, 3] metres."""
        return self._in_chunks(motion, _FRAMES_AT_ONCE, len(self.template), lambda m: self._pose(m, self._whole)[0])

    def joints(self, motion: Motion) -> Tensor:
        """[T, 144, 3] metres: smplx's 55 joints, 21 chosen vertices, 51 facial landmarks, 17 of the face's contour."""
        return self._in_chunks(motion, 8 * _FRAMES_AT_ONCE, NUM_BODY_POINTS, self._joints_and_landmarks)

    def hand_joints(self, motion: Motion, side: Side) -> Tensor:
        """[T, 21, 3] metres: wrist and 15 finger joints regressed from the posed vertices, then 5 fingertips."""
        vertices, regressor = self._hands[side]
        return self._in_chunks(
            motion, 8 * _FRAMES_AT_ONCE, len(regressor), lambda m: regressor @ self._pose(m, vertices)[0]
        )

    def face_points(self, motion: Motion) -> Tensor:
        """[T, 1 + F, 3] metres: the head joint, then the vertices of the face."""

        def points(part: Motion) -> Tensor:
            skinned, joints = self._pose(part, self._face)
            return torch.cat([joints[:, _HEAD, None], skinned], dim=1)

        return self._in_chunks(motion, _FRAMES_AT_ONCE, 1 + len(self.face_vertices), points)

    def _in_chunks(self, motion: Motion, frames: int, points: int, compute: Callable[[Motion], Tensor]) -> Tensor:
        """`compute` over pieces of at most `frames` frames, joined to [T, points, 3]; in float32, whatever the context,
        for half precision moves points by millimetres."""
        starts = range(0, len(motion), frames)
        with torch.autocast(motion.rotations.device.type, enabled=False):
            results = [compute(motion.frames(slice(start, start + frames))) for start in starts]
        return torch.cat(results) if results else motion.rotations.new_zeros(0, points, 3)

    def _joints_and_landmarks(self, motion: Motion) -> Tensor:
        from smplx.lbs import find_dynamic_lmk_idx_and_bcoords, vertices2landmarks

        model, (selected, position) = self._model, self._landmarks
        skinned, joints = self._pose(motion, selected)
        contour, contour_weights = find_dynamic_lmk_idx_and_bcoords(
            skinned, self._full_pose(motion).flatten(1), model.dynamic_lmk_faces_idx, model.dynamic_lmk_bary_coords,
            model.neck_kin_chain,
        )
        frames = len(motion)
        triangles = torch.cat([model.lmk_faces_idx.expand(frames, -1), contour], dim=1)
        weights = torch.cat([model.lmk_bary_coords.expand(frames, -1, -1), contour_weights], dim=1)
        landmarks = vertices2landmarks(skinned, position[self.faces], triangles, weights)
        extra = skinned[:, position[model.vertex_joint_selector.extra_joints_idxs]]
        return torch.cat([joints, extra, landmarks], dim=1)

    @cached_property
    def _whole(self) -> _Vertices:
        return self._rows(torch.arange(len(self.template), device=self.template.device))

    @cached_property
    def _landmarks(self) -> tuple[_Vertices, Tensor]:
        """The vertices behind joints 55 to 143, and each mesh vertex's position among them (0 where it is none)."""
        model = self._model
        triangles = torch.cat([model.lmk_faces_idx.flatten(), model.dynamic_lmk_faces_idx.flatten()])
        ids = torch.cat([self.faces[triangles].flatten(), model.vertex_joint_selector.extra_joints_idxs]).unique()
        position = torch.zeros(len(self.template), dtype=torch.long, device=ids.device)
        position[ids] = torch.arange(len(ids), device=ids.device)
        return self._rows(ids), position

    @cached_property
    def _face(self) -> _Vertices:
        return self._rows(self.face_vertices)

    @cached_property
    def _hands(self) -> dict[str, tuple[_Vertices, Tensor]]:
        """Side -> the vertices that its 21 joints need, and the [21, N] matrix that makes joints of them."""
        hands = {}
        for side, joints in _HAND_JOINTS.items():
            rows = self._regressor[joint_indices(joints)]
            tips = torch.nn.functional.one_hot(torch.tensor(FINGERTIPS[side], device=rows.device), rows.shape[1])
            matrix = torch.cat([rows, tips.to(rows)])
            ids = matrix.any(dim=0).nonzero().squeeze(1)
            hands[side] = self._rows(ids), matrix[:, ids]
        return hands

    def _rows(self, ids: Tensor) -> _Vertices:
        model = self._model
        correctives = model.posedirs.unflatten(1, (-1, 3))[:, ids].flatten(1) if model.posedirs.any() else None
        return _Vertices(self.template[ids], model.shapedirs[ids], model.expr_dirs[ids], correctives, self.weights[ids])

    def _full_pose(self, motion: Motion) -> Tensor:
        return motion.rotations + self._model.pose_mean.view(-1, 3)

    @torch.no_grad()
    def _pose(self, motion: Motion, vertices: _Vertices) -> tuple[Tensor, Tensor]:
        """Skinned vertices [T, N, 3] and the 55 joints [T, 55, 3]."""
        from smplx.lbs import batch_rigid_transform, batch_rodrigues

        frames, expression = len(motion), motion.expression
        known = min(expression.shape[1], vertices.expression.shape[2])
        if expression[:, known:].any():
            raise UserError(
                f"{self.file} has {known} expression coefficients, the motion uses {expression.shape[1]}: "
                "put an SMPL-X file with 400 shape directions there"
            )
        betas = motion.betas if self.fixed_betas is None else self.fixed_betas.to(motion.betas)
        expression = expression[:, :known]

        def shaped(template: Tensor, shape: Tensor, moves: Tensor) -> Tensor:
            return template + shape @ betas + torch.einsum("nck,tk->tnc", moves[..., :known], expression)

        rest = shaped(vertices.template, vertices.shape, vertices.expression)  # [T, N, 3]
        joints = shaped(self._joint_template, self._joint_shape, self._joint_expression)  # [T, 55, 3]
        rotations = batch_rodrigues(self._full_pose(motion).reshape(-1, 3)).view(frames, NUM_JOINTS, 3, 3)
        if vertices.correctives is not None:
            feature = (rotations[:, 1:] - torch.eye(3, device=rotations.device)).flatten(1)
            rest = rest + (feature @ vertices.correctives).view(frames, -1, 3)
        posed, transforms = batch_rigid_transform(rotations, joints, self._parents)
        blended = (vertices.weights @ transforms[:, :, :3].flatten(2)).unflatten(2, (3, 4))  # [T, N, 3, 4]
        return (blended[..., :3] @ rest[..., None]).squeeze(-1) + blended[..., 3], posed


def load_body_model(root: Path, flat_hand_mean: bool = False, betas: Tensor | None = None) -> BodyModel:
    """The user's SMPL-X in `root`/smplx if there is one, else the stand-in body in `root`/stand_in.

    Raises UserError when neither is there.
    """
    licensed, stand_in = Path(root) / MODEL_FILE, Path(root) / STAND_IN / MODEL_FILE
    if licensed.is_file():
        return BodyModel(licensed, "smplx", flat_hand_mean, betas)
    if not stand_in.is_file():
        raise UserError(f"no body model: neither {licensed} nor {stand_in} exists; see deps/README.md")
    log.info("no SMPL-X model in %s: using the stand-in body, whose scores compare with no published ones", licensed)
    return BodyModel(stand_in, STAND_IN_NAME, flat_hand_mean, betas)
