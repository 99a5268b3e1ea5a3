"""A comparison as plain text, CSV, Markdown or LaTeX."""
from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import groupby

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from soke.metrics.clips import LEVEL
from soke.report.comparison import Comparison, titled
from soke.report.paper_table import SPEED, Column, Measure
from soke.report.tables import ABSENT, TEXT_WIDTH

_UNITS = {"percent": "%"}
_ARROWS = {True: " ↑", False: " ↓", None: ""}
_UNBROKEN = 1000  # characters of a line that rich leaves whole
_LATEX = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}"}
    | {"<": "$<$", ">": "$>$", "–": "--", "…": r"\dots{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$"}
)
_MARKDOWN = str.maketrans({char: f"\\{char}" for char in "\\|*_<`"})


def _heads(column: Column) -> tuple[str, str, str]:
    """Corpus; metric, unit and direction; part."""
    measure = column.measure
    unit = "" if measure.metric == SPEED else f" ({_unit(measure)})"
    return titled(column.corpus), f"{measure.title}{unit}{_ARROWS[measure.higher_is_better]}", measure.label


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
