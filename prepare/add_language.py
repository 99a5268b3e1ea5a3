"""Add sign languages to a trained regressor: a group of weights for each, trained alone (MLSF of SignLLM).

    python -m prepare.add_language --model FOLDER --cfg my_language.yaml --from DGS --nodebug

The configuration names the corpora of the new languages, the run's NAME and the sizes of the new groups (REGRESSOR), as
configs/ablation/signllm_dsgs.yaml does; its layout must be the model's. The model's folder stays as it is: the run's own
gets the model with the new groups in it, and a test of the configuration tests them. It is train.py's training with
TRAIN.INIT and TRAIN.INIT_LANGUAGE.
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Sequence

from soke.errors import UserError
from soke.run import cli


def main(argv: Sequence[str] | None = None) -> None:
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = cli.parser("prepare.add_language", __doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of a trained regressor")
    start = "sign language of that model whose group new ones start from; default: random weights"
    parser.add_argument("--from", dest="start", default="", help=start)
    args, _ = parser.parse_known_args(argv)
    model = Path(args.model).resolve() if Path(args.model).is_dir() else args.model
    own = ["TRAIN.STAGE=regressor", "REGRESSOR.GROUPS=per_language", f"TRAIN.INIT={model}"]
    config, args = cli.parse(parser, [*own, f"TRAIN.INIT_LANGUAGE={args.start}", *argv])
    if config.regressor.groups != "per_language":
        raise UserError("TRAIN.INIT adds a group for each sign language: set REGRESSOR.GROUPS=per_language")

    from soke.build.data import corpora_of
    from soke.build.stages import stage_of
    from soke.build.trainer import train
    from soke.regressor.regressor import PoseRegressor
    from soke.run import folders
    from soke.run.config import model_folder

    signed = PoseRegressor.from_pretrained(model_folder(config.train.init)).languages
    known = [corpus.language for corpus in corpora_of(config) if corpus.language in signed]
    if known:
        raise UserError(
            f"the regressor signs {', '.join(known)} already ({', '.join(signed)}): leave the corpora of that language out, "
            "or fine-tune their groups with train.py and TRAIN.INIT"
        )

    train(stage_of(config), config, debug=not args.nodebug)
    export = folders.export_folder(config)
    if not args.nodebug or not export.is_dir():  # a trial, or interrupted
        return
    both = model_folder(config.train.init), export
    before, after = (PoseRegressor.from_pretrained(folder).groups for folder in both)
    if any(after[name].hash != group.hash for name, group in before.items()):
        raise UserError(f"{export} does not hold the groups of {config.train.init} as they were: train it again")
    added = ", ".join(name for name in after if name not in before)
    print(f"{export} signs {added} besides; unchanged: {', '.join(before)}")


if __name__ == "__main__":
    cli.run(main)
