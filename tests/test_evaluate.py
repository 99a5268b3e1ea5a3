"""The shuffled floor pairs every sentence with another; a saved evaluation reads back."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from soke.body import Motion
from soke.data.clip import Clip, SkippedClip
from soke.evaluate import Evaluation, Setting, Shares, derangement, translation
from soke.metrics.tables import ResultTable
from tests.data.writing import LAYOUT, random_motion


@pytest.mark.parametrize(
    "texts",
    [list("abcdefg"), list("aabbcc"), list("aaabcd"), ["x", "y"], list("abacadabcd"), [str(i % 9) for i in range(99)]],
)
def test_every_sentence_gets_another_text(texts):
    moved = derangement(texts)
    assert sorted(moved) == list(range(len(texts)))
    assert all(texts[i] != texts[j] for i, j in enumerate(moved))


def test_what_cannot_be_moved_stays():
    assert derangement([]) == [] and derangement(["a"]) == [0]
    assert sorted(derangement(["a", "a", "a", "b"])) == [0, 1, 2, 3]


def test_neighbours_in_the_alphabet_are_not_partners():
    """Similar sentences begin alike; a floor made of near neighbours would be too high."""
    texts = [f"{i:04d}" for i in range(500)]
    distances = [abs(i - j) for i, j in enumerate(derangement(texts))]
    assert 120 < np.mean(distances) < 220  # 500 / 3 for random partners


def test_saved_evaluation(tmp_path):
    motion = Motion(torch.randn(5, 55, 3), torch.randn(5, 10), torch.zeros(10), 24.0)
    rows = [{"corpus": "phoenix", "clip": "test/a", "row": "generated", "DTW-JPE body m": 1.5}]
    Evaluation(ResultTable("t"), rows, {("phoenix", "test/a"): motion}).save(tmp_path / "out", predictions=True)
    with (tmp_path / "out" / "clips.csv").open(encoding="utf-8") as stream:
        assert list(csv.DictReader(stream)) == [{k: str(v) for k, v in rows[0].items()}]
    stored = np.load(tmp_path / "out" / "predictions" / "phoenix" / "test" / "a.npz")
    assert np.array_equal(stored["rotations"], motion.rotations.numpy()) and stored["fps"] == 24.0
    assert not (tmp_path / "out" / "unscored_clips.txt").exists()


def test_predictions_say_who_made_them_and_unscored_clips_why(tmp_path):
    motion = Motion(torch.randn(5, 55, 3), torch.randn(5, 10), torch.zeros(10), 24.0, made_by="tokenizer 12ab")
    unscored = {("csl", "S1", "generated"): "clip S1 cannot be scored: no frames"}
    Evaluation(ResultTable("t"), [], {("csl", "S1"): motion}, [], unscored).save(tmp_path, predictions=True)
    assert np.load(tmp_path / "predictions" / "csl" / "S1.npz")["made_by"] == "tokenizer 12ab"
    listed = (tmp_path / "unscored_clips.txt").read_text(encoding="utf-8")
    assert listed == "csl/S1\tgenerated\tclip S1 cannot be scored: no frames\n"


def test_the_table_says_what_was_left_out():
    skipped = [SkippedClip("csl", "S2", "frame 3 is torn"), SkippedClip("csl", "S3", "empty")]
    unscored = {("csl", "S1", "generated"): "clip S1 cannot be scored: no frames"}
    notes = Evaluation(ResultTable("t"), [], {}, skipped, unscored).gather(Shares()).table.notes
    assert notes == [
        "2 clips could not be read; the first, csl/S2: frame 3 is torn",
        "1 scores are missing; the first, generated on csl: clip S1 cannot be scored: no frames",
    ]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_are_all_clips_once(processes):
    shares = [Shares(rank, processes).own(range(7)) for rank in range(processes)]
    assert sorted(sum(shares, [])) == list(range(7))
    assert Shares().gathered([1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("text", "level"), [("今日はいい天気です。", "char"), ("今天 天气 很 好。", "jieba"), ("A fine day.", "word")]
)
def test_texts_are_counted_by_their_script_not_by_the_sign_language(text, level):
    """A corpus of one's own, whose sign language nobody gave a locale."""
    clip = Clip("a", "own", "test", "XSL", text, Path("a"), 24.0)
    motion = random_motion(80, fps=24.0)
    corpus = SimpleNamespace(
        name="own", language="XSL", fps=24.0, clips=lambda split: [clip], skipped=lambda split: [],
        load=lambda clip: motion,
    )  # fmt: skip
    perfect = {"own": lambda motions: [clip.text for _ in motions]}
    evaluation = translation(perfect, "read", LAYOUT, Setting([corpus], "test", None))
    assert {cell.score.signature.level for cell in evaluation.table.cells} == {level}
    assert all(row["ROUGE-L percent"] == pytest.approx(100) and row["WER percent"] == 0 for row in evaluation.clips)
