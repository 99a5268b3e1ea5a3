"""Why scores cannot be ranked against each other: in what their signatures and conditions differ."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from soke.metrics.signature import differences
from soke.report.paper_table import Row, Value


def gaps(a: Value, b: Value) -> dict[str, tuple[object, object]]:
    """In what two values of a column differ, with what each has; where it is nothing, they may be ranked."""
    fields = differences(a.signature, b.signature)
    found = {name: (getattr(a.signature, name), getattr(b.signature, name)) for name in fields}
    for name in {**a.conditions, **b.conditions}:
        pair = a.conditions.get(name), b.conditions.get(name)
        if pair[0] != pair[1]:
            found[name] = pair
    return found


# Metric -> field -> pairs of what two rows have there.
_Gaps = dict[str, dict[str, list[tuple[object, object]]]]


def _all_gaps(first: Sequence[Row], second: Sequence[Row]) -> _Gaps:
    """Over all columns that a row of each shares."""
    found: _Gaps = {}
    for a in first:
        for b in second:
            for column in (column for column in a.values if column in b.values):
                for name, pair in gaps(a.values[column], b.values[column]).items():
                    pairs = found.setdefault(column.measure.title, {}).setdefault(name, [])
                    if pair not in pairs:
                        pairs.append(pair)
    return found


def unranked(rows: Sequence[Row]) -> list[str]:
    """One sentence for each pair of groups of rows that are not, or not in all columns, ranked against each other."""
    groups: list[list[Row]] = []  # whose rows agree in all columns that they share
    for row in rows:
        for group in groups:
            if row.published == group[0].published and not _all_gaps([row], group):
                group.append(row)
                break
        else:
            groups.append([row])
    sentences = []
    for first, second in combinations(groups, 2):
        clauses: dict[str, list[str]] = {}
        for title, fields in _all_gaps(first, second).items():
            clauses.setdefault(_differing(fields, first[0].published, second[0].published), []).append(title)
        if clauses:
            reasons = "; ".join(f"in {' and '.join(titles)} they differ in {gap}" for gap, titles in clauses.items())
            sentences.append(f"Not ranked against each other: {_names(first)} / {_names(second)}: {reasons}.")
    return sentences


def _differing(fields: dict[str, list[tuple[object, object]]], *published: bool) -> str:
    """Fields with both contents, then those that are not known of a published row."""
    unknown = {
        name: None
        for name, pairs in fields.items()
        if any(content is None and paper for pair in pairs for content, paper in zip(pair, published))
    }
    described = [
        f"{name} ({'; '.join(f'{_content(a)} / {_content(b)}' for a, b in pairs)})"
        for name, pairs in fields.items() if name not in unknown
    ]
    if unknown:
        described.append(f"what is not known of the published ({', '.join(unknown)})")
    return ", ".join(described)


def _content(content: object) -> str:
    return "none" if content is None else f"{content:g}" if isinstance(content, float) else str(content)


def _names(rows: Sequence[Row]) -> str:
    names = [row.name for row in rows]
    if not rows[0].published:
        return ", ".join(names)
    return f"{', '.join(names) if len(names) <= 4 else f'{names[0]} … {names[-1]}'} (published)"
