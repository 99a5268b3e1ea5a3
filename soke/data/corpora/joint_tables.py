"""Tables of a skeleton's joints: what the numbers of a frame are, in a YAML file that the user writes."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from soke.body.joints import SKELETON_50, expanded
from soke.body.skeleton import UNKNOWN_UNIT, Up
from soke.errors import UserError
from soke.settings import near
from soke.storage import read_text

SKIPPED = "skip"


@dataclass(frozen=True)
class JointTable:
    """What a frame of a .skels file holds: x, y, z of each joint, then the counter.

    joints:  our names in the file's order; None: a joint that is left out
    counter: whether frames end with a counter
    scale:   positions are multiplied by it; None: by what Progressive Transformers (3) or Prompt2Sign's tools (9) have
             divided them by
    unit:    of positions after that
    up:      direction of the signer's head
    """

    joints: tuple[str | None, ...] = SKELETON_50
    counter: bool = True
    scale: float | None = None
    unit: str = UNKNOWN_UNIT
    up: Up = "-y"

    @property
    def width(self) -> int:
        return 3 * len(self.joints) + self.counter

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the joints that are not left out."""
        return tuple(joint for joint in self.joints if joint is not None)


def read_joint_table(path: Path) -> JointTable:
    """The table in a YAML file.

    JOINTS:  names in order; names of groups (skeleton_left_hand) stand for their joints, `{face: 128}` for face1 to
             face128, `{skip: 128}` for so many joints that are left out
    COUNTER, SCALE, UNIT, UP: see `JointTable`; without SCALE it is 1, but for the 50 joints in the order of .skels files,
             whose unit is not given either: these tell it

    Raises UserError that names the file, the key and the remedy.
    """
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or "JOINTS" not in content:
        raise UserError(f"{path} holds no joint table: write JOINTS: [nose, neck, …], the joints in the file's order")
    keys = ("JOINTS", "COUNTER", "SCALE", "UNIT", "UP")
    if unknown := [key for key in content if key not in keys]:
        raise UserError(f"{path}: {unknown[0]} is none of {', '.join(keys)}{near(str(unknown[0]), keys)}")
    joints = _joints(path, content["JOINTS"])
    named = [joint for joint in joints if joint is not None]
    if twice := [joint for i, joint in enumerate(named) if joint in named[:i]]:
        raise UserError(f"{path}: JOINTS names {twice[0]} twice; each joint needs a name of its own")
    if not named:
        raise UserError(f"{path}: JOINTS names no joint")
    counter = content.get("COUNTER", True)
    scale = content.get("SCALE", None if _told(joints) and "UNIT" not in content else 1.0)
    if scale is not None and (isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < math.inf):
        raise UserError(f"{path}: SCALE must be a number above 0, not {scale!r}")
    if not isinstance(counter, bool):
        raise UserError(f"{path}: COUNTER must be true or false, not {counter!r}")
    unit, up = content.get("UNIT", UNKNOWN_UNIT), content.get("UP", "-y")
    if up not in get_args(Up):
        raise UserError(f"{path}: UP must be one of {', '.join(get_args(Up))}, not {up!r}")
    if not isinstance(unit, str) or not unit:
        raise UserError(f"{path}: UNIT must be a name, `m` where positions are metres, not {unit!r}")
    return JointTable(joints, counter, None if scale is None else float(scale), unit, up)


def _told(joints: Sequence[str | None]) -> bool:
    """Whether they stand where Progressive Transformers and Prompt2Sign have them, whose files tell their scale."""
    return len(joints) == len(SKELETON_50) and all(ours in (None, theirs) for ours, theirs in zip(joints, SKELETON_50))


def _joints(path: Path, listed: Any) -> tuple[str | None, ...]:
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise UserError(f"{path}: JOINTS must be a list of names, not {listed!r}")
    joints: list[str | None] = []
    for entry in listed:
        if isinstance(entry, str) and entry:
            joints += expanded(entry)
            continue
        run = list(entry.items()) if isinstance(entry, dict) else []
        if len(run) != 1 or not isinstance(run[0][0], str) or type(run[0][1]) is not int or run[0][1] < 1:
            raise UserError(
                f"{path}: {entry!r} in JOINTS is neither a name nor a run of joints, as {{face: 128}} or {{skip: 128}}"
            )
        name, count = run[0]
        joints += [None if name == SKIPPED else f"{name}{i + 1}" for i in range(count)]
    return tuple(joints)
