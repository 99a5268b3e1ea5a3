"""Train and test every row of an ablation for several seeds, and print the table with the spread over seeds.

    python -m prepare.ablation --cfg configs/ablation/decoding.yaml
    python -m prepare.ablation --cfg configs/ablation/decoding.yaml --jobs 8

What the rows start from must be there, unless the plan says how it is made: a generator's tokenizer, codes and mBART
(prepare/demo.sh makes those of the demo), a tokenizer's corpora. Run again, it goes on with what is missing. What a plan
holds stands in prepare/plans.py.
"""

from __future__ import annotations

import argparse

from rich.console import Console

from prepare.plans import read_plan, results_of, results_table, save, target_of
from soke.run import cli


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cfg", required=True, help="plan, for instance configs/ablation/decoding.yaml")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on a GPU of its own where there are (1)")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value", help="of every row")
    options = parser.parse_intermixed_args(arguments)
    plan = read_plan(options.cfg)
    results = results_of(plan, options.overrides, options.jobs)
    table, target = results_table(plan, results), target_of(plan, options.overrides)
    Console(width=170).print(table)
    save(target, results, table)
    print(f"saved in {target}")


if __name__ == "__main__":
    cli.run(main)
