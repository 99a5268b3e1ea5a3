"""Linear blend skinning of a mesh with blend shapes, on as many of its vertices as are needed."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from soke.body.joints import NUM_JOINTS


@dataclass(frozen=True)
class Directions:
    """A linear space of displacements, of the N vertices and of the joints: metres for a coefficient of 1.

    vertices: [N, 3, K]
    joints:   [55, 3, K]
    """

    vertices: Tensor
    joints: Tensor

    def displaced(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Of N vertices and of the joints: [N, 3] and [55, 3] for coefficients [K] of all frames, [T, N, 3] and
        [T, 55, 3] for [T, K]; of fewer than K coefficients, the first ones."""
        return _displaced(self.vertices, coefficients), _displaced(self.joints, coefficients)


def _displaced(directions: Tensor, coefficients: Tensor) -> Tensor:
    directions = directions[..., : coefficients.shape[-1]]
    if coefficients.ndim == 1:
        return directions @ coefficients
    return torch.einsum("nck,tk->tnc", directions, coefficients)


@dataclass(frozen=True)
class Skin:
    """A mesh of N vertices, or the rows of one, and the 55 joints that move it.

    template:    [N, 3] metres
    joints:      [55, 3] of the template
    directions:  name -> what its coefficients do
    correctives: [486, N * 3] of the pose, None where there are none
    weights:     [N, 55]
    """

    template: Tensor
    joints: Tensor
    directions: Mapping[str, Directions]
    correctives: Tensor | None
    weights: Tensor

    def rows(self, ids: Tensor) -> Skin:
        """The vertices `ids` alone, and all joints."""
        correctives = self.correctives
        return Skin(
            self.template[ids], self.joints,
            {name: Directions(each.vertices[ids], each.joints) for name, each in self.directions.items()},
            None if correctives is None else correctives.unflatten(1, (-1, 3))[:, ids].flatten(1), self.weights[ids],
        )

    def to(self, device: torch.device | str) -> Skin:
        return Skin(
            self.template.to(device), self.joints.to(device),
            {name: Directions(d.vertices.to(device), d.joints.to(device)) for name, d in self.directions.items()},
            None if self.correctives is None else self.correctives.to(device), self.weights.to(device),
        )

    @torch.no_grad()
    def pose(self, rotations: Tensor, coefficients: Mapping[str, Tensor], parents: Tensor) -> tuple[Tensor, Tensor]:
        """Skinned vertices [T, N, 3] and the 55 joints [T, 55, 3], metres.

        rotations:    [T, 55, 3] axis-angle
        coefficients: of some of the directions, [K] or [T, K]; added in their order
        parents:      [55], on the CPU, where smplx reads it joint by joint
        """
        from smplx.lbs import batch_rigid_transform, batch_rodrigues

        frames, rest, joints = len(rotations), self.template, self.joints
        for name, values in coefficients.items():
            moved, joints_moved = self.directions[name].displaced(values)
            rest, joints = rest + moved, joints + joints_moved
        rest, joints = rest.expand(frames, -1, -1), joints.expand(frames, -1, -1)
        matrices = batch_rodrigues(rotations.reshape(-1, 3)).view(frames, NUM_JOINTS, 3, 3)
        if self.correctives is not None:
            feature = (matrices[:, 1:] - torch.eye(3, device=matrices.device)).flatten(1)
            rest = rest + (feature @ self.correctives).view(frames, -1, 3)
        posed, transforms = batch_rigid_transform(matrices, joints, parents)
        blended = (self.weights @ transforms[:, :, :3].flatten(2)).unflatten(2, (3, 4))  # [T, N, 3, 4]
        return (blended[..., :3] @ rest[..., None]).squeeze(-1) + blended[..., 3], posed
