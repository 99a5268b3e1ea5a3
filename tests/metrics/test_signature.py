from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from soke.metrics.signature import Signature, comparable, differences, together

FULL = Signature(
    name="DTW-PA-JPE", part="hand", alignment="procrustes", joints="21of21", dtw="exact", units=("m", "mm"), fps=25.0,
    body="stand-in", layout="ab12", statistics="cd34", version="1", level="word", judge="ef56", library="sacrebleu",
    inputs="133 rad",
)


def test_one_line_names_everything_that_applies() -> None:
    assert str(FULL) == (
        "DTW-PA-JPE|hand|align:procrustes|joints:21of21|dtw:exact|units:m,mm|fps:25|body:stand-in|layout:ab12|"
        "stats:cd34|level:word|judge:ef56|lib:sacrebleu|in:133 rad|v:1"
    )
    assert str(Signature("BLEU-4")) == "BLEU-4|v:1"


@pytest.mark.parametrize("field", [field.name for field in fields(Signature)])
def test_any_difference_makes_scores_incomparable(field: str) -> None:
    other = replace(FULL, **{field: {"units": ("mm",), "fps": 24.0}.get(field, "another")})
    assert comparable(FULL, replace(FULL))
    assert not comparable(FULL, other)
    assert differences(FULL, other) == [field]
    assert str(FULL) != str(other)


def test_json_round_trip() -> None:
    assert Signature.from_dict(json.loads(json.dumps(FULL.to_dict()))) == FULL


def test_several_in_one_line() -> None:
    assert together([FULL]) == together([FULL, FULL]) == str(FULL)
    line = together([FULL, replace(FULL, part="body", fps=24.0, judge=None)])
    assert line == str(FULL).replace("|hand|", "|hand / body|").replace("fps:25", "fps:25 / 24")
