"""What every metric says of every row of an audit, clip by clip, as how bad it finds it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from soke.evaluation.audit.rows import AS_SIGNED
from soke.evaluation.outcome import Evaluation

SIGNS = "sign error rate percent"  # the column of the oracle
_OTHERS = {"corpus", "clip", "row", "frames", "text", "translation"}
_LEAST = 1e-3  # a ratio below it counts as it


@dataclass
class Values:
    """How bad each column finds the motions: the higher, the worse.

    rows:    R names
    clips:   N, corpus/name
    of_clips: column -> [R, N]; NaN where there is no value
    of_rows: column that has no values of clips -> [R], of the corpus
    """

    rows: list[str]
    clips: list[str]
    of_clips: dict[str, np.ndarray]
    of_rows: dict[str, np.ndarray]

    def row(self, column: str, name: str) -> np.ndarray | None:
        """[N] of a column that has values of clips; None where the row is not there, or has none of them."""
        if name not in self.rows:
            return None
        found = self.of_clips[column][self.rows.index(name)]
        return None if np.isnan(found).all() else found


def values_of(evaluation: Evaluation, corpus: str, rows: Sequence[str]) -> Values:
    """Of the rows that an evaluation has scored on a corpus."""
    cells = [cell for cell in evaluation.table.cells if cell.corpus == corpus]
    ways, whole = {}, {}
    for cell in cells:
        for unit, value in cell.score.values.items():
            column = cell.score.signature.column(unit)
            ways[column] = cell.score.higher_is_better
            whole.setdefault(column, {})[cell.row] = value
    entries = [entry for entry in evaluation.clips if entry["corpus"] == corpus and entry["row"] in rows]
    clips = list(dict.fromkeys(entry["clip"] for entry in entries))
    at = {name: i for i, name in enumerate(clips)}, {name: i for i, name in enumerate(rows)}
    found: dict[str, np.ndarray] = {}
    for entry in entries:
        for column in entry.keys() - _OTHERS:
            values = found.setdefault(column, np.full((len(rows), len(clips)), np.nan))
            values[at[1][entry["row"]], at[0][entry["clip"]]] = entry[column]
    of_clips = {column: _badness(found[column], ways[column], column, rows) for column in ways if column in found}
    of_rows = {
        column: _badness(np.array([of.get(row, np.nan) for row in rows]), ways[column], column, rows)
        for column, of in whole.items() if column not in found
    }
    return Values(list(rows), [f"{corpus}/{clip}" for clip in clips], of_clips, of_rows)


def together(of_corpora: Sequence[Values]) -> Values:
    """The clips of all corpora; columns of all, and rows of all, NaN where a corpus has none. What has no values of clips is
    the mean of the corpora's."""
    rows = list(dict.fromkeys(row for values in of_corpora for row in values.rows))
    clips = [clip for values in of_corpora for clip in values.clips]
    of_clips = {}
    for column in dict.fromkeys(column for values in of_corpora for column in values.of_clips):
        parts = [_placed(v.of_clips.get(column), v.rows, rows, len(v.clips)) for v in of_corpora]
        of_clips[column] = np.concatenate(parts, axis=1)
    of_rows = {}
    for column in dict.fromkeys(column for values in of_corpora for column in values.of_rows):
        parts = [_placed(v.of_rows[column][:, None], v.rows, rows, 1) for v in of_corpora if column in v.of_rows]
        of_rows[column] = np.concatenate(parts, axis=1).mean(axis=1)
    return Values(rows, clips, of_clips, of_rows)


def _placed(values: np.ndarray | None, own: Sequence[str], rows: Sequence[str], clips: int) -> np.ndarray:
    """[rows, clips] with the rows that there are."""
    placed = np.full((len(rows), clips), np.nan)
    if values is not None:
        placed[[rows.index(row) for row in own]] = values
    return placed


def _badness(values: np.ndarray, higher_is_better: bool | None, column: str, rows: Sequence[str]) -> np.ndarray:
    """[R, …] of a metric -> how bad: where neither end is the better one, how far a ratio is from 1, or another quantity
    from that of the references."""
    if higher_is_better is not None:
        return -values if higher_is_better else values
    if column.endswith(" ratio"):
        return np.abs(np.log(np.maximum(values, _LEAST)))
    return np.abs(values - values[list(rows).index(AS_SIGNED)])
