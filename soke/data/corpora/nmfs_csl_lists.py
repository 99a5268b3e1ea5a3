"""The public lists of NMFs-CSL: paths of clips, whose folders are their classes."""
from __future__ import annotations

import re
from pathlib import Path

from soke.data.corpora.annotations import Table
from soke.data.labels import CONFUSING, NORMAL
from soke.storage import read_text

CLASSES, CONFUSING_CLASSES = 1067, 610  # classes 0 to 609 are confusing, the others normal
COLUMNS = ("name", "split", "label", "word", "subset")
LIST_FILES = {  # split -> the first that exists is read; the csv files are derived from the others
    "train": ("traintestlist/trainlist01.txt", "trainlist01.txt", "traintestlist/uni_trainlist01.csv",
              "uni_trainlist01.csv"),
    "test": ("traintestlist/testlist01.txt", "testlist01.txt", "traintestlist/uni_testlist01.csv",
             "uni_testlist01.csv"),
}
_SUFFIX = re.compile(r"\.[A-Za-z]\w{1,4}$")
_SEPARATOR = re.compile(r"\s*,\s*|\s+")


def read_list(path: Path, split: str) -> Table:
    """A list as the table that `NMFsCSL` reads: name is class/clip, the word is the class's number.

    A line is `<class>/<clip>.ext <label>` or, in a csv file, `path,label`; without a label, the class is the label.
    Lines that make no sense, and those whose label is not the class of their folder, are malformed. Raises UserError
    when the file cannot be read.
    """
    table = Table(list(COLUMNS), [], {})
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        fields = [field for field in _SEPARATOR.split(line.strip()) if field]
        if not fields or (number == 1 and fields == ["path", "label"]):
            continue
        try:
            table.rows.append(_row(fields, split))
        except ValueError as error:
            table.malformed[f"line {number}"] = str(error)
    return table


def _row(fields: list[str], split: str) -> dict[str, str]:
    """Raises ValueError that says what is wrong with the line."""
    steps = [step for step in fields[0].replace("\\", "/").split("/") if step not in ("", ".")]
    if len(fields) > 2 or len(steps) < 2:
        raise ValueError(f"is {' '.join(fields)!r}, not <class>/<clip>.ext <label>")
    folder, clip = steps[-2], _SUFFIX.sub("", steps[-1])
    sign = _class(folder, "its folder")
    if len(fields) == 2 and _class(fields[1], "its label") != sign:
        raise ValueError(f"gives {folder}/{clip} the label {fields[1]}, but its folder is that of class {folder}")
    subset = CONFUSING if sign < CONFUSING_CLASSES else NORMAL
    return dict(zip(COLUMNS, (f"{folder}/{clip}", split, str(sign), str(sign), subset)))


def _class(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= CLASSES:
        raise ValueError(f"has {what} {text!r}, which is none of the classes 0 to {CLASSES - 1}")
    return int(text)
