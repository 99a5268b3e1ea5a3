"""Result tables: systems down, metrics across, one block per corpus; only comparable scores share a column."""
from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from soke.metrics.clips import LEVEL, Score
from soke.metrics.signature import Signature, comparable, differences, together
from soke.storage import new_file

DECIMALS = {"m": 3, "mm": 1}  # of the other units: 2
_LENGTHS = ("m", "unit", "shoulders")  # of which small ones have three digits: no two DTW-MJE differ in two decimals
_TINY = 5e-5  # is nothing
TEXT_WIDTH = 100  # characters of a line in table.txt
SCREEN_WIDTH = 120
ABSENT = "–"
_NOTES = 5  # at most, on the screen
_RANGES = f"ranges: {LEVEL} % bootstrap intervals, over the clips"


@dataclass(frozen=True)
class Cell:
    """A score of one system on one corpus.

    row:    the system, for example "SOKE", "tokenizer reconstruction" or "shuffled"
    corpus: the corpus
    score:  value, interval and signature
    total:  number of clips that should have been scored
    split:  split of the corpus; None where there are no splits
    """

    row: str
    corpus: str
    score: Score
    total: int
    split: str | None = None

    @property
    def metric(self) -> tuple[str, str]:
        """Name and part: with the corpus, the column."""
        return self.score.signature.name, self.score.signature.part or ""

    def heading(self) -> str:
        """Lines of the column's head: name, part and direction, units."""
        arrow = {True: " ↑", False: " ↓", None: ""}[self.score.higher_is_better]
        name, part = self.metric
        *lines, last = [*name.split(" "), *[part] * bool(part)]
        return "\n".join([*lines, last + arrow, " / ".join(self.score.values)])

    def brief(self, between: str) -> str:
        """The first value, `between` and its interval, or all values where there is none."""
        score, (unit, *_) = self.score, self.score.values
        if unit not in score.intervals:
            return " / ".join(f"{value:.{_decimals(value, unit, 2)}f}" for unit, value in score.values.items())
        decimals = _decimals(score.values[unit], unit, 2)
        return f"{score.values[unit]:.{decimals}f}{between}" + "–".join(f"{end:.{decimals}f}" for end in score.intervals[unit])

    def brief_heading(self) -> str:
        """Lines of the column's head above `brief`."""
        *lines, units = self.heading().split("\n")
        return "\n".join([*lines, units.split(" / ")[0] if self.score.intervals else units])

    def text(self) -> str:
        """The values side by side; below the first its interval."""
        score = self.score
        decimals = {unit: _decimals(value, unit, DECIMALS.get(unit, 2)) for unit, value in score.values.items()}
        line = " / ".join(f"{value:.{decimals[unit]}f}" for unit, value in score.values.items())
        first = next(iter(score.values))
        if first not in score.intervals:
            return line
        return f"{line}\n" + "–".join(f"{end:.{decimals[first]}f}" for end in score.intervals[first])

    def to_dict(self) -> dict[str, object]:
        """For JSON; `Cell.from_dict` is the inverse."""
        score = self.score
        return {
            "row": self.row,
            "corpus": self.corpus,
            "split": self.split,
            "metric": score.signature.name,
            "part": score.signature.part,
            "values": score.values,
            "intervals": {unit: list(ends) for unit, ends in score.intervals.items()},
            "clips": score.clips,
            "clips_hash": score.clips_hash,
            "total": self.total,
            "higher_is_better": score.higher_is_better,
            "signature": score.signature.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict) -> Cell:
        """Raises KeyError or TypeError for what `to_dict` did not write."""
        intervals = {unit: tuple(ends) for unit, ends in values["intervals"].items()}
        score = Score(
            Signature.from_dict(values["signature"]), values["values"], intervals, values["clips"],
            values["higher_is_better"], values["clips_hash"],
        )
        return cls(values["row"], values["corpus"], score, values["total"], values["split"])


def _decimals(value: float, unit: str, least: int) -> int:
    """At least so many, and of a small length as many as show three digits."""
    small = unit in _LENGTHS and _TINY <= abs(value) < 0.1
    return max(least, 2 - math.floor(math.log10(abs(value)))) if small else least


def write_clips(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes clips.csv into `folder`: a line per row, with the columns of all in the order in which they come up."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with new_file(folder / "clips.csv") as path, path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


class ResultTable:
    """Collects scores, refuses to mix what cannot be compared, and renders or saves them.

    title: the line above the table
    first: rows that stand above the others, in this order
    split: of the corpora; None where there are no splits

    notes:      sentences below the table
    conditions: what else the numbers depend on, in plain types: the model, how it was asked
    """

    def __init__(self, title: str, first: Sequence[str] = (), split: str | None = None) -> None:
        self.title, self.first, self.split = title, tuple(first), split
        self.cells: list[Cell] = []
        self.notes: list[str] = []
        self.conditions: dict[str, object] = {}

    def add(self, row: str, corpus: str, score: Score, total: int | None = None) -> None:
        """Adds one of a metric's `scores`.

        total: number of clips that should have been scored; None: all were

        Raises ValueError when the signature is not comparable with that of another row of the same column, the cell is
        taken, a value is not finite, or the units differ from the signature's.
        """
        cell = Cell(row, corpus, score, score.clips if total is None else total, self.split)
        signature, where = score.signature, f"{row} on {corpus}, {' '.join(cell.metric).strip()}"
        if tuple(score.values) != signature.units:
            raise ValueError(f"{where}: the values are in {', '.join(score.values)}, the signature says {signature}")
        for unit, value in score.values.items():
            if not math.isfinite(value):
                raise ValueError(f"{where}: the value in {unit} is {value}")
        for other in self._column(corpus, cell.metric):
            if other.row == row:
                raise ValueError(f"{where}: there is a result already")
            theirs = other.score.signature
            if not comparable(signature, theirs):
                raise ValueError(
                    f"{where}: cannot be compared with {other.row}, for they differ in "
                    f"{', '.join(differences(signature, theirs))}: {signature} and {theirs}"
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
        if any(cell.score.intervals for cell in self.cells):
            console.print(f"{_RANGES}, of the first unit", style="dim", highlight=False)
        for note in self.notes:
            console.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)
        of_metrics: dict[str, list[Signature]] = {}
        for cell in self.cells:
            of_metrics.setdefault(cell.score.signature.name, []).append(cell.score.signature)
        for signatures in of_metrics.values():
            console.print(together(signatures), style="dim", markup=False, highlight=False, soft_wrap=True)

    def print_summary(self, blocks: Sequence[Sequence[tuple[str, str]]], console: Console | None = None) -> None:
        """A few columns of all corpora on one screen, a row per system; the first notes, and no signatures.

        blocks:  name and part of each column, of tables below each other; a column that no cell has is left out
        console: where to write, the terminal by default
        """
        console = console or Console()
        if not console.is_terminal:
            console.width = SCREEN_WIDTH
        console.print(self.title, style="bold", markup=False, highlight=False)
        shown: list[Cell] = []
        for metrics in blocks:
            columns = [found for metric in metrics if (found := [cell for cell in self.cells if cell.metric == metric])]
            if columns:
                shown += [cell for column in columns for cell in column]
                wide = self._brief(columns, between=" ")
                unbounded = console.options.update(max_width=10 * console.width)
                fits = console.measure(wide, options=unbounded).maximum <= console.width
                console.print()
                console.print(wide if fits else self._brief(columns, between="\n"))
        ranges = [_RANGES] if any(cell.score.intervals for cell in shown) else []
        more = [f"and {len(self.notes) - _NOTES} notes more"] if len(self.notes) > _NOTES else []
        for line in ["", *_scored_on(shown), *ranges, *self.notes[:_NOTES], *more]:
            console.print(line, style="dim", markup=False, highlight=False)

    def _brief(self, columns: Sequence[list[Cell]], between: str) -> Table:
        """Corpora and their rows down, `columns` across."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name, side in (("corpus", "left"), ("system", "left"), ("clips", "right")):
            table.add_column(Text(name), justify=side, no_wrap=name != "system", overflow="fold")
        for column in columns:
            table.add_column(Text(column[0].brief_heading()), justify="right", no_wrap=True)
        for corpus in dict.fromkeys(cell.corpus for column in columns for cell in column):
            named = corpus
            for row in self._rows(corpus):
                own = [cell for column in columns for cell in column if (cell.corpus, cell.row) == (corpus, row)]
                texts = {cell.metric: cell.brief(between) for cell in own}
                values = [texts.get(column[0].metric, ABSENT) for column in columns]
                if own:
                    table.add_row(Text(named), Text(row), _clips(own), *values)
                    named = ""
        return table

    def text(self) -> str:
        """The table and its signatures as plain text, at most 100 columns wide (signatures are not broken)."""
        stream = io.StringIO()
        self.print(Console(file=stream, width=TEXT_WIDTH, color_system=None, force_terminal=False))
        return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"

    def to_dict(self) -> dict[str, object]:
        """Title, conditions, cells with whole signatures, and notes, for JSON."""
        cells = [cell.to_dict() for cell in self.cells]
        return {"title": self.title, "conditions": self.conditions, "cells": cells, "notes": self.notes}

    def csv(self) -> str:
        """One line per value."""
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["row", "corpus", "metric", "part", "unit", "value", "low", "high", "clips", "signature"])
        for cell in self.cells:
            score = cell.score
            for unit, value in score.values.items():
                ends = map(repr, score.intervals.get(unit, ("", "")))
                row = [cell.row, cell.corpus, *cell.metric, unit, repr(value), *ends, score.clips, str(score.signature)]
                writer.writerow(row)
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

    def _rows(self, corpus: str) -> list[str]:
        """The corpus's rows in their order."""
        present = dict.fromkeys(cell.row for cell in self.cells if cell.corpus == corpus)
        return sorted(present, key=lambda row: self.first.index(row) if row in self.first else len(self.first))

    def _blocks(self, corpus: str, width: int) -> list[Table]:
        """The corpus's rows, repeated as often as its columns need to keep within `width`."""
        metrics = list(dict.fromkeys(cell.metric for cell in self.cells if cell.corpus == corpus))
        columns = [self._column(corpus, metric) for metric in metrics]
        rows = self._rows(corpus)
        row_width = max(map(len, [corpus, *rows])) + len("clips") + 6

        groups: list[list[list[Cell]]] = [[]]
        used = row_width
        for column in columns:
            lines = [line for cell in column for text in (cell.heading(), cell.text()) for line in text.splitlines()]
            column_width = max(map(len, lines)) + 3  # with its margins
            if groups[-1] and used + column_width > width:
                groups.append([])
                used = row_width
            groups[-1].append(column)
            used += column_width
        return [_block(corpus, rows, group) for group in groups]


def _scored_on(cells: Sequence[Cell]) -> list[str]:
    """What all readers of a summary need to know of the signatures, in a line at most."""
    facts = {
        key: dict.fromkeys(value for cell in cells if (value := getattr(cell.score.signature, field)) is not None)
        for key, field in (("body", "body"), ("dtw", "dtw"), ("level", "level"))
    }
    line = ", ".join(f"{key}:{'/'.join(values)}" for key, values in facts.items() if values)
    return [line] if line else []


def _clips(cells: list[Cell]) -> str:
    """How many clips were scored, of how many, by that of the metrics beside each other that scored the fewest."""
    least = min(cells, key=lambda cell: cell.score.clips - cell.total)
    return str(least.total) if least.score.clips == least.total else f"{least.score.clips} of {least.total}"


def _block(corpus: str, rows: Sequence[str], columns: list[list[Cell]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(Text(corpus), no_wrap=True, vertical="top")
    table.add_column(Text("clips"), justify="right", no_wrap=True, vertical="top")
    for column in columns:
        table.add_column(Text(column[0].heading()), justify="right", no_wrap=True, vertical="top")
    for row in rows:
        cells = [next((cell for cell in column if cell.row == row), None) for column in columns]
        own = [cell for cell in cells if cell is not None]
        table.add_row(Text(row), _clips(own) if own else "", *(cell.text() if cell is not None else ABSENT for cell in cells))
    return table
