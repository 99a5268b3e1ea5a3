"""The papers' tables, SOKE's tables 1 to 3 and M3T's tables 1 to 4 and A.2, SignLLM's tables of ASL,
of GSL and of its ablation, one of newer works and SLRTP 2025's, with the published numbers of published.yaml.

A cell that no source gives is empty. What is known of a published score's conditions stands in its signature; what is
not known is None there, so that it never counts as comparable with a score of ours.
"""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from soke.errors import UserError
from soke.metrics.signature import Signature
from soke.report.paper_table import CORPORA, GENERATED, SPEED, Column, Measure, PaperTable, Row, Value

_FILE = Path(__file__).with_name("published.yaml")
_ALL = "all"  # stands for no single corpus
_SOURCE = re.compile(r"[\w-]+ \((arXiv \d{4}\.\d{5}|its repository|a thesis)\), table ((A\.)?\d|of )")
_ALIGNMENTS = {"DTW-JPE": "root", "DTW-PA-JPE": "procrustes", "PA-MPVPE": "procrustes"}

# What the file must hold: a type, a list of one, {str: of each entry}, or entries by name, with ? where they may lack.
_SCHEMA = {
    "measures": {str: {
        "metric": str, "title": str, "label": str, "parts": [str], "unit": str, "decimals?": int,
        "higher_is_better?": object,
    }},
    "conditions": {str: {
        "ground truth": str, "body?": str, "judge?": str, "joints?": {str: str}, "levels?": {str: str}, "input?": str,
        "classes?": int,
    }},
    "scores": {str: {"conditions": str, "split?": str, "measures": [str], "rows": {str: {str: [object]}}}},
    "notes": {str: str},
    "tables": {str: {
        "title": str, "measures?": [str], "overall?": [str], "system?": str, "bounds?": [str], "corpora?": [str],
        "kind?": str, "remarks?": {str: str},
        "notes": [str], "rows": [{"source": str, "scores": [str], "bound?": bool}],
    }},
}


def read_tables(path: Path = _FILE) -> dict[str, PaperTable]:
    """The tables of a file, by their keys. Raises UserError that names what is wrong in it, and where."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        _check(content, _SCHEMA, "")
        measures = {key: _measure(values) for key, values in content["measures"].items()}
        return {key: _table(key, table, measures, content) for key, table in content["tables"].items()}
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error


def _check(value: Any, schema: Any, where: str) -> None:
    """Raises ValueError that names the place where `value` is not as `schema` says."""
    if isinstance(schema, type):
        if not isinstance(value, schema) or (schema is int and isinstance(value, bool)):
            raise ValueError(f"{where} is {value!r}, it must be of type {schema.__name__}")
    elif not isinstance(value, type(schema)):
        raise ValueError(f"{where or 'the file'} is no {'list' if isinstance(schema, list) else 'table of entries'}")
    elif isinstance(schema, list):
        for number, each in enumerate(value):
            _check(each, schema[0], f"{where}[{number}]")
    elif str in schema:
        for key, each in value.items():
            _check(key, str, f"a key of {where}")
            _check(each, schema[str], f"{where}.{key}")
    else:
        of_name = {key.rstrip("?"): each for key, each in schema.items()}
        for key in value:
            if key not in of_name:
                raise ValueError(f"{f'{where}.' * bool(where)}{key} is unknown; there are {', '.join(of_name)}")
        for key in schema:
            if key.rstrip("?") in value:
                name = key.rstrip("?")
                _check(value[name], of_name[name], f"{where}.{name}" if where else name)
            elif not key.endswith("?"):
                raise ValueError(f"{where or 'the file'} lacks {key}")


def _named(entries: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in entries:
        raise ValueError(f"{where} names {key}, which is none of {', '.join(entries)}")
    return entries[key]


def _measure(values: dict[str, Any]) -> Measure:
    if (better := values.get("higher_is_better")) not in (True, False, None):
        raise ValueError(f"higher_is_better of {values['metric']} is {better!r}, it must be true, false, or ~ where no end is better")
    return Measure(**values | {"parts": tuple(values["parts"])})


def _table(key: str, table: dict[str, Any], measures: Mapping[str, Measure], content: dict[str, Any]) -> PaperTable:
    where = f"tables.{key}"
    of_corpora, overall = (
        tuple(_named(measures, name, f"{where}.{field}") for name in table.get(field, []))
        for field in ("measures", "overall")
    )
    notes = tuple(_named(content["notes"], name, f"{where}.notes") for name in table["notes"])
    empty = PaperTable(
        key, table["title"], of_corpora, overall, (), table.get("system", GENERATED), tuple(table.get("bounds", [])),
        tuple(table.get("corpora", [])), table.get("kind", ""), table.get("remarks", {}), notes,
    )
    rows = tuple(row for group in table["rows"] for row in _rows(group, empty, measures, content))
    used = {value.remark for row in rows for value in row.values.values()} - {""}
    if used != set(empty.remarks):
        raise ValueError(f"{where}.remarks explains {sorted(empty.remarks)}, but at numbers stand {sorted(used)}")
    return replace(empty, published=rows)


def _rows(
    group: dict[str, Any], table: PaperTable, measures: Mapping[str, Measure], content: dict[str, Any]
) -> list[Row]:
    """The rows of scores that stand beside each other, their values in the order of the table's columns."""
    where = f"tables.{table.key}"
    if not _SOURCE.match(group["source"]):
        raise ValueError(f"{where} has the source {group['source']!r}; name the paper, its arXiv number (or: its repository, a thesis) and the table")
    found: dict[str, dict[Column, Value]] = {}
    for name in group["scores"]:
        scores = _named(content["scores"], name, f"{where}.rows")
        for row, of_corpora in scores["rows"].items():
            values = _values(f"scores.{name}", row, of_corpora, scores, measures, content)
            if values.keys() & found.setdefault(row, {}).keys():
                raise ValueError(f"{where} has two values of {row} in one column, one of them in scores.{name}")
            found[row] |= values
    columns = table.columns()
    for row, values in found.items():
        for column in values:
            if column not in columns:
                raise ValueError(f"{where} has no column for {column.measure.title} {column.measure.label} of {row}")
    return [
        Row(row, True, {column: values[column] for column in columns if column in values}, group["source"],
            group.get("bound", False))
        for row, values in found.items()
    ]


def _values(
    where: str, row: str, of_corpora: dict[str, list], scores: dict[str, Any], measures: Mapping[str, Measure],
    content: dict[str, Any],
) -> dict[Column, Value]:
    conditions = _named(content["conditions"], scores["conditions"], where)
    columns = [_named(measures, name, where) for name in scores["measures"]]
    found = {}
    for corpus, cells in of_corpora.items():
        place = f"{where}.rows.{row}.{corpus}"
        _named({**CORPORA, _ALL: None}, corpus, f"{where}.rows.{row}")
        if len(cells) != len(columns):
            raise ValueError(f"{place} holds {len(cells)} numbers for {len(columns)} measures")
        for measure, cell in zip(columns, cells):
            column = Column("" if corpus == _ALL else corpus, measure)
            if cell is not None:
                found[column] = _value(column, *_number(cell, place), conditions, scores.get("split", "test"))
    return found


def _number(cell: Any, where: str) -> tuple[float, str]:
    """The number and the letter of its remark."""
    number, remark = cell if isinstance(cell, list) and len(cell) == 2 else (cell, "")
    real = isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number)
    if not real or number < 0 or not isinstance(remark, str):
        raise ValueError(f"{where} holds {cell!r}, which is no number, nor [number, letter of a remark]")
    return float(number), remark


def _value(column: Column, number: float, remark: str, known: dict[str, Any], split: str) -> Value:
    """known: of the conditions"""
    measure, translation = column.measure, column.measure.metric.startswith(("BLEU", "chrF", "ROUGE", "WER"))
    signature = Signature(
        measure.metric, measure.part, _ALIGNMENTS.get(measure.metric), units=(measure.unit,), version="published",
        joints=known.get("joints", {}).get(measure.part) if measure.metric.startswith("DTW") else None,
        body=known.get("body") if measure.unit in ("m", "mm") else None,
        level=known.get("levels", {}).get(column.corpus) if translation else None,
        judge=known.get("judge") if translation else None, classes=known.get("classes"),
    )
    if measure.metric == SPEED:
        return Value(number, signature, {"sentences of": CORPORA["how2sign"], "split": "test"}, remark=remark)
    seen = {"input": known["input"]} if "input" in known else {}
    return Value(number, signature, {"ground truth": known["ground truth"], "split": split, **seen}, remark=remark)


TABLES = read_tables()
