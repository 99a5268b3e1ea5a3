"""Tests a trained model: prints the main scores, and saves all of them with those of every clip.

python -m test --cfg configs/deto.yaml --nodebug
python -m test --cfg configs/soke.yaml --task t2m
python -m test --cfg configs/back_translation.yaml
python -m test --cfg configs/recognition.yaml
"""
from __future__ import annotations

from typing import Sequence

from soke.run import cli


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.parser("test", __doc__.splitlines()[0])
    tasks = "of a generator. t2m, the default: text to motion, m2t: motion to text"
    parser.add_argument("--task", choices=["t2m", "m2t"], default="t2m", help=tasks)
    parser.add_argument("--count_time", action="store_true", help="time the generation at batch sizes 1, 8 and 64")
    parser.add_argument("--full", action="store_true", help="print every score, with signatures, not the main ones alone")
    parser.add_argument("--out_dir", help="folder of the results; default: <RESULTS>/<NAME>, for m2t m2t below it")
    config, args = cli.parse(parser, argv)

    from soke.build import testing

    testing.run(config, args.task, args.out_dir, args.count_time, args.full)


if __name__ == "__main__":
    cli.run(main)
