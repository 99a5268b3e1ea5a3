"""A rig: a skinned figure of one clip, in the form in which glTF, game engines and web viewers take one."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from soke.body.joints import SMPLX_JOINTS
from soke.body.skinning import Directions, Skin

INFLUENCES = 4  # joints that move a vertex, which is what formats and engines take
STILL = 5e-5  # metres: what moves no vertex farther than that in a clip is left out
_FRAMES_AT_ONCE = 64
_POSES = 16  # of a clip, in which joints are compared
_CANDIDATES = 8  # joints of a vertex that are compared, the strongest


@dataclass(frozen=True)
class Morph:
    """What one coefficient of the face does, added to the vertices before the joints move them.

    name:       of the coefficient, from 0: `expression_003`, `eyelids_001`
    vertices:   [N] which it moves
    directions: [N, 3] metres for a weight of 1
    weights:    [T] the coefficient in each frame
    """

    name: str
    vertices: Tensor
    directions: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Rig:
    """A skinned figure of T frames, V vertices and J joints: metres, y up, facing +z, on the CPU.

    It differs from the exact surface in three things: pose correctives are lost, a vertex that more than four joints
    move follows four of them, and a face that moves joints moves the vertices with them before the joints turn them.
    The joints are exact. Of the stand-in bodies, which have no correctives, in signing no vertex is off by more than
    3 mm, and they are by less than 0.05 mm on average; `deviation` measures any clip of any body.

    vertices:     [V, 3] at rest, in the clip's shape
    faces:        [F, 3] counter-clockwise from outside
    colors:       [V, 3] in 0..1
    joints:       J names
    parents:      J numbers, each before its children; -1 of the root
    rest_joints:  [J, 3] of the vertices at rest
    influences:   [V, 4] joints that move a vertex, strongest first
    weights:      [V, 4] of these, sum 1: in clips of one body the same but for vertices that more joints move
    rotations:    [T, J, 4] unit quaternions (x, y, z, w), relative to the parent, without leaps of sign
    translations: [T, J, 3] place in the parent's frame; constant but for joints that the face moves
    morphs:       coefficients of the face that move anything in this clip
    fps:          frames per second
    """

    vertices: Tensor
    faces: Tensor
    colors: Tensor
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    rest_joints: Tensor
    influences: Tensor
    weights: Tensor
    rotations: Tensor
    translations: Tensor
    morphs: tuple[Morph, ...]
    fps: float

    def __len__(self) -> int:
        return len(self.rotations)

    def transforms(self) -> tuple[Tensor, Tensor]:
        """Of every joint in the figure's space: quaternions [T, J, 4] (x, y, z, w), and places [T, J, 3]."""
        return _transforms(self.rotations, self.translations, self.parents)

    def surface(self) -> Tensor:
        """[T, V, 3] as a program that plays the rig shows it."""
        moves = _moves(*self.transforms(), self.rest_joints)
        of_joint = torch.zeros(len(self.vertices), len(self.joints)).scatter_add_(1, self.influences, self.weights)
        found = self.vertices.repeat(len(self), 1, 1)
        for morph in self.morphs:
            found[:, morph.vertices] += morph.weights[:, None, None] * morph.directions
        for start in range(0, len(self), _FRAMES_AT_ONCE):
            frames = slice(start, start + _FRAMES_AT_ONCE)
            blended = (of_joint @ moves[frames].flatten(2)).unflatten(2, (3, 4))  # [T, V, 3, 4]
            found[frames] = (blended[..., :3] @ found[frames, :, :, None]).squeeze(-1) + blended[..., 3]
        return found

    def deviation(self, exact: Tensor) -> tuple[float, float]:
        """How far the vertices are from those of the exact surface [T, V, 3]: at most and on average, metres."""
        off = (self.surface() - exact.cpu()).norm(dim=2)
        return float(off.max()), float(off.mean())


def rig_of(
    skin: Skin, parents: Tensor, rotations: Tensor, coefficients: Mapping[str, Tensor], faces: Tensor, colors: Tensor,
    fps: float,
) -> Rig:
    """The rig of a skin as `Skin.pose` poses it; its arguments are those, and the surface's faces and colours."""
    import roma

    skin, rotations = skin.to("cpu"), rotations.cpu()
    coefficients = {name: values.cpu() for name, values in coefficients.items()}
    rest, joints = skin.template, skin.joints
    moving = {}
    for name, values in coefficients.items():
        if values.ndim == 1:  # the clip's shape
            moved, joints_moved = skin.directions[name].displaced(values)
            rest, joints = rest + moved, joints + joints_moved
        else:
            moving[name] = values
    places = joints.expand(len(rotations), -1, -1)  # of the joints at rest, with the face of each frame
    for name, values in moving.items():
        places = places + skin.directions[name].displaced(values)[1]
    parents = (-1, *parents[1:].tolist())
    translations = torch.cat([places[:, :1], places[:, 1:] - places[:, parents[1:]]], dim=1)
    turned = _continuous(roma.rotvec_to_unitquat(rotations))
    kept = _kept(skin.weights, rest, _moves(*_transforms(turned, translations, parents), joints))
    weights, influences = kept.topk(INFLUENCES, dim=1)
    return Rig(
        rest, faces.cpu(), colors.cpu(), SMPLX_JOINTS, parents, joints, influences, weights, turned, translations,
        tuple(morph for name, values in moving.items() for morph in _morphs(skin.directions[name], name, values, kept)),
        fps,
    )


def _transforms(rotations: Tensor, translations: Tensor, parents: Sequence[int]) -> tuple[Tensor, Tensor]:
    """As `Rig.transforms`."""
    import roma

    turned, placed = [rotations[:, 0]], [translations[:, 0]]
    for joint, parent in enumerate(parents[1:], start=1):
        placed.append(placed[parent] + roma.quat_action(turned[parent], translations[:, joint]))
        turned.append(roma.quat_product(turned[parent], rotations[:, joint]))
    return torch.stack(turned, dim=1), torch.stack(placed, dim=1)


def _moves(turned: Tensor, placed: Tensor, rest_joints: Tensor) -> Tensor:
    """[T, J, 3, 4]: what each joint does to a point at rest."""
    import roma

    matrices = roma.unitquat_to_rotmat(turned)  # [T, J, 3, 3]
    return torch.cat([matrices, (placed - (matrices @ rest_joints[..., None])[..., 0])[..., None]], dim=3)


def _kept(weights: Tensor, rest: Tensor, moves: Tensor) -> Tensor:
    """Weights [V, 55] of at most four joints a vertex: where there are more, one after another is given to another one
    that takes the vertex to nearly the same places in this clip, the one that matters least first.

    rest:  [V, 3]
    moves: [T, 55, 3, 4], see `_moves`
    """
    counts = (weights > 0).sum(dim=1)
    many, most = (counts > INFLUENCES).nonzero().squeeze(1), min(int(counts.max()), _CANDIDATES)
    values, joints = weights[many].topk(most, dim=1)  # [N, most]; zeros, of vertices with fewer, matter least
    values = values / values.sum(dim=1, keepdim=True)
    of_joint = moves[:: max(1, len(moves) // _POSES), joints]  # [T, N, most, 3, 4]
    taken = (of_joint[..., :3] @ rest[many, None, :, None]).squeeze(-1) + of_joint[..., 3]
    apart = (taken[:, :, :, None] - taken[:, :, None]).square().sum(-1).sum(0).sqrt()  # [N, most, most]
    rows, gone = torch.arange(len(many)), torch.eye(most, dtype=torch.bool).repeat(len(many), 1, 1)
    for _ in range(most - INFLUENCES):
        cost = (values[..., None] * apart).masked_fill(gone, torch.inf)
        cheapest = cost.flatten(1).argmin(dim=1)
        given, taker = cheapest // most, cheapest % most
        values[rows, taker] += values[rows, given]
        values[rows, given] = 0
        gone[rows, given], gone[rows, :, given] = True, True
    return weights.index_copy(0, many, torch.zeros_like(weights[many]).scatter_(1, joints, values))


def _morphs(directions: Directions, name: str, values: Tensor, weights: Tensor) -> list[Morph]:
    """Of coefficients [T, K]: without what the joints, which the face moves too, already move the vertices.

    weights: [V, 55] of what moves each vertex
    """
    known = min(values.shape[1], directions.vertices.shape[2])
    most = values[:, :known].abs().amax(dim=0) if len(values) else values.new_zeros(known)
    used = most.nonzero().squeeze(1)
    carried = (weights @ directions.joints[..., used].flatten(1)).unflatten(1, (3, -1))
    moves = directions.vertices[..., used] - carried  # [V, 3, K']
    moved = most[used] * moves.norm(dim=1) > STILL  # [V, K']
    return [
        Morph(f"{name}_{used[i]:03d}", moved[:, i].nonzero().squeeze(1), moves[moved[:, i], :, i], values[:, used[i]])
        for i in moved.any(dim=0).nonzero().flatten().tolist()
    ]


def _continuous(quaternions: Tensor) -> Tensor:
    """[T, J, 4] with signs such that neighbouring frames are near: q and -q are one rotation, which programs that
    interpolate between frames take for two."""
    if not len(quaternions):
        return quaternions
    turns = (quaternions[1:] * quaternions[:-1]).sum(dim=-1).sign()
    turns = torch.where(turns == 0, 1.0, turns).cumprod(dim=0)
    return torch.cat([quaternions[:1], quaternions[1:] * turns[..., None]])
