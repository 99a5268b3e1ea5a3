"""Trains what TRAIN.STAGE names: tokenizer, generator, regressor, models that read or score motion, sign recognizer.

python -m train --cfg configs/deto.yaml --nodebug
python -m train --cfg configs/soke.yaml --nodebug
python -m train --cfg configs/back_translation.yaml --nodebug
python -m train --cfg configs/recognition.yaml --nodebug
"""
from __future__ import annotations

from typing import Sequence

from soke.run import cli


def main(argv: Sequence[str] | None = None) -> None:
    config, args = cli.parse(cli.parser("train", __doc__.splitlines()[0]), argv)

    from soke.build.stages import stage_of
    from soke.build.trainer import train

    stage = stage_of(config)
    for model in stage.models(config):
        train(stage, model, debug=not args.nodebug)


if __name__ == "__main__":
    cli.run(main)
