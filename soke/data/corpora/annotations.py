"""The annotation files of the public corpora, as plain rows: delimited tables and pickled lists."""
from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soke.errors import UserError
from soke.pickles import load_pickle
from soke.storage import read_text

_OPEN = (
    "opens a quotation mark that is not closed before what looks like the next row; close it, and keep the text on one "
    "line"
)
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


@dataclass(frozen=True)
class Table:
    """A delimited file with a header.

    columns:   as the header names them
    rows:      one dict per line whose number of fields fits
    malformed: for every other line, what is wrong with it: {"line 12": "has 6 fields, expected 7"}
    """

    columns: list[str]
    rows: list[dict[str, str]]
    malformed: dict[str, str]


def read_table(path: Path, required: Sequence[str]) -> Table:
    """Read a file of tab- or comma-separated values; a tab in the header decides which.

    A field in quotation marks may hold line ends. But where one of its lines has the separators of a row, a mark was
    left open: its line is malformed, and the lines that it would have swallowed are read as rows.

    Raises UserError that names the file: unreadable, not UTF-8, empty, without one of the `required` columns, or with
    two columns of one name.
    """
    lines = read_text(path).split("\n")
    records = _tab_separated(lines) if "\t" in lines[0] else _comma_separated(lines)
    columns = next(records, ("", None))[1] or []
    missing = [name for name in required if name not in columns]
    if missing:
        raise UserError(
            f"{path} lacks the columns {', '.join(missing)}; its header has {', '.join(columns) or 'none'}. "
            "Columns are separated by tabs or commas"
        )
    doubled = sorted({name for name in columns if name.strip() and columns.count(name) > 1})
    if doubled:
        raise UserError(f"{path} has several columns of the name {', '.join(doubled)}; keep one, or rename the others")
    table = Table(columns, [], {})
    for where, fields in records:
        if fields is None:
            table.malformed[where] = _OPEN
        elif len(fields) == len(columns):
            table.rows.append(dict(zip(columns, fields)))
        elif fields:
            table.malformed[where] = f"has {len(fields)} fields, expected {len(columns)}"
    return table


def _comma_separated(lines: Sequence[str]) -> Iterator[tuple[str, list[str] | None]]:
    """Of each record the place and the fields: none of an empty line, None where a quotation mark is left open."""
    end, width = 0, 0  # lines that are read, fields of the header

    def following() -> Iterator[str]:
        nonlocal end
        while end < len(lines):
            end += 1
            yield lines[end - 1] + "\n"
        end += 1  # still asked for more: a mark is open at the end of the file

    while end < len(lines):
        start = end
        fields = _fields(following())
        width = width or len(fields or [])
        if end > len(lines) or any(line.count(",") >= width - 1 for line in lines[start + 1 : end]):
            fields = None
        if fields is None:
            end = start + 1
        yield f"line {start + 1}" if end == start + 1 else f"lines {start + 1} to {end}", fields


def _fields(lines: Iterable[str]) -> list[str] | None:
    """The fields of the first record in `lines`; None of one that is longer than any field may be."""
    try:
        return next(csv.reader(lines))
    except csv.Error:
        return None


def _tab_separated(lines: Sequence[str]) -> Iterator[tuple[str, list[str] | None]]:
    """As `_comma_separated`."""
    # Such files quote by the CSV rules or not at all, and sentences begin with quotation marks of their own: a whole
    # field in quotes is unquoted, a single mark stays, and no mark reaches beyond its line.
    for number, (line, following) in enumerate(zip(lines, [*lines[1:], ""]), start=1):
        fields = line.split("\t") if line else []
        last = fields[-1] if fields else ""
        is_open = last.startswith('"') and _unquoted(last) == last and following and "\t" not in following
        yield f"line {number}", None if is_open else [_unquoted(field) for field in fields]


def _unquoted(field: str) -> str:
    quoted = _QUOTED.fullmatch(field)
    return quoted[1].replace('""', '"') if quoted else field


def safe_name(name: str) -> str:
    """The name of a clip, which becomes part of paths. Raises ValueError when it could lead out of its folder."""
    steps = name.split("/")
    if any(step in ("", ".", "..") or "\\" in step or "\0" in step or ":" in step[1:2] for step in steps):
        raise ValueError(f"the name {name!r} leads out of the folder")
    return name


def read_entries(path: Path) -> list[Mapping[str, Any]]:
    """Read a (gzipped) pickled list of dicts. Raises UserError that names the file, and the entry that is none."""
    entries = load_pickle(path)
    if not isinstance(entries, list):
        raise UserError(f"{path} holds a {type(entries).__name__}, not the list of annotations")
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise UserError(f"{path}: entry {i} is a {type(entry).__name__}, not the dict of an annotation")
    return entries
