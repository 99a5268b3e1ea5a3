"""Trains what the configuration's TRAIN.STAGE names: the tokenizer, the generator, or back-translation models.

python -m train --cfg configs/deto.yaml --nodebug
python -m train --cfg configs/soke.yaml --nodebug
python -m train --cfg configs/back_translation.yaml --nodebug
"""
from __future__ import annotations

from typing import Sequence

from soke import cli


def main(argv: Sequence[str] | None = None) -> None:
    config, args = cli.parse(cli.parser("train", __doc__.splitlines()[0]), argv)

    from soke import build, runs

    for config in config.per_model():
        runs.seed(config)
        with runs.open_run(config, debug=not args.nodebug) as run:
            data = build.data_module(run.config, run.folder)
            module = build.training_module(run.config, data)
            runs.record(run.folder, "provenance", module.provenance())
            trainer = build.trainer(run, module)
            runs.fit(run, trainer, module, data)
            runs.export(run, module, trainer)


if __name__ == "__main__":
    cli.run(main)
