"""What SMPL-X and the bodies made of it share: points and surfaces of a skinned mesh in SMPL-X's numbering."""
from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from soke.body.head import Head, head_of
from soke.body.joints import LEFT_HAND, RIGHT_HAND, joint_indices
from soke.body.motion import JointMotion, Motion
from soke.body.posed import METRES, JointSet, Landmarks
from soke.body.rig import Rig, rig_of
from soke.body.skinning import Skin

log = logging.getLogger(__name__)

Side = Literal["left", "right"]
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
_LIPS = (121, 125)  # iBUG's points 63 and 67 of the face, whose 18th is the first of the 68 landmarks
SMPLX_LANDMARKS: Landmarks = {
    "shoulders": ("body", (16, 17)), "wrists": ("body", (20, 21)), "lips": ("body", _LIPS),
    "face": ("body", tuple(range(76, NUM_BODY_POINTS))),
}
(_HEAD,) = joint_indices(["head"])
SLIGHT = 0.01  # coefficients up to so much are those of a model that has learnt zeros: nothing is said of them
_FRAMES_AT_ONCE = 64  # bounds the memory of skinning a whole mesh to some 100 MB


class SkinnedBody(ABC):
    """A `Posed` with SMPL-X's joints, numbering, landmarks and hands; what moves its skin is a subclass's.

    Joints are computed from the few vertices they need, the same numbers as from the whole mesh.

    file:           npz in the SMPL-X format
    name:           stands in signatures
    flat_hand_mean: False adds the model's mean hand pose to the finger rotations (smplx's default)
    betas:          [10] shape used for every motion; None uses each motion's own
    """

    unit = METRES
    face_region = ""
    point_sets = SMPLX_POINT_SETS
    landmarks = SMPLX_LANDMARKS
    whole: JointSet | None = None

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
        self._regressor: Tensor = model.J_regressor  # [55, 10475]
        self._skin = self._made_skin()

    @abstractmethod
    def _made_skin(self) -> Skin:
        """Of all vertices, from the model of the smplx package."""

    @abstractmethod
    def _coefficients(self, motion: Motion) -> Mapping[str, Tensor]:
        """Of the skin's directions, [K] or [T, K]. Raises UserError for what it cannot show."""

    @abstractmethod
    def _still(self, motion: Motion) -> list[str]:
        """What of a motion moves nothing of this body."""

    @property
    @abstractmethod
    def face_vertices(self) -> Tensor:
        """[F]"""

    @property
    @abstractmethod
    def colors(self) -> Tensor:
        """[V, 3] in 0..1"""

    @property
    def device(self) -> torch.device:
        return self.template.device

    @property
    def label(self) -> str:
        """The name with everything else that moves joints, for signatures: `stand-in,flat-hands`."""
        shape, parts = self.fixed_betas, [self.name, *["flat-hands"] * self.flat_hand_mean]
        if shape is None:
            parts.append("own-betas")
        elif shape.any():
            parts.append(f"betas-{hashlib.sha256(shape.cpu().float().numpy().tobytes()).hexdigest()[:8]}")
        return ",".join(parts)

    @property
    def faces(self) -> Tensor:
        """[F, 3] vertex indices, counter-clockwise from outside."""
        return self._model.faces_tensor

    @property
    def weights(self) -> Tensor:
        """[V, 55] skinning weights."""
        return self._skin.weights

    @property
    def template(self) -> Tensor:
        """[V, 3] the unposed mesh in metres, y up, facing +z."""
        return self._skin.template

    @property
    def expression_directions(self) -> Tensor:
        """[V, 3, E] how far each expression coefficient moves the vertices, metres per unit."""
        return self._skin.directions["expression"].vertices

    @cached_property
    def expressions(self) -> int:
        """How many expression coefficients there are, up to the last one that moves anything."""
        moves = self.expression_directions.flatten(0, 1).any(dim=0).nonzero()
        return int(moves.max()) + 1 if len(moves) else 0

    @cached_property
    def hand_vertices(self) -> dict[str, Tensor]:
        """Vertices of each hand: those that the wrist and the fingers move by more than half."""
        return {
            side: (self.weights[:, joint_indices(joints)].sum(1) > 0.5).nonzero().squeeze(1)
            for side, joints in _HAND_JOINTS.items()
        }

    @cached_property
    def head(self) -> Head:
        """See `Posed`."""
        return head_of(self.weights, self.template, self.expression_directions, self._skin.joints[_HEAD])

    @property
    def brows(self) -> Tensor:
        """[2, 5, 3] points along the eyebrows of the template, right and left: its first landmarks."""
        model = self._model
        corners = self.template[model.faces_tensor[model.lmk_faces_idx[:10]]]  # [10, 3, 3]
        return (corners * model.lmk_bary_coords[:10, :, None]).sum(dim=1).unflatten(0, (2, 5))

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

    def rig(self, motion: Motion | JointMotion) -> Rig:
        """The surface as a skinned figure."""
        motion = self._own(motion)
        return rig_of(
            self._skin, self._parents, self._full_pose(motion), self._coefficients(motion), self.faces, self.colors,
            motion.fps,
        )

    def _own(self, motion: Motion | JointMotion) -> Motion:
        if isinstance(motion, JointMotion):
            raise ValueError(f"{self.name} poses rotations, the motion holds joint positions")
        self._name_what_stays_still(motion)
        return motion.to(self.device).single()

    def _name_what_stays_still(self, motion: Motion) -> None:
        """Logs, once, what of motions moves nothing of this body."""
        still = [] if self._still_named else self._still(motion)
        if still:
            self._still_named = True
            log.warning(
                "the body model %s has no %s: those of the motions are neither scored nor shown", self.name,
                " and no ".join(still),
            )

    def to(self, device: torch.device | str) -> SkinnedBody:
        """Moves the model (in place) and returns it."""
        self._model.to(device)
        self._regressor, self._skin = self._regressor.to(device), self._skin.to(device)
        for name in ("_landmarks", "_hands", "_face", "hand_vertices", "face_vertices", "head"):
            self.__dict__.pop(name, None)
        return self

    def vertices(self, motion: Motion) -> Tensor:
        """[T, V, 3] metres."""
        return self._in_chunks(motion, _FRAMES_AT_ONCE, len(self.template), lambda m: self._pose(m, self._skin)[0])

    def joints(self, motion: Motion) -> Tensor:
        """[T, 144, 3] metres: smplx's 55 joints, 21 chosen vertices, 51 facial landmarks, 17 of the face's contour."""
        return self._in_chunks(motion, 8 * _FRAMES_AT_ONCE, NUM_BODY_POINTS, self._joints_and_landmarks)

    def hand_joints(self, motion: Motion, side: Side) -> Tensor:
        """[T, 21, 3] metres: wrist and 15 finger joints regressed from the posed vertices, then 5 fingertips."""
        skin, regressor = self._hands[side]
        return self._in_chunks(
            motion, 8 * _FRAMES_AT_ONCE, len(regressor), lambda m: regressor @ self._pose(m, skin)[0]
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

        model, (skin, position) = self._model, self._landmarks
        skinned, joints = self._pose(motion, skin)
        contour, contour_weights = find_dynamic_lmk_idx_and_bcoords(
            skinned, self._full_pose(motion).flatten(1), model.dynamic_lmk_faces_idx, model.dynamic_lmk_bary_coords,
            model.neck_kin_chain,
        )
        frames = len(motion)
        triangles = torch.cat([model.lmk_faces_idx.expand(frames, -1), contour], dim=1)
        weights = torch.cat([model.lmk_bary_coords.expand(frames, -1, -1), contour_weights], dim=1)
        landmarks = vertices2landmarks(skinned, position[model.faces_tensor], triangles, weights)
        extra = skinned[:, position[model.vertex_joint_selector.extra_joints_idxs]]
        return torch.cat([joints, extra, landmarks], dim=1)

    @cached_property
    def _landmarks(self) -> tuple[Skin, Tensor]:
        """The vertices behind joints 55 to 143, and each of SMPL-X's vertices' position among them (0 where it is
        none)."""
        model = self._model
        triangles = torch.cat([model.lmk_faces_idx.flatten(), model.dynamic_lmk_faces_idx.flatten()])
        corners = model.faces_tensor[triangles].flatten()
        ids = torch.cat([corners, model.vertex_joint_selector.extra_joints_idxs]).unique()
        position = torch.zeros(len(model.v_template), dtype=torch.long, device=ids.device)
        position[ids] = torch.arange(len(ids), device=ids.device)
        return self._skin.rows(ids), position

    @cached_property
    def _face(self) -> Skin:
        return self._skin.rows(self.face_vertices)

    @cached_property
    def _hands(self) -> dict[str, tuple[Skin, Tensor]]:
        """Side -> the vertices that its 21 joints need, and the [21, N] matrix that makes joints of them."""
        hands = {}
        for side, joints in _HAND_JOINTS.items():
            rows = self._regressor[joint_indices(joints)]
            tips = torch.nn.functional.one_hot(torch.tensor(FINGERTIPS[side], device=rows.device), rows.shape[1])
            matrix = torch.cat([rows, tips.to(rows)])
            ids = matrix.any(dim=0).nonzero().squeeze(1)
            hands[side] = self._skin.rows(ids), matrix[:, ids]
        return hands

    def _full_pose(self, motion: Motion) -> Tensor:
        return motion.rotations + self._model.pose_mean.view(-1, 3)

    def _pose(self, motion: Motion, skin: Skin) -> tuple[Tensor, Tensor]:
        """Skinned vertices [T, N, 3] and the 55 joints [T, 55, 3]."""
        return skin.pose(self._full_pose(motion), self._coefficients(motion), self._parents)

    def _betas(self, motion: Motion) -> Tensor:
        return motion.betas if self.fixed_betas is None else self.fixed_betas.to(motion.betas)
