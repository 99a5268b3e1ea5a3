"""Writes the codes of all clips and of the lexicon's signs, as the generator's training reads them.

python -m get_motion_code --cfg configs/soke.yaml --nodebug
"""
from __future__ import annotations

from typing import Sequence

from soke import cli


def main(argv: Sequence[str] | None = None) -> None:
    config, _ = cli.parse(cli.parser("get_motion_code", __doc__.splitlines()[0]), argv)

    from soke import build
    from soke.tokenizer.extraction import extract_codes

    extract_codes(build.trained_tokenizer(config), **build.extraction_setting(config))


if __name__ == "__main__":
    cli.run(main)
