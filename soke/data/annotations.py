"""The annotation files of the public corpora, as plain rows: delimited tables and pickled lists."""
from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from soke.data.pickles import load_pickle
from soke.errors import UserError

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

    Raises UserError that names the file: unreadable, not UTF-8, empty, or without one of the `required` columns.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            lines = list(_tab_separated(file) if "\t" in header else _comma_separated(file))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no table in UTF-8: {error}") from error
    columns = lines[0][1] if lines else []
    missing = [name for name in required if name not in columns]
    if missing:
        raise UserError(
            f"{path} lacks the columns {', '.join(missing)}; its header has {', '.join(columns) or 'none'}. "
            "Columns are separated by tabs or commas"
        )
    table = Table(columns, [], {})
    for number, fields in lines[1:]:
        if len(fields) == len(columns):
            table.rows.append(dict(zip(columns, fields)))
        elif fields:
            table.malformed[f"line {number}"] = f"has {len(fields)} fields, expected {len(columns)}"
    return table


def _comma_separated(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(file)
    for fields in reader:
        yield reader.line_num, fields


def _tab_separated(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    # Such files quote by the CSV rules or not at all, and sentences begin with quotation marks of their own: a whole
    # field in quotes is unquoted, a single mark stays, and no mark reaches beyond its line.
    for number, line in enumerate(file, start=1):
        line = line.rstrip("\r\n")
        if line:
            yield number, [_unquoted(field) for field in line.split("\t")]


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
