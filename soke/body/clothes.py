"""The colours that dress an SMPL-X body."""
from __future__ import annotations

from pathlib import Path

import numpy as np

# SMPL-X joint indices whose surface each garment covers; every joint not named here (neck, head, jaw, hands) is bare.
_TROUSERS = [0, 1, 2, 4, 5]  # pelvis, hips, knees
_SHOES = [7, 8, 10, 11]  # ankles, feet
_SHIRT = [3, 6, 9, 13, 14, 16, 17, 18, 19]  # spine, collars, shoulders, elbows: to the wrist
_BARE = sorted(set(range(55)) - set(_TROUSERS) - set(_SHOES) - set(_SHIRT))
_EYES = [23, 24]
_HEM = 4  # how sharply one garment ends: 1 fades as the skinning weights do, large follows the jagged mesh

_SKIN = (0.90, 0.71, 0.60)
_LIPS = (0.76, 0.45, 0.42)
_BROWS = (0.30, 0.20, 0.14)
_MOUTH = (0.42, 0.13, 0.13)
_SHIRT_COLOR = (0.16, 0.22, 0.34)  # dark and plain, as signers wear it, so that the hands stand out
_TROUSERS_COLOR = (0.24, 0.24, 0.26)
_SHOES_COLOR = (0.12, 0.11, 0.11)
_EYE_WHITE = (0.96, 0.96, 0.96)
_IRIS = (0.36, 0.24, 0.14)
_PUPIL = (0.02, 0.02, 0.02)
_TEETH = (0.93, 0.91, 0.86)
_IRIS_COSINE = np.cos(np.deg2rad(22.0))  # half-angles seen from the centre of the eyeball
_PUPIL_COSINE = np.cos(np.deg2rad(8.0))
_BROW_INSIDE, _BROW_OUTSIDE = 0.002, 0.006  # metres from the middle of an eyebrow, between which it fades


def clothed_colors(
    weights: np.ndarray,
    template: np.ndarray,
    lips: np.ndarray | None = None,
    mouth: np.ndarray | None = None,
    teeth: int = 0,
    brows: np.ndarray | None = None,
) -> np.ndarray:
    """Colours of a dressed SMPL-X body: dark shirt to the wrist, trousers, shoes, bare head and hands, eyes, eyebrows.

    weights: [V, 55] skinning weights in SMPL-X joint order; a vertex wears what its weights favour.
    template: [V, 3] rest pose, facing +z; tells the front of an eyeball, where the iris is.
    lips, mouth: vertices of the lips and of the inside of the mouth, numbers or [V] boolean, where the model names them.
    teeth: so many of the last vertices are teeth.
    brows: [2, N, 3] points along each eyebrow, metres: how they move is grammar, which bare skin hardly shows.
    Returns [V, 3] float32 in 0..1. Raises ValueError when the weights are not [V, 55] for the V of the template.
    """
    weights, template = np.asarray(weights), np.asarray(template)
    if weights.shape != (len(template), 55):
        raise ValueError(f"weights must be [{len(template)}, 55] as the template has, not {list(weights.shape)}")
    garments = [_BARE, _SHIRT, _TROUSERS, _SHOES]
    share = np.stack([weights[:, joints].sum(axis=1) for joints in garments], axis=1) ** _HEM  # [V, 4]
    share /= share.sum(axis=1, keepdims=True).clip(1e-12)
    colors = (share @ np.array([_SKIN, _SHIRT_COLOR, _TROUSERS_COLOR, _SHOES_COLOR])).astype(np.float32)
    if brows is not None:
        away = np.min([_distances(template, line) for line in brows], axis=0)
        hair = ((_BROW_OUTSIDE - away) / (_BROW_OUTSIDE - _BROW_INSIDE)).clip(0.0, 1.0)[:, None]
        colors = ((1.0 - hair) * colors + hair * np.array(_BROWS)).astype(np.float32)
    if lips is not None:
        colors[lips] = _LIPS
    if mouth is not None:
        colors[mouth] = _MOUTH
    for joint in _EYES:
        eye = np.flatnonzero(weights[:, joint] > 0.99)  # the ball itself; lids that follow the gaze weigh less
        if len(eye) == 0:
            continue
        outward = template[eye] - template[eye].mean(axis=0)
        cosine = outward[:, 2] / np.linalg.norm(outward, axis=1).clip(1e-9)
        colors[eye] = _EYE_WHITE
        colors[eye[cosine > _IRIS_COSINE]] = _IRIS
        colors[eye[cosine > _PUPIL_COSINE]] = _PUPIL
    if teeth:
        colors[-teeth:] = _TEETH
    return colors


def _distances(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """[V] how far points [V, 3] are from the nearest of the segments that join [N, 3]."""
    nearest = np.full(len(points), np.inf)
    for start, end in zip(line[:-1], line[1:]):
        along = end - start
        share = ((points - start) @ along / max(along @ along, 1e-12)).clip(0.0, 1.0)
        nearest = np.minimum(nearest, np.linalg.norm(points - start - share[:, None] * along, axis=1))
    return nearest


def worn_marks(model_file: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Vertices of the lips and of the inside of the mouth, which the stand-in body names beside its file; else None."""
    extra = model_file.parent.parent / "standin_extra.npz"
    if not extra.is_file():
        return None, None
    with np.load(extra, allow_pickle=False) as marks:
        return np.flatnonzero(marks["lips"]), np.flatnonzero(marks["mouth_interior"])
