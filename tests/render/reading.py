"""Small readers of what is exported, by the formats' own rules and with nothing of the writers."""
from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

_TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_COUNTS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """A glTF binary: its JSON, its numbers, and where an animation puts joints and vertices."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON" and size % 4 == 0
        self.json: dict[str, Any] = json.loads(data[20 : 20 + size])
        rest, kind = struct.unpack_from("<I4s", data, 20 + size)
        assert kind == b"BIN\0" and 28 + size + rest == len(data) and rest % 4 == 0
        self.binary = data[28 + size :]
        assert self.json["buffers"] == [{"byteLength": len(self.binary)}]
        self.parents = {c: n for n, node in enumerate(self.json["nodes"]) for c in node.get("children", ())}

    def _read(self, view: int, dtype: type, columns: int, count: int) -> np.ndarray:
        view = self.json["bufferViews"][view]
        width = np.dtype(dtype).itemsize * columns
        stride = view.get("byteStride", width)
        start = view["byteOffset"]
        assert start % 4 == 0 and start + stride * (count - 1) + width <= start + view["byteLength"] <= len(self.binary)
        rows = [np.frombuffer(self.binary, dtype, columns, start + stride * row) for row in range(count)]
        return np.stack(rows)

    def accessor(self, number: int) -> np.ndarray:
        """[N, K], whole numbers that are normalized as what they stand for."""
        each = self.json["accessors"][number]
        dtype, columns = _TYPES[each["componentType"]], _COUNTS[each["type"]]
        if "bufferView" in each:
            values = self._read(each["bufferView"], dtype, columns, each["count"])
        else:
            values = np.zeros((each["count"], columns), dtype)
        if "sparse" in each:
            sparse = each["sparse"]
            kind = _TYPES[sparse["indices"]["componentType"]]
            ids = self._read(sparse["indices"]["bufferView"], kind, 1, sparse["count"])[:, 0].astype(int)
            assert (np.diff(ids) > 0).all() and ids[-1] < each["count"]
            values[ids] = self._read(sparse["values"]["bufferView"], dtype, columns, sparse["count"])
        if "min" in each:
            assert np.allclose(values.min(0), each["min"]) and np.allclose(values.max(0), each["max"])
        if each.get("normalized"):
            return np.maximum(values.astype(np.float64) / np.iinfo(dtype).max, -1)
        return values

    def channels(self) -> dict[tuple[int, str], tuple[np.ndarray, np.ndarray]]:
        """(Node, what moves) -> times [T], values [T, K]."""
        (animation,) = self.json["animations"]
        found = {}
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            times = self.accessor(sampler["input"])[:, 0]
            values = self.accessor(sampler["output"]).reshape(len(times), -1)
            found[channel["target"]["node"], channel["target"]["path"]] = times, values
        return found

    def places(self, nodes: list[int], frames: int) -> np.ndarray:
        """[T, N, 4, 4] of some nodes, at the keys of the animation."""
        channels, found = self.channels(), {}

        def of(number: int) -> np.ndarray:
            if number not in found:
                node, local = self.json["nodes"][number], np.tile(np.eye(4), (frames, 1, 1))
                still = {"rotation": (0, 0, 0, 1), "translation": (0, 0, 0)}
                turned, moved = (
                    channels[number, what][1] if (number, what) in channels else np.tile(node.get(what, value), (frames, 1))
                    for what, value in still.items()
                )
                local[:, :3, :3], local[:, :3, 3] = Rotation.from_quat(turned).as_matrix(), moved
                parent = self.parents.get(number)
                found[number] = local if parent is None else of(parent) @ local
            return found[number]

        return np.stack([of(number) for number in nodes], axis=1)

    def joints(self, skin: int, frames: int) -> dict[str, np.ndarray]:
        """Name -> [T, 3]."""
        nodes = self.json["skins"][skin]["joints"]
        places = self.places(nodes, frames)[..., :3, 3]
        return {self.json["nodes"][node]["name"]: places[:, i] for i, node in enumerate(nodes)}

    def surface(self, mesh_node: int, frames: int) -> np.ndarray:
        """[T, V, 3]"""
        node = self.json["nodes"][mesh_node]
        skin, mesh = self.json["skins"][node["skin"]], self.json["meshes"][node["mesh"]]
        (primitive,) = mesh["primitives"]
        read = {name: self.accessor(number) for name, number in primitive["attributes"].items()}
        rest = np.tile(read["POSITION"].astype(np.float64), (frames, 1, 1))
        if "targets" in primitive:
            _, weights = self.channels()[mesh_node, "weights"]
            for m, target in enumerate(primitive["targets"]):
                rest += weights[:, m, None, None] * self.accessor(target["POSITION"])
        binds = self.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)  # column after column
        moves = self.places(skin["joints"], frames) @ binds
        blended = np.einsum("vk,tvkij->tvij", read["WEIGHTS_0"], moves[:, read["JOINTS_0"]])
        return np.einsum("tvij,tvj->tvi", blended[..., :3, :3], rest) + blended[..., :3, 3]


def read_bvh(path: Path) -> tuple[dict[str, np.ndarray], float]:
    """Name of a joint -> places [T, 3] in the file's unit, and seconds of a frame."""
    lines = [line.split() for line in path.read_text().splitlines()]
    motion = lines.index(["MOTION"])
    values = np.array([[float(number) for number in line] for line in lines[motion + 3 :]])
    assert lines[motion + 1] == ["Frames:", str(len(values))]
    places, stack, column, name = {}, [], 0, ""
    for line in lines[1:motion]:
        if line[0] in ("ROOT", "JOINT"):
            name = line[1]
        elif line[0] == "End":
            name = ""
        elif line[0] == "OFFSET":
            offset = np.tile([float(number) for number in line[1:]], (len(values), 1))
            stack.append((name, offset, np.tile(np.eye(3), (len(values), 1, 1))))
        elif line[0] == "CHANNELS":
            turned, moved = stack[-1][2], stack[-1][1].copy()
            for channel in line[2:]:
                numbers, axis = values[:, column], channel[0].lower()
                if channel.endswith("position"):
                    moved[:, "xyz".index(axis)] = numbers
                else:
                    turned = turned @ Rotation.from_euler(axis, numbers[:, None], degrees=True).as_matrix()
                column += 1
            if len(stack) > 1:
                _, before, rotation = stack[-2]
                moved, turned = before + np.einsum("tij,tj->ti", rotation, moved), rotation @ turned
            stack[-1] = name, moved, turned
            places[name] = moved
        elif line[0] == "}":
            stack.pop()
    assert column == values.shape[1]
    return places, float(lines[motion + 2][2])
