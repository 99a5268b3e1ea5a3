"""All systems beside each other: every row of a plan for several seeds, one table and one picture, the best row first.

    python -m prepare.leaderboard
    python -m prepare.leaderboard --cfg configs/ablation/leaderboard.yaml --jobs 8

What the rows start from (corpora, tokenizers, codes, readers) is made where it is missing. Broken off and run again, it
goes on. A plan is one of prepare/plans.py; its first column orders the rows, from the lowest value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from prepare.plans import TIME, Plan, compare, spread
from soke.run import cli
from soke.storage import new_file


def write_picture(path: Path, plan: Plan, results: Mapping[str, list[dict[str, float]]]) -> None:
    """Error against seconds per video, a point with its standard deviations per row; rows that have no time of their own
    are lines across, those without such an error are left out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    first = plan.scores[0]
    markers = "osD^vP*X<>"
    known = {row: seeds for row, seeds in results.items() if all(first in of for of in seeds)}
    for number, (row, seeds) in enumerate(known.items()):
        (error, of_error), color = spread([of[first] for of in seeds]), f"C{number % 10}"
        times = [of[TIME] for of in seeds if TIME in of]
        if times:
            time, of_time = spread(times)
            marker = markers[number // 10 % len(markers)]
            axes.errorbar(time, error, of_error, of_time, fmt=marker, color=color, label=row)
        else:
            axes.axhline(error, color=color, linestyle=":", label=row)
    axes.set_xscale("log")
    axes.set_xlabel("seconds per video, batch size 1")
    axes.set_ylabel(f"{first} (lower is better)")
    figure.legend(loc="outside right upper", fontsize=8)
    with new_file(path) as part:
        figure.savefig(part, format="png", dpi=120)


def main(argv: Sequence[str] | None = None) -> None:
    target, plan, results = compare("prepare.leaderboard", __doc__, argv, "configs/ablation/leaderboard.yaml", first=True)
    write_picture(target / "leaderboard.png", plan, results)
    print(f"saved in {target}")


if __name__ == "__main__":
    cli.run(main)
