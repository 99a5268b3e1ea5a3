"""FLAME's head on SMPL-X's body: which vertices are whose, and buffers of the body's size (M3T, appendix C)."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from soke.body.flame import Flame
from soke.errors import UserError

Place = Literal["eyes", "mean"]
# What of a ring of the neck is the body's, from the lowest ring up; above them all is the face's.
RING_SHARES = tuple(round(0.9 - 0.1 * ring, 1) for ring in range(9))
_KNOWN_EDGES = 0.5  # share of FLAME's edges that a body it belongs to has at least; triangulations differ
_FARTHEST = 0.03  # metres: median distance of a vertex of the head from the body's own


@dataclass(frozen=True)
class Graft:
    """How V vertices of a body take a head's H.

    ids:    [H] the body's vertices, in the head's order
    share:  [V] what of a vertex is the body's: 1 outside the head, `RING_SHARES` on the neck, 0 on the rest of the head
    moved:  [3] metres that the head is moved by
    """

    ids: np.ndarray
    share: np.ndarray
    moved: np.ndarray

    def blended(self, body: np.ndarray, head: np.ndarray) -> np.ndarray:
        """[V, ...] of the body and [H, ...] of the head -> [V, ...]; outside the head exactly the body's."""
        return self._of(self.share, body) * body + self.scattered(head)

    def scattered(self, head: np.ndarray) -> np.ndarray:
        """[H, ...] of the head -> [V, ...], faded out on the neck and zero outside the head."""
        buffer = np.zeros((len(self.share), *head.shape[1:]), np.float32)
        buffer[self.ids] = head
        return self._of(1 - self.share, buffer) * buffer

    @staticmethod
    def _of(share: np.ndarray, like: np.ndarray) -> np.ndarray:
        return share.reshape(-1, *[1] * (like.ndim - 1)).astype(np.float32)


def graft_of(
    template: np.ndarray, faces: np.ndarray, eyes: np.ndarray, flame: Flame, ids: np.ndarray, place: Place, source: str
) -> Graft:
    """The graft of FLAME's head on a body.

    template: [V, 3] of the body, metres
    faces:    [F, 3] of the body
    eyes:     [3] mid-point of its eye joints
    ids:      [5023] the body's vertices in FLAME's order
    place:    the head is moved so that its eyes are the body's, or by the mean distance of its vertices
    source:   file of the ids, for errors

    Raises UserError when the ids are of another body.
    """
    if ids.max() >= len(template):
        raise UserError(f"{source} names vertex {ids.max()} of a body of {len(template)}: it is of another model")
    known = np.isin(_codes(ids[edges_of(flame.faces)]), _codes(edges_of(faces))).mean()
    if known < _KNOWN_EDGES:
        raise UserError(
            f"{source} is of another model: only {known:.0%} of the edges of {flame.file} are edges of the body there"
        )
    moved = eyes - flame.eyes if place == "eyes" else (template[ids] - flame.template).mean(axis=0)
    off = np.median(np.linalg.norm(flame.template + moved - template[ids], axis=1))
    if off > _FARTHEST:
        raise UserError(
            f"the head of {flame.file} lies {100 * off:.1f} cm from the body's (median of its vertices), at most "
            f"{100 * _FARTHEST:.0f} cm are possible: it is in another unit or direction, or {source} is of another model"
        )
    share = np.ones(len(template))
    share[ids] = 0
    for ring, of_body in zip(neck_rings(flame), RING_SHARES):
        share[ids[ring]] = of_body
    return Graft(ids, share, moved)


def neck_rings(flame: Flame) -> list[np.ndarray]:
    """FLAME's vertices at 0, 1, … 8 edges from the lowest open border of its mesh, the neck's.

    A second border, inside the mouth, lies higher. Raises UserError for a head without a border.
    """
    faces, edges = flame.faces, edges_of(flame.faces)
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    codes, counts = np.unique(_codes(directed), return_counts=True)
    once = np.isin(_codes(edges), codes[counts == 1])
    border = edges[once]
    if not len(border):
        raise UserError(f"{flame.file} has no open border at the neck, where it could be joined to a body")
    lowest = np.unique(border)[flame.template[np.unique(border), 1].argmin()]
    ring = np.zeros(len(flame.template), bool)
    ring[lowest] = True
    while (grown := ring | _beside(ring, border)).sum() > ring.sum():
        ring = grown
    rings, seen = [ring], ring
    for _ in RING_SHARES[1:]:
        ring = _beside(ring, edges) & ~seen
        rings, seen = [*rings, ring], seen | ring
    return [np.flatnonzero(ring) for ring in rings]


def edges_of(faces: np.ndarray) -> np.ndarray:
    """[E, 2] edges of triangles [F, 3], each once, lesser vertex first."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _codes(pairs: np.ndarray) -> np.ndarray:
    """A number for each unordered pair of vertices."""
    low, high = pairs.min(axis=1).astype(np.int64), pairs.max(axis=1).astype(np.int64)
    return (low << 32) + high


def _beside(of: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Whether a vertex is joined to one of those that are marked, [V] each."""
    beside = np.zeros_like(of)
    beside[edges[of[edges[:, 0]], 1]] = True
    beside[edges[of[edges[:, 1]], 0]] = True
    return beside
