"""Motions as one web page that plays them by itself: no other file, no address, no library."""
from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed, Sticks
from soke.body.rig import Rig
from soke.render.figure import scaled_sticks
from soke.render.gltf import byte_shares
from soke.render.sticks import stick_colors, stick_mesh
from soke.storage import new_file, read_text

TEMPLATE = Path(__file__).with_name("page.html")
_HEADROOM = 0.22  # metres from the head's joint to above the head
_MARGIN = 0.12  # metres around the joints that are farthest up and to the side


def write_page(
    path: Path, body: Posed, motions: Mapping[str, Motion | JointMotion], rigs: Mapping[str, Rig], caption: str
) -> Path:
    """Label -> motion as figures side by side, with play, pause, speed, scrub and orbit: rigs of these labels, or
    sticks of a body that has none.

    Numbers are rounded to what no one sees: positions to 1/32767 of the largest, directions of the face to 1/127 of
    theirs.
    """
    sticks, figures, packed = scaled_sticks(body, motions), [], _Packed()
    for label, motion in motions.items():
        figure = _of_sticks(*sticks[label]) if label in sticks else _of_rig(rigs[label])
        figures.append({"label": label, "fps": motion.fps, "frames": len(motion)} | packed.added(figure))
    apart = 2 * max(side for *_, side in (figure["view"] for figure in figures))
    for number, figure in enumerate(figures):
        figure["x"] = apart * (number - (len(figures) - 1) / 2)
    content = {"caption": caption, "figures": figures}
    data = base64.b64encode(gzip.compress(packed.data, mtime=0)).decode("ascii")
    parts = {
        "title": html.escape(caption or "Signing"), "data": data,
        "content": json.dumps(content).replace("<", "\\u003c"),
    }
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], read_text(TEMPLATE))
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


class _Packed:
    """Arrays after each other, each beginning at a multiple of four bytes; equal ones are kept once."""

    def __init__(self) -> None:
        self.data, self._known = b"", {}

    def added(self, figure: Mapping[str, Any]) -> dict[str, Any]:
        """The figure with what tells of each array: type, first byte, count."""
        return {name: self._place(each) if isinstance(each, np.ndarray) else each for name, each in figure.items()}

    def _place(self, values: np.ndarray) -> list[Any]:
        key = (values.dtype.name, values.tobytes())
        if key not in self._known:
            self._known[key] = [values.dtype.name, len(self.data), values.size]
            self.data += key[1] + bytes(-len(key[1]) % 4)
        return self._known[key]


def _of_rig(rig: Rig) -> dict[str, Any]:
    turned, placed = rig.transforms()
    weights = byte_shares(rig.weights.numpy())
    head, pelvis = rig.joints.index("head"), rig.joints.index("pelvis")
    top = max(float(placed[:, head, 1].max()) + _HEADROOM, float(placed[..., 1].max()) + _MARGIN)
    side = float(placed[..., 0].abs().max()) + _MARGIN
    scales = [float(morph.directions.abs().max()) for morph in rig.morphs]
    figure = _figure(
        rig.vertices.numpy(), rig.faces.numpy(), rig.colors.numpy(), rig.influences.numpy(), weights,
        rig.rest_joints.numpy(), turned.numpy(), placed.numpy(), (float(placed[:, pelvis, 1].min()), top, side),
    )
    if rig.morphs:
        figure |= {
            "morphCounts": [len(morph.vertices) for morph in rig.morphs], "morphScales": scales,
            "morphVertices": _unsigned(np.concatenate([m.vertices.numpy() for m in rig.morphs])),
            "morphDirections": np.concatenate(
                [np.rint(127 / scale * m.directions.numpy()) for m, scale in zip(rig.morphs, scales)]
            ).astype(np.int8),
            "morphWeights": torch.stack([m.weights for m in rig.morphs], dim=1).numpy().astype(np.float32),
        }
    return figure


def _of_sticks(sticks: Sticks, radii: np.ndarray) -> dict[str, Any]:
    """Of each stick one end follows one joint and the other another: both turn with the bone."""
    starts, ends = sticks.starts.numpy(), sticks.ends.numpy()  # [T, B, 3]
    bones = starts.shape[1]
    upright = np.tile(np.float32([0.0, 1.0, 0.0]), (1, bones, 1))
    vertices, faces = stick_mesh(np.zeros_like(upright), upright, radii)
    vertices = vertices.reshape(bones, -1, 3)
    at_end = vertices[..., 1] > 0.5  # [B, 18]
    vertices = vertices - at_end[..., None] * upright[0, 0]
    joints = np.where(at_end, bones, 0) + np.arange(bones)[:, None]
    influences = np.zeros((joints.size, 4), np.int64)
    influences[:, 0] = joints.ravel()
    weights = np.zeros((joints.size, 4), np.uint8)
    weights[:, 0] = 255
    turned = _from_upright(ends - starts)
    points = np.concatenate([starts, ends], axis=1)
    low, high, side = points[..., 1].min(), points[..., 1].max(), np.abs(points[..., 0]).max()
    return _figure(
        vertices.reshape(-1, 3), faces, stick_colors(sticks.colors.cpu().numpy()), influences, weights,
        np.zeros((2 * bones, 3)), np.concatenate([turned, turned], axis=1), points,
        (float(low) - _MARGIN, float(high) + _MARGIN, float(side) + _MARGIN),
    )


def _from_upright(along: np.ndarray) -> np.ndarray:
    """[..., 3] -> quaternions [..., 4] (x, y, z, w) that turn the y axis into that direction on the shortest way."""
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(np.where(length > 1e-9, along / np.maximum(length, 1e-9), [0.0, 1.0, 0.0]), -1, 0)
    turned = np.stack([z, np.zeros_like(x), -x, 1 + y], axis=-1)
    turned[y < -1 + 1e-6] = [1.0, 0.0, 0.0, 0.0]  # straight down: half a turn about x
    return turned / np.linalg.norm(turned, axis=-1, keepdims=True)


def _figure(
    vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, influences: np.ndarray, weights: np.ndarray,
    rest_joints: np.ndarray, turned: np.ndarray, placed: np.ndarray, view: tuple[float, float, float],
) -> dict[str, Any]:
    """view: height of the lower and the upper edge, and half the width, of what has to be seen, metres"""
    small = [float(np.abs(values).max()) / 32767 or 1.0 for values in (vertices, placed)]
    return {
        "vertices": np.rint(vertices / small[0]).astype(np.int16), "vertexScale": small[0],
        "faces": _unsigned(faces),
        "colors": np.rint(255 * np.clip(colors, 0, 1)).astype(np.uint8),
        "influences": _unsigned(influences), "weights": weights,
        "restJoints": rest_joints.astype(np.float32), "turned": np.rint(32767 * turned).astype(np.int16),
        "placed": np.rint(placed / small[1]).astype(np.int16), "placeScale": small[1], "view": view,
    }


def _unsigned(numbers: np.ndarray) -> np.ndarray:
    """In as few bytes as they need."""
    return numbers.astype(np.min_scalar_type(int(numbers.max())))
