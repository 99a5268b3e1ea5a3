from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from soke.metrics.clips import Score, hash_of_clips
from soke.metrics.signature import Signature
from soke.report.tables import Cell, ResultTable

BODY = Signature("DTW-PA-JPE", "body", "procrustes", "12of144", "exact", ("m", "mm"), 25.0, "stand-in", "ab12", "cd34")
HAND = replace(BODY, part="hand", joints="21of21")
VALUES = {"m": 6.8249, "mm": 41.26}


def score(signature: Signature, values: dict[str, float], higher_is_better: bool | None = False, **more) -> Score:
    return Score(signature, values, **{"intervals": {}, "clips": 40, "higher_is_better": higher_is_better} | more)


@pytest.fixture
def table() -> ResultTable:
    table = ResultTable("SOKE [test]")
    for corpus in ("how2sign", "csl"):
        table.add("SOKE", corpus, score(BODY, VALUES))
        table.add("SOKE", corpus, score(HAND, {"m": 2.35, "mm": 14.2}))
        table.add("shuffled [floor]", corpus, score(BODY, {"m": 13.0, "mm": 80.0}))
    return table


def test_text_shows_values_directions_gaps_and_signatures(table: ResultTable) -> None:
    lines = table.text().splitlines()
    assert lines[0] == "SOKE [test]"
    row = next(line for line in lines[1:] if line.startswith("SOKE "))
    assert row.split() == ["SOKE", "40", "6.825", "/", "41.3", "2.350", "/", "14.2"]
    assert next(line for line in lines if line.startswith("shuffled [floor]")).split()[-1] == "–"
    assert any("body ↓" in line and "hand ↓" in line for line in lines)
    assert lines[-1] == (
        "DTW-PA-JPE|body / hand|align:procrustes|joints:12of144 / 21of21|dtw:exact|units:m,mm|fps:25|body:stand-in|"
        "layout:ab12|stats:cd34|v:1"
    )
    assert [line.split()[0] for line in lines if line.startswith(("how2sign", "csl"))] == ["how2sign", "csl"]


def test_small_lengths_have_three_digits() -> None:
    def cell(value: float, unit: str) -> Cell:
        of = score(Signature("DTW-MJE", units=(unit,)), {unit: value}, intervals={unit: (value, 2 * value)})
        return Cell("PT", "slrtp", of, 40)

    for unit, least in (("unit", "0.12–0.25"), ("m", "0.123–0.246")):
        assert cell(0.0418, unit).brief(" ") == "0.0418 0.0418–0.0836"  # as SLRTP prints it
        assert cell(0.0418, unit).text() == "0.0418\n0.0418–0.0836"
        assert cell(0.123, unit).text().split("\n")[1] == least and cell(0.123, unit).brief(" ") == "0.12 0.12–0.25"
    assert cell(1e-7, "unit").brief(" ") == "0.00 0.00–0.00" and cell(0.04, "percent").brief(" ") == "0.04 0.04–0.08"


def test_chosen_rows_stand_first() -> None:
    table = ResultTable("t", first=["ground truth", "reconstruction"])
    for row in ("generated", "reconstruction", "ground truth"):
        table.add(row, "csl", score(BODY, VALUES))
    names = ("ground truth", "reconstruction", "generated")
    assert [name for line in table.text().splitlines() for name in names if line.startswith(name)] == list(names)


def test_many_columns_stay_readable_at_100_characters(table: ResultTable) -> None:
    names = [f"BLEU-{n}" for n in range(1, 5)] + ["ROUGE-L", "chrF", "back-translation-WER"]
    for name in names:
        table.add("SOKE", "csl", score(Signature(name, units=("percent",)), {"percent": 14.5}, True))
    shown = table.text().split("\nDTW-PA-JPE|")[0]
    assert max(map(len, shown.splitlines())) <= 100
    assert "…" not in shown
    assert all(f"{name} ↑" in shown for name in names)
    assert shown.count("14.50") == len(names)


@pytest.mark.parametrize("change", [{"fps": 24.0}, {"body": "smplx"}, {"statistics": None}, {"dtw": "fastdtw"}])
def test_refuses_scores_that_are_not_comparable(table: ResultTable, change: dict[str, object]) -> None:
    other = replace(BODY, **change)
    with pytest.raises(ValueError) as refusal:
        table.add("M3T", "csl", score(other, VALUES))
    assert str(other) in str(refusal.value)
    assert str(BODY) in str(refusal.value)
    assert next(iter(change)) in str(refusal.value)
    table.add("M3T", "phoenix", score(other, VALUES))  # another corpus is another column


def test_refuses_a_second_result_nonsense_values_and_foreign_units(table: ResultTable) -> None:
    with pytest.raises(ValueError, match="SOKE on csl, DTW-PA-JPE body: there is a result already"):
        table.add("SOKE", "csl", score(BODY, VALUES))
    with pytest.raises(ValueError, match="value in m is nan"):
        table.add("other", "csl", score(BODY, {"m": float("nan"), "mm": 1.0}))
    with pytest.raises(ValueError, match="values are in cm"):
        table.add("other", "csl", score(BODY, {"cm": 1.0}))
    assert len(table.cells) == 6


def test_save_writes_the_same_scores_three_times_and_nothing_else(table: ResultTable, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "SOKE"
    table.save(folder)
    table.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["table.csv", "table.json", "table.txt"]
    assert (folder / "table.txt").read_text(encoding="utf-8") == table.text()
    cells = json.loads((folder / "table.json").read_text(encoding="utf-8"))["cells"]
    assert [Cell.from_dict(cell) for cell in cells] == table.cells
    with (folder / "table.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert (rows[1]["row"], rows[1]["unit"], float(rows[1]["value"]), rows[1]["signature"]) == (
        "SOKE", "mm", 41.26, str(BODY),
    )


def test_an_interrupted_save_leaves_the_old_file(
    table: ResultTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.save(tmp_path)
    before = (tmp_path / "table.txt").read_text(encoding="utf-8")
    table.add("late", "csl", score(BODY, VALUES))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        table.save(tmp_path)
    assert (tmp_path / "table.txt").read_text(encoding="utf-8") == before


def test_a_summary_fits_one_screen() -> None:
    """Three corpora of four systems: 40 lines of 120 characters, of what was asked for and nothing else."""
    table = ResultTable("Text to motion", ["ground truth"])
    metrics = [("DTW-PA-JPE", "hand"), ("DTW-PA-JPE", "body"), ("BLEU-4", ""), ("length", "")]
    for corpus in ("how2sign", "csl", "phoenix"):
        for row in ("tokenizer reconstruction", "generated", "generated, shuffled", "ground truth"):
            for name, part in metrics if row != "ground truth" else metrics[2:3]:
                made = Signature(name, part or None, units=("m", "mm"), body="stand-in")
                values, ends = {"m": 12.3456, "mm": 1.0}, {"m": (11.2345, 13.4567)}
                table.add(row, corpus, score(made, values, intervals=ends, clips=2341), 2343)
            table.add(row, corpus, score(Signature("WER", units=("percent",)), {"percent": 1.0}))
    table.notes += [f"note {i}" for i in range(30)]
    for width, value in ((200, "12.35 11.23–13.46"), (120, "12.35")):
        stream = io.StringIO()
        table.print_summary([metrics, [("absent", "")]], Console(file=stream, width=width, force_terminal=True))
        lines = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
        assert len(lines) <= (27 if width == 200 else 39) and max(map(len, lines)) <= width
        assert sum(line.count(value) for line in lines) == 3 * (3 * 4 + 1)
        assert sum("11.23–13.46" in line for line in lines) == 3 * 4 and not any("WER" in line for line in lines)
        assert [line.split()[0] for line in lines if "ground truth" in line] == ["how2sign", "csl", "phoenix"]
        assert sum("2341 of 2343" in line for line in lines) == 12 and "…" not in "".join(lines)
        assert "body:stand-in" in lines[-8] and lines[-1].strip() == "and 25 notes more"


def test_every_block_of_a_summary_names_its_corpora() -> None:
    """Also where the corpus's first row has nothing to show in it."""
    table = ResultTable("Text to motion", ["ground truth"])
    bleu, joints = Signature("BLEU-4", units=("percent",)), Signature("DTW-JPE", "hand", units=("m",), body="stand-in")
    for corpus in ("asl", "lsa"):
        table.add("ground truth", corpus, score(Signature("diversity", units=("mm",)), {"mm": 1.0}))
        for row in ("generated", "mean pose"):
            table.add(row, corpus, score(joints, {"m": 1.0}))
    table.add("generated", "asl", score(bleu, {"percent": 50.0}))
    stream = io.StringIO()
    table.print_summary([[("DTW-JPE", "hand")], [("BLEU-4", "")]], Console(file=stream, width=120))
    rows = [line.split() for line in stream.getvalue().splitlines()]
    assert [line[0] for line in rows if "generated" in line] == ["asl", "lsa", "asl"]  # two blocks
    assert [line[0] for line in rows if "mean" in line] == ["mean"] * 2


def test_clips_are_counted_by_the_metrics_beside_them() -> None:
    """Not by one of another block, which may score fewer."""
    table = ResultTable("Given predictions")
    joints, hands = Signature("DTW-JPE", "hand", units=("m",)), Signature("nDTWp", "hand", units=("shoulders",))
    table.add("generated", "ref", score(joints, {"m": 1.0}, clips=3), 8)
    table.add("generated", "ref", score(hands, {"shoulders": 2.0}, clips=4), 8)
    stream = io.StringIO()
    table.print_summary([[("DTW-JPE", "hand")], [("nDTWp", "hand")]], Console(file=stream, width=120))
    table.print(Console(file=stream, width=30))
    lines = [line for line in stream.getvalue().splitlines() if " of 8" in line]
    assert ["3 of 8" in line for line in lines] == [True, False] * 2 and all("4 of 8" in line for line in lines[1::2])


def test_a_summary_shows_both_values_where_there_is_no_interval() -> None:
    table = ResultTable("Tokenizer")
    use = Signature("codebook-use", "lhand", units=("percent", "codes"))
    table.add("reconstruction", "csl", score(use, {"percent": 75.0, "codes": 9.876}))
    stream = io.StringIO()
    table.print_summary([[("codebook-use", "lhand")]], Console(file=stream))
    assert "75.00 / 9.88" in stream.getvalue() and "percent / codes" in stream.getvalue()


def test_conditions_are_saved(table: ResultTable, tmp_path: Path) -> None:
    table.conditions = {"search": {"method": "beam", "beams": 4}}
    table.save(tmp_path)
    saved = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert saved["conditions"] == {"search": {"method": "beam", "beams": 4}}


def test_intervals_counts_and_notes_are_shown_and_saved(table: ResultTable, tmp_path: Path) -> None:
    intervals = {"m": (6.5, 7.1), "mm": (40.0, 42.5)}
    table.add("M3T", "csl", score(BODY, VALUES, intervals=intervals, clips=38), total=40)
    table.notes.append("two clips were empty")
    text = table.text()
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("M3T"))
    assert lines[at].split()[:6] == ["M3T", "38", "of", "40", "6.825", "/"]
    assert lines[at + 1].split() == ["6.500–7.100"]
    assert "95 % bootstrap intervals" in text and "two clips were empty" in text
    table.save(tmp_path)
    cell = Cell.from_dict(json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["cells"][-1])
    assert (cell.score.intervals, cell.score.clips, cell.total) == (intervals, 38, 40)
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    assert (last["low"], last["high"], last["clips"]) == ("40.0", "42.5", "38")


def test_split_and_scored_clips_are_saved_with_every_cell(tmp_path: Path) -> None:
    table = ResultTable("t", split="val")
    table.add("a", "csl", score(BODY, VALUES, clips_hash=hash_of_clips(["x", "y"])))
    table.save(tmp_path)
    (saved,) = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["cells"]
    assert saved["split"] == "val" and Cell.from_dict(saved) == table.cells[0]
    assert hash_of_clips(["y", "x"]) == saved["clips_hash"] != hash_of_clips(["x", "z"])
