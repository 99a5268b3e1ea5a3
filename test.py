"""Tests a trained tokenizer or generator: prints the result table and saves it with the scores of every clip.

python -m test --cfg configs/deto.yaml --nodebug
python -m test --cfg configs/soke.yaml --task t2m
"""
from __future__ import annotations

from typing import Sequence

from soke import cli


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.parser("test", __doc__.splitlines()[0])
    parser.add_argument("--task", choices=["t2m"], default="t2m", help="t2m: text to motion")
    parser.add_argument("--count_time", action="store_true", help="time the generation at batch sizes 1, 8 and 64")
    parser.add_argument("--out_dir", help="folder of the results; default: <RESULTS>/<NAME>")
    config, args = cli.parse(parser, argv)

    from soke import build, evaluate, runs, timing
    from soke.errors import UserError

    runs.seed(config)
    folder = runs.results_folder(config, args.out_dir)
    if args.count_time and config.TRAIN.STAGE != "generator":
        raise UserError(f"--count_time times a generator, but {config.NAME} is a tokenizer: leave the flag out")
    if config.TRAIN.STAGE == "tokenizer":
        evaluation = evaluate.reconstruction(build.trained_tokenizer(config), build.evaluation_setting(config))
    else:
        producer = build.producer(config)
        evaluation = evaluate.generation(producer, build.evaluation_setting(config))
    evaluation.save(folder, predictions=config.TEST.SAVE_PREDICTIONS)
    evaluation.table.print()
    if args.count_time:
        timing.report(producer, build.corpora(config), config.TEST.SPLIT, folder)
    print(f"\nsaved in {folder}")


if __name__ == "__main__":
    cli.run(main)
