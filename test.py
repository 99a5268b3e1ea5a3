"""Tests a trained model: prints the main scores, and saves all of them with those of every clip.

python -m test --cfg configs/deto.yaml --nodebug
python -m test --cfg configs/soke.yaml --task t2m
python -m test --cfg configs/back_translation.yaml
"""
from __future__ import annotations

from typing import Sequence

from soke import cli


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.parser("test", __doc__.splitlines()[0])
    parser.add_argument(
        "--task", choices=["t2m", "m2t"], default="t2m", help="of a generator. t2m: text to motion, m2t: motion to text"
    )
    parser.add_argument("--count_time", action="store_true", help="time the generation at batch sizes 1, 8 and 64")
    parser.add_argument("--out_dir", help="folder of the results; default: <RESULTS>/<NAME>, for m2t m2t below it")
    config, args = cli.parse(parser, argv)

    from soke import build, evaluate, runs, timing
    from soke.errors import UserError

    stage, reads = config.TRAIN.STAGE, args.task == "m2t" and config.TRAIN.STAGE == "generator"
    if args.count_time and (stage != "generator" or reads):
        raise UserError(f"--count_time times a generator that makes motion, which {config.NAME} does not: leave it out")
    runs.seed(config)
    config, shares = build.shares(config)
    makers = {"tokenizer": build.trained_tokenizer, "translation": build.translators, "generator": build.producer}
    model = makers["translation" if reads else stage](config)
    folder = runs.results_folder(config, args.out_dir, *["m2t"] * reads)
    setting = build.evaluation_setting(config, shares)
    if stage == "tokenizer":
        evaluation = evaluate.reconstruction(model, setting)
    elif stage == "translation" or reads:
        name = "generator" if reads else "back-translation model"
        evaluation = evaluate.translation(model, name, build.layout(config), setting)
    else:
        evaluation = evaluate.generation(model, setting)
    evaluation = evaluation.gather(shares)
    if shares.rank == 0:
        evaluation.table.conditions = build.conditions(config, args.task)
        runs.replace_results(folder, config)
        evaluation.save(folder, predictions=config.TEST.SAVE_PREDICTIONS)
        evaluation.table.print_summary(evaluation.summary)
        if args.count_time:
            timing.report(model, build.corpora(config), config.TEST.SPLIT, folder)
        print(f"\nall scores and their signatures: {folder / 'table.txt'}")


if __name__ == "__main__":
    cli.run(main)
