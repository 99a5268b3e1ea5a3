"""What the result folders hold that test.py has written: scores, and how fast videos were generated."""
from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from soke.errors import UserError
from soke.report.tables import Cell
from soke.storage import read_text

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True)
class Results:
    """What a results folder holds.

    name:  the folder's
    speed: (seconds per video at batch size 1, device); None where it was not timed
    """

    name: str
    cells: list[Cell]
    speed: tuple[float, str] | None

    def of_kind(self, metric: str) -> bool:
        """Whether it has scores of a metric that only some systems have; "": true."""
        return not metric or any(cell.metric[0] == metric for cell in self.cells)

    def on(self, corpora: Collection[str]) -> Results:
        """With the scores on these corpora alone, whose names may be in capitals; all where it has none of them."""
        cells = [cell for cell in self.cells if cell.corpus.lower() in corpora]
        return replace(self, cells=cells) if cells else self


def read_results(folder: str | Path) -> Results:
    """Reads table.json and, where there is one, timing.json. Raises UserError for a missing or damaged file."""
    folder = Path(folder)
    if not (folder / "table.json").is_file():
        raise UserError(f"{folder} holds no table.json: name a folder that test.py has written, such as results/NAME")
    cells = _parsed(folder / "table.json", _cells)
    speed = _parsed(folder / "timing.json", _speed) if (folder / "timing.json").is_file() else None
    return Results(folder.resolve().name, cells, speed)


def read_clips(folder: Path) -> list[dict[str, str]]:
    """The lines of clips.csv, column -> text. Raises UserError for a missing or damaged file."""
    path = folder / "clips.csv"
    if not path.is_file():
        raise UserError(f"{path} does not exist: name a folder that a test of single clips has written")
    try:
        lines = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
        if lines and not {"corpus", "clip", "row"} <= lines[0].keys():
            raise ValueError("it lacks corpus, clip or row")
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}); run the test again") from error
    return lines


def _parsed(path: Path, parse: Callable[[dict], _Parsed]) -> _Parsed:
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged or of another version ({type(error).__name__}: {error}); run the test again"
        ) from error


def _cells(content: dict) -> list[Cell]:
    cells = [Cell.from_dict(values) for values in content["cells"]]
    for cell in cells:
        ends = [end for low, high in cell.score.intervals.values() for end in (low, high)]
        if not all(math.isfinite(number) for number in [*cell.score.values.values(), *ends]):
            raise ValueError(f"a score of {cell.row} on {cell.corpus} is not finite")
    return cells


def _speed(content: dict) -> tuple[float, str] | None:
    seconds = {timing["batch_size"]: float(timing["mean"]) for timing in content["timings"]}
    return (seconds[1], str(content["device"])) if 1 in seconds else None
