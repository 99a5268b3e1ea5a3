"""What hypothesis draws for the laws of this room: rotations of any batch axes and type, layouts, motions."""
from __future__ import annotations

import math
from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from soke.body.joints import SMPLX_JOINTS, mirrored_name
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import JointMotion, Motion

BATCHES = [(), (0,), (1,), (2, 3)]
TYPES = [torch.float32, torch.float64]
ANGLES = [0.0, 1e-7, 1e-3, 1.0, math.pi - 0.01]  # largest of a batch; below pi there is one axis-angle of a rotation
SIDED = [joint for joint in SMPLX_JOINTS if joint.startswith("left_")]
POSITIONED = ["nose", "neck", "left_wrist", "right_wrist", "left_thumb1", "right_thumb1"]


@st.composite
def seeded(draw: st.DrawFn) -> torch.Generator:
    return torch.Generator().manual_seed(draw(st.integers(0, 2**32)))


@st.composite
def rotations(draw: st.DrawFn, count: int = 1, angles: list[float] = ANGLES) -> list[Tensor]:
    """`count` batches of axis-angle [..., 3] of the same axes and type."""
    batch, kind = draw(st.sampled_from(BATCHES)), draw(st.sampled_from(TYPES))
    generator = draw(seeded())
    found = []
    for _ in range(count):
        axes = torch.nn.functional.normalize(torch.randn(*batch, 3, generator=generator, dtype=torch.float64), dim=-1)
        turned = torch.rand(*batch, 1, generator=generator, dtype=torch.float64) * draw(st.sampled_from(angles))
        found.append((axes * turned).to(kind))
    return found


@st.composite
def layouts(draw: st.DrawFn) -> MotionLayout:
    """Of positions, or of rotations in 1 to 4 parts, the last two perhaps a pair of which one mirrors the other."""
    if draw(st.booleans()):
        joints = draw(st.permutations(POSITIONED))[: draw(st.integers(1, len(POSITIONED)))]
        form = st.sampled_from(["position", "offset"])
        return MotionLayout([PartSpec(f"part{i}", tuple(own), rotation=draw(form)) for i, own in _split(draw, joints)])
    form = st.sampled_from(["axis_angle", "6d"])
    pair = draw(st.lists(st.sampled_from(SIDED), max_size=4, unique=True))
    others = [name for name in SMPLX_JOINTS if name not in {*pair, *map(mirrored_name, pair), "jaw"}]
    joints = draw(st.permutations(others))[: draw(st.integers(0, 9))]
    parts = [PartSpec(f"part{i}", tuple(own), rotation=draw(form)) for i, own in _split(draw, joints)]
    extra = {"jaw": draw(st.booleans()), "expression": draw(st.integers(0, 12)), "eyelids": draw(st.booleans())}
    for name, value in extra.items():  # to any part
        at = draw(st.integers(0, len(parts) - 1))
        parts[at] = replace(parts[at], **{name: value})
    if pair:
        right = PartSpec("right", tuple(map(mirrored_name, pair)), rotation=draw(form))
        left = replace(right, name="left", joints=tuple(pair), mirrors="right")
        parts.insert(draw(st.integers(0, len(parts))), left)
        parts.append(right)
    return MotionLayout(parts)


def _split(draw: st.DrawFn, joints: list[str]) -> list[tuple[int, list[str]]]:
    """Joints dealt out to one to three parts, of which some may have none."""
    parts = draw(st.integers(1, 3))
    owner = [draw(st.integers(0, parts - 1)) for _ in joints]
    return [(part, [joint for joint, of in zip(joints, owner) if of == part]) for part in range(parts)]


@st.composite
def motions(draw: st.DrawFn, of_positions: bool) -> Motion | JointMotion:
    """0, 1 or a few frames that have all that a layout of `layouts` needs, of a maker or a signer."""
    frames, generator, fps = draw(st.sampled_from([0, 1, 2, 5])), draw(seeded()), draw(st.sampled_from([12.5, 25.0]))
    made_by = draw(st.sampled_from(["", "tokenizer 12ab"]))
    if of_positions:
        positions = torch.randn(frames, len(POSITIONED) + 1, 3, generator=generator)
        return JointMotion(positions, ("chin", *POSITIONED[::-1]), fps, made_by)
    angles = torch.rand(frames, len(SMPLX_JOINTS), 1, generator=generator) * 3.0
    axes = torch.nn.functional.normalize(torch.randn(frames, len(SMPLX_JOINTS), 3, generator=generator), dim=-1)
    return Motion(
        angles * axes, torch.randn(frames, 12, generator=generator), torch.randn(10, generator=generator), fps,
        torch.rand(frames, 2, generator=generator), made_by,
        draw(st.sampled_from([None, torch.randn(300, generator=generator)])),
    )


@st.composite
def layouts_and_motions(draw: st.DrawFn) -> tuple[MotionLayout, Motion | JointMotion]:
    layout = draw(layouts())
    return layout, draw(motions(layout.of_positions))
