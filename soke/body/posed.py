"""Posed: what metrics and pictures know of a body model."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from soke.body.head import Head
from soke.body.motion import JointMotion, Motion
from soke.body.rig import Rig

METRES = "m"
WHOLE = "whole"  # point set of all joints
# Name of landmarks -> their point set, and their numbers in it: shoulders and wrists, left and right; lips, the middle of
# the inner edge of the upper and of the lower one; face, points all over it.
Landmarks = Mapping[str, tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class JointSet:
    """Joints of one part: all `total` of them are aligned, those in `scored` enter the error.

    part:   "body" or "hand", as it stands in signatures and tables
    total:  number of joints J of the arrays [T, J, 3]; joint 0 is the root (pelvis, or wrist)
    scored: indices into the J joints
    """

    part: str
    total: int
    scored: tuple[int, ...]

    @property
    def label(self) -> str:
        """As it stands in a signature, for example "12of144"."""
        return f"{len(self.scored)}of{self.total}"


@dataclass(frozen=True)
class Sticks:
    """Bones of T frames, y up, facing +z, in the unit of the body.

    starts, ends: [T, B, 3]
    colors:       [B, 3] in 0..1
    widths:       [B] thickness, in relation to the others'
    hands:        left_hand, right_hand, as far as there are -> [N] numbers of the bones of its fingers
    """

    starts: Tensor
    ends: Tensor
    colors: Tensor
    widths: Tensor
    hands: Mapping[str, Tensor]


class Posed(Protocol):
    """A body that motions pose. Points and surfaces are float32, on the body's device, whatever device a motion is on.

    label:         what moves its points, for signatures: `stand-in,flat-hands`
    unit:          of its points: `m`, or the name of another
    device:        where it computes
    point_sets:    name -> the joints that scores are taken over: body, left_hand, right_hand, as far as it has them
    landmarks:     of the point sets, as far as it has them
    whole:         the joints of a body that has no surface, or None; its point set `whole` holds all of them in their
                   order, whichever part they are of
    face_vertices: [F] vertices of the face, or None; its point set `face` holds the head joint, then these
    face_region:   name of that choice of vertices in signatures, "" for SMPL-X's
    hand_vertices: side -> [N] vertices of a hand; empty where there is no surface
    head:          the head of its surface, or None
    faces:         [F, 3] triangles of its surface, counter-clockwise from outside, or None
    colors:        [V, 3] in 0..1, what the surface wears, or None
    """

    label: str
    unit: str
    point_sets: Mapping[str, JointSet]
    landmarks: Landmarks
    whole: JointSet | None
    face_vertices: Tensor | None
    face_region: str
    hand_vertices: Mapping[str, Tensor]
    head: Head | None
    faces: Tensor | None
    colors: Tensor | None

    @property
    def device(self) -> torch.device: ...

    def to(self, device: torch.device | str) -> Posed:
        """Moves the body (in place) and returns it."""
        ...

    def track(self, motion: Motion | JointMotion, names: Collection[str] | None = None) -> dict[str, Tensor]:
        """Name of a point set -> [T, N, 3], its root first; of `names`, or of all. Nothing else is computed.

        Raises ValueError for a motion of the other kind.
        """
        ...

    def surface(self, motion: Motion | JointMotion) -> Tensor | None:
        """[T, V, 3] metres, y up, facing +z; None for a body without a surface."""
        ...

    def rig(self, motion: Motion | JointMotion) -> Rig | None:
        """The surface as a skinned figure, nearly; None for a body without a surface."""
        ...

    def sticks(self, motion: Motion | JointMotion) -> Sticks | None:
        """The bones, of a body that has no surface to show; else None."""
        ...
