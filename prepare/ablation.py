"""Train and test every row of an ablation for several seeds, and print the table with the spread over seeds.

    python -m prepare.ablation --cfg configs/ablation/decoding.yaml
    python -m prepare.ablation --cfg configs/ablation/decoding.yaml --jobs 8

What the rows start from must be there, unless the plan says how it is made: a generator's tokenizer, codes and mBART
(prepare/demo.sh makes those of the demo), a tokenizer's corpora. Run again, it goes on with what is missing. What a plan
holds stands in prepare/plans.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from prepare.plans import compare
from soke.run import cli


def main(argv: Sequence[str] | None = None) -> None:
    target, *_ = compare("prepare.ablation", __doc__, argv)
    print(f"saved in {target}")


if __name__ == "__main__":
    cli.run(main)
