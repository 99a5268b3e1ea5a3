"""Fewer vertices by half-edge collapse: those that stay keep their place, hence their weights and blendshapes."""
from __future__ import annotations

import heapq

import numpy as np

_SHORT_EDGES_FIRST = 2e-3  # weight of the fourth power of the edge length beside the quadric error
_MAX_VALENCE = 12
_MIN_NORMAL_COSINE = 0.3  # a collapse may not turn a face further than this
_MIN_FACE_QUALITY = 0.08  # twice the area over the longest squared edge


class _CollapsingMesh:
    """A triangle mesh that shrinks, with one error quadric per vertex (Garland and Heckbert 1997)."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, region: np.ndarray, protected: np.ndarray,
                 importance: np.ndarray) -> None:
        self.vertices, self.region, self.protected, self.importance = vertices, region, protected, importance
        self.faces = {i: tuple(face) for i, face in enumerate(faces.tolist())}
        self.alive = np.ones(len(vertices), bool)
        self.version = np.zeros(len(vertices), int)
        self.faces_of: list[set[int]] = [set() for _ in vertices]
        for i, face in self.faces.items():
            for v in face:
                self.faces_of[v].add(i)
        corners = vertices[faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        areas = np.linalg.norm(normals, axis=1)
        solid = areas > 1e-14
        units = normals[solid] / areas[solid, None]
        planes = np.concatenate([units, -(units * corners[solid, 0]).sum(1, keepdims=True)], 1)
        quadrics = planes[:, :, None] * planes[:, None] * areas[solid, None, None]
        self.quadrics = np.zeros((len(vertices), 4, 4))
        np.add.at(self.quadrics, faces[solid].ravel(), np.repeat(quadrics, 3, 0))

    def neighbours(self, v: int) -> set[int]:
        return {w for i in self.faces_of[v] for w in self.faces[i]} - {v}

    def cost(self, u: int, v: int) -> float:
        """The price of moving `u` onto `v`."""
        point = np.append(self.vertices[v], 1.0)
        edge = self.vertices[u] - self.vertices[v]
        error = max(point @ (self.quadrics[u] + self.quadrics[v]) @ point, 0)
        return (error + _SHORT_EDGES_FIRST * (edge @ edge) ** 2) * self.importance[u]

    def allowed(self, u: int, v: int) -> bool:
        """Whether moving `u` onto `v` keeps the mesh closed, its regions apart, its faces upright and not too thin."""
        if not (self.alive[u] and self.alive[v]) or self.protected[u] or self.region[u] != self.region[v]:
            return False
        around_u, around_v = self.neighbours(u), self.neighbours(v)
        shared = around_u & around_v
        if len(shared) != 2 or any(len(self.faces_of[w]) <= 4 for w in shared):
            return False
        if len(around_u | around_v) - 4 > _MAX_VALENCE:
            return False
        return all(self._stays_good(self.faces[i], u, v) for i in self.faces_of[u] if v not in self.faces[i])

    def _stays_good(self, face: tuple[int, ...], u: int, v: int) -> bool:
        moved = [v if w == u else w for w in face]
        before, after = self._normal(face), self._normal(moved)
        size_before, size_after = np.linalg.norm(before), np.linalg.norm(after)
        if size_after < 1e-12:
            return False
        if size_before > 1e-12 and before @ after < _MIN_NORMAL_COSINE * size_before * size_after:
            return False
        corners = self.vertices[moved]
        longest = ((corners - np.roll(corners, 1, 0)) ** 2).sum(1).max()
        return size_after / longest >= _MIN_FACE_QUALITY

    def _normal(self, face: tuple[int, ...] | list[int]) -> np.ndarray:
        a, b, c = self.vertices[list(face)]
        return np.cross(b - a, c - a)

    def collapse(self, u: int, v: int) -> None:
        for i in list(self.faces_of[u]):
            face = self.faces[i]
            if v in face:
                for w in face:
                    self.faces_of[w].discard(i)
                del self.faces[i]
            else:
                self.faces[i] = tuple(v if w == u else w for w in face)
                self.faces_of[v].add(i)
        self.faces_of[u].clear()
        self.alive[u] = False
        self.quadrics[v] += self.quadrics[u]
        self.version[v] += 1


def decimate(vertices: np.ndarray, faces: np.ndarray, region: np.ndarray, targets: dict[int, int],
             protected: np.ndarray, importance: np.ndarray, mirror: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Remove vertices in mirrored pairs, cheapest first, until every region has exactly its target number.

    vertices: `[n, 3]` metres. faces: `[F, 3]`.
    region: `[n]` label per vertex; vertices collapse only inside their region.
    targets: number of vertices wanted per region.
    protected: `[n]` vertices that stay.
    importance: `[n]` factor on the cost of removing a vertex.
    mirror: `[n]` the vertex on the other side; itself on the midline.

    Returns `alive` `[n]` bool, and the faces that are left `[G, 3]` in the old numbering.
    Raises RuntimeError when no collapse is left before a target is reached.

    Sequential by nature: every collapse changes the costs around it, hence a heap and no array code.
    """
    mesh = _CollapsingMesh(vertices, faces, region, protected, importance)
    surplus = {r: int((region == r).sum()) - target for r, target in targets.items()}
    heap: list[tuple[float, int, int, int, int]] = []

    def push(u: int) -> None:
        if not protected[u]:
            for v in mesh.neighbours(u):
                if region[u] == region[v]:
                    heapq.heappush(heap, (mesh.cost(u, v), u, v, mesh.version[u], mesh.version[v]))

    def collapse(u: int, v: int) -> None:
        mesh.collapse(u, v)
        surplus[region[u]] -= 1
        for w in mesh.neighbours(v) | {v}:
            push(w)

    for u in range(len(vertices)):
        push(u)
    while heap and any(surplus.values()):
        _, u, v, version_u, version_v = heapq.heappop(heap)
        if not (mesh.alive[u] and mesh.alive[v]) or (mesh.version[u], mesh.version[v]) != (version_u, version_v):
            continue
        twin, target = mirror[u], mirror[v]
        removed = [region[u]] if twin == u else [region[u], region[twin]]
        if any(removed.count(r) > surplus.get(r, 0) for r in removed) or not mesh.allowed(u, v):
            continue
        if twin == u:
            if target == v:
                collapse(u, v)
            continue
        if not mesh.allowed(twin, target) or (target != v and twin in mesh.neighbours(u)):
            continue
        collapse(u, v)
        if not mesh.allowed(twin, target):
            raise RuntimeError(f"removing vertex {u} forbids removing its mirror image {twin}")
        collapse(twin, target)
    if any(surplus.values()):
        raise RuntimeError(f"decimation stopped early, vertices still to remove per region: {surplus}")
    return mesh.alive, np.array([mesh.faces[i] for i in sorted(mesh.faces)])
