"""Sizes: a file holds one job, a function is read at once."""
from __future__ import annotations

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest

from soke.run.config import ROOT

FILE, FUNCTION = 400, 60  # lines at the most
SOURCES = sorted((ROOT / "soke").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def long_functions(source: str) -> list[str]:
    """Those of more than FUNCTION lines, decorators and docstring included."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    starts = [min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) for node in functions]
    return [node.name for node, start in zip(functions, starts) if node.end_lineno - start + 1 > FUNCTION]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_are_short(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= FILE, f"{name_of(path)} is longer: split what does two jobs"
    long = ", ".join(long_functions(source))
    assert not long, f"{name_of(path)} has functions of over {FUNCTION} lines: {long}"


def test_a_long_function_is_found():
    lines = ["@decorated", "def long():", *["    x = 1"] * (FUNCTION - 2), "def short():", "    x = 1"]
    assert long_functions("\n".join(lines)) == []
    assert long_functions("\n".join([*lines[:3], "    x = 1", *lines[3:]])) == ["long"]


def test_every_test_file_is_run(pytestconfig):
    """`bash prepare/test.sh` enters all folders of tests."""
    skipped = pytestconfig.getini("norecursedirs")
    folders = {part for path in (ROOT / "tests").rglob("test_*.py") for part in path.relative_to(ROOT).parts[:-1]}
    assert [name for name in folders if any(fnmatch(name, pattern) for pattern in skipped)] == []
