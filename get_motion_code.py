"""Writes the codes of all clips and of the lexicon's signs, as the generator's training reads them.

python -m get_motion_code --cfg configs/soke.yaml --nodebug
"""
from __future__ import annotations

from typing import Sequence

from soke.run import cli


def main(argv: Sequence[str] | None = None) -> None:
    config, _ = cli.parse(cli.parser("get_motion_code", __doc__.splitlines()[0]), argv)

    from soke.build.data import extraction_setting
    from soke.build.devices import start_processes
    from soke.build.stages import tokenizer_of
    from soke.tokenizer.extraction import extract_codes

    config, world = start_processes(config)
    extract_codes(tokenizer_of(config), **extraction_setting(config), world=world)


if __name__ == "__main__":
    cli.run(main)
