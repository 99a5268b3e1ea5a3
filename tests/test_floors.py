"""The rooms of the house: a room imports only from rooms on lower floors, read from the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from soke.run.config import ROOT

# Highest floor first. Rooms that share a floor know nothing of each other.
FLOORS: list[tuple[str, ...]] = [
    ("prepare", "soke.viewer.__main__"),
    ("soke.build",),
    ("soke.viewer",),
    ("soke.generator", "soke.regressor", "soke.recognition"),
    ("soke.tokenizer", "soke.translation", "soke.embedding", "soke.render"),
    ("soke.evaluation", "soke.sharing"),
    ("soke.report",),
    ("soke.metrics",),
    ("soke.data",),
    ("soke.run",),
    ("soke.text", "soke.body"),
    ("soke.model_files",),
    ("soke.storage", "soke.pickles", "soke.transformer", "soke.hashing", "soke.hub", "soke.saved", "soke.starting"),
    ("settings",),  # soke/settings.py and each room's
    ("soke.errors", "soke.lazy", "soke"),
]
FLOOR = {room: len(FLOORS) - number for number, rooms in enumerate(FLOORS) for room in rooms}
# What plain rooms do without, besides higher floors.
WITHOUT = {
    "settings": ("torch", "pytorch_lightning", "transformers", "omegaconf", "numpy"),
    "soke.body": ("pytorch_lightning", "transformers", "omegaconf"),
    "soke.text": ("pytorch_lightning", "transformers", "omegaconf", "torch"),
    "soke.metrics": ("pytorch_lightning", "transformers", "omegaconf", "soke.run"),
}
SOURCES = [path for folder in ("soke", "prepare") for path in sorted((ROOT / folder).rglob("*.py"))]


def room_of(module: str) -> str | None:
    """The longest room that a module lies in, or None for a package of others; settings are a room of their own."""
    parts = module.split(".")
    if parts[-1] == "__main__":  # an entry point, as those beside soke
        return "prepare"
    if parts[0] == "soke" and "settings" in parts[1:3]:
        return "settings"
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((name for name in names if name in FLOOR), None)


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_room_imports_only_from_lower_floors(path):
    own = room_of(module_of(path))
    for module in imports(path):
        other = room_of(module)
        if other is not None and other != own:
            assert FLOOR[other] < FLOOR[own], f"{path.relative_to(ROOT)} imports {module}, which is no lower floor"
        for absent in WITHOUT.get(own, ()):
            assert not (module + ".").startswith(absent + "."), f"{path.relative_to(ROOT)} imports {module}"


def test_the_map_in_the_readme_goes_from_the_lowest_floor_up():
    _, _, table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| room | what is in it |")
    cells = (line.split("|")[1] for line in table.partition("\n\n")[0].split("\n")[2:])
    named = [[f"soke.{name.removeprefix('soke/').removesuffix('.py')}" for name in re.findall("`(.+?)`", cell)] for cell in cells]
    floors = [[FLOOR[name] for name in names if name in FLOOR] for names in named]
    floors = [of_row for of_row in floors if of_row]
    assert len(floors) > 15
    assert all(max(before) <= min(after) for before, after in zip(floors, floors[1:]))


def test_every_room_has_a_floor():
    rooms = {f"soke.{path.name}" for path in (ROOT / "soke").iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= set(FLOOR)
