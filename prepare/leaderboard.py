"""All systems beside each other: every row of a plan for several seeds, one table and one picture, the best row first.

    python -m prepare.leaderboard
    python -m prepare.leaderboard --cfg configs/ablation/leaderboard.yaml --jobs 8

What the rows start from (corpora, tokenizers, codes, readers) is made where it is missing. Broken off and run again, it
goes on. A plan is one of prepare/plans.py; its first column orders the rows, from the lowest value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from prepare.plans import TIME, Plan, compare, spread
from soke.run import cli
from soke.storage import new_file

_APART = (7, 16, 26, 38, 52, 70, 90)  # points of type from a mark to its name, nearer ones first
_AROUND = np.deg2rad([0, 180, 90, 270, 30, 330, 150, 210, 60, 300, 120, 240])
_MARK = 4.0  # half of a mark, points
_ALONG = (0.995, 0.8, 0.6, 0.4, 0.2)  # of the width: right ends of a line's name


@dataclass(frozen=True)
class _Mark:
    """What stands for a row: a point, or a line across where `time` is None; its values with their deviations."""

    row: str
    error: tuple[float, float]
    time: tuple[float, float] | None
    color: str


def picture(plan: Plan, results: Mapping[str, list[dict[str, float]]]) -> Figure:
    """Error against seconds per video, a point with its standard deviations per row, its name beside it; rows that have no
    time of their own are lines across, those without such an error are left out."""
    figure = Figure(figsize=(9.0, 6.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes, first = figure.subplots(), plan.scores[0]
    marks = []
    for row, seeds in results.items():
        if all(first in of for of in seeds):
            times = [of[TIME] for of in seeds if TIME in of]
            error, color = spread([of[first] for of in seeds]), f"C{len(marks) % 10}"
            marks.append(_Mark(row, error, spread(times) if times else None, color))
    for mark in marks:
        if mark.time is None:
            axes.axhline(mark.error[0], color=mark.color, linestyle=":")
        else:
            axes.errorbar(mark.time[0], mark.error[0], mark.error[1], mark.time[1], fmt="o", color=mark.color, elinewidth=1)
    axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.set_xlabel("seconds per video, batch size 1")
    axes.set_ylabel(f"{first} (lower is better)")
    figure.draw_without_rendering()  # only now it is known where anything is
    figure.set_layout_engine("none")
    _write_names(axes, marks)
    return figure


def _write_names(axes: Axes, marks: Sequence[_Mark]) -> None:
    """The rows' names, each where it covers least of the marks and of the names before it; what is far from its point has a
    line to it."""
    inside, scale = axes.get_window_extent().extents, axes.figure.dpi / 72
    taken = []  # [4] each: left, lower, right and upper end of what names should not cover, in pixels
    for mark in marks:
        (x, y), wide, high = _place(axes, mark), _MARK * scale, _MARK * scale
        if mark.time is None:
            wide, high = inside[2] - inside[0], 0.5
        else:
            taken += [_bar(axes, mark, *ends) for ends in ((mark.time[1], 0.0), (0.0, mark.error[1]))]
        taken.append(np.array([x - wide, y - high, x + wide, y + high]))
    for mark in sorted(marks, key=lambda mark: mark.time is not None):  # lines have fewer places for their names
        text = axes.figure.text(0, 0, mark.row, fontsize=8)
        size, others = np.array(text.get_window_extent().size), np.array(taken)
        text.remove()
        middle, far = min(
            _places(axes, mark, size), key=lambda place: _covered(_around(place[0], size), others, inside)
        )
        taken.append(_around(middle, size))
        axes.annotate(
            mark.row, _place(axes, mark), middle, xycoords="figure pixels", textcoords="figure pixels", ha="center", va="center",
            fontsize=8, color=mark.color,
            arrowprops={"arrowstyle": "-", "color": mark.color, "linewidth": 0.6, "shrinkA": 0} if far else None,
        )


def _place(axes: Axes, mark: _Mark) -> np.ndarray:
    """Pixels [2] of a mark; of a line its right end."""
    x, y = axes.transData.transform((axes.get_xlim()[1] if mark.time is None else mark.time[0], mark.error[0]))
    return np.array([x, y])


def _bar(axes: Axes, mark: _Mark, across: float, up: float) -> np.ndarray:
    """Pixels [4] of a point's deviation to both sides."""
    (time, _), (error, _) = mark.time, mark.error
    start, end = axes.transData.transform([
        (max(time - across, axes.get_xlim()[0]), error - up), (time + across, error + up),
    ])
    return np.concatenate([start - 1, end + 1])


def _places(axes: Axes, mark: _Mark, size: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
    """Where the middle [2] of a name of that size may stand, the best place first, and whether that is far from the mark."""
    at, scale, width = _place(axes, mark), axes.figure.dpi / 72, axes.get_window_extent().width
    if mark.time is None:
        for side in (1, -1):
            for along in _ALONG:
                yield at + [(along - 1) * width - size[0] / 2, side * (size[1] / 2 + 2 * scale)], False
        return
    for apart in _APART:
        for angle in _AROUND:
            across, up = np.cos(angle), np.sin(angle)
            beside = np.array([np.sign(round(across, 3)), up]) * size / 2
            yield at + apart * scale * np.array([across, up]) + beside, apart > _APART[0]


def _around(middle: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.concatenate([middle - size / 2, middle + size / 2])


def _covered(name: np.ndarray, taken: np.ndarray, inside: np.ndarray) -> float:
    """Square pixels of what a name covers, and those of it outside the axes."""
    return _shared(name, taken) + _shared(name, name[None]) - _shared(name, inside[None])


def _shared(box: np.ndarray, others: np.ndarray) -> float:
    """Square pixels that a box [4] shares with others [N, 4]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(sides.clip(min=0).prod(axis=1).sum())


def main(argv: Sequence[str] | None = None) -> None:
    target, plan, results = compare("prepare.leaderboard", __doc__, argv, "configs/ablation/leaderboard.yaml", first=True)
    with new_file(target / "leaderboard.png") as path:
        picture(plan, results).savefig(path, format="png")
    print(f"saved in {target}")


if __name__ == "__main__":
    cli.run(main)
