"""Papers' tables with our rows: nothing is ranked across different signatures, and every format shows all of it."""
from __future__ import annotations

import csv
import io
import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from soke.errors import UserError
from soke.metrics.clips import Score, hash_of_clips
from soke.metrics.signature import Signature, comparable
from soke.report import formats as tool
from soke.report.compare import main
from soke.report.comparison import Comparison, compare
from soke.report.gaps import gaps
from soke.report.paper_table import Column, Measure, PaperTable, Row, Value
from soke.report.published import TABLES
from soke.report.tables import ResultTable
from soke.run.config import ROOT

BODY = Signature("DTW-PA-JPE", "body", "procrustes", "12of144", "exact", ("m", "mm"), 24.0, "stand-in", "ab12", "cd34")
BLEU = Signature("BLEU-4", units=("percent",), level="word", library="lib:1|x", judge="j1")
CODES = Signature("codebook-use", "body", units=("percent", "codes"))


def save(
    folder: Path, *scores: tuple, seconds: float | None = None, device: str = "CPU, 2 threads", split: str = "test",
    total: int = 10,
) -> Path:
    """scores: (row, corpus, signature, value of the first unit, clips of `total`)"""
    table = ResultTable("test", split=split)
    for row, corpus, signature, value, clips in scores:
        values = dict.fromkeys(signature.units, 1.0) | {signature.units[0]: value}
        intervals = {signature.units[0]: (value - 0.25, value + 0.25)}
        scored = hash_of_clips(map(str, range(clips)))
        table.add(row, corpus, Score(signature, values, intervals, clips, "DTW" not in signature.name, scored), total)
    table.save(folder)
    if seconds is not None:
        timings = [{"batch_size": 8, "mean": seconds / 4}, {"batch_size": 1, "mean": seconds}]
        (folder / "timing.json").write_text(json.dumps({"device": device, "timings": timings}))
    return folder


def system(folder: Path, value: float, signature: Signature = BODY, judge: str = "j1", **more) -> Path:
    bleu = replace(BLEU, judge=judge)
    return save(
        folder, ("generated", "how2sign", signature, value, 10),
        ("generated, shuffled", "how2sign", signature, 9.0, 10),
        ("generated", "how2sign", replace(signature, part="avg", joints="54"), value, 10),
        ("generated", "how2sign", bleu, 10 - value, 10), ("ground truth", "how2sign", bleu, 20.0, 10), **more,
    )


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two systems that may be ranked in DTW, not in BLEU."""
    return [system(tmp_path / "a_1", 3.125), system(tmp_path / "b", 4.5, judge="j2")]


def rows(comparison: Comparison) -> dict[str, dict[tuple[str, str, str], Value]]:
    return {
        row.label: {(c.corpus, c.measure.metric, c.measure.label): value for c, value in row.values.items()}
        for row in comparison.rows
    }


def best(comparison: Comparison) -> set[tuple[str, str, str]]:
    return {(comparison.rows[i].label, c.corpus, f"{c.measure.metric} {c.measure.label}") for i, c in comparison.best}


def lines_of(shown: str, name: str) -> list[str]:
    return [line for line in shown.splitlines() if line.startswith(name)]


def test_rows_stand_under_the_published_ones(pair):
    (table,) = compare(pair, ["soke-1"])
    assert [row.label for row in table.rows] == [*(row.label for row in TABLES["soke-1"].published), "a_1", "b"]
    value = rows(table)["a_1"]["how2sign", "DTW-PA-JPE", "Body"]
    assert (value.number, value.interval, value.clips) == (3.125, (2.875, 3.375), (10, 10))
    assert set(rows(table)["b"]) == {("how2sign", "DTW-PA-JPE", "Body"), ("how2sign", "BLEU-4", "")}


def test_best_is_marked_only_inside_a_group(pair):
    (table,) = compare(pair, ["soke-1"])
    marks = best(table)
    assert ("a_1", "how2sign", "DTW-PA-JPE Body") in marks and ("b", "how2sign", "DTW-PA-JPE Body") not in marks
    assert ("SOKE (published)", "how2sign", "DTW-PA-JPE Body") in marks  # though a_1 has a lower number
    assert not any(metric.startswith("BLEU-4") and not label.endswith("(published)") for label, _, metric in marks)
    assert ("SOKE (published)", "how2sign", "BLEU-4 ") in marks
    assert ("SOKE (published)", "csl", "BLEU-4 ") not in marks  # alone there


def test_m3t_rows_are_ranked_apart_from_those_on_another_ground_truth(pair):
    (table,) = compare(pair, ["m3t-1"])
    assert {label for label, corpus, metric in best(table) if (corpus, metric) == ("phoenix", "DTW-PA-JPE Hand")} == {
        "SOKE (published)", "M3T w/ SLT (published)"
    }
    (note,) = (n for n in table.notes() if n.startswith("Not ranked") and "a_1" not in n)
    assert "SOKE (published) / M3T w/o SLT, M3T w/ SLT (published)" in note
    assert "ground truth (SMPL-X fits of SOKE / SMPL-FX fits of M3T)" in note


def test_refusals_name_both_groups_and_all_differences_once(tmp_path):
    other = replace(BODY, body="smplx", statistics="ef56", fps=None)
    folders = [system(tmp_path / "a", 3.0), system(tmp_path / "b", 4.0), system(tmp_path / "c", 1.0, other)]
    (table,) = compare(folders, ["soke-1"])
    (own,) = (note for note in table.notes() if note.startswith("Not ranked against each other: a, b / c"))
    assert own == (
        "Not ranked against each other: a, b / c: in DTW-PA-JPE they differ in fps (24 / none), body (stand-in / "
        "smplx), statistics (cd34 / ef56)."
    )
    (published,) = (note for note in table.notes() if "(published) / a, b:" in note)
    assert "body (smplx / stand-in)" in published
    assert "ground truth (SMPL-X fits of SOKE / the corpus on disk)" in published
    assert "not known of the published (dtw, fps, layout, statistics, clips)" in published
    assert "split" not in published  # both are of the test split
    assert "judge (SOKE's, unpublished / j1)" in published
    marks = {label for label, _, metric in best(table) if metric == "DTW-PA-JPE Body" and "published" not in label}
    assert marks == {"a"}


def test_rows_that_differ_in_one_metric_are_ranked_in_the_others(pair):
    (table,) = compare(pair, ["soke-1"])
    (note,) = (note for note in table.notes() if ": a_1 / b:" in note)
    assert note == "Not ranked against each other: a_1 / b: in BT BLEU-4 they differ in judge (j1 / j2)."


@pytest.mark.parametrize("seed", range(5))
def test_marks_equal_the_obvious_rule(seed):
    rng = random.Random(seed)
    measures = [Measure("x", "x", "", ("",), "m", higher_is_better=high) for high in (False, True, None)]
    columns = tuple(Column("", measure) for measure in measures)

    def value() -> Value:
        signature = Signature("x", body=rng.choice(["one", "two"]))
        return Value(rng.randrange(4), signature, {"ground truth": rng.choice("ab")})

    made = tuple(
        Row(str(i), rng.random() < 0.5, {c: value() for c in columns if rng.random() < 0.8}, "", rng.random() < 0.2)
        for i in range(12)
    )
    expected = set()
    for column in columns:
        for i, row in enumerate(made):
            rivals = [
                other.values[column].number for other in made
                if column in other.values and column in row.values and other is not row and not other.bound
                and comparable(other.values[column].signature, row.values[column].signature)
                and other.values[column].conditions == row.values[column].conditions
            ]
            if rivals and not row.bound and column.measure.higher_is_better is not None:
                number = row.values[column].number
                better = max(rivals) > number if column.measure.higher_is_better else min(rivals) < number
                expected |= set() if better else {(i, column)}
    assert Comparison(PaperTable("x", "x", (), tuple(measures), ()), columns, made).best == expected


def test_gaps_are_symmetric_and_empty_for_itself():
    a = Value(1.0, BODY, {"ground truth": "a", "device": "CPU"})
    b = Value(1.0, replace(BODY, dtw="fastdtw"), {"ground truth": "a"})
    assert gaps(a, replace(a, number=2.0)) == {}
    assert gaps(a, b) == {"dtw": ("exact", "fastdtw"), "device": ("CPU", None)}
    assert gaps(b, a) == {name: pair[::-1] for name, pair in gaps(a, b).items()}


def test_back_translation_shows_ground_truth_above_and_never_ranks_it(pair):
    (table,) = compare([pair[0], system(pair[0].parent / "c", 2.0)], ["m3t-2"])
    assert [row.label for row in table.rows][-4:] == ["a_1: ground truth", "a_1", "c: ground truth", "c"]
    assert {label for label, corpus, _ in best(table) if corpus == "how2sign"} == {"M3T w/ SLT (published)", "c"}


def test_tokenizers_are_one_row_per_corpus_and_ranked_within_it(tmp_path):
    def codes(name: str, body: float, left: float) -> Path:
        parts = {"body": body, "lhand": left, "rhand": 50.0}
        scores = [
            ("tokenizer reconstruction", corpus, replace(CODES, part=part), value, 10)
            for corpus in ("csl", "own") for part, value in parts.items()
        ]
        return save(tmp_path / name, *scores)

    (table,) = compare([codes("vq", 60.0, 70.0), codes("fsq", 90.0, 80.0)])
    assert table.table.key == "m3t-3"
    own = {label: values for label, values in rows(table).items() if "published" not in label}
    assert list(own) == ["vq (CSL-Daily)", "vq (own)", "fsq (CSL-Daily)", "fsq (own)"]
    hand = own["vq (own)"]["", "codebook-use", "Hand"]
    assert hand.number == 60.0 and hand.interval is None  # mean of 70 and 50
    assert own["vq (own)"]["", "codebook-use", "Body"].interval == (59.75, 60.25)
    marks = {label for label, _, metric in best(table) if metric == "codebook-use Body" and "published" not in label}
    assert marks == {"fsq (CSL-Daily)", "fsq (own)"}


def test_faces_of_two_bodies_are_never_ranked_together(tmp_path):
    face = replace(BODY, name="DTW-VPE", part="face", alignment="root", joints="100of100")
    made = {"x": "stand-in", "fx": "smplfx", "also_fx": "smplfx"}
    folders = [
        save(tmp_path / name, ("generated", "how2sign", replace(face, body=body), value, 10))
        for value, (name, body) in enumerate(made.items(), start=1)
    ]
    (table,) = compare(folders, ["m3t-1"])
    marked = {label for label, _, metric in best(table) if metric.startswith("DTW-VPE")}
    assert marked == {"fx"}  # though x has a lower number, and neither stands against the published 1.85
    (note,) = (note for note in table.notes() if ": x / fx, also_fx:" in note)
    assert note == (
        "Not ranked against each other: x / fx, also_fx: in DTW-VPE they differ in body (stand-in / smplfx)."
    )


def test_probes_of_sign_recognition_are_ranked_under_the_published_rows(tmp_path):
    def probe(name: str, *accuracies: float) -> Path:
        return save(tmp_path / name, *(
            ("recognition", "nmfs_csl", Signature("top-1", part, units=("percent",), classes=1067), value, 10)
            for part, value in zip(("all", "confusing", "normal"), accuracies)
        ))

    (table,) = compare([probe("all_parts", 70.0, 60.0, 90.0), probe("hands", 50.0, 20.0, 95.0)])
    assert table.table.key == "m3t-4"
    own = {label: values for label, values in rows(table).items() if "published" not in label}
    assert {label: values["", "top-1", "Conf."].number for label, values in own.items()} == {
        "all_parts (NMFs-CSL)": 60.0, "hands (NMFs-CSL)": 20.0,
    }
    marks = {(label, metric) for label, _, metric in best(table)}
    assert {(label, metric) for label, metric in marks if "published" not in label} == {
        ("all_parts (NMFs-CSL)", "top-1 Overall"), ("all_parts (NMFs-CSL)", "top-1 Conf."),
        ("hands (NMFs-CSL)", "top-1 Norm."),
    }
    published = {label for label, metric in marks if metric == "top-1 Overall" and "published" in label}
    assert published == {"SignRep (published)", "ScalingUp (published)"}  # of video, of poses


def test_spreads_of_codes_are_those_of_each_corpus_and_of_all(tmp_path):
    counts = Signature("token-counts", units=("SD", "SD/mean"))
    folder = save(tmp_path / "fsq", *(
        ("tokenizer reconstruction", corpus, replace(counts, part=part), value, 10)
        for corpus, scale in (("csl", 1), ("all corpora", 3))
        for part, value in (("body", 10.0 * scale), ("lhand", 20.0 * scale), ("rhand", 30.0 * scale))
    ))
    (table,) = compare([folder], ["m3t-a2"])
    own = {label: values for label, values in rows(table).items() if "published" not in label}
    assert {label: [v.number for v in values.values()] for label, values in own.items()} == {
        "fsq (CSL-Daily)": [10.0, 25.0], "fsq (all corpora)": [30.0, 75.0],
    }
    assert "token counts (SD) ↓" in tool.text([table]) and " 6964 " in tool.text([table])


def test_speed_is_that_of_single_videos_and_devices_are_not_ranked(tmp_path):
    fast, slow = (system(tmp_path / name, 3.0, seconds=seconds) for name, seconds in (("fast", 0.5), ("slow", 2.0)))
    other = system(tmp_path / "gpu", 3.0, seconds=0.1, device="GPU")
    (table,) = compare([fast, slow, other], ["soke-2"])
    assert rows(table)["slow"]["", "s/video", ""].number == 2.0
    marks = {label for label, _, metric in best(table) if metric.startswith("s/video")}
    assert marks == {"parallel (published)", "fast"}
    assert any("in s/video they differ in device (CPU, 2 threads / GPU)" in note for note in table.notes())


def test_other_corpora_get_columns_of_their_own(tmp_path):
    folder = save(tmp_path / "a", ("generated", "my_bsl", BODY, 2.0, 10), ("generated", "my_bsl", BLEU, 5.0, 10))
    (first, *_) = compare([folder])
    assert [c.corpus for c in first.columns][-5:] == ["my_bsl"] * 5
    assert "my_bsl" in tool.text([first])
    assert not any(note.startswith("Not ranked") for note in first.notes())  # no column is shared


DTW = Signature("PT-DTW", None, "none", "50of50", "exact", ("unit",), 25.0, "skeleton-50")


def of_positions(folder: Path, *corpora: str, **more) -> Path:
    bleus = [replace(BLEU, name=f"BLEU-{n}") for n in (1, 2, 3, 4)] + [replace(BLEU, name="ROUGE-L")]
    rows = ("generated", "generated, shuffled", "ground truth")
    return save(
        folder, *(("generated", corpus, DTW, 2.0, 10) for corpus in corpora),
        *((row, corpus, bleu, 99.0, 10) for row in rows for corpus in corpora for bleu in bleus), **more,
    )


@pytest.mark.parametrize("split", ["test", "val"])
def test_systems_of_joint_positions_stand_beside_signllm_and_are_never_ranked_with_it(tmp_path, split):
    (table,) = compare([of_positions(tmp_path / "pt", "asl", "lsa", split=split)], ["signllm-1"])
    labels = [row.label for row in table.rows if not row.published]
    assert labels == ["pt: ground truth (asl)", "pt: generated, shuffled (asl)", "pt (asl)"]
    assert {metric for _, metric, _ in rows(table)["pt (asl)"]} == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"}
    marked = best(table)
    assert len(marked) == 10 and all(label.endswith("(published)") for label, *_ in marked)  # 5 of test, 5 of dev
    own = len(table.rows) - 1
    for column in table.columns:
        others = {table.groups[index, column] for index, row in enumerate(table.rows) if row.published}
        assert len(others) == 2 and table.groups[own, column] not in others
    notes = [note for note in table.notes() if note.startswith("Not ranked")]
    assert len(notes) == 3 and sum("pt (asl)" in note and "judge" in note for note in notes) == 2


def test_a_table_of_one_language_shows_its_corpora_or_all_where_it_has_none(tmp_path):
    both, other = of_positions(tmp_path / "a", "GSL", "asl"), of_positions(tmp_path / "b", "mine")
    shown = {
        key: [row.label for row in compare([both, other], [key])[0].rows if not row.published and not row.bound]
        for key in ("signllm-1", "signllm-2", "signllm-3")
    }
    assert shown == {"signllm-1": ["a (asl)", "b (mine)"], "signllm-2": ["a (GSL)", "b (mine)"],
                     "signllm-3": ["a (asl)", "b (mine)"]}


def test_what_was_scored_of_slrtp_s_files_stands_beside_the_challenge(tmp_path):
    """A wrist path that is right in the middle has no best row."""
    dtw = Signature("SLRTP DTW-MJE", None, "none", "178of178", "fastdtw", ("unit",), 25.0, "skeleton-178")
    path = Signature("SLRTP wrist path", None, "none", "2of178", units=("ratio",))
    folders = [
        save(tmp_path / name, ("generated", "test", dtw, value, 10), ("generated", "test", path, value, 10), ("generated", "test", BLEU, 9.0, 10))
        for name, value in (("a", 0.5), ("b", 0.25))
    ]
    (table,) = compare(folders, ["slrtp-2025"])
    assert {metric for _, metric, _ in rows(table)["a (test)"]} == {"SLRTP DTW-MJE", "SLRTP wrist path", "BLEU-4"}
    marked = {(label, metric.strip()) for label, _, metric in best(table)}
    assert ("b (test)", "SLRTP DTW-MJE") in marked and not any(metric == "SLRTP wrist path" for _, metric in marked)
    head = next(line for line in tool.text([table]).splitlines() if "wrist path (ratio)" in line)
    assert head.rstrip().endswith("DTW-MJE (unit) ↓   wrist path (ratio)   length (ratio)")


def test_signllm_s_tables_are_unasked_those_of_joint_positions(tmp_path, pair):
    folders = [*pair, of_positions(tmp_path / "pt", "asl")]
    unasked = {table.table.key: {row.name for row in table.rows if not row.published} for table in compare(folders)}
    assert {"soke-1", "signllm-1", "signllm-3"} <= set(unasked)
    assert not any(name.startswith(("a_1", "b")) for name in unasked["signllm-1"])
    (asked,) = compare(pair, ["signllm-1"])
    assert [row.label for row in asked.rows if not row.published and not row.bound] == ["a_1 (How2Sign)", "b (How2Sign)"]


def test_tables_without_a_score_of_ours_are_shown_only_when_asked_for(pair):
    assert [table.table.key for table in compare(pair)] == ["soke-1", "soke-2", "soke-3", "m3t-1", "m3t-2", "newer"]
    (table,) = compare(pair, ["m3t-3"])
    assert all(row.published for row in table.rows)


def test_clips_that_were_not_scored_are_told(tmp_path):
    (table, *_) = compare([save(tmp_path / "a", ("generated", "csl", BODY, 2.0, 7))])
    assert "[i] Incomplete, and not ranked: a: only 7 of 10 clips were scored." in table.notes()


def body_of(folder: Path, value: float, clips: int = 10, **more) -> Path:
    return save(folder, ("generated", "csl", BODY, value, clips), **more)


def best_of_ours(comparison: Comparison) -> set[str]:
    return {label for label, *_ in best(comparison) if not label.endswith("(published)")}


def test_an_incomplete_row_is_marked_and_not_ranked(tmp_path):
    folders = [body_of(tmp_path / "good", 3.0), body_of(tmp_path / "fair", 4.0), body_of(tmp_path / "few", 1.0, 7)]
    (table, *_) = compare(folders, ["soke-1"])
    assert best_of_ours(table) == {"good"}
    assert "1.00 [i]" in "".join(lines_of(tool.text([table]), "few"))
    line = next(line for line in csv.DictReader(io.StringIO(tool.csv_text([table]))) if line["row"] == "few")
    assert (line["remark"], line["group"], line["best"]) == ("incomplete", "", "no")
    assert "1.00$^{i}$" in tool.latex([table]) and "1.00<sup>i</sup>" in tool.markdown([table])


def test_other_splits_and_other_clips_are_not_ranked_against_each_other(tmp_path):
    whole, half = body_of(tmp_path / "whole", 3.0), body_of(tmp_path / "half", 1.0, 5, total=5)
    val, again = body_of(tmp_path / "val", 2.0, split="val"), body_of(tmp_path / "again", 4.0)
    (table, *_) = compare([whole, half, val, again], ["soke-1"])
    assert best_of_ours(table) == {"whole"}
    notes = {note.split(": ")[1]: note for note in table.notes() if note.startswith("Not ranked against each other")}
    ten, five = hash_of_clips(map(str, range(10))), hash_of_clips(map(str, range(5)))
    assert f"differ in clips (10, hash {ten} / 5, hash {five})." in notes["whole, again / half"]
    assert "differ in split (test / val)." in notes["whole, again / val"]


def test_speed_on_another_split_is_not_ranked(tmp_path):
    folders = [system(tmp_path / "a", 3.0, seconds=2.0), system(tmp_path / "b", 3.0, seconds=1.0, split="val")]
    (table,) = compare(folders, ["soke-2"])
    assert not {label for label, _, metric in best(table) if metric.startswith("s/video")} & {"a", "b"}


def test_missing_corpora_are_told(tmp_path):
    both = save(tmp_path / "both", *(("generated", corpus, BODY, 2.0, 10) for corpus in ("csl", "phoenix")))
    (table, *_) = compare([both, body_of(tmp_path / "one", 3.0)], ["soke-1"])
    assert "one: no scores on Phoenix-2014T." in table.notes() and not any("both: no" in n for n in table.notes())
    assert best_of_ours(table) == {"both"}  # in CSL-Daily, which they share


def test_text_shows_numbers_marks_intervals_and_remarks(pair):
    shown = tool.text(compare(pair, ["soke-2"]))
    line = lines_of(shown, "a_1")[0]
    assert line.split() == ["a_1", "*3.12", "–", "–"]
    assert "2.88–3.38" in shown.splitlines()[shown.splitlines().index(line) + 1]
    published = [line.split()[2:] for line in lines_of(shown, "multi-head (published)")]
    assert published == [["4.17", "3.38", "[a]", "2.80", "[a]"], ["1.46"]]  # what does not fit stands below
    assert lines_of(shown, "[a] derived") and lines_of(shown, "Not ranked against each other")
    tables = [line for line in shown.splitlines() if "─" in line or re.search(r"\d\.\d\d$", line)]
    assert max(map(len, tables)) <= 100


def test_csv_has_one_line_per_value_with_its_group_and_source(pair):
    comparisons = compare(pair)
    lines = list(csv.DictReader(io.StringIO(tool.csv_text(comparisons))))
    assert len(lines) == sum(len(row.values) for table in comparisons for row in table.rows)
    own = next(line for line in lines if line["row"] == "a_1" and line["metric"] == "DTW-PA-JPE")
    shown = [own[name] for name in ("value", "low", "high", "clips", "best")]
    assert shown == ["3.125", "2.875", "3.375", "10", "yes"]
    assert own["signature"] == str(replace(BODY, units=("m",))) and own["published"] == "no"
    published = [line for line in lines if line["published"] == "yes"]
    assert all(("arXiv" in line["source"] or "repository" in line["source"]) and line["low"] == line["clips"] == "" for line in published)
    assert any(line["remark"].startswith("derived") for line in published)
    same = {line["group"] for line in lines if line["table"] == "soke-1" and line["metric"] == "DTW-PA-JPE"
            and line["corpus"] == "how2sign" and line["published"] == "no"}
    assert len(same) == 1 and own["group"] in same


def test_markdown_is_a_table_with_as_many_cells_in_every_line(pair):
    shown = tool.markdown(compare(pair, ["soke-2"]))
    table = [re.split(r"(?<!\\)\|", line) for line in shown.splitlines() if line.startswith("|")]
    assert len({len(cells) for cells in table}) == 1 and len(table) == 2 + 4 + 2
    assert set(table[1][2:-1]) == {"---:"}
    assert table[-2][1:3] == [r" a\_1 ", " **3.12** "]
    assert "3.38<sup>a</sup>" in shown and "- Not ranked against each other" in shown


def test_latex_is_balanced_and_every_line_fills_the_columns(pair):
    shown = tool.latex(compare(pair))
    for kind in ("table*", "tabular"):
        assert shown.count(f"\\begin{{{kind}}}") == shown.count(f"\\end{{{kind}}}") == 6
    plain = re.sub(r"\\[{}]", "", shown)
    assert plain.count("{") == plain.count("}")
    for spec, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", shown, re.DOTALL):
        for line in (line for line in body.splitlines() if line.endswith(r"\\")):
            spans = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert len(re.findall(r"(?<!\\)&", line)) + sum(spans) == len(spec) - 1
    assert r"a\_1 & \textbf{3.12} & " in shown and "3.38$^{a}$" in shown and r"\multicolumn{2}{c}{DTW-JPE" in shown
    assert shown.isascii() and not re.search(r"(?<!\\)[%#]", shown.split("\n", 1)[1].replace("{!}{%", ""))


@pytest.mark.parametrize("name", ["table.json", "timing.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cells": [{}]}', '{"timings": 3}', "\xff"])
def test_damaged_files_are_named(pair, name, content):
    (pair[0] / name).write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=rf"a_1/{name} is damaged or of another version .*; run the test again$"):
        compare(pair)


def test_scores_that_are_not_finite_are_refused(pair):
    file = pair[0] / "table.json"
    file.write_text(file.read_text().replace("3.125", "NaN"))
    with pytest.raises(UserError, match="generated on how2sign is not finite"):
        compare(pair)


def test_what_cannot_be_compared_is_told_in_one_sentence(pair, tmp_path):
    with pytest.raises(UserError, match="nowhere holds no table.json: name a folder"):
        compare([*pair, tmp_path / "nowhere"])
    with pytest.raises(UserError, match="there is no table soke-9; choose from soke-1, soke-2"):
        compare(pair, ["soke-1", "soke-9"])
    with pytest.raises(UserError, match="two folders are called b"):
        compare([pair[1], system(tmp_path / "other" / "b", 2.0)])
    with pytest.raises(UserError, match="no score of empty stands in a paper's table"):
        compare([save(tmp_path / "empty", ("another row", "csl", BODY, 1.0, 10))])


def test_command_line(pair, tmp_path, capsys):
    arguments = [*map(str, pair), "--table", "soke-1", "m3t-1"]
    main(arguments)
    assert capsys.readouterr().out == tool.text(compare(pair, ["soke-1", "m3t-1"]))
    for name, render in tool.FORMATS.items():
        out = tmp_path / "new" / f"tables.{name}"
        main([*arguments, "--format", name, "--out", str(out)])
        assert out.read_text(encoding="utf-8") == render(compare(pair, ["soke-1", "m3t-1"]))
    assert str(out) in capsys.readouterr().out
    with pytest.raises(UserError, match="there is no table x"):
        main([str(pair[0]), "--table", "x"])


@pytest.mark.parametrize(("old", "new"), [("metrics.compare", "report.compare"), ("metrics.score", "evaluation.score")])
@pytest.mark.slow
def test_the_names_of_before_still_work_and_name_the_new_ones(old, new):
    command = [sys.executable, "-m", f"soke.{old}", "--help"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"usage: soke.{new}" in run.stdout and f"soke.{old} is now soke.{new}" in run.stderr


def test_key_frames_of_the_ground_truth_are_a_bound():
    """Rows that are given them are shown, and never best; what two sources have trained anew is ranked apart."""
    table = TABLES["newer"]
    given = [row for row in table.published if "true key frames" in row.name]
    assert len(given) == 2 and all(row.bound for row in given)
    assert {value.conditions["input"] for row in given for value in row.values.values()} == {
        "key frames of the ground truth"
    }
    (comparison,) = compare([], ["newer"])
    marks = best(comparison)
    assert not any("true key frames" in label or "Ground truth" in label for label, *_ in marks)
    body = {label for label, corpus, metric in marks if (corpus, metric) == ("phoenix", "DTW-PA-JPE Body")}
    assert body == {"SignSparK, no key frames (published)", "Masked-NAR + HandPolish (published)"}
    lowest = min(row.values[c].number for row in table.published for c in row.values if c.corpus == "phoenix")
    assert lowest == 0.71  # of the bound
