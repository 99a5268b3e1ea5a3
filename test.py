"""Tests a trained model: prints the main scores, and saves all of them with those of every clip.

python -m test --cfg configs/deto.yaml --nodebug
python -m test --cfg configs/soke.yaml --task t2m
python -m test --cfg configs/back_translation.yaml
"""
from __future__ import annotations

from functools import partial
from typing import Sequence

from soke.run import cli


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.parser("test", __doc__.splitlines()[0])
    parser.add_argument(
        "--task", choices=["t2m", "m2t"], default="t2m", help="of a generator. t2m: text to motion, m2t: motion to text"
    )
    parser.add_argument("--count_time", action="store_true", help="time the generation at batch sizes 1, 8 and 64")
    parser.add_argument("--out_dir", help="folder of the results; default: <RESULTS>/<NAME>, for m2t m2t below it")
    config, args = cli.parse(parser, argv)

    from soke.build.body import layout_of
    from soke.build.data import corpora_of
    from soke.build.devices import device_of, start_processes
    from soke.build.generator import trained_producer
    from soke.build.testing import conditions_of, evaluation_setting
    from soke.build.tokenizer import trained_tokenizer
    from soke.build.translation import translators
    from soke.errors import UserError
    from soke.evaluation import rows, timing
    from soke.run import folders
    from soke.tokenizer.reconstruction import Reconstruction, reconstruction

    stage, reads = config.train.stage, args.task == "m2t" and config.train.stage == "generator"
    if args.count_time and (stage != "generator" or reads):
        raise UserError(f"--count_time times a generator that makes motion, which {config.name} does not: leave it out")
    folders.seed(config)
    config, world = start_processes(config)
    makers = {"tokenizer": trained_tokenizer, "translation": translators, "generator": trained_producer}
    model = makers["translation" if reads else stage](config)
    folder = folders.results_folder(config, args.out_dir, *["m2t"] * reads)
    setting = evaluation_setting(config, world)
    if stage == "tokenizer":
        evaluation = reconstruction(model, setting)
    elif stage == "translation" or reads:
        name = "generator" if reads else "back-translation model"
        evaluation = rows.translation(model, name, layout_of(config), setting)
    else:
        evaluation = rows.generation(model, setting, partial(Reconstruction, model.tokenizer))
    evaluation = evaluation.gather(world)
    if world.rank == 0:
        evaluation.table.conditions = conditions_of(config, args.task)
        folders.replace_results(folder, config)
        evaluation.save(folder, predictions=config.test.save_predictions)
        evaluation.table.print_summary(evaluation.summary)
        if args.count_time:
            timing.report(model.batched, corpora_of(config), config.test.split, folder, device_of(config))
        print(f"\nall scores and their signatures: {folder / 'table.txt'}")


if __name__ == "__main__":
    cli.run(main)
