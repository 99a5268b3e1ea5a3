"""The files of a body model: the SMPL-X npz, the FLAME npz and the small files that other code expects beside them."""
from __future__ import annotations

import json
import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prepare.stand_in_body.anatomy import EYE_VERTICES, LEFT_HAND_REGION, RIGHT_HAND_REGION
from prepare.stand_in_body.face import write_face
from prepare.stand_in_body.rig import PARENTS
from soke.body.joints import SMPLX_JOINTS

# smplx takes a file for a full model only when it has room for this many; the rest is filled with zeros.
_NUM_SHAPE, _NUM_EXPRESSION = 300, 100
_NO_PARENT = 2**32 - 1

# Places of the fingertips in MANO's own order of vertices.
_MANO_TIPS = dict(thumb=744, index=320, middle=443, ring=554, pinky=671)

# Resting bend of the left fingers about their z axes, radians, first to last knuckle; the thumb turns about y.
_FINGER_BEND = {"index": (0.25, 0.45, 0.25), "middle": (0.3, 0.5, 0.3), "pinky": (0.4, 0.5, 0.3),
                "ring": (0.35, 0.5, 0.3)}
_THUMB_TURN = (-0.05, 0.1, 0.15)

_SEGMENT_OF_JOINT = {
    "pelvis": "hips", "spine1": "spine", "spine2": "spine1", "spine3": "spine2", "neck": "neck", "head": "head",
    "jaw": "head", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase", "collar": "Shoulder",
    "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand", "eye_smplhf": "Eye",
}


@dataclass(frozen=True)
class Body:
    """A body in SMPL-X's vertex order: V = 10475 vertices, E expression components."""

    vertices: np.ndarray  # [V, 3] metres
    faces: np.ndarray  # [F, 3]
    weights: np.ndarray  # [V, 55]
    joint_regressor: np.ndarray  # [55, V]
    shape: np.ndarray  # [S, V, 3] metres per standard deviation
    expression: np.ndarray  # [E, V, 3]
    landmarks: np.ndarray  # [51] vertex ids
    contour: np.ndarray  # [79, 17] vertex ids
    region: np.ndarray  # [V]
    mirror: np.ndarray  # [V]
    mouth_interior: np.ndarray  # [V] bool, the eye sockets too
    lips: np.ndarray  # [V] bool
    named_ids: dict[str, int]
    action_names: list[str]  # E
    action_to_expression: np.ndarray  # [E, E]


@dataclass(frozen=True)
class Head:
    """The head as a FLAME model: H = 5023 vertices."""

    ids: np.ndarray  # [H] in the body
    vertices: np.ndarray  # [H, 3]
    weights: np.ndarray  # [H, 5]
    joint_regressor: np.ndarray  # [5, H]
    shape: np.ndarray  # [S, H, 3]
    expression: np.ndarray  # [E, H, 3]


def write_all(out: Path, body: Body, head: Head) -> None:
    """Write every file under `out`, which is made if need be; each appears complete or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial_", dir=out) as name:
        partial = Path(name)
        (partial / "smplx").mkdir()
        (partial / "flame").mkdir()
        np.savez_compressed(partial / "smplx/SMPLX_NEUTRAL.npz", **_smplx_arrays(body))
        _write_flame(partial / "flame", body, head)
        _pickle(partial / "MANO_SMPLX_vertex_ids.pkl",
                dict(left_hand=_hand_ids(body, LEFT_HAND_REGION, "l"),
                     right_hand=_hand_ids(body, RIGHT_HAND_REGION, "r")))
        np.save(partial / "SMPL-X__FLAME_vertex_ids.npy", head.ids)
        (partial / "smplx_vert_segmentation.json").write_text(json.dumps(_segmentation(body.weights)))
        np.savez_compressed(
            partial / "standin_extra.npz", facial_action_labels=np.array(body.action_names),
            action_to_expression=body.action_to_expression.astype(np.float32), mirror=body.mirror, lips=body.lips,
            mouth_interior=body.mouth_interior, region=body.region, named=np.array(list(body.named_ids)),
            named_ids=np.array(list(body.named_ids.values())),
        )
        write_face(partial)
        for path in sorted(partial.rglob("*.*")):
            target = out / path.relative_to(partial)
            target.parent.mkdir(exist_ok=True)
            path.replace(target)


def _smplx_arrays(body: Body) -> dict[str, np.ndarray]:
    corner = _Corners(body.faces)
    landmark_faces, landmark_bary = corner.embed(body.landmarks)
    contour_faces, contour_bary = corner.embed(body.contour)
    mean_left = _resting_hand()
    components = _hand_components()
    # What curls the left fingers with -z curls the right ones with +z: y and z change sign, x does not.
    to_right = np.tile([1, -1, -1], 15)
    return dict(
        shapedirs=_blendshapes(body.shape, body.expression),
        v_template=body.vertices.astype(np.float32),
        f=body.faces.astype(np.uint32),
        weights=body.weights.astype(np.float32),
        J_regressor=body.joint_regressor.astype(np.float32),
        kintree_table=_kintree(PARENTS),
        posedirs=np.zeros((len(body.vertices), 3, 9 * (len(PARENTS) - 1)), np.float16),
        hands_componentsl=components.astype(np.float32),
        hands_componentsr=(components * to_right).astype(np.float32),
        hands_meanl=mean_left.astype(np.float32),
        hands_meanr=(mean_left * to_right).astype(np.float32),
        lmk_faces_idx=landmark_faces,
        lmk_bary_coords=landmark_bary.astype(np.float32),
        dynamic_lmk_faces_idx=contour_faces,
        dynamic_lmk_bary_coords=contour_bary.astype(np.float32),
    )


def _write_flame(folder: Path, body: Body, head: Head) -> None:
    row_of_id = np.full(len(body.vertices), -1)
    row_of_id[head.ids] = np.arange(len(head.ids))
    faces = row_of_id[body.faces]
    faces = faces[(faces >= 0).all(1)]
    parents = (-1, 0, 1, 1, 1)
    np.savez_compressed(
        folder / "FLAME_NEUTRAL.npz", v_template=head.vertices.astype(np.float32), f=faces.astype(np.uint32),
        weights=head.weights.astype(np.float32), J_regressor=head.joint_regressor.astype(np.float32),
        kintree_table=_kintree(parents),
        posedirs=np.zeros((len(head.ids), 3, 9 * (len(parents) - 1)), np.float16),
        shapedirs=_blendshapes(head.shape, head.expression),
    )
    corner = _Corners(faces)
    static_faces, static_bary = corner.embed(row_of_id[body.landmarks])
    _pickle(folder / "flame_static_embedding.pkl", dict(lmk_face_idx=static_faces, lmk_b_coords=static_bary))
    contour_faces, contour_bary = corner.embed(row_of_id[body.contour])
    np.save(folder / "flame_dynamic_embedding.npy", dict(lmk_face_idx=contour_faces, lmk_b_coords=contour_bary),
            allow_pickle=True)


class _Corners:
    """Vertices as points on faces, the form in which landmarks are stored: the first face that has the vertex."""

    def __init__(self, faces: np.ndarray) -> None:
        self._vertices, self._places = np.unique(faces, return_index=True)

    def embed(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Face ids `[...]` and barycentric coordinates `[..., 3]` of the vertices `ids` `[...]`."""
        places = self._places[np.searchsorted(self._vertices, ids)]
        return places // 3, np.eye(3)[places % 3]


def _blendshapes(shape: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """`shapedirs` `[V, 3, 400]`, half precision, which loses 0.03 mm at most."""
    directions = np.zeros((shape.shape[1], 3, _NUM_SHAPE + _NUM_EXPRESSION), np.float16)
    directions[:, :, :len(shape)] = shape.transpose(1, 2, 0)
    directions[:, :, _NUM_SHAPE:_NUM_SHAPE + len(expression)] = expression.transpose(1, 2, 0)
    return directions


def _kintree(parents: tuple[int, ...]) -> np.ndarray:
    return np.array([[p if p >= 0 else _NO_PARENT for p in parents], range(len(parents))], dtype=np.int64)


def _resting_hand() -> np.ndarray:
    """`hands_meanl` `[45]`: a relaxed left hand."""
    pose = np.zeros((5, 3, 3))
    for finger, bend in enumerate(_FINGER_BEND.values()):
        pose[finger, :, 2] = -np.array(bend)
    pose[4, :, 1] = _THUMB_TURN
    return pose.ravel()


def _hand_components() -> np.ndarray:
    """`hands_componentsl` `[45, 45]`, orthonormal rows: the first curls the four fingers together."""
    rows = np.eye(45)
    curl = np.zeros((15, 3))
    curl[:12, 2] = -1
    rows[0] = curl.ravel()
    components = np.linalg.qr(rows.T)[0].T
    return components * np.sign(components[0] @ rows[0])


def _hand_ids(body: Body, region: int, side: str) -> np.ndarray:
    """The body's ids of a hand's vertices `[778]`, with the fingertips where MANO has them."""
    ids = np.flatnonzero(body.region == region)
    for finger, place in _MANO_TIPS.items():
        now = np.flatnonzero(ids == body.named_ids[side + finger])[0]
        ids[[now, place]] = ids[[place, now]]
    return ids


def _segmentation(weights: np.ndarray) -> dict[str, list[int]]:
    """Name of a body segment -> its vertices, those that its joints move most."""
    strongest = weights.argmax(1)
    segments: dict[str, list[int]] = {}
    for j, joint in enumerate(SMPLX_JOINTS):
        side, _, part = joint.partition("_")
        if side in ("left", "right"):
            name = side + _SEGMENT_OF_JOINT.get(part, "HandIndex1")
        else:
            name = _SEGMENT_OF_JOINT[joint]
        segments.setdefault(name, []).extend(np.flatnonzero(strongest == j).tolist())
    segments["eyeballs"] = list(range(len(weights) - 2 * EYE_VERTICES, len(weights)))
    return {name: sorted(ids) for name, ids in segments.items()}


def _pickle(path: Path, content: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        pickle.dump(content, file)
