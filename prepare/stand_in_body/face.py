"""What SMPL-FX needs of a FLAME-format head besides the model: eyelids, and two rings of vertices round the mouth."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.optimize

_NUM_SHAPE = 300  # directions of shape in front of those of expression
_BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
_RING = 15
_WIDTH = 0.9  # of the lips, that the rings span
_SEEN = 5  # vertices in the middle of a lip, from its border to where it turns inwards
_STILL = 5e-5  # metres: what a blink moves by less, it does not move


def write_face(folder: Path) -> None:
    """Writes `flame/l_eyelid.npy`, `flame/r_eyelid.npy` and `flame/lip_rings.npz` of the stand-in body in `folder`."""
    with np.load(folder / "flame/FLAME_NEUTRAL.npz", allow_pickle=False) as file:
        flame = {name: file[name] for name in ("v_template", "shapedirs", "weights")}
    with np.load(folder / "standin_extra.npz", allow_pickle=False) as file:
        extra = {name: file[name] for name in file.files}
    ids = np.load(folder / "SMPL-X__FLAME_vertex_ids.npy")
    for name, lid in zip(("l_eyelid.npy", "r_eyelid.npy"), eyelids(flame["shapedirs"], extra)):
        np.save(folder / "flame" / name, lid)
    upper, lower = lip_rings(flame["v_template"], flame["weights"], extra["lips"][ids], _mirror(extra["mirror"], ids))
    np.savez_compressed(folder / "flame/lip_rings.npz", upper=upper, lower=lower)


def eyelids(directions: np.ndarray, extra: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Displacement `[H, 3]` float32 of each eye's blink, which closes it.

    directions: `[H, 3, 400]`. extra: names of the facial actions and their coefficients.
    """
    labels, coefficients = list(extra["facial_action_labels"]), extra["action_to_expression"]
    lids = []
    for blink in _BLINKS:
        own = coefficients[labels.index(blink)]
        lid = directions[:, :, _NUM_SHAPE:_NUM_SHAPE + len(own)].astype(np.float64) @ own
        lid[np.linalg.norm(lid, axis=1) < _STILL] = 0
        lids.append(lid.astype(np.float32))
    return lids


def lip_rings(vertices: np.ndarray, weights: np.ndarray, lips: np.ndarray,
              mirror: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices `[15]` along the upper and the lower lip, outside, from the right corner of the mouth to the left one.

    vertices: `[H, 3]`. weights: `[H, 5]`. lips: `[H]` bool. mirror: `[H]`. Both rings are their own mirror images.
    """
    left = lips & (vertices[:, 0] > -1e-4)
    corner = vertices[np.flatnonzero(left)[vertices[left, 0].argmax()]]
    way = np.linspace(0, _WIDTH, _RING // 2 + 1)[:, None]  # from the middle to the corner
    rings = []
    for upper in (True, False):
        own = np.flatnonzero(left & ((weights[:, 2] < 0.5) == upper))  # the lower one follows the jaw
        column = own[vertices[own, 0] < 1e-3]
        seen = column[np.argsort(vertices[column, 2])][-_SEEN:]
        middle = vertices[seen[np.argsort(vertices[seen, 1])][_SEEN // 2]]
        wanted = middle + (corner - middle) * np.hstack([way, way, way**2])  # [8, 3]: lips curve back at their ends
        distance = np.linalg.norm(vertices[own] - wanted[:, None], axis=2)
        half = own[scipy.optimize.linear_sum_assignment(distance)[1]]
        half = half[np.argsort(vertices[half, 0])]
        rings.append(np.array([*mirror[half[:0:-1]], *half]))
    return rings[0], rings[1]


def _mirror(of_body: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """`[H]` the head's vertex on the other side. of_body: `[V]` the same of the body. ids: `[H]`."""
    row = np.full(len(of_body), -1)
    row[ids] = np.arange(len(ids))
    return row[of_body[ids]]
