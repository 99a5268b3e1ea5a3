"""MotionLayout: which numbers of a motion each part of a tokenizer sees. The only table of feature positions."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Collection, Mapping, Sequence, get_args

import torch
from torch import Tensor

from soke.body.joints import joint_indices, mirrored_name, next_towards_root
from soke.body.motion import JointMotion, Motion
from soke.body.rotations import axis_angle_from_6d, axis_angle_to_6d, mirror_axis_angle
from soke.body.settings import POSITIONS, RotationForm


@dataclass(frozen=True)
class PartSpec:
    """One part of the body. Its features are, in this order: joints, jaw, expression, eyelids.

    name:       unique in its layout
    joints:     SMPL-X joint names
    jaw:        whether the jaw's rotation belongs to it
    expression: how many expression coefficients belong to it
    eyelids:    whether the two eyelid coefficients belong to it
    rotation:   how rotations are written: 3 numbers (axis-angle) or 6; or position: the joints are those of a
                `JointMotion`, 3 coordinates each; or offset: the same from the layout's next joint towards the root
    mirrors:    name of the part whose tokenizer this one shares, its features mirrored; its joints are then the
                other side's joints in the same order
    """

    name: str
    joints: tuple[str, ...]
    jaw: bool = False
    expression: int = 0
    eyelids: bool = False
    rotation: RotationForm = "axis_angle"
    mirrors: str | None = None

    @property
    def rotated_joints(self) -> tuple[str, ...]:
        return (*self.joints, "jaw") if self.jaw else self.joints

    @property
    def sees(self) -> frozenset[str]:
        """Names of its joints, and `expression` and `eyelids` where they belong to it."""
        extra = {"expression": self.expression > 0, "eyelids": self.eyelids}
        return frozenset(self.rotated_joints) | {name for name, seen in extra.items() if seen}

    @property
    def per_joint(self) -> int:
        return 6 if self.rotation == "6d" else 3

    @property
    def size(self) -> int:
        """Number of features per frame, D."""
        return self.per_joint * len(self.rotated_joints) + self.expression + 2 * self.eyelids


class MotionLayout:
    """The ordered parts of a body. Raises ValueError for parts that contradict each other.

    `covered(m)` is `m` on everything the layout covers and zero elsewhere; `motion` is the inverse of `features`.
    """

    def __init__(self, parts: Sequence[PartSpec]):
        self.parts = tuple(parts)
        by_name = {part.name: part for part in self.parts}
        if len(by_name) != len(self.parts) or not self.parts:
            raise ValueError("a layout needs at least one part, and parts of different names")
        claims = Counter(joint for part in self.parts for joint in part.rotated_joints)
        claims["expression"] = sum(part.expression > 0 for part in self.parts)
        claims["eyelids"] = sum(part.eyelids for part in self.parts)
        if max(claims.values()) > 1:
            raise ValueError(f"{claims.most_common(1)[0][0]} belongs to two parts")
        if len({part.rotation in POSITIONS for part in self.parts}) > 1:
            raise ValueError("positions and rotations cannot be mixed in one layout")
        for part in self.parts:
            if part.rotation not in get_args(RotationForm):
                raise ValueError(
                    f"part {part.name}: rotation must be {', '.join(get_args(RotationForm))}, not {part.rotation}"
                )
            if part.rotation in POSITIONS:
                if part.jaw or part.expression or part.eyelids or part.mirrors:
                    raise ValueError("a part of positions has neither jaw, expression, eyelids nor mirrored part")
                continue
            joint_indices(part.joints)
            if part.mirrors is not None:
                original = by_name.get(part.mirrors)
                if original is None or original.mirrors is not None:
                    raise ValueError(f"part {part.name} mirrors {part.mirrors}, which is no part of its own")
                joints = tuple(mirrored_name(joint) for joint in part.joints)
                if replace(part, name=original.name, joints=joints, mirrors=None) != original:
                    raise ValueError(
                        f"part {part.name} does not hold the mirrored joints of {part.mirrors}, in the same form, and "
                        "nothing else"
                    )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    @property
    def sizes(self) -> dict[str, int]:
        """Part name -> features per frame."""
        return {part.name: part.size for part in self.parts}

    @property
    def distinct(self) -> dict[str, str]:
        """Part name -> name of the part whose tokenizer it uses (itself, unless it mirrors another)."""
        return {part.name: part.mirrors or part.name for part in self.parts}

    @property
    def covers(self) -> set[str]:
        """Names of the joints that some part sees, and `expression` and `eyelids` where one does."""
        return {name for part in self.parts for name in part.sees}

    @cached_property
    def hash(self) -> str:
        """12 hex digits that change with anything that changes the features."""
        text = json.dumps([asdict(part) for part in self.parts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def of_positions(self) -> bool:
        """Whether its motions are `JointMotion`s."""
        return self.parts[0].rotation in POSITIONS

    @cached_property
    def origins(self) -> dict[str, str]:
        """Joint of a part of offsets -> the joint that its coordinates are from, whose own origin comes before it. A joint
        whose chain to the root the layout does not have, as the root's own, keeps its position."""
        joints = self.joints
        found = {
            joint: origin for part in self.parts if part.rotation == "offset" for joint in part.joints
            for origin in [next_towards_root(joint, joints)] if origin is not None
        }

        def depth(joint: str) -> int:
            return 1 + depth(found[joint]) if joint in found else 0

        return {joint: found[joint] for joint in sorted(found, key=depth)}

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the parts' joints, without the jaw."""
        return tuple(joint for part in self.parts for joint in part.joints)

    def observed(self, motion: Motion | JointMotion) -> tuple[str, ...]:
        """Names of the parts of which the motion lacks nothing: those whose features are more than stand-in zeros."""
        needed = {part.name: {*part.sees, *self._origins_of(part)} for part in self.parts}
        return tuple(part for part, names in needed.items() if not names & motion.lacking)

    def _origins_of(self, part: PartSpec) -> list[str]:
        return [self.origins[joint] for joint in part.joints if joint in self.origins]

    def features(
        self, motion: Motion | JointMotion, parts: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        """Motion of T frames -> {part: [T, D]}. Raises ValueError when the motion lacks what a part needs.

        parts: names of those that are wanted; None: all
        """
        if self.of_positions != isinstance(motion, JointMotion):
            raise ValueError(f"the motion holds {'no ' if self.of_positions else ''}joint positions")
        of = self._positions if self.of_positions else _part_features
        return {part.name: of(part, motion) for part in self.parts if parts is None or part.name in parts}

    def motion(
        self, features: Mapping[str, Tensor], fps: float, betas: Tensor | None = None, made_by: str = "",
        head_shape: Tensor | None = None,
    ) -> Motion | JointMotion:
        """{part: [T, D]} -> motion; joints and coefficients that no part covers are zero, or absent from positions.
        Raises ValueError for features of another shape.

        made_by: of the motion that the features were taken of; so are betas (zero when None) and head_shape
        """
        first = features[self.parts[0].name]
        frames = first.shape[0]
        for part in self.parts:
            if features[part.name].shape != (frames, part.size):
                shape = list(features[part.name].shape)
                raise ValueError(f"part {part.name}: expected [{frames}, {part.size}], got {shape}")
        if self.of_positions:
            coordinates = [features[part.name].unflatten(1, (-1, 3)) for part in self.parts]
            positions, index = torch.cat(coordinates, 1).float(), self.joints.index
            for joint, origin in self.origins.items():
                positions[:, index(joint)] += positions[:, index(origin)]
            return JointMotion(positions, self.joints, fps, made_by)
        coefficients = max((part.expression for part in self.parts), default=0) or 10
        motion = Motion.rest(frames, fps, coefficients).to(first.device)
        rotations, expression, eyelids = motion.rotations, motion.expression, None
        for part in self.parts:
            values = features[part.name]
            split = [part.per_joint * len(part.rotated_joints), part.expression, 2 * part.eyelids]
            turned, expressed, lids = values.float().split(split, dim=1)
            turned = turned.unflatten(1, (-1, part.per_joint))
            axis_angle = turned if part.rotation == "axis_angle" else axis_angle_from_6d(turned)
            rotations[:, joint_indices(part.rotated_joints)] = (
                axis_angle if part.mirrors is None else mirror_axis_angle(axis_angle)
            )
            if part.expression:
                expression[:, : part.expression] = expressed
            if part.eyelids:
                eyelids = lids
        shape = torch.zeros(10, device=first.device) if betas is None else betas.to(first.device)
        head = None if head_shape is None else head_shape.to(first.device)
        return Motion(rotations, expression, shape, fps, eyelids, made_by, head)

    def covered(
        self, motion: Motion | JointMotion, parts: Collection[str] | None = None
    ) -> Motion | JointMotion:
        """What the layout keeps of a motion, whose rate, shapes and maker stay, and what it lacks. Raises as `features`
        does.

        parts: of a parametric motion, those that are kept, all else is zero; None: all
        """
        features = self.features(motion, parts)
        if isinstance(motion, JointMotion):
            return self.motion(features, motion.fps, made_by=motion.made_by)
        if len(features) < len(self.parts):
            features = {**self._at_rest(motion), **features}
        kept = self.motion(features, motion.fps, motion.betas, motion.made_by, motion.head_shape)
        return replace(kept, lacking=motion.lacking)

    def _positions(self, part: PartSpec, motion: JointMotion) -> Tensor:
        origins = self._origins_of(part)
        if absent := [joint for joint in dict.fromkeys([*part.joints, *origins]) if joint not in motion.joints]:
            raise ValueError(f"part {part.name}: the motion has no joint {', '.join(absent)}")
        index = motion.joints.index
        positions = motion.positions[:, list(map(index, part.joints))]
        if origins:
            moved = [i for i, joint in enumerate(part.joints) if joint in self.origins]
            positions[:, moved] -= motion.positions[:, list(map(index, origins))]
        return positions.flatten(1)

    def _at_rest(self, motion: Motion) -> dict[str, Tensor]:
        """The features of as many frames of nothing."""
        coefficients = max((part.expression for part in self.parts), default=0)
        rest = Motion.rest(len(motion), motion.fps, coefficients).to(motion.device)
        return self.features(replace(rest, eyelids=rest.rotations.new_zeros(len(motion), 2)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MotionLayout) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def __repr__(self) -> str:
        return "MotionLayout(" + ", ".join(f"{name}:{size}" for name, size in self.sizes.items()) + ")"

    def to_list(self) -> list[dict]:
        """Plain types, for JSON; `MotionLayout.from_list` is the inverse."""
        return [{**asdict(part), "joints": list(part.joints)} for part in self.parts]

    @classmethod
    def from_list(cls, parts: Sequence[Mapping]) -> MotionLayout:
        return cls([PartSpec(**{**part, "joints": tuple(part["joints"])}) for part in parts])


def _part_features(part: PartSpec, motion: Motion) -> Tensor:
    if unseen := part.sees & motion.lacking:
        raise ValueError(f"part {part.name} needs {_listed(unseen)}, which the motion lacks: nobody observed it")
    rotations = motion.rotations[:, joint_indices(part.rotated_joints)]
    if part.mirrors is not None:
        rotations = mirror_axis_angle(rotations)
    if part.rotation == "6d":
        rotations = axis_angle_to_6d(rotations)
    pieces = [rotations.flatten(1)]
    if part.expression:
        if motion.expression.shape[1] < part.expression:
            raise ValueError(
                f"part {part.name} needs {part.expression} expression coefficients, the motion has "
                f"{motion.expression.shape[1]}"
            )
        pieces.append(motion.expression[:, : part.expression])
    if part.eyelids:
        if motion.eyelids is None:
            raise ValueError(f"part {part.name} needs eyelids, which the motion does not have")
        pieces.append(motion.eyelids)
    return torch.cat(pieces, dim=1)


def _listed(names: Collection[str]) -> str:
    """At most three names, and how many there are."""
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first}, … ({len(names)} in all)"
