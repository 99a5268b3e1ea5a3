"""Fill the tables of the SOKE, M3T, SignLLM and newer papers, and of SLRTP 2025, from folders of results, beside the
published numbers.

    python -m soke.report.compare results/soke results/m3t --table soke-1 m3t-1 --format latex --out tables.tex

The best value of a column is marked among rows that agree in it in signature, split and scored clips, and that are
complete; below the table stands which rows are not ranked against each other, and why.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from soke.report.comparison import compare
from soke.report.formats import FORMATS
from soke.report.published import TABLES
from soke.storage import new_file


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="soke.report.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", metavar="results/NAME", help="folders that test.py has written")
    parser.add_argument(
        "--table", nargs="+", metavar="TABLE",
        help=f"{', '.join(TABLES)}; default: all in which a folder has a score",
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--out", metavar="FILE", help="where to write; default: the terminal")
    options = parser.parse_args(arguments)
    result = FORMATS[options.format](compare(options.folders, options.table))
    if options.out is None:
        print(result, end="")
        return
    with new_file(Path(options.out)) as path:
        path.write_text(result, encoding="utf-8", newline="")
    print(f"saved {options.out}")


if __name__ == "__main__":
    from soke.run import cli  # here, because the metrics know nothing of the configuration

    cli.run(main)
