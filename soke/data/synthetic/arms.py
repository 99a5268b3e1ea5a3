"""Arm kinematics of the synthetic signers: two-bone inverse kinematics, written once for the right arm.

The left arm is the right arm of the mirrored body. Coordinates are those of the body model in its rest pose: metres,
x to the signer's left, y up, z to the front. A hand's orientation is held as angles against the forearm (twist about
it, then flexion and deviation of the wrist), so that a blend of two possible orientations is a possible one.
"""
from __future__ import annotations

import math

import roma
import torch
from torch import Tensor
from torch.nn.functional import normalize

# Rest pose of the stand-in body, rounded to millimetres; the arm points to -x with the palm down.
SHOULDER = torch.tensor([-0.174, 0.131, 0.022])
UPPER_ARM = 0.259
FOREARM = 0.2325
REACH = 0.47  # m from shoulder to wrist, a little less than the stretched arm

TWIST_LIMIT = math.radians(85)
# Swing of the wrist (about y: towards the thumb, about z: towards the palm), lowest and highest, radians.
SWING_LOW = torch.deg2rad(torch.tensor([-30.0, -55.0]))
SWING_HIGH = torch.deg2rad(torch.tensor([20.0, 60.0]))
_TWIST_IN_ELBOW = 0.5  # share of the forearm's twist that the elbow takes; the wrist takes the rest

_POLE = torch.tensor([-0.45, -1.0, -0.25])  # where the elbow points: down, a little outwards and back
_SWIVELS = torch.deg2rad(torch.linspace(-30.0, 60.0, 10))


def _axis_rotation(axis: int, angle: Tensor) -> Tensor:
    """[...] radians -> [..., 3, 3] rotation about x, y or z."""
    vector = torch.zeros(*angle.shape, 3)
    vector[..., axis] = angle
    return roma.rotvec_to_rotmat(vector)


def _elbow_frames(wrist: Tensor, swivel: Tensor) -> tuple[Tensor, Tensor]:
    """Wrist [..., 3], swivel [...] -> rotation of the shoulder [..., 3, 3] and bend of the elbow [...]."""
    to_wrist = wrist - SHOULDER
    distance = to_wrist.norm(dim=-1).clamp(0.08, REACH)
    along = normalize(to_wrist, dim=-1)
    pole = _POLE.expand_as(along)
    pole = normalize(pole - (pole * along).sum(-1, keepdim=True) * along, dim=-1)
    # A positive swivel lifts the elbow outwards.
    side = torch.cross(pole, along, dim=-1)
    pole = pole * swivel.cos()[..., None] + side * swivel.sin()[..., None]
    at_shoulder = ((UPPER_ARM**2 + distance**2 - FOREARM**2) / (2 * UPPER_ARM * distance)).clamp(-1, 1).acos()
    bend = math.pi - ((UPPER_ARM**2 + FOREARM**2 - distance**2) / (2 * UPPER_ARM * FOREARM)).clamp(-1, 1).acos()
    upper = along * at_shoulder.cos()[..., None] + pole * at_shoulder.sin()[..., None]
    fore = normalize(along * distance[..., None] - UPPER_ARM * upper, dim=-1)
    hinge = normalize(torch.cross(upper, fore, dim=-1), dim=-1)
    shoulder = torch.stack([-upper, hinge, torch.cross(-upper, hinge, dim=-1)], dim=-1)
    return shoulder, bend


def arm_rotations(wrist: Tensor, swivel: Tensor, twist: Tensor, swing: Tensor) -> Tensor:
    """Wrist [..., 3], swivel and twist [...], swing [..., 2] -> rotations of shoulder, elbow, wrist [..., 3, 3, 3]."""
    shoulder, bend = _elbow_frames(wrist, swivel)
    elbow = _axis_rotation(1, bend) @ _axis_rotation(0, _TWIST_IN_ELBOW * twist)
    hand = _axis_rotation(0, (1 - _TWIST_IN_ELBOW) * twist) @ _swing_rotation(swing)
    return torch.stack([shoulder, elbow, hand], dim=-3)


def _swing_rotation(swing: Tensor) -> Tensor:
    return roma.rotvec_to_rotmat(torch.cat([torch.zeros_like(swing[..., :1]), swing], dim=-1))


def hand_axes(rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations of an arm [..., 3, 3, 3] -> directions of the stretched fingers and of the palm [..., 3]."""
    world = rotations[..., 0, :, :] @ rotations[..., 1, :, :] @ rotations[..., 2, :, :]
    return -world[..., 0], -world[..., 1]


def orient_hand(wrist: Tensor, fingers: Tensor, palm: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How a hand at `wrist` can point its fingers and turn its palm.

    wrist, fingers, palm: [B, 3]; the directions need not be exactly perpendicular
    Returns swivel [B], twist [B] and swing [B, 2] in radians within the limits of the joints, and how far the hand
    then is from the wanted orientation [B], radians. The elbow goes where the wrist is strained least.
    """
    fingers = normalize(fingers, dim=-1)
    palm = normalize(palm - (palm * fingers).sum(-1, keepdim=True) * fingers, dim=-1)
    wanted = torch.stack([-fingers, -palm, torch.cross(fingers, palm, dim=-1)], dim=-1)[:, None]  # [B, 1, 3, 3]
    swivel = _SWIVELS.expand(len(wrist), -1)  # [B, S]
    shoulder, bend = _elbow_frames(wrist[:, None].expand(-1, len(_SWIVELS), 3), swivel)
    forearm = shoulder @ _axis_rotation(1, bend)
    relative = roma.rotmat_to_unitquat(forearm.transpose(-1, -2) @ wanted)  # x, y, z, w
    relative = relative * torch.where(relative[..., 3:] < 0, -1.0, 1.0)
    twist_part = normalize(relative * torch.tensor([1.0, 0.0, 0.0, 1.0]), dim=-1)
    twist = 2 * torch.atan2(twist_part[..., 0], twist_part[..., 3])
    swing_part = roma.quat_product(roma.quat_conjugation(twist_part), relative)
    swing = roma.unitquat_to_rotvec(swing_part)[..., 1:]
    twist_in = twist.clamp(-TWIST_LIMIT, TWIST_LIMIT)
    swing_in = torch.minimum(torch.maximum(swing, SWING_LOW), SWING_HIGH)
    reached = forearm @ _axis_rotation(0, twist_in) @ _swing_rotation(swing_in)
    error = roma.rotmat_geodesic_distance(reached, wanted.expand_as(reached))
    strain = error + 0.15 * swing_in.norm(dim=-1) + 0.1 * twist_in.abs() + 0.15 * swivel.abs()
    best = strain.argmin(dim=1, keepdim=True)

    def pick(values: Tensor) -> Tensor:
        return values.gather(1, best)[:, 0]

    swings = torch.stack([pick(swing_in[..., 0]), pick(swing_in[..., 1])], dim=-1)
    return pick(swivel), pick(twist_in), swings, pick(error)
