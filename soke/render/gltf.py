"""Rigs as one glTF binary: skin, joints, morph targets and an animation, which Blender, three.js and engines open."""
from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from soke.body.rig import Morph, Rig
from soke.render.raster import vertex_normals
from soke.storage import new_file

APART = 1.2  # metres between two figures that stand side by side
_QUANTIZED = "KHR_mesh_quantization"  # lets normals be bytes, and what morph targets add 16-bit numbers
_TYPES = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
_SHAPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_VERTICES, _TRIANGLES = 34962, 34963  # what a buffer is for
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942


def write_glb(path: Path, rigs: Mapping[str, Rig], caption: str) -> Path:
    """Label -> rig as figures side by side, the first one at the left, that one animation moves.

    Metres, y up, facing +z, as glTF has it; the frames are the rigs' own, at their rates. Numbers are rounded to what
    no one sees: rotations and morph targets to 16 bits, normals, weights and colours to 8.
    """
    scene = _Scene(caption)
    for number, (label, rig) in enumerate(rigs.items()):
        scene.add(label, rig, APART * (number - (len(rigs) - 1) / 2))
    with new_file(path) as temporary:
        temporary.write_bytes(scene.binary())
    return path


class _Scene:
    """A glTF file that grows by figures. Equal numbers, as two figures of one body have many, are kept once."""

    def __init__(self, caption: str) -> None:
        self._data, self._views, self._accessors, self._known = bytearray(), [], [], {}
        self._nodes, self._roots, self._skins, self._meshes = [], [], [], []
        self._channels, self._samplers = [], []
        self._caption = caption

    def binary(self) -> bytes:
        """The file, of all that was added."""
        material = {
            "name": "signer", "doubleSided": True,
            "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.8},
        }
        content = {
            "asset": {"version": "2.0", "generator": "soke", "extras": {"caption": self._caption}},
            "extensionsUsed": [_QUANTIZED], "extensionsRequired": [_QUANTIZED],
            "scene": 0, "scenes": [{"name": "signing", "nodes": self._roots}], "nodes": self._nodes,
            "skins": self._skins, "meshes": self._meshes, "materials": [material],
            "accessors": self._accessors, "bufferViews": self._views, "buffers": [{"byteLength": len(self._data)}],
            "animations": [{"name": "signing", "channels": self._channels, "samplers": self._samplers}],
        }
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = [struct.pack("<II", len(text), _JSON) + text, struct.pack("<II", len(self._data), _BIN) + self._data]
        return struct.pack("<III", _MAGIC, 2, 12 + sum(map(len, chunks))) + b"".join(chunks)

    def add(self, label: str, rig: Rig, x: float) -> None:
        """A figure that stands at x metres."""
        first = len(self._nodes)
        joints = [first + 1 + joint for joint in range(len(rig.joints))]
        mesh_node = first + 1 + len(joints)
        self._roots += [first, mesh_node]
        self._nodes.append(
            {"name": label, "translation": [x, 0.0, 0.0], "children": [joints[0]], "extras": {"fps": rig.fps}}
        )
        rotations, translations = rig.rotations.numpy(), rig.translations.numpy()
        for joint, name in enumerate(rig.joints):
            moved, turned = (each[0, joint].tolist() for each in (translations, rotations))
            node = {"name": name, "translation": moved, "rotation": turned}
            children = [joints[child] for child, parent in enumerate(rig.parents) if parent == joint]
            self._nodes.append({**node, "children": children} if children else node)
        self._nodes.append({"name": f"{label} surface", "mesh": len(self._meshes), "skin": len(self._skins)})
        self._skins.append({"joints": joints, "skeleton": joints[0], "inverseBindMatrices": self._binds(rig)})
        self._meshes.append(self._mesh(label, rig))
        times = self._accessor(np.arange(len(rig), dtype=np.float32) / np.float32(rig.fps), bounds=True)
        for joint, node in enumerate(joints):
            if joint == 0 or (rotations[:, joint] != rotations[0, joint]).any():  # the root's keeps the duration
                self._animate(times, node, "rotation", _rounded(rotations[:, joint], np.int16))
            if (translations[:, joint] != translations[0, joint]).any():
                self._animate(times, node, "translation", translations[:, joint])
        if rig.morphs:
            weights = torch.stack([morph.weights for morph in rig.morphs], dim=1)  # [T, M]
            self._animate(times, mesh_node, "weights", weights.numpy().reshape(-1))

    def _animate(self, times: int, node: int, what: str, values: np.ndarray) -> None:
        self._channels.append({"sampler": len(self._samplers), "target": {"node": node, "path": what}})
        self._samplers.append({"input": times, "interpolation": "LINEAR", "output": self._accessor(values)})

    def _binds(self, rig: Rig) -> int:
        binds = np.tile(np.eye(4, dtype=np.float32), (len(rig.joints), 1, 1))
        binds[:, 3, :3] = -rig.rest_joints.numpy()  # column after column
        return self._accessor(binds.reshape(-1, 16))

    def _mesh(self, label: str, rig: Rig) -> dict[str, Any]:
        vertices, faces = rig.vertices.numpy(), rig.faces.numpy()
        weights = byte_shares(rig.weights.numpy())
        attributes = {
            "POSITION": self._accessor(vertices, _VERTICES, bounds=True),
            "NORMAL": self._accessor(_rounded(vertex_normals(vertices, faces.astype(np.int32)), np.int8), _VERTICES),
            "COLOR_0": self._accessor(_rounded(_linear(rig.colors.numpy()), np.uint8), _VERTICES),
            "JOINTS_0": self._accessor(
                np.where(weights > 0, rig.influences.numpy(), 0).astype(np.uint8), _VERTICES, normalized=False
            ),
            "WEIGHTS_0": self._accessor(weights, _VERTICES),
        }
        corners = faces.reshape(-1).astype(np.uint16 if len(vertices) < 2**16 else np.uint32)
        indices = self._accessor(corners, _TRIANGLES, normalized=False)
        primitive: dict[str, Any] = {"attributes": attributes, "indices": indices, "material": 0}
        if not rig.morphs:
            return {"name": label, "primitives": [primitive]}
        primitive["targets"] = [{"POSITION": self._morph(morph, len(vertices))} for morph in rig.morphs]
        return {
            "name": label, "primitives": [primitive], "weights": [float(morph.weights[0]) for morph in rig.morphs],
            "extras": {"targetNames": [morph.name for morph in rig.morphs]},
        }

    def _morph(self, morph: Morph, vertices: int) -> int:
        """An accessor of the few vertices that move."""
        values, order = _rounded(morph.directions.numpy(), np.int16), np.argsort(morph.vertices.numpy())
        ids = morph.vertices.numpy()[order].astype(np.uint16 if vertices < 2**16 else np.uint32)
        values = values[order]
        low, high = (np.minimum(values.min(0), 0), np.maximum(values.max(0), 0))  # of all vertices
        self._accessors.append({
            "componentType": _TYPES["int16"], "normalized": True, "count": vertices, "type": "VEC3",
            "min": low.tolist(), "max": high.tolist(),
            "sparse": {
                "count": len(ids), "indices": {"bufferView": self._view(ids), "componentType": _TYPES[ids.dtype.name]},
                "values": {"bufferView": self._view(values)},
            },
        })
        return len(self._accessors) - 1

    def _accessor(
        self, values: np.ndarray, target: int | None = None, bounds: bool = False, normalized: bool = True
    ) -> int:
        """[N] or [N, K]; whole numbers stand for -1 to 1 or 0 to 1 where they are normalized."""
        rows = values.reshape(len(values), -1)
        accessor: dict[str, Any] = {
            "bufferView": self._view(values, target), "componentType": _TYPES[values.dtype.name], "count": len(values),
            "type": _SHAPES[rows.shape[1]],
        }
        if normalized and values.dtype != np.float32:
            accessor["normalized"] = True
        if bounds:
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        key = json.dumps(accessor)
        if key not in self._known:
            self._known[key] = len(self._accessors)
            self._accessors.append(accessor)
        return self._known[key]

    def _view(self, values: np.ndarray, target: int | None = None) -> int:
        """Of one array; each vertex begins at a multiple of four bytes."""
        stride = None
        if target == _VERTICES and values[0].nbytes % 4:
            values = np.pad(values, ((0, 0), (0, 1)))
            stride = values[0].nbytes
        data = np.ascontiguousarray(values).tobytes()
        key = (data, target)
        if key not in self._known:
            self._data += bytes(-len(self._data) % 4)
            view = {"buffer": 0, "byteOffset": len(self._data), "byteLength": len(data)}
            self._data += data
            self._known[key] = len(self._views)
            known = {"byteStride": stride, "target": target}
            self._views.append(view | {name: value for name, value in known.items() if value is not None})
        return self._known[key]


def _rounded(values: np.ndarray, dtype: type) -> np.ndarray:
    """-1 to 1, or 0 to 1, as whole numbers."""
    most = np.iinfo(dtype).max
    return np.clip(np.rint(values * most), -most if np.iinfo(dtype).min else 0, most).astype(dtype)


def byte_shares(weights: np.ndarray) -> np.ndarray:
    """[V, 4], strongest first and of sum 1 -> bytes of sum 255."""
    found = np.rint(255 * weights).astype(np.int64)
    found[:, 0] += 255 - found.sum(axis=1)
    return found.astype(np.uint8)


def _linear(colors: np.ndarray) -> np.ndarray:
    """What pictures hold (sRGB) as amounts of light, as glTF has it."""
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
