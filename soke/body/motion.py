"""Motion: a clip of a moving body in SMPL-X parameters, the form in which every room hands motion on."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from soke.body.joints import LEFT_HAND, NUM_JOINTS, RIGHT_HAND, SMPLX_JOINTS, UPPER_BODY, joint_indices, mirrored_name
from soke.body.rotations import mirror_axis_angle, nearest_axis_angle, slerp_axis_angle

_MIRROR_ORDER = joint_indices([mirrored_name(name) for name in SMPLX_JOINTS])
_MOVING = joint_indices((*UPPER_BODY, *LEFT_HAND, *RIGHT_HAND, "jaw"))
HEAD_SHAPES = 300  # of FLAME
OBSERVABLE = (*SMPLX_JOINTS, "expression", "eyelids")  # what a motion may lack


@dataclass(frozen=True)
class Motion:
    """T frames of one signer. Raises ValueError when a shape does not fit.

    rotations:  [T, 55, 3] axis-angle in radians, joints in `SMPLX_JOINTS` order, relative to the parent joint
    expression: [T, E] facial expression coefficients (10 for SMPL-X, 100 for FLAME)
    betas:      [10] body shape
    fps:        frames per second
    eyelids:    [T, 2] FLAME eyelid coefficients, left and right, or None
    made_by:    "" for the motion of a signer, else the model whose output it is
    head_shape: [300] shape of the head in FLAME's coefficients, or None where it is not known
    lacking:    those of `OBSERVABLE` that nobody observed; zeros stand in their place
    """

    rotations: Tensor
    expression: Tensor
    betas: Tensor
    fps: float
    eyelids: Tensor | None = None
    made_by: str = ""
    head_shape: Tensor | None = None
    lacking: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        frames = self.rotations.shape[0]
        if self.rotations.shape != (frames, NUM_JOINTS, 3):
            raise ValueError(f"rotations must be [T, {NUM_JOINTS}, 3], not {list(self.rotations.shape)}")
        if self.expression.ndim != 2 or self.expression.shape[0] != frames:
            raise ValueError(f"expression must be [{frames}, E], not {list(self.expression.shape)}")
        if self.eyelids is not None and self.eyelids.shape != (frames, 2):
            raise ValueError(f"eyelids must be [{frames}, 2], not {list(self.eyelids.shape)}")
        if self.fps <= 0:
            raise ValueError(f"fps must be above 0, not {self.fps}")
        if self.head_shape is not None and self.head_shape.shape != (HEAD_SHAPES,):
            raise ValueError(f"head_shape must be [{HEAD_SHAPES}], not {list(self.head_shape.shape)}")
        if unknown := sorted(self.lacking.difference(OBSERVABLE)):
            raise ValueError(f"lacking must name joints, expression or eyelids, not {', '.join(unknown)}")

    def __len__(self) -> int:
        return self.rotations.shape[0]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.fps

    @property
    def device(self) -> torch.device:
        return self.rotations.device

    def frames(self, index: slice | Tensor) -> Motion:
        """The frames that `index` (a slice or a LongTensor) picks."""
        return replace(
            self,
            rotations=self.rotations[index],
            expression=self.expression[index],
            eyelids=None if self.eyelids is None else self.eyelids[index],
        )

    def resampled(self, fps: float) -> Motion:
        """The same seconds at another frame rate, between frames: rotations by slerp, all else linearly.

        Frame i shows the moment i / fps, and the last frame holds until the end. As many frames as come nearest to the
        duration.
        """
        return self if fps == self.fps else self._in_between(fps, slerp_axis_angle)

    def at_speed(self, factor: float) -> Motion:
        """Signed `factor` times as fast, at the same frame rate: `resampled`, with rotations in the axis-angle form of the
        frames that they lie between."""
        if factor == 1:
            return self
        moving = (self.rotations != self.rotations[:1]).any(dim=0).any(dim=-1)  # [55], for slerp takes long

        def turned(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
            found, start, end = start.clone(), start[:, moving], end[:, moving]
            found[:, moving] = nearest_axis_angle(slerp_axis_angle(start, end, share), start.lerp(end, share.round()))
            return found

        return replace(self._in_between(self.fps / factor, turned), fps=self.fps)

    def _in_between(self, fps: float, turned: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Motion:
        """As `resampled`; turned: (rotations before, after, share of the way) -> those between"""
        before, after, share = _between(_moments(len(self), self.fps, fps), self.rotations)
        start, end = self.frames(before), self.frames(after)
        return replace(
            start,
            rotations=turned(start.rotations, end.rotations, share[:, None]),
            expression=torch.lerp(start.expression, end.expression, share),
            eyelids=None if self.eyelids is None else torch.lerp(start.eyelids, end.eyelids, share),
            fps=fps,
        )

    def mirrored(self) -> Motion:
        """The same signing by the other hand: left and right swapped, rotations mirrored.

        Expression and head shape stay: their coefficients have no left and right that could be swapped.
        """
        return replace(
            self,
            rotations=mirror_axis_angle(self.rotations[:, _MIRROR_ORDER]),
            eyelids=None if self.eyelids is None else self.eyelids.flip(-1),
            lacking=frozenset(map(mirrored_name, self.lacking)),
        )

    def to(self, device: torch.device | str) -> Motion:
        return self._each(lambda tensor: tensor.to(device))

    def single(self) -> Motion:
        """In single precision."""
        return self._each(Tensor.float)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Motion:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Motion(**{name: change(v) if isinstance(v, Tensor) else v for name, v in values.items()})

    @classmethod
    def rest(cls, frames: int, fps: float, expression: int = 10) -> Motion:
        """`frames` frames of the body model's zero pose."""
        return cls(torch.zeros(frames, NUM_JOINTS, 3), torch.zeros(frames, expression), torch.zeros(10), fps)


@dataclass(frozen=True)
class JointMotion:
    """T frames of one signer as joint positions, where no body model was fitted. Raises ValueError for wrong shapes.

    positions: [T, J, 3] in the corpus's own unit
    joints:    J names
    fps:       frames per second
    made_by:   "" for the motion of a signer, else the model whose output it is
    lacking:   names of joints, none of `joints`, that others of the corpus have, but nobody observed here
    """

    positions: Tensor
    joints: tuple[str, ...]
    fps: float
    made_by: str = ""
    lacking: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if both := sorted(self.lacking.intersection(self.joints)):
            raise ValueError(f"a joint cannot be lacking and have positions: {', '.join(both)}")
        if self.positions.shape != (len(self.positions), len(self.joints), 3):
            raise ValueError(f"positions must be [T, {len(self.joints)}, 3], not {list(self.positions.shape)}")
        if self.fps <= 0:
            raise ValueError(f"fps must be above 0, not {self.fps}")

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.fps

    @property
    def device(self) -> torch.device:
        return self.positions.device

    @property
    def betas(self) -> None:
        """No shape, for no body model was fitted."""
        return None

    @property
    def head_shape(self) -> None:
        """As `betas`."""
        return None

    def frames(self, index: slice | Tensor) -> JointMotion:
        """The frames that `index` (a slice or a LongTensor) picks."""
        return replace(self, positions=self.positions[index])

    def resampled(self, fps: float) -> JointMotion:
        """As `Motion.resampled`, positions linearly."""
        if fps == self.fps:
            return self
        before, after, share = _between(_moments(len(self), self.fps, fps), self.positions)
        positions = torch.lerp(self.positions[before], self.positions[after], share[:, None])
        return replace(self, positions=positions, fps=fps)

    def at_speed(self, factor: float) -> JointMotion:
        """Signed `factor` times as fast, at the same frame rate."""
        return replace(self.resampled(self.fps / factor), fps=self.fps)

    def mirrored(self) -> JointMotion:
        """The same signing by the other hand: left and right joints swapped, x turned round.

        Raises ValueError when a joint's counterpart is missing.
        """
        lonely = [joint for joint in self.joints if mirrored_name(joint) not in self.joints]
        if lonely:
            raise ValueError(f"the motion has no joint {', '.join(map(mirrored_name, lonely))} to mirror")
        order = [self.joints.index(mirrored_name(joint)) for joint in self.joints]
        mirrored = self.positions[:, order] * self.positions.new_tensor([-1.0, 1.0, 1.0])
        return replace(self, positions=mirrored, lacking=frozenset(map(mirrored_name, self.lacking)))

    def to(self, device: torch.device | str) -> JointMotion:
        return replace(self, positions=self.positions.to(device))


def _moments(frames: int, fps: float, target: float) -> Tensor:
    """Where the frames of `frames` frames' duration at `target` frames/s lie among them: [T'] float64, 0 to T - 1."""
    count = max(round(frames * target / fps), min(frames, 1))
    return (torch.arange(count, dtype=torch.float64) * fps / target).clamp_max(max(frames - 1, 0))


def _between(moments: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The frames [T'] before and after each moment, and how far [T', 1] it is from the one to the other, 0 to 1."""
    before, after = moments.floor(), moments.ceil()
    share = (moments - before)[:, None].to(like)
    return before.long().to(like.device), after.long().to(like.device), share


def require_radians(rotations: Tensor) -> None:
    """[T, 55, 3] axis-angle, taken for radians. Raises ValueError, whose text follows what holds them, where they certainly
    are none."""
    middle = rotations[:, _MOVING].norm(dim=2).median().item() if len(rotations) else 0.0
    if middle > 2 * math.pi:
        raise ValueError(
            f"half of its joints turn by more than {middle:.3g}, a whole turn is {2 * math.pi:.2f} rad; if these are "
            "degrees, make them radians"
        )
