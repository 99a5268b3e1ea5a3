"""Trains what the configuration's TRAIN.STAGE names: the tokenizer, the generator, or back-translation models.

python -m train --cfg configs/deto.yaml --nodebug
python -m train --cfg configs/soke.yaml --nodebug
python -m train --cfg configs/back_translation.yaml --nodebug
"""
from __future__ import annotations

from typing import Sequence

from soke.run import cli


def main(argv: Sequence[str] | None = None) -> None:
    config, args = cli.parse(cli.parser("train", __doc__.splitlines()[0]), argv)

    from soke.build.data import data_module
    from soke.build.stages import training_module
    from soke.build.trainer import new_trainer
    from soke.run import folders

    for config in config.per_model():
        folders.seed(config)
        with folders.open_run(config, debug=not args.nodebug) as run:
            data = data_module(run.config, run.folder)
            module = training_module(run.config, data)
            folders.record(run.folder, "provenance", module.provenance())
            trainer = new_trainer(run, module)
            folders.fit(run, trainer, module, data)
            folders.export(run, module, trainer)


if __name__ == "__main__":
    cli.run(main)
