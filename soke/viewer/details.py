"""What stands below the figures, as HTML: texts, scores, and how a sentence came to be signed as it is."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from soke.evaluation.protocols import Explained
from soke.viewer.choosing import Entry
from soke.viewer.explanation import ended_up
from soke.viewer.signing import Signed

_HUES = 47  # degrees between the colours of two codes that follow each other, so that neighbours differ
_LABEL, _ROW, _WIDTH = 90, 18, 760  # pixels: of the names at the left, of a row's height, of all steps
_CELL = 'style="padding:1px 8px;text-align:{};border-bottom:1px solid #ddd;white-space:nowrap"'
_SIGN_COLORS = ("#b3541e", "#1e6fb3", "#2f7d32", "#7b1fa2", "#00838f", "#9e6a03")


def title(entry: Entry) -> str:
    """The text that is signed, and which clip it is."""
    where = " · ".join(escape(part) for part in dict.fromkeys((entry.corpus, entry.name, entry.language)) if part)
    return (
        f'<div style="font-size:1.05em;padding:2px 0"><b dir="auto">{escape(entry.text) or "(no text)"}</b></div>'
        f'<div style="color:#666;font-size:0.8em;overflow-wrap:anywhere">{where}</div>'
    )


def notices(lines: Sequence[str]) -> str:
    """What is the matter, a line each."""
    return "".join(
        f'<div role="status" style="color:#8a2b06;background:#fff4ec;border-left:3px solid #c4511a;padding:2px 8px;'
        f'margin:2px 0;font-size:0.85em;overflow-wrap:anywhere">{escape(line)}</div>' for line in lines
    )


def scores(entry: Entry, directions: Mapping[str, bool | None], column: str = "") -> str:
    """What was read from each motion, and a table of all scores; the column that is sorted by stands first."""
    parts = [
        f'<div style="font-size:0.85em"><span style="color:#666">read from {escape(label)}:</span> '
        f'<span dir="auto">{escape(text)}</span></div>' for label, text in entry.readings.items()
    ]
    systems = list(entry.scores)
    columns = [c for c in directions if any(c in entry.scores[system] for system in systems)]
    columns.sort(key=lambda each: each != column)
    if columns:
        head = "".join(f"<th {_CELL.format('right')}>{escape(system)}</th>" for system in systems)
        parts.append(
            f'<table style="font-size:0.8em;border-collapse:collapse;margin-top:4px"><tr><th {_CELL.format("left")}>'
            f"score</th>{head}</tr>{''.join(_row(entry, each, directions[each], systems) for each in columns)}</table>"
        )
    return "".join(parts)


def _row(entry: Entry, column: str, higher_is_better: bool | None, systems: Sequence[str]) -> str:
    arrow = {True: " ↑", False: " ↓", None: ""}[higher_is_better]
    values = "".join(
        f"<td {_CELL.format('right')}>{number(entry.scores[system].get(column))}</td>" for system in systems
    )
    return f"<tr><td {_CELL.format('left')}>{escape(column)}{arrow}</td>{values}</tr>"


def number(value: float | None) -> str:
    """With as many digits as tell clips apart."""
    return "–" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def how(label: str, signed: Signed, second: float) -> str:
    """What was found in the lexicon for a sentence that a system has signed; of one of codes also where each sign has
    ended up, and every stream's codes over time.

    second: of the moment that is shown, which a line marks
    """
    head = f'<div style="font-size:0.85em;color:#666">signed by {escape(label)}</div>'
    if signed.explained is None:
        return head + f'<div style="font-size:0.85em">{escape(signed.retrieved)}</div>'
    return head + _explained(signed.explained, second)


def _explained(explained: Explained, second: float) -> str:
    steps = len(explained.codes)
    places = [ended_up(sign.codes, explained.codes) for sign in explained.signs]
    lines = [] if explained.signs else [f"<div>{escape(explained.note)}</div>"]
    for sign, place, color in zip(explained.signs, places, _cycled(len(places))):
        where = "is not found among the codes that were generated"
        if place.found:
            start, end = place.start * explained.seconds, place.end * explained.seconds
            agreeing, every = round(place.agreeing * len(explained.streams)), sign.codes.numel()
            where = f"is found at {start:.2f}–{end:.2f} s, by {agreeing} of its {every} codes"
        lines.append(
            f'<div><span style="color:{color}">■</span> {escape(sign.described)} <b>{escape(where)}</b></div>'
        )
    rows = [_codes(name, explained.codes[:, i].tolist(), i) for i, name in enumerate(explained.streams)]
    top = len(rows)
    for sign, place, color in zip(explained.signs, places, _cycled(len(places))):
        if place.found:
            rows.append(_bar(escape(sign.word), place.start / steps, place.end / steps, top, color))
            top += 1
    height = top * _ROW + 16
    marks = "".join(
        f'<text x="{_LABEL + _WIDTH * i / steps:.1f}" y="{height - 3}" font-size="10" fill="#666">'
        f"{i * explained.seconds:.1f} s</text>" for i in range(0, steps, max(1, round(1 / explained.seconds)))
    )
    x = _LABEL + _WIDTH * min(second / explained.seconds / steps, 1.0)
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 14}" stroke="#d00" stroke-width="2"/>'
    return (
        f'<div style="font-size:0.85em">{"".join(lines)}</div>'
        f'<svg role="img" aria-label="codes per stream over time" viewBox="0 0 {_LABEL + _WIDTH + 30} {height}" '
        f'style="width:100%;max-width:{_LABEL + _WIDTH + 30}px;display:block">{"".join(rows)}{marks}{line}</svg>'
    )


def _cycled(count: int) -> list[str]:
    return [_SIGN_COLORS[i % len(_SIGN_COLORS)] for i in range(count)]


def _codes(name: str, codes: Sequence[int], row: int) -> str:
    """A stream: a cell for each step, whose colour and number are the code's."""
    wide, y = _WIDTH / len(codes), row * _ROW
    cells = "".join(
        f'<rect x="{_LABEL + i * wide:.1f}" y="{y + 1}" width="{max(wide - 0.5, 0.5):.1f}" height="{_ROW - 2}" '
        f'fill="hsl({code * _HUES % 360},55%,72%)"><title>{escape(name)}, step {i}: code {code}</title></rect>'
        + (f'<text x="{_LABEL + (i + 0.5) * wide:.1f}" y="{y + 12}" font-size="8" text-anchor="middle" '
           f'pointer-events="none">{code}</text>' if wide >= 16 else "")
        for i, code in enumerate(codes)
    )
    return f'<text x="0" y="{y + 13}" font-size="11">{escape(name)}</text>{cells}'


def _bar(name: str, start: float, end: float, row: int, color: str) -> str:
    y = row * _ROW
    return (
        f'<text x="0" y="{y + 13}" font-size="11" fill="{color}">{name[:14]}</text>'
        f'<rect x="{_LABEL + start * _WIDTH:.1f}" y="{y + 4}" width="{(end - start) * _WIDTH:.1f}" height="{_ROW - 8}" '
        f'rx="3" fill="{color}"><title>{name}</title></rect>'
    )
