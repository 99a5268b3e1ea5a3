"""All systems beside each other: every row of a plan for several seeds, one table and one picture, the best row first.

    python -m prepare.leaderboard
    python -m prepare.leaderboard --cfg configs/ablation/leaderboard.yaml --jobs 8

What the rows start from (corpora, tokenizers, codes, readers) is made where it is missing. Broken off and run again, it
goes on. A plan is one of prepare/plans.py; its first column orders the rows, from the lowest value.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console

from prepare.plans import TIME, Plan, read_plan, results_of, results_table, save, target_of
from soke.run import cli
from soke.storage import new_file


def ordered(plan: Plan, results: Mapping[str, list[dict[str, float]]]) -> dict[str, list[dict[str, float]]]:
    """The rows by the mean of the plan's first column."""
    first = plan.scores[0]
    return dict(sorted(results.items(), key=lambda item: np.mean([of_seed[first] for of_seed in item[1]])))


def write_picture(path: Path, plan: Plan, results: Mapping[str, list[dict[str, float]]]) -> None:
    """Error against seconds per video, a point with its standard deviations per row; rows that have no time of their own
    are lines across."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    first = plan.scores[0]
    markers = "osD^vP*X<>"
    for number, (row, seeds) in enumerate(results.items()):
        error, color = [of[first] for of in seeds], f"C{number % 10}"
        spread = np.std(error, ddof=1) if len(error) > 1 else 0.0
        times = [of[TIME] for of in seeds if TIME in of]
        if times:
            of_times = np.std(times, ddof=1) if len(times) > 1 else 0.0
            axes.errorbar(
                np.mean(times), np.mean(error), spread, of_times, fmt=markers[number // 10 % len(markers)], color=color, label=row
            )
        else:
            axes.axhline(np.mean(error), color=color, linestyle=":", label=row)
    axes.set_xscale("log")
    axes.set_xlabel("seconds per video, batch size 1")
    axes.set_ylabel(f"{first} (lower is better)")
    figure.legend(loc="outside right upper", fontsize=8)
    with new_file(path) as part:
        figure.savefig(part, format="png", dpi=120)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.leaderboard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cfg", default="configs/ablation/leaderboard.yaml", help="plan (configs/ablation/leaderboard.yaml)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on a GPU of its own where there are (1)")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value", help="of every row")
    options = parser.parse_intermixed_args(arguments)
    plan = read_plan(options.cfg)
    results = ordered(plan, results_of(plan, options.overrides, options.jobs))
    table, target = results_table(plan, results), target_of(plan, options.overrides)
    Console(width=170).print(table)
    save(target, results, table)
    write_picture(target / "leaderboard.png", plan, results)
    print(f"saved in {target}")


if __name__ == "__main__":
    cli.run(main)
