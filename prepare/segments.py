"""Make a lexicon of segments of continuous clips, from annotations of isolated signs.

    python -m prepare.segments --annotation csl_iso.pkl --language CSL --fps 30 --frames data/CSL-Daily/poses \\
        --out data/lexicon/lexicon.csv

The annotation is a pickled list of dicts with label, name, start, end (frame numbers) and video_file, the continuous
clip. Rows are added to the table if it is there; rows of the same name are replaced. Signs cut from clips of split val
or test are refused when the lexicon is used beside their corpus. --cfg names the configuration whose corpora the lexicon
is for, where one is of a sign language of your own.
"""
from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from soke.build.data import corpora_of
from soke.data.clip import Corpus
from soke.data.corpora.annotations import Table, read_entries, read_table, safe_name
from soke.data.corpora.listing import MAX_FPS, MIN_FPS
from soke.errors import UserError
from soke.run import cli
from soke.run.config import load_config, resolve
from soke.settings import near
from soke.storage import new_file
from soke.text.locales import TEXT_LOCALE, canonical

COLUMNS = ("word", "language", "name", "fps", "source", "start", "end")


def _frame(value: Any) -> int:
    """The number of a frame. Raises ValueError for seconds, and what is no number."""
    if int(value) != float(value):
        raise ValueError(f"{value} is no number of a frame, which start and end are")
    return int(value)


def rows_of(entries: Iterable[Mapping[str, Any]], language: str, fps: float, frames: Path) -> list[dict[str, str]]:
    """Rows of lexicon.csv. Raises UserError that names the entry whose fields make no sense, or whose name is another's."""
    rows, places = [], {}
    for number, entry in enumerate(entries):
        try:
            start, end = (_frame(entry[key]) for key in ("start", "end"))
            source = frames / safe_name(Path(str(entry["video_file"])).with_suffix("").as_posix())
            row = (str(entry["label"]), language, safe_name(str(entry["name"])), f"{fps:g}", str(source), start, end)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"entry {number} of the annotation cannot be used: {error!r}") from error
        first = places.setdefault(row[2], number)
        if first != number:
            raise UserError(
                f"entries {first} and {number} of the annotation are both called {row[2]}, and a table has one row of a name; "
                "give each sign its own"
            )
        rows.append(dict(zip(COLUMNS, map(str, row))))
    return rows


def known_rows(path: Path) -> Table:
    """Those of the table, if there is one. Raises UserError for a line that is no row, which would be lost."""
    if not path.is_file():
        return Table([], [], {})
    table = read_table(path, COLUMNS[:4])
    for line, fault in table.malformed.items():
        raise UserError(f"{path} {line} {fault}: mend or remove it, for the table is written anew")
    return table


def check_language(language: str, corpora: Sequence[Corpus]) -> None:
    """Raises UserError for a sign language that is neither listed nor that of one of the corpora."""
    known = list(dict.fromkeys([*TEXT_LOCALE, *(corpus.language for corpus in corpora)]))
    if language not in known:
        raise UserError(
            f"--language {language} is none of {', '.join(known)}{near(language, known)}: for a sign language of your "
            "own name the configuration of its corpus, --cfg FILE"
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.segments", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--annotation", type=Path, required=True, help="pickled list of isolated signs")
    parser.add_argument("--language", type=canonical, required=True, help="their sign language")
    parser.add_argument("--fps", type=float, required=True, help="frames per second of the clips")
    parser.add_argument("--frames", type=Path, required=True, help="folder of the continuous clips' frame folders")
    parser.add_argument("--out", type=Path, required=True, help="the table, lexicon.csv")
    parser.add_argument("--cfg", help="configuration that names corpora, of whose sign languages they may be, too")
    parser.add_argument("--cfg_assets", help="a second file merged over --cfg: your paths")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value", help="of --cfg")
    options = parser.parse_intermixed_args(arguments)
    config = load_config(options.cfg, options.cfg_assets, options.overrides) if options.cfg else None
    if not MIN_FPS <= options.fps <= MAX_FPS:
        raise UserError(f"--fps {options.fps:g} is no frame rate of a recording ({MIN_FPS:g} to {MAX_FPS:g} frames/s)")
    check_language(options.language, corpora_of(config) if config else [])
    new = rows_of(read_entries(options.annotation), options.language, options.fps, resolve(options.frames))
    known = known_rows(options.out)
    rows = {row["name"]: row for row in [*known.rows, *new]}
    columns = dict.fromkeys([*COLUMNS, *known.columns])  # those too that only the user knows
    with new_file(options.out) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows.values())
    print(f"{options.out}: {len(rows)} signs, {len(new)} of them segments from {options.annotation}")


if __name__ == "__main__":
    cli.run(main)
