"""Rigs as BVH, the joints' hierarchy and angles as text, which every animation program reads."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from soke.body.rig import Rig
from soke.storage import new_file

UNIT = 100.0  # centimetres to a metre
ORDER = "ZXY"  # about the joint's own axes, one after another
_WANDERS = 1e-4  # metres: a joint that the face moves farther from its place gets channels of its position
_TURNS = [f"{axis}rotation" for axis in ORDER]
_PLACES = [f"{axis}position" for axis in "XYZ"]
_END = 0.5  # length of what a last joint carries, of the bone before it


def write_bvh(path: Path, rig: Rig) -> Path:
    """SMPL-X's joints in centimetres, y up, facing +z; angles in degrees, the root's position before them.

    Positions of head, jaw and eyes stand beside their angles where expressions move these joints; they are the place in
    the parent's frame and stand in for the joint's OFFSET, as Blender reads them.
    """
    offsets = UNIT * (rig.rest_joints - rig.rest_joints[[max(parent, 0) for parent in rig.parents]]).numpy()
    offsets[0] = UNIT * rig.rest_joints[0]
    places = UNIT * rig.translations.numpy()  # [T, J, 3]
    wanders = (np.abs(places - offsets) > UNIT * _WANDERS).any(axis=(0, 2))
    wanders[0] = True
    turns = _angles(rig.rotations.numpy())
    order, lines = [], ["HIERARCHY"]

    def joint(number: int, depth: int) -> None:
        order.append(number)
        children = [child for child, parent in enumerate(rig.parents) if parent == number]
        channels = [*_PLACES * int(wanders[number]), *_TURNS]
        block = [f"OFFSET {_text(offsets[number])}", f"CHANNELS {len(channels)} {' '.join(channels)}"]
        indent = "\t" * depth
        lines.extend([f"{indent}{'JOINT' if depth else 'ROOT'} {rig.joints[number]}", f"{indent}{{"])
        lines.extend(f"{indent}\t{line}" for line in block)
        for child in children:
            joint(child, depth + 1)
        if not children:
            end = _text(_END * offsets[number])
            lines.extend(f"{indent}\t{line}" for line in ("End Site", "{", f"\tOFFSET {end}", "}"))
        lines.append(f"{indent}}}")

    joint(0, 0)
    columns = [each for number in order for each in ([places[:, number]] * int(wanders[number]) + [turns[:, number]])]
    lines += ["MOTION", f"Frames: {len(rig)}", f"Frame Time: {1 / rig.fps:.10g}"]
    lines += [_text(row) for row in np.concatenate(columns, axis=1)]
    with new_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def _angles(rotations: np.ndarray) -> np.ndarray:
    """Quaternions [T, J, 4] (x, y, z, w) -> degrees [T, J, 3] in `ORDER`, without leaps of whole turns."""
    from scipy.spatial.transform import Rotation

    angles = Rotation.from_quat(rotations.reshape(-1, 4)).as_euler(ORDER).reshape(*rotations.shape[:2], 3)
    return np.degrees(np.unwrap(angles, axis=0))


def _text(numbers: np.ndarray) -> str:
    return " ".join(f"{number:.5f}" for number in numbers)
