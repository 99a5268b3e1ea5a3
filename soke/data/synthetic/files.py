"""What all synthetic corpora have in common on disk: a stamp with their parameters, and files that are never half."""
from __future__ import annotations

import json
from pathlib import Path

from soke.errors import UserError
from soke.storage import new_file

STAMP = "corpora.json"


def claim(root: Path, parameters: dict) -> bool:
    """Whether `root` is complete already; else it is marked as under construction.

    Raises UserError when it holds other things, or corpora of other parameters.
    """
    stamp = root / STAMP
    if stamp.is_file():
        found = json.loads(stamp.read_text(encoding="utf-8"))
        complete = found.pop("complete")
        if found != parameters:
            raise UserError(
                f"{root} holds synthetic corpora made with {found}, not {parameters}: "
                "remove that folder or choose another one with --out."
            )
        return complete
    if root.exists() and any(root.iterdir()):
        raise UserError(f"{root} is not empty and holds no synthetic corpora: choose another folder with --out.")
    write(stamp, as_json({**parameters, "complete": False}))
    return False


def finish(root: Path, parameters: dict) -> None:
    """Marks `root` as complete."""
    write(root / STAMP, as_json({**parameters, "complete": True}))


def as_json(content: dict) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def write(path: Path, content: bytes) -> None:
    with new_file(path) as temporary:
        temporary.write_bytes(content)
