"""Everything runs on Python 3.10: its grammar, and names that its standard library has; read from the source."""
from __future__ import annotations

import ast

import pytest

from soke.run.config import ROOT

OLDEST = (3, 10)
# What later versions have added, as far as anybody would reach for it here. None: the module itself.
NEWER: dict[str, tuple[str, ...] | None] = {
    "tomllib": None,
    "typing": (
        "Self", "Never", "LiteralString", "NotRequired", "Required", "ReadOnly", "Unpack", "TypeVarTuple",
        "TypeAliasType", "TypeIs", "NoDefault", "assert_never", "assert_type", "reveal_type", "dataclass_transform",
        "override", "clear_overloads", "get_overloads", "get_protocol_members", "is_protocol",
    ),
    "enum": ("StrEnum", "ReprEnum", "EnumCheck", "FlagBoundary", "verify", "member", "nonmember", "property"),
    "datetime": ("UTC",), "itertools": ("batched",), "contextlib": ("chdir",), "hashlib": ("file_digest",),
    "math": ("cbrt", "exp2", "sumprod", "fma"), "operator": ("call",), "asyncio": ("TaskGroup", "Runner", "timeout"),
    "logging": ("getLevelNamesMapping",), "inspect": ("getmembers_static", "markcoroutinefunction"),
    "warnings": ("deprecated",), "copy": ("replace",), "calendar": ("Month", "Day"), "wsgiref.types": None,
    "collections.abc": ("Buffer",), "types": ("get_original_bases",), "random": ("binomialvariate",),
}
BUILTINS = ("ExceptionGroup", "BaseExceptionGroup", "PythonFinalizationError")
MODULES = sorted([*ROOT.glob("*.py"), *(path for room in ("soke", "prepare") for path in (ROOT / room).rglob("*.py"))])


def faults(source: str) -> list[str]:
    """Lines of a module that Python 3.10 would not understand, with why."""
    try:
        tree = ast.parse(source, feature_version=OLDEST)
    except SyntaxError as error:
        return [f"{error.lineno}: {error.msg}"]
    modules: dict[str, str] = {}  # local name -> module
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {name.asname or name.name: name.name for name in node.names}
            found += [f"{node.lineno}: {n.name}" for n in node.names if n.name in NEWER and NEWER[n.name] is None]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module in NEWER:
            newer = NEWER[node.module]
            found += [f"{node.lineno}: {node.module}.{n.name}" for n in node.names if newer is None or n.name in newer]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
            module = modules.get(ast.unparse(node.value))
            if module in NEWER and node.attr in (NEWER[module] or ()):
                found.append(f"{node.lineno}: {module}.{node.attr}")
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            found.append(f"{node.lineno}: {node.id}")
    return found


def test_no_module_needs_more_than_python_3_10():
    assert len(MODULES) > 150
    found = {str(p.relative_to(ROOT)): faults(p.read_text(encoding="utf-8")) for p in MODULES}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(("source", "fault"), [
    ("from typing import Self", "1: typing.Self"),
    ("import typing as t\nx: t.Never", "2: typing.Never"),
    ("import tomllib", "1: tomllib"),
    ("from datetime import UTC, datetime", "1: datetime.UTC"),
    ("import itertools\nitertools.batched([], 2)", "2: itertools.batched"),
    ("import collections.abc\ncollections.abc.Buffer", "2: collections.abc.Buffer"),
    ("raise ExceptionGroup('', [])", "1: ExceptionGroup"),
    ("try:\n    pass\nexcept* ValueError:\n    pass", "Exception groups are only supported in Python 3.11"),
])
def test_newer_names_and_grammar_are_found(source, fault):
    (found,) = faults(source)
    assert fault in found


@pytest.mark.parametrize("source", [
    "from typing_extensions import Self", "import soke.pickles as typing\ntyping.Self", "class A:\n    Self = 1",
    "match x:\n    case 1: pass", "with (open('a') as a, open('b') as b): pass", "x: int | None = None",
])
def test_what_python_3_10_has_is_left_alone(source):
    assert faults(source) == []
