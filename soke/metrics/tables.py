"""Result tables: systems down, metrics across, one block per corpus; only comparable scores share a column."""
from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from soke.metrics.signature import Signature, comparable, differences
from soke.storage import new_file

DECIMALS = {"m": 3, "mm": 1}  # of the other units: 2
TEXT_WIDTH = 100  # characters of a line in table.txt
ABSENT = "–"


@dataclass(frozen=True)
class Cell:
    """Scores of one system on one corpus with one metric.

    Attributes:
        row: the system, for example "SOKE", "tokenizer reconstruction" or "shuffled".
        corpus: the corpus, of which the split may be a part of the name.
        signature: the metric's.
        values: unit to value, in the order in which they are shown.
        higher_is_better: None for a quantity that is no quality.
    """

    row: str
    corpus: str
    signature: Signature
    values: dict[str, float]
    higher_is_better: bool | None

    @property
    def metric(self) -> tuple[str, str]:
        """Name and part: with the corpus, the column."""
        return self.signature.name, self.signature.part or ""

    def heading(self) -> str:
        """Lines of the column's head: name, part and direction, units."""
        arrow = {True: " ↑", False: " ↓", None: ""}[self.higher_is_better]
        name, part = self.metric
        lines = [name, part + arrow] if part else [name + arrow]
        return "\n".join([*lines, " / ".join(self.values)])

    def text(self) -> str:
        """The values, side by side."""
        return " / ".join(f"{value:.{DECIMALS.get(unit, 2)}f}" for unit, value in self.values.items())


class ResultTable:
    """Collects scores, refuses to mix what cannot be compared, and renders or saves them.

    Args:
        title: the line above the table.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.cells: list[Cell] = []

    def add(
        self,
        row: str,
        corpus: str,
        signature: Signature,
        values: dict[str, float],
        higher_is_better: bool | None = False,
    ) -> None:
        """Adds what a metric's `compute` gave, as plain numbers or scalar tensors.

        Raises:
            ValueError: the signature is not comparable with that of another row of the same column, the cell is
                taken, a value is not finite, or the units differ from the signature's.
        """
        cell = Cell(row, corpus, signature, {unit: float(value) for unit, value in values.items()}, higher_is_better)
        where = f"{row} on {corpus}, {' '.join(cell.metric).strip()}"
        if tuple(values) != signature.units:
            raise ValueError(f"{where}: the values are in {', '.join(values)}, the signature says {signature}")
        for unit, value in cell.values.items():
            if not math.isfinite(value):
                raise ValueError(f"{where}: the value in {unit} is {value}")
        for other in self._column(corpus, cell.metric):
            if other.row == row:
                raise ValueError(f"{where}: there is a result already")
            if not comparable(signature, other.signature):
                raise ValueError(
                    f"{where}: cannot be compared with {other.row}, for they differ in "
                    f"{', '.join(differences(signature, other.signature))}: {signature} and {other.signature}"
                )
        self.cells.append(cell)

    def print(self, console: Console | None = None) -> None:
        """To the terminal, or wherever `console` writes."""
        console = console or Console()
        console.print(self.title, style="bold", markup=False, highlight=False)
        for corpus in dict.fromkeys(cell.corpus for cell in self.cells):
            for block in self._blocks(corpus, console.width):
                console.print()
                console.print(block)
        console.print()
        for signature in dict.fromkeys(str(cell.signature) for cell in self.cells):
            console.print(signature, style="dim", markup=False, highlight=False, soft_wrap=True)

    def text(self) -> str:
        """The table and its signatures as plain text, at most 100 columns wide (signatures are not broken)."""
        stream = io.StringIO()
        self.print(Console(file=stream, width=TEXT_WIDTH, color_system=None, force_terminal=False))
        return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"

    def to_dict(self) -> dict[str, object]:
        """Title and cells with whole signatures, for JSON."""
        return {
            "title": self.title,
            "cells": [
                {
                    "row": cell.row,
                    "corpus": cell.corpus,
                    "metric": cell.signature.name,
                    "part": cell.signature.part,
                    "values": cell.values,
                    "higher_is_better": cell.higher_is_better,
                    "signature": cell.signature.to_dict(),
                }
                for cell in self.cells
            ],
        }

    def csv(self) -> str:
        """One line per value."""
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["row", "corpus", "metric", "part", "unit", "value", "signature"])
        for cell in self.cells:
            for unit, value in cell.values.items():
                name, part = cell.metric
                writer.writerow([cell.row, cell.corpus, name, part, unit, repr(value), str(cell.signature)])
        return stream.getvalue()

    def save(self, folder: str | Path) -> None:
        """Writes table.txt, table.json and table.csv into `folder`, which is made; no file is ever half-written."""
        folder = Path(folder)
        contents = {
            "table.txt": self.text(),
            "table.json": json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n",
            "table.csv": self.csv(),
        }
        for name, content in contents.items():
            with new_file(folder / name) as path:
                path.write_text(content, encoding="utf-8", newline="")

    def _column(self, corpus: str, metric: tuple[str, str]) -> list[Cell]:
        return [cell for cell in self.cells if cell.corpus == corpus and cell.metric == metric]

    def _blocks(self, corpus: str, width: int) -> list[Table]:
        """The corpus's rows, repeated as often as its columns need to keep within `width`."""
        metrics = list(dict.fromkeys(cell.metric for cell in self.cells if cell.corpus == corpus))
        columns = [self._column(corpus, metric) for metric in metrics]
        rows = list(dict.fromkeys(cell.row for cell in self.cells if cell.corpus == corpus))
        row_width = max(map(len, [corpus, *rows])) + 1

        groups: list[list[list[Cell]]] = [[]]
        used = row_width
        for column in columns:
            lines = [line for cell in column for line in [*cell.heading().splitlines(), cell.text()]]
            column_width = max(map(len, lines)) + 3  # with its margins
            if groups[-1] and used + column_width > width:
                groups.append([])
                used = row_width
            groups[-1].append(column)
            used += column_width
        return [_block(corpus, rows, group) for group in groups]


def _block(corpus: str, rows: list[str], columns: list[list[Cell]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(Text(corpus), no_wrap=True, vertical="bottom")
    for column in columns:
        table.add_column(Text(column[0].heading()), justify="right", no_wrap=True, vertical="bottom")
    for row in rows:
        texts = [{cell.row: cell.text() for cell in column}.get(row, ABSENT) for column in columns]
        table.add_row(Text(row), *texts)
    return table

