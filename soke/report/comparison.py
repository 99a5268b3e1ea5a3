"""The papers' tables with rows of ours: what may be ranked, which values are best, and what must be said of them."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from soke.errors import UserError
from soke.metrics.signature import Signature
from soke.report.gaps import gaps, unranked
from soke.report.paper_table import CORPORA, GENERATED, SPEED, Column, PaperTable, Row, Value
from soke.report.published import TABLES
from soke.report.results import Results, read_results
from soke.report.tables import ABSENT, Cell

_OWN_TRUTH = "the corpus on disk"
_OTHERS = {"nmfs_csl": "NMFs-CSL"}  # corpora that are no tables' columns
_INCOMPLETE = "i"  # remark on values of fewer clips than the split has


@dataclass(frozen=True)
class Comparison:
    """A paper's table with our rows below the published ones. Rows are counted from 0."""

    table: PaperTable
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @cached_property
    def groups(self) -> dict[tuple[int, Column], int]:
        """(row, column) -> group that the value is ranked in: complete ones that agree in signature and conditions."""
        found = {}
        for column in (column for column in self.columns if column.measure.higher_is_better is not None):
            firsts: list[Value] = []  # of the groups
            for index, row in enumerate(self.rows):
                value = row.values.get(column)
                if value is None or row.bound or value.incomplete:
                    continue
                group = next((i for i, first in enumerate(firsts) if not gaps(value, first)), len(firsts))
                if group == len(firsts):
                    firsts.append(value)
                found[index, column] = group
        return found

    @cached_property
    def best(self) -> set[tuple[int, Column]]:
        """(row, column) of the best values of all groups of two or more."""
        members: dict[tuple[Column, int], dict[int, float]] = {}
        for (index, column), group in self.groups.items():
            members.setdefault((column, group), {})[index] = self.rows[index].values[column].number
        found = set()
        for (column, _), numbers in members.items():
            top = (max if column.measure.higher_is_better else min)(numbers.values())
            found |= {(index, column) for index, number in numbers.items() if number == top and len(numbers) > 1}
        return found

    def notes(self) -> list[str]:
        """Remarks on single values, how the published ones were made, missing clips, and what is not ranked."""
        remarks = [f"[{letter}] {remark}." for letter, remark in self.table.remarks.items()]
        return [*remarks, *self.table.notes, *_incomplete(self.rows), *_absent(self), *unranked(self.rows)]

    def number(self, index: int, column: Column) -> str:
        """A value as it is shown, without marks."""
        value = self.rows[index].values.get(column)
        return ABSENT if value is None else f"{value.number:.{column.measure.decimals}f}"

    def remark(self, index: int, column: Column) -> str:
        """Letter of the remark on a value; "" where there is none."""
        value = self.rows[index].values.get(column)
        return "" if value is None else _INCOMPLETE if value.incomplete else value.remark


def compare(folders: Sequence[str | Path], tables: Sequence[str] | None = None) -> list[Comparison]:
    """The papers' tables, each with a row for every folder that has a score in it.

    tables: keys of TABLES; None: all for which a folder has at least one score

    Raises UserError for no or damaged results in a folder, two folders of one name, an unknown table, nothing to show.
    """
    unknown = [key for key in tables or () if key not in TABLES]
    if unknown:
        raise UserError(f"there is no table {unknown[0]}; choose from {', '.join(TABLES)}")
    results = [read_results(folder) for folder in folders]
    names = [result.name for result in results]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UserError(f"two folders are called {twice[0]}, but a row has its folder's name; rename one")
    if tables is None:
        own = [(table, [r for r in results if r.of_kind(table.kind)]) for table in TABLES.values()]
        comparisons = [_filled(*pair) for pair in own]
        comparisons = [c for c in comparisons if not all(row.published for row in c.rows)]
    else:
        comparisons = [_filled(TABLES[key], results) for key in tables]
    if not comparisons:
        raise UserError(f"no score of {', '.join(names)} stands in a paper's table; name other folders")
    return comparisons


def _filled(table: PaperTable, results: Sequence[Results]) -> Comparison:
    wanted = {(measure.metric, part) for measure in table.measures for part in measure.parts}
    shown, results = {table.system, *table.bounds}, [result.on(table.corpora) for result in results]
    cells = [cell for result in results for cell in result.cells if cell.row in shown and cell.metric in wanted]
    columns = table.columns([c for c in dict.fromkeys(cell.corpus for cell in cells) if c not in CORPORA])
    rows = [row for result in results for row in _rows(table, result, columns)]
    return Comparison(table, columns, (*table.published, *rows))


def _rows(table: PaperTable, results: Results, columns: Sequence[Column]) -> list[Row]:
    """Those rows of a folder that have at least one value in the table; bounds first, as in the papers."""
    rows = []
    for shown in (*table.bounds, table.system):
        cells = {(cell.corpus, *cell.metric): cell for cell in results.cells if cell.row == shown}
        name = results.name if shown == table.system else f"{results.name}: {shown}"
        if table.measures:
            lines = {name: {column: _value(cells, column, column.corpus) for column in columns}}
            if results.speed is not None and shown == GENERATED:
                lines[name] |= {column: _seconds(results) for column in columns if column.measure.metric == SPEED}
        else:
            lines = {
                f"{name} ({titled(corpus)})": {column: _value(cells, column, corpus) for column in columns}
                for corpus in dict.fromkeys(corpus for corpus, *_ in cells)
            }
        for label, values in lines.items():
            values = {column: value for column, value in values.items() if value is not None}
            if values:
                rows.append(Row(label, False, values, f"results of {results.name}", shown in table.bounds))
    return rows


def _value(cells: dict[tuple[str, str, str], Cell], column: Column, corpus: str) -> Value | None:
    """The mean over the measure's parts; of several parts there is no interval."""
    measure, unit = column.measure, column.measure.unit
    found = [cells.get((corpus, measure.metric, part)) for part in measure.parts]
    if any(cell is None or unit not in cell.score.values for cell in found):
        return None
    number = sum(cell.score.values[unit] for cell in found) / len(found)
    first = found[0].score
    signature = replace(first.signature, part=measure.part, units=(unit,))
    fewest = min(found, key=lambda cell: cell.score.clips)
    conditions = {
        "ground truth": _OWN_TRUTH, "split": fewest.split,
        "clips": f"{fewest.score.clips}, hash {fewest.score.clips_hash}",
    } | ({} if column.corpus else {"corpus": titled(corpus)})
    interval = first.intervals.get(unit) if len(found) == 1 else None
    return Value(number, signature, conditions, interval, clips=(fewest.score.clips, fewest.total))


def _seconds(results: Results) -> Value:
    made = [cell for cell in results.cells if cell.row == GENERATED]
    corpora, splits = (", ".join(dict.fromkeys(names)) for names in (
        (titled(cell.corpus) for cell in made), (str(cell.split) for cell in made),
    ))
    seconds, device = results.speed
    conditions = {"device": device, "sentences of": corpora, "split": splits}
    return Value(seconds, Signature(SPEED, units=("s",)), conditions)


def titled(corpus: str) -> str:
    return {**CORPORA, **_OTHERS}.get(corpus, corpus)


def _incomplete(rows: Sequence[Row]) -> list[str]:
    sentences = []
    for row in rows:
        clips = {value.clips: None for value in row.values.values() if value.incomplete}
        if clips:
            counts = " and ".join(f"{scored} of {total}" for scored, total in clips)
            sentences.append(
                f"[{_INCOMPLETE}] Incomplete, and not ranked: {row.label}: only {counts} clips were scored."
            )
    return sentences


def _absent(comparison: Comparison) -> list[str]:
    """A sentence for every row of ours that lacks a corpus which another row of ours has."""
    corpora = {row.label: _corpora(row) for row in comparison.rows if not row.published}
    everywhere = dict.fromkeys(corpus for of_row in corpora.values() for corpus in of_row)
    return [
        f"{label}: no scores on {', '.join(titled(corpus) for corpus in everywhere if corpus not in of_row)}."
        for label, of_row in corpora.items() if set(everywhere) - set(of_row)
    ]


def _corpora(row: Row) -> dict[str, None]:
    return dict.fromkeys(column.corpus for column in row.values if column.corpus)
