"""Fill the tables of the SOKE and M3T papers from folders of results, beside the published numbers.

    python -m soke.report.compare results/soke results/m3t --table soke-1 m3t-1 --format latex --out tables.tex

The best value of a column is marked among rows that agree in it in signature, split and scored clips, and that are
complete; below the table stands which rows are not ranked against each other, and why.
"""
from __future__ import annotations

import argparse
import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, groupby
from pathlib import Path
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from soke.errors import UserError
from soke.metrics.clips import LEVEL
from soke.metrics.signature import Signature, differences
from soke.report.published import CORPORA, GENERATED, SPEED, TABLES, Column, Measure, PaperTable, Row, Value
from soke.report.tables import ABSENT, TEXT_WIDTH, Cell
from soke.storage import new_file

_OWN_TRUTH = "the corpus on disk"
_INCOMPLETE = "i"  # remark on values of fewer clips than the split has
_UNITS = {"percent": "%"}
_UNBROKEN = 1000  # characters of a line that rich leaves whole
_LATEX = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}"}
    | {"<": "$<$", ">": "$>$", "–": "--", "…": r"\dots{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$"}
)
_MARKDOWN = str.maketrans({char: f"\\{char}" for char in "\\|*_<`"})

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True)
class Results:
    """What a results folder holds.

    name:  the folder's
    speed: (seconds per video at batch size 1, device); None where it was not timed
    """

    name: str
    cells: list[Cell]
    speed: tuple[float, str] | None


def read_results(folder: str | Path) -> Results:
    """Reads table.json and, where there is one, timing.json. Raises UserError for a missing or damaged file."""
    folder = Path(folder)
    if not (folder / "table.json").is_file():
        raise UserError(f"{folder} holds no table.json: name a folder that test.py has written, such as results/NAME")
    cells = _parsed(folder / "table.json", _cells)
    speed = _parsed(folder / "timing.json", _speed) if (folder / "timing.json").is_file() else None
    return Results(folder.resolve().name, cells, speed)


def _parsed(path: Path, parse: Callable[[dict], _Parsed]) -> _Parsed:
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged or of another version ({type(error).__name__}: {error}); run the test again"
        ) from error


def _cells(content: dict) -> list[Cell]:
    cells = [Cell.from_dict(values) for values in content["cells"]]
    for cell in cells:
        ends = [end for low, high in cell.score.intervals.values() for end in (low, high)]
        if not all(math.isfinite(number) for number in [*cell.score.values.values(), *ends]):
            raise ValueError(f"a score of {cell.row} on {cell.corpus} is not finite")
    return cells


def _speed(content: dict) -> tuple[float, str] | None:
    seconds = {timing["batch_size"]: float(timing["mean"]) for timing in content["timings"]}
    return (seconds[1], str(content["device"])) if 1 in seconds else None


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
        for column in self.columns:
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
        return [*remarks, *self.table.notes, *_incomplete(self.rows), *_absent(self), *_unranked(self.rows)]

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

    Args:
        tables: keys of TABLES; None: all for which a folder has at least one score.

    Raises:
        UserError: no or damaged results in a folder, two folders of one name, an unknown table, nothing to show.
    """
    unknown = [key for key in tables or () if key not in TABLES]
    if unknown:
        raise UserError(f"there is no table {unknown[0]}; choose from {', '.join(TABLES)}")
    results = [read_results(folder) for folder in folders]
    names = [result.name for result in results]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UserError(f"two folders are called {twice[0]}, but a row has its folder's name; rename one")
    comparisons = [_filled(TABLES[key], results) for key in tables or TABLES]
    if tables is None:
        comparisons = [c for c in comparisons if not all(row.published for row in c.rows)]
    if not comparisons:
        raise UserError(f"no score of {', '.join(names)} stands in a paper's table; name other folders")
    return comparisons


def _filled(table: PaperTable, results: Sequence[Results]) -> Comparison:
    wanted = {(measure.metric, part) for measure in table.measures for part in measure.parts}
    shown = {table.system, *table.bounds}
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
                f"{name} ({_titled(corpus)})": {column: _value(cells, column, corpus) for column in columns}
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
    } | ({} if column.corpus else {"corpus": _titled(corpus)})
    interval = first.intervals.get(unit) if len(found) == 1 else None
    return Value(number, signature, conditions, interval, clips=(fewest.score.clips, fewest.total))


def _seconds(results: Results) -> Value:
    made = [cell for cell in results.cells if cell.row == GENERATED]
    corpora, splits = (", ".join(dict.fromkeys(names)) for names in (
        (_titled(cell.corpus) for cell in made), (str(cell.split) for cell in made),
    ))
    seconds, device = results.speed
    conditions = {"device": device, "sentences of": corpora, "split": splits}
    return Value(seconds, Signature(SPEED, units=("s",)), conditions)


def _titled(corpus: str) -> str:
    return CORPORA.get(corpus, corpus)


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


def _unranked(rows: Sequence[Row]) -> list[str]:
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
            clauses.setdefault(_told(fields, first[0].published, second[0].published), []).append(title)
        if clauses:
            reasons = "; ".join(f"in {' and '.join(titles)} they differ in {told}" for told, titles in clauses.items())
            sentences.append(f"Not ranked against each other: {_names(first)} / {_names(second)}: {reasons}.")
    return sentences


def _told(fields: dict[str, list[tuple[object, object]]], *published: bool) -> str:
    """Fields with both contents, then those that are not known of a published row."""
    unknown = {
        name: None
        for name, pairs in fields.items()
        if any(content is None and paper for pair in pairs for content, paper in zip(pair, published))
    }
    told = [
        f"{name} ({'; '.join(f'{_content(a)} / {_content(b)}' for a, b in pairs)})"
        for name, pairs in fields.items() if name not in unknown
    ]
    if unknown:
        told.append(f"what is not known of the published ({', '.join(unknown)})")
    return ", ".join(told)


def _content(content: object) -> str:
    return "none" if content is None else f"{content:g}" if isinstance(content, float) else str(content)


def _names(rows: Sequence[Row]) -> str:
    names = [row.name for row in rows]
    if not rows[0].published:
        return ", ".join(names)
    return f"{', '.join(names) if len(names) <= 4 else f'{names[0]} … {names[-1]}'} (published)"


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
        f"{label}: no scores on {', '.join(_titled(corpus) for corpus in everywhere if corpus not in of_row)}."
        for label, of_row in corpora.items() if set(everywhere) - set(of_row)
    ]


def _corpora(row: Row) -> dict[str, None]:
    return dict.fromkeys(column.corpus for column in row.values if column.corpus)


def _heads(column: Column) -> tuple[str, str, str]:
    """Corpus; metric, unit and direction; part."""
    measure = column.measure
    unit = "" if measure.metric == SPEED else f" ({_unit(measure)})"
    return _titled(column.corpus), f"{measure.title}{unit} {'↑' if measure.higher_is_better else '↓'}", measure.label


def _unit(measure: Measure) -> str:
    return _UNITS.get(measure.unit, measure.unit)


def text(comparisons: Sequence[Comparison]) -> str:
    """Plain text with intervals; corpora that do not fit 100 characters beside each other stand below each other."""
    stream = io.StringIO()
    console = Console(file=stream, width=_UNBROKEN, color_system=None, force_terminal=False)
    for comparison in comparisons:
        console.print(Text(comparison.table.title))
        for columns in _fitting(comparison):
            console.print()
            console.print(_block(comparison, columns))
        legend = f"* best of the rows ranked together; ranges: {LEVEL} % bootstrap intervals over the clips."
        for line in ("", legend, *comparison.notes(), ""):
            console.print(Text(line), soft_wrap=True)
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().splitlines()) + "\n"


def _fitting(comparison: Comparison) -> list[list[Column]]:
    """The columns of whole corpora, as many together as fit."""
    blocks: list[list[Column]] = []
    used = names = max(len(row.label) for row in comparison.rows)
    for _, group in groupby(comparison.columns, key=lambda column: column.corpus):
        columns = list(group)
        texts = ["\n".join(_text_column(comparison, column)) for column in columns]
        width = sum(max(map(len, text.splitlines())) + 3 for text in texts)  # with margins
        if not blocks or used + width > TEXT_WIDTH:
            blocks.append([])
            used = names
        blocks[-1] += columns
        used += width
    return blocks


def _block(comparison: Comparison, columns: Sequence[Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(no_wrap=True)
    texts = [_text_column(comparison, column) for column in columns]
    for head, *_ in texts:
        table.add_column(Text(head), justify="right", no_wrap=True)
    for row, cells in zip(comparison.rows, zip(*(cells for _, *cells in texts))):
        table.add_row(Text(row.label), *map(Text, cells))
    return table


def _text_column(comparison: Comparison, column: Column) -> list[str]:
    """The head, then the cell of every row."""
    cells = ["\n".join(filter(None, _heads(column)))]
    for index, row in enumerate(comparison.rows):
        number, remark = comparison.number(index, column), comparison.remark(index, column)
        cell = f"{'*' if (index, column) in comparison.best else ''}{number}{f' [{remark}]' if remark else ''}"
        value = row.values.get(column)
        if value is not None and value.interval is not None:
            cell += "\n" + "–".join(f"{end:.{column.measure.decimals}f}" for end in value.interval)
        cells.append(cell)
    return cells


def csv_text(comparisons: Sequence[Comparison]) -> str:
    """One line per value; values of a column may be ranked where their `group` is the same, bounds have none."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([
        "table", "row", "published", "corpus", "metric", "part", "unit", "value", "low", "high", "clips", "total",
        "group", "best", "remark", "source", "conditions", "signature",
    ])
    for comparison in comparisons:
        for index, row in enumerate(comparison.rows):
            for column, value in row.values.items():
                measure, where = column.measure, (index, column)
                writer.writerow([
                    comparison.table.key, row.name, "yes" if row.published else "no", column.corpus, measure.metric,
                    measure.part or "", measure.unit, repr(value.number), *map(repr, value.interval or ()),
                    *([] if value.interval else ["", ""]), *(value.clips or ("", "")), comparison.groups.get(where, ""),
                    "yes" if where in comparison.best else "no",
                    "incomplete" if value.incomplete else comparison.table.remarks.get(value.remark, ""),
                    row.source, "; ".join(f"{k}: {v}" for k, v in value.conditions.items()), str(value.signature),
                ])
    return stream.getvalue()


def markdown(comparisons: Sequence[Comparison]) -> str:
    """A heading, a table with the best values in bold, and the notes as a list."""
    lines = []
    for comparison in comparisons:
        lines += [f"### {comparison.table.title}", ""]
        heads = [" ".join(filter(None, _heads(column))) for column in comparison.columns]
        lines += [f"| | {' | '.join(map(_markdown, heads))} |", f"|---|{'---:|' * len(heads)}"]
        for index, row in enumerate(comparison.rows):
            cells = [_marked(comparison, index, column, "**{}**", "<sup>{}</sup>") for column in comparison.columns]
            lines.append(f"| {_markdown(row.label)} | {' | '.join(cells)} |")
        notes = ["Bold: best of the rows ranked together.", *comparison.notes()]
        lines += ["", *(f"- {_markdown(note)}" for note in notes), ""]
    return "\n".join(lines)


def _markdown(plain: str) -> str:
    return plain.translate(_MARKDOWN)


def _marked(comparison: Comparison, index: int, column: Column, best: str, remark: str) -> str:
    """A number in the markup `best` if it is, followed by its remark's letter in the markup `remark`."""
    number, letter = comparison.number(index, column), comparison.remark(index, column)
    shown = best.format(number) if (index, column) in comparison.best else number
    return shown + (remark.format(letter) if letter else "")


def latex(comparisons: Sequence[Comparison]) -> str:
    """One table* per paper's table, with the best values in bold and the notes below; a document inputs it."""
    return "% \\usepackage{booktabs,graphicx}\n" + "\n".join(map(_latex_table, comparisons))


def _latex_table(comparison: Comparison) -> str:
    columns = comparison.columns
    corpora, metrics, parts = zip(*map(_heads, columns))
    corpus_groups = _runs(corpora)
    lines = [
        r"\begin{table*}", r"\centering", rf"\caption{{{_latex(comparison.table.title)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}", r"\toprule",
    ]
    if any(corpora):
        lines.append(_spanned(corpus_groups))
        lines.append(" ".join(rf"\cmidrule(lr){{{a + 2}-{b + 1}}}" for title, a, b in corpus_groups if title))
    lines.append(_spanned([(title[1], a, b) for title, a, b in _runs(list(zip(corpora, metrics)))]))
    if any(parts):
        lines.append(_spanned([(part, i, i + 1) for i, part in enumerate(parts)]))
    for published, group in groupby(range(len(comparison.rows)), key=lambda i: comparison.rows[i].published):
        lines.append(r"\midrule")
        for index in group:
            cells = [_marked(comparison, index, column, r"\textbf{{{}}}", "$^{{{}}}$") for column in columns]
            cells = [_latex(comparison.rows[index].label), *(cell.replace(ABSENT, "--") for cell in cells)]
            lines.append(" & ".join(cells) + r" \\")
    notes = ["Bold: best of the rows ranked together.", *comparison.notes()]
    lines += [r"\bottomrule", r"\end{tabular}}", r"\par\smallskip\footnotesize\raggedright"]
    lines += [_latex(note) + r"\par" for note in notes]
    return "\n".join([*lines, r"\end{table*}", ""])


def _runs(titles: Sequence) -> list[tuple]:
    """(title, first, end) of equal neighbours."""
    found, start = [], 0
    for title, group in groupby(titles):
        count = len(list(group))
        found.append((title, start, start + count))
        start += count
    return found


def _spanned(runs: Sequence[tuple[str, int, int]]) -> str:
    return "".join(rf" & \multicolumn{{{end - start}}}{{c}}{{{_latex(title)}}}" for title, start, end in runs) + r" \\"


def _latex(plain: str) -> str:
    return plain.translate(_LATEX)


FORMATS = {"text": text, "csv": csv_text, "latex": latex, "markdown": markdown}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="soke.report.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", metavar="results/NAME", help="folders that test.py has written")
    parser.add_argument(
        "--table", nargs="+", metavar="TABLE",
        help=f"{', '.join(TABLES)}; default: all in which a folder has a score",
    )
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--out", metavar="FILE", help="where to write; default: the terminal")
    options = parser.parse_args(arguments)
    result = FORMATS[options.format](compare(options.folders, options.table))
    if options.out is None:
        print(result, end="")
        return
    with new_file(Path(options.out)) as path:
        path.write_text(result, encoding="utf-8", newline="")
    print(f"saved {options.out}")


if __name__ == "__main__":
    from soke.run import cli  # here, because the metrics know nothing of the configuration

    cli.run(main)
