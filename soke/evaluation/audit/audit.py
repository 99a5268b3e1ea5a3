"""An audit: everything that was found, in plain types, as a table, and as a picture."""
from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from soke.evaluation.audit.findings import (
    Correlation,
    Interval,
    OfKind,
    disorder,
    mean_of,
    of_kind,
    over_clips,
    over_systems,
    tau_of_rows,
)
from soke.evaluation.audit.rows import row_of
from soke.evaluation.audit.values import SIGNS, Values
from soke.evaluation.damage.kinds import GRADES, KINDS

_NOTE = 200  # letters of a note in the table
FREEZING = ("mean pose", "frozen hands")
_RATERS = Path(__file__).parent / "deaf_raters.yaml"


@dataclass(frozen=True)
class OfMetric:
    """kinds: of damage -> what is made of each; taus: likewise, of a metric without values of clips; clips, systems:
    correlations with the oracle's sign error; disorder: see `findings.disorder`, None without an order to test."""

    kinds: dict[str, OfKind]
    taus: dict[str, float]
    clips: Correlation | None
    systems: Correlation | None
    disorder: list[tuple[str, str]] | None

    def tau(self, kind: str) -> float:
        return self.kinds[kind].tau[0] if kind in self.kinds else self.taus[kind]

    @property
    def sees_freezing(self) -> bool:
        return any(kind in self.kinds and not self.kinds[kind].blind for kind in FREEZING)


@dataclass(frozen=True)
class Audit:
    """values: of which it is; kinds: of damage, as far as the motions can take them; metrics: column -> what was found;
    systems: rows that correlations over systems are of; order: of rows, the best first; notes: sentences"""

    values: Values
    kinds: list[str]
    metrics: dict[str, OfMetric]
    systems: list[str]
    order: list[str]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain types; NaN is None."""
        return {
            "clips": self.values.clips, "kinds": self.kinds, "systems": self.systems, "order": self.order,
            "notes": self.notes, "deaf_raters": yaml.safe_load(_RATERS.read_text(encoding="utf-8")),
            "metrics": {column: self._of_metric(column, of) for column, of in self.metrics.items()},
        }

    def _of_metric(self, column: str, of: OfMetric) -> dict[str, Any]:
        kinds = {}
        for kind in self.kinds:
            found = of.kinds.get(kind)
            kinds[kind] = {"tau": [_plain(of.taus[kind])]} if found is None else {
                "tau": _plain(found.tau), "effect": _plain(found.effect), "blind": found.blind,
                "rewarded": found.rewarded, "preferred_to_second_signer": _plain(found.preferred),
            }
        correlations = {
            name: None if c is None else {"pearson": _plain(c.pearson), "spearman": _plain(c.spearman), "count": c.count}
            for name, c in (("clips", of.clips), ("systems", of.systems))
        }
        badness = {row: _plain(mean_of(self.values, column, row)) for row in self.values.rows}
        return {"kinds": kinds, "oracle": correlations, "disorder": of.disorder, "badness": badness}


def audited(values: Values, systems: Sequence[str], order: Sequence[str], notes: Sequence[str]) -> Audit:
    """systems: rows that are no damage; order: rows from the best to the worst, as anybody would have it, of which those are
    left out that are not there of every clip"""
    there = ~np.isnan(values.of_clips[_first(values)])
    systems = [row for row in systems if row in values.rows]
    order = [row for row in order if row in values.rows and there[values.rows.index(row)].all()]
    kinds = [kind for kind in KINDS if row_of(kind, GRADES[0]) in values.rows]
    metrics = {}
    for column in (*values.of_clips, *values.of_rows):
        of_clips = column in values.of_clips
        metrics[column] = OfMetric(
            {kind: of_kind(values, column, kind) for kind in kinds} if of_clips else {},
            {} if of_clips else {kind: tau_of_rows(values, column, kind) for kind in kinds},
            over_clips(values, column) if of_clips and column != SIGNS else None,
            over_systems(values, column, systems) if of_clips and column != SIGNS else None,
            disorder(values, column, order) if len(order) > 1 else None,
        )
    return Audit(values, kinds, metrics, systems, order, list(notes))


def _first(values: Values) -> str:
    """A column that every scored clip has."""
    return max(values.of_clips, key=lambda column: int((~np.isnan(values.of_clips[column])).sum()))


def table_text(audit: Audit) -> str:
    """Everything on one page, wide."""
    heads = [f"{i}" for i in range(1, len(audit.kinds) + 1)]
    lines = [
        f"Audit of metrics: {len(audit.values.clips)} clips, {len(audit.kinds)} kinds of damage in {len(GRADES)} grades",
        "", *(f"{i:>4}  {kind}" for i, kind in enumerate(audit.kinds, start=1)), "",
        "Kendall's tau of grades and of how bad each is found (1: every clip's grades in order, 0: none, -1: reversed);",
        "o: blind to the kind; +: finds it better than what was signed. Intervals are in audit.csv and audit.json.",
        _line("", heads),
    ]
    for column, of in audit.metrics.items():
        lines.append(_line(column, [_tau_cell(of, kind) for kind in audit.kinds]))
    lines += [
        "", "Per cent of clips whose highest grade of damage is found better than a true second signer's performance "
        "(50: as good)", _line("", heads),
    ]
    for column, of in audit.metrics.items():
        lines.append(_line(column, [_preferred_cell(of, kind) for kind in audit.kinds]))
    lines += ["", *_oracle_lines(audit), "", *_order_lines(audit), "", *_rater_lines(audit), "", *map(_short, audit.notes)]
    return "\n".join(lines) + "\n"


def _short(note: str) -> str:
    """A note that names every row is whole in audit.json alone."""
    return note if len(note) <= _NOTE else f"{note[:_NOTE]} …"


def _tau_cell(of: OfMetric, kind: str) -> str:
    tau = of.tau(kind)
    return ("–" if math.isnan(tau) else f"{tau:.2f}") + (_mark(of.kinds.get(kind)) or " ")


def _mark(found: OfKind | None) -> str:
    return "" if found is None else "+" if found.rewarded else "o" if found.blind else ""


def _preferred_cell(of: OfMetric, kind: str) -> str:
    share = of.kinds[kind].preferred[-1] if kind in of.kinds else math.nan
    return "–" if math.isnan(share) else f"{100 * share:.0f}"


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:<38}" + "".join(f"{cell:>7}" for cell in cells)


def _oracle_lines(audit: Audit) -> list[str]:
    if SIGNS not in audit.metrics:
        return ["There is no oracle of these corpora: only of synthetic ones all signs are known."]
    lines = [
        "Correlation with the oracle's sign error (Pearson's r, Spearman's rho, 95 % intervals): over clips in all rows "
        "with damage or systems, and over the systems (each in its own clips)",
        f"{', '.join(audit.systems)}",
        f"{'':<38}{'over clips: r':>22}{'rho':>22}{'over systems: r':>24}{'rho':>22}",
    ]
    known = {c: of for c, of in audit.metrics.items() if of.clips is not None or of.systems is not None}
    for column, of in sorted(known.items(), key=lambda item: -_value(item[1].clips)):
        cells = [
            _interval(None if c is None else getattr(c, name)) for c in (of.clips, of.systems) for name in ("pearson", "spearman")
        ]
        lines.append(f"{column:<38}" + "".join(f"{cell:>22}" for cell in cells))
    return lines


def _value(correlation: Correlation | None) -> float:
    return -2.0 if correlation is None else correlation.spearman[0]


def _interval(found: Interval | None) -> str:
    return "–" if found is None else f"{found[0]:.2f} ({found[1]:.2f}, {found[2]:.2f})"


def _order_lines(audit: Audit) -> list[str]:
    if len(audit.order) < 2:
        return []
    right = [c for c, of in audit.metrics.items() if not of.disorder]
    seeing = [c for c in right if audit.metrics[c].sees_freezing]
    lines = [
        f"The order {' > '.join(audit.order)} is found by {len(right)} of {len(audit.metrics)} columns; of these "
        f"{len(seeing)} see freezing: {', '.join(seeing) or 'none'}", "It is not found by:",
    ]
    for column, of in audit.metrics.items():
        if of.disorder:
            lines.append(f"  {column}: " + "; ".join(f"{first} is not above {second}" for first, second in of.disorder))
    return lines


def _rater_lines(audit: Audit) -> list[str]:
    raters = yaml.safe_load(_RATERS.read_text(encoding="utf-8"))
    lines = [
        f"Published correlations with Deaf raters (r, rho; {raters['source']}),",
        "turned so that above 0 is right, beside those with the oracle over clips:",
    ]
    for entry in raters["metrics"]:
        ours = next((c for c in audit.metrics if entry["ours"] and c.startswith(entry["ours"])), None)
        of, sign = None if ours is None else audit.metrics[ours].clips, -1 if entry["better"] == "lower" else 1
        beside = "" if of is None else f"here {ours}: {_interval(of.pearson)}, {_interval(of.spearman)}"
        published = f"{_published(entry['r'], sign):>12}{_published(entry['rho'], sign):>8}"
        lines.append(f"  {entry['name']:<42}{published}   {beside}".rstrip())
    return lines


def _published(value: float | list[float] | None, sign: int) -> str:
    if isinstance(value, list):
        return "–".join(f"{sign * end:.2f}" for end in value)
    return "–" if value is None else f"{sign * value:.2f}"


def table_csv(audit: Audit) -> str:
    """A line per metric and kind of damage."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    preferred = [f"preferred to second signer, grade {grade}" for grade in GRADES]
    writer.writerow(["metric", "kind", "tau", "low", "high", "effect", "blind", "rewarded", *preferred])
    for column, of in audit.metrics.items():
        for kind in audit.kinds:
            found = of.kinds.get(kind)
            row = [of.taus[kind], *[""] * (5 + len(GRADES))] if found is None else [
                *found.tau, found.effect, found.blind, found.rewarded, *found.preferred
            ]
            writer.writerow([column, kind, *("" if isinstance(v, float) and math.isnan(v) else v for v in row)])
    return file.getvalue()


def picture(audit: Audit, path: Path) -> None:
    """Metrics down, damage across: on the left tau, with o where a metric is blind and + where it finds damage better than
    what was signed; on the right how often the highest grade is preferred to a second signer."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = list(audit.metrics)
    tau = np.array([[audit.metrics[c].tau(kind) for kind in audit.kinds] for c in columns])
    preferred = np.array([
        [audit.metrics[c].kinds[k].preferred[-1] if k in audit.metrics[c].kinds else np.nan for k in audit.kinds] for c in columns
    ])
    figure = Figure(figsize=(15, 2.5 + 0.2 * len(columns)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = [(tau, -1, "RdBu", "Kendall's tau of the grades (o: blind, +: found better than what was signed)")]
    if not np.isnan(preferred).all():
        panels.append((preferred, 0, "RdBu_r", "share of clips preferred to a second signer, highest grade"))
    every = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (values, least, colours, title) in zip(every, panels):
        image = axes.imshow(values, vmin=least, vmax=1, cmap=colours, aspect="auto", interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_xticks(range(len(audit.kinds)), audit.kinds, rotation=60, ha="right", fontsize=8)
        axes.set_yticks(range(len(columns)), columns, fontsize=7)
        figure.colorbar(image, ax=axes, shrink=0.5)
    for i, column in enumerate(columns):
        for j, kind in enumerate(audit.kinds):
            found = audit.metrics[column].kinds.get(kind)
            dark = abs(tau[i, j]) > 0.6
            every[0].text(j, i, _mark(found), ha="center", va="center", fontsize=8, color="white" if dark else "black")
    figure.savefig(path, format="png", dpi=110)


def _plain(value: float | Sequence[float]) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return None if math.isnan(value) else float(value)


def files_of(audit: Audit) -> Mapping[str, Any]:
    """What is written of it: name -> text, or what writes to a path."""
    return {
        "audit.txt": table_text(audit), "audit.csv": table_csv(audit),
        "audit.json": json.dumps(audit.to_dict(), ensure_ascii=False, indent=1) + "\n", "audit.png": lambda path: picture(audit, path),
    }
