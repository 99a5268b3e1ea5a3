"""An analysis as tables and as a picture."""
from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH = 132
_CORRELATIONS_SHOWN = 12  # of a question
_REFUSED_SHOWN = 10
Found = Mapping[str, Any]


def text_of(found: Found) -> str:
    """All that was found, as plain text."""
    stream = io.StringIO()
    console = Console(file=stream, width=_WIDTH, color_system=None, force_terminal=False, highlight=False, markup=False)
    for part in (_people, _preferences, _bradley_terry, _ratings, _comprehension, _agreement, _correlations):
        for piece in part(found):
            console.print(piece)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _number(value: float | None, decimals: int = 2) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def _p(value: float | None) -> str:
    return "–" if value is None else "< .001" if value < 0.001 else f"{value:.3f}"


def _ranged(value: float | None, interval: Sequence[float | None] | None, decimals: int = 2) -> str:
    if value is None or interval is None or None in interval:
        return _number(value, decimals)
    return f"{value:.{decimals}f} [{interval[0]:.{decimals}f}, {interval[1]:.{decimals}f}]"


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[object]:
    """heads: those that end in a blank are of texts, others of numbers"""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for head in heads:
        text = head.endswith(" ")
        table.add_column(Text(head.strip()), justify="left" if text else "right", no_wrap=not text)
    for row in rows:
        table.add_row(*map(Text, row))
    return ["", title, table] if table.row_count else []


def _people(found: Found) -> Iterable[object]:
    people = found["participants"]
    yield f"{found['title']} · plan {found['plan']}"
    yield (
        f"{people['all']} participants, {people['finished']} have finished, {people['counted']} count; "
        f"{found['answers']} answers, {found['skipped']} skipped, median {_number(found['seconds'], 1)} s each"
    )
    for person, reason in people["excluded"].items():
        yield f"  excluded: {person[:8]} {reason}"
    for name, counts in found["about"].items():
        yield f"  {name}: " + ", ".join(f"{value} {count}" for value, count in counts.items())
    if found["refused"]:
        yield f"{len(found['refused'])} lines are no answers to this study and do not count:"
        yield from (f"  {line}" for line in found["refused"][:_REFUSED_SHOWN])


def _preferences(found: Found) -> Iterable[object]:
    rows = [
        (
            r["question"], " – ".join(r["pair"]), f"{r['first']} : {r['same']} : {r['second']}",
            _ranged(r["share"], r["interval"]), f"{_p(r['p'])} ({_p(r['p_holm'])})",
            "{} : {} : {}".format(*r["people"]), f"{_p(r['people_p'])} ({_p(r['people_p_holm'])})",
        )
        for r in found["preferences"]
    ]
    heads = (
        "question ", "pair ", "answers\n1st : same : 2nd", "share of 1st", "p (Holm)", "people\n1st : even : 2nd", "p (Holm)"
    )
    yield from _table("Preferences", heads, rows)
    yield from _problems((f"{r['question']}, {' – '.join(r['pair'])}", r["problem"]) for r in found["preferences"])
    if rows:
        yield (
            "share: of the answers that prefer one, without those that see no difference, with Wilson's 95 % interval; p: "
            "exact two-sided binomial test of it against one half. Both take all answers for independent, which answers of "
            "one person are not: trust the test over people, of each of whom counts what was preferred more often, whoever "
            "is even left out. Holm: adjusted for all rows."
        )
    if found["sides"]:
        yield "sides: A was preferred {A} times, B {B} times, p {p}".format(**found["sides"] | {"p": _p(found["sides"]["p"])})


def _problems(named: Iterable[tuple[str, str]]) -> Iterable[str]:
    return [f"  {name}: {problem}" for name, problem in named if problem]


def _bradley_terry(found: Found) -> Iterable[object]:
    rows = []
    for question, fit in found["bradley_terry"].items():
        for n, system in enumerate(fit["systems"]):
            score = None if fit["scores"] is None else fit["scores"][n]
            rows.append((question, system, _ranged(score, fit["intervals"] and fit["intervals"][n])))
    yield from _table("Bradley–Terry scores", ("question ", "system ", "score"), rows)
    yield from _problems((question, fit["problem"]) for question, fit in found["bradley_terry"].items())
    if rows:
        yield "log-odds of being preferred, of mean 0; no difference is half a win of both; 95 % intervals over the people"


def _ratings(found: Found) -> Iterable[object]:
    rows = [
        (r["question"], r["system"], _ranged(r["mean"], r["interval"]), str(r["answers"]), str(r["people"]))
        for r in found["ratings"]
    ]
    yield from _table("Ratings, 0 to 4", ("question ", "system ", "mean", "answers", "people"), rows)
    yield from _problems((f"{r['question']}, {r['system']}", r["problem"]) for r in found["ratings"])
    if rows:
        yield "95 % intervals over the people"


def _comprehension(found: Found) -> Iterable[object]:
    of = found["comprehension"]
    if of and "right" in of[0]:
        rows = [
            (
                r["system"], f"{r['right']} / {r['answers']}", _ranged(r["share"], r["interval"]), _number(r["chance"]),
                _p(r["p"]), str(r["unknown"]),
            )
            for r in of
        ]
        heads = ("system ", "right", "share", "chance", "p", "did not know")
        yield from _table("Comprehension, choice of the sentence", heads, rows)
        yield "Wilson's 95 % interval; p: exact two-sided binomial test against chance; whoever did not know is wrong"
    elif of:
        scores = list(next((r["scores"] for r in of if r["scores"]), {}))
        rows = [
            (r["system"], r["corpus"], str(r["answers"]), *(
                _ranged(r["scores"][s][0], r["scores"][s][1:], 1) if r["scores"] else "–" for s in scores
            ))
            for r in of
        ]
        yield from _table("Comprehension, what was written, in percent", ("system ", "corpus ", "texts", *scores), rows)
        yield "95 % of resamples of the texts; whoever understood nothing has written an empty text"
        yield from dict.fromkeys(signature for r in of for signature in r.get("signatures", ()))
    yield from _problems((" on ".join(filter(None, (r["system"], r.get("corpus")))), r["problem"]) for r in of)


def _agreement(found: Found) -> Iterable[object]:
    rows = []
    for r in found["agreement"]:
        alpha, ac = (_ranged(v and v[0], v and v[1:]) for v in (r["alpha"], r["ac"]))
        rows.append((r["task"], r["question"], str(r["units"]), alpha, ac))
    heads = ("task ", "question ", "items", "Krippendorff's α", "Gwet's AC")
    yield from _table("Agreement, on items that several people have judged", heads, rows)
    yield from _problems((f"{r['task']}, {r['question']}", r["problem"]) for r in found["agreement"])
    if rows:
        yield "of preferences nominal, and AC1; of ratings ordinal, and AC2 with ordinal weights; 95 % intervals over the items"


def _correlations(found: Found) -> Iterable[object]:
    by_question: dict[tuple[str, str], list[Found]] = {}
    for r in found["correlations"]:
        by_question.setdefault((r["task"], r["question"]), []).append(r)
    rows, notes = [], []
    for (task, question), of in by_question.items():
        known = strongest(of)
        rows += [
            (
                task, question, r["metric"], _ranged(r["pearson"][0], r["pearson"][1:]),
                _ranged(r["spearman"][0], r["spearman"][1:]), str(r["points"]), str(r["clips"]),
            )
            for r in known[:_CORRELATIONS_SHOWN]
        ]
        problems = Counter(r["problem"] for r in of if r["problem"])
        notes += [f"  {question}, {count} of {len(of)} scores: {problem}" for problem, count in problems.items()]
        if len(known) > _CORRELATIONS_SHOWN:
            notes.append(f"  {question}: the {_CORRELATIONS_SHOWN} strongest of {len(known)}, which are strong by chance, too")
    heads = ("task ", "judged ", "score ", "Pearson", "Spearman", "clips", "sentences")
    yield from _table("What people say and the scores of clips.csv; all of them are in correlations.csv", heads, rows)
    yield from notes
    if rows:
        yield (
            "of the systems' clips, without anchors; errors and word error rates are better when lower, so that a good one "
            "correlates negatively; 95 % intervals over the sentences; nothing is adjusted for how many scores there are"
        )


def strongest(rows: Iterable[Found]) -> list[Found]:
    """Correlations that are known, by the size of Spearman's."""
    return sorted((r for r in rows if r["spearman"]), key=lambda r: -abs(r["spearman"][0]))


def correlations_csv(found: Found) -> str:
    """A line per judgement and score."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    ends = [f"{name}{end}" for name in ("Pearson", "Spearman") for end in ("", " low", " high")]
    writer.writerow(["task", "judged", "score", *ends, "clips", "sentences", "problem"])
    for r in found["correlations"]:
        values = [*(r["pearson"] or [""] * 3), *(r["spearman"] or [""] * 3), r.get("points", ""), r.get("clips", "")]
        writer.writerow([r["task"], r["question"], r["metric"], *values, r["problem"]])
    return stream.getvalue()


def picture(found: Found, path: Path) -> None:
    """The shares, scores and means with their intervals, as a PNG."""
    from matplotlib.figure import Figure as Sheet

    panels = (panel(found) for panel in (_shares, _strengths, _means, _understood, _monotone))
    drawn = [panel for panel in panels if panel] or [("too little data", [], None, None)]
    heights = [max(len(rows), 1) * 0.32 + 1.0 for _, rows, *_ in drawn]
    sheet = Sheet(figsize=(8.5, sum(heights)), layout="constrained")
    axes = sheet.subplots(len(drawn), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, (title, rows, middle, ends) in zip(axes, drawn):
        axis.set_title(title, loc="left", fontsize=11, fontweight="bold")
        for place, (_, value, interval) in enumerate(rows):
            if interval is not None and None not in interval:
                axis.plot(interval, [place, place], color="#0b57a4", linewidth=2, solid_capstyle="butt")
            axis.plot(value, place, "o", color="#0b57a4", markersize=6)
        if middle is not None:
            axis.axvline(middle, color="#888888", linewidth=1, linestyle=":")
        axis.set_xlim(ends)
        axis.set_yticks(np.arange(len(rows)), [name for name, _, _ in rows], fontsize=9)
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel(f"plan {found['plan']}, {found['participants']['counted']} participants; 95 % intervals", fontsize=9)
    sheet.savefig(path, dpi=150)


# Title; name, value and interval of each row; where nothing is; the ends of the scale.
Panel = tuple[
    str, list[tuple[str, float, Sequence[float | None] | None]], float | None, tuple[float, float] | None
]


def _shares(found: Found) -> Panel | None:
    rows = [
        (f"{r['question']}: {r['pair'][0]} over {r['pair'][1]}", r["share"], r["interval"])
        for r in found["preferences"] if r["share"] is not None
    ]
    return ("Share that prefers the first", rows, 0.5, (0, 1)) if rows else None


def _strengths(found: Found) -> Panel | None:
    rows = [
        (f"{question}: {system}", fit["scores"][n], fit["intervals"] and fit["intervals"][n])
        for question, fit in found["bradley_terry"].items() if fit["scores"]
        for n, system in enumerate(fit["systems"])
    ]
    return ("Bradley–Terry score", rows, 0.0, None) if rows else None


def _means(found: Found) -> Panel | None:
    rows = [(f"{r['question']}: {r['system']}", r["mean"], r["interval"]) for r in found["ratings"] if r["mean"] is not None]
    return ("Mean rating, 0 to 4", rows, None, (0, 4)) if rows else None


def _understood(found: Found) -> Panel | None:
    of = found["comprehension"]
    if of and "right" in of[0]:
        rows = [(r["system"], r["share"], r["interval"]) for r in of if r["share"] is not None]
        return ("Share of sentences that were understood", rows, of[0]["chance"], (0, 1)) if rows else None
    rows = [
        (f"{r['system']}, {r['corpus']}", r["scores"]["chrF"][0], r["scores"]["chrF"][1:]) for r in of if r["scores"]
    ]
    return ("chrF of what was understood, in percent", rows, None, (0, 100)) if rows else None


def _monotone(found: Found) -> Panel | None:
    """The strongest of the first question's correlations."""
    known = [r for r in found["correlations"] if r["spearman"]]
    first = strongest(r for r in known if (r["task"], r["question"]) == (known[0]["task"], known[0]["question"]))[:_CORRELATIONS_SHOWN]
    rows = [(f"{r['question']}: {r['metric']}", r["spearman"][0], r["spearman"][1:]) for r in first]
    return ("Spearman's correlation with scores, the strongest", rows, 0.0, (-1, 1)) if rows else None
