"""What can be shown: result folders matched by corpus and clip, corpora with their broken clips, and nothing read early."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from soke.body.motion import Motion
from soke.data.clip import Clip, SkippedClip
from soke.data.storage.saved import write_motion
from soke.errors import UserError
from soke.report.tables import write_clips
from soke.viewer.choosing import Entry
from soke.viewer.sources import REFERENCE, Clips, ResultFolder, corpus_source, results_source


class Corpus:
    """Two clips in test, one that is broken; none in val."""

    name, language, fps = "csl", "CSL", 30.0

    def __init__(self):
        self.loaded: list[str] = []

    def clips(self, split):
        if split == "val":
            raise UserError("corpus csl: no val")
        return [Clip(n, "csl", split, "CSL", f"text of {n}", Path(n), 30.0) for n in (["a", "b"] if split == "test" else ["c"])]

    def skipped(self, split):
        return [SkippedClip("csl", "z", "no frames")] if split == "test" else []

    def load(self, clip):
        self.loaded.append(clip.name)
        return Motion.rest(3, 30.0)


def cell(metric: str, part: str | None, unit: str, better: bool | None, row: str = "generated") -> dict:
    signature = {"name": metric, "part": part, "units": [unit]}
    return dict(row=row, corpus="csl", split="test", metric=metric, part=part, values={unit: 1.0}, intervals={},
                clips=2, clips_hash=None, total=2, higher_is_better=better, signature=signature)


def write_results(folder: Path, shift: float, predictions: tuple[str, ...] = ("a", "b")) -> ResultFolder:
    folder.mkdir()
    cells = [
        cell("BLEU-4", None, "percent", True, "ground truth"), cell("DTW-JPE", "body", "m", False),
        cell("BLEU-4", None, "percent", True), cell("diversity", "avg", "mm", None),  # which no single clip has
    ]
    (folder / "table.json").write_text(json.dumps({"cells": cells}))
    rows = [
        {"corpus": "csl", "clip": name, "row": row, "frames": 3, "DTW-JPE body m": dtw + shift if row == "generated" else "",
         "text": f"text\nof {name}", "translation": f"{row} {name}", "BLEU-4 percent": 50.0}
        for row in ("generated", "ground truth") for name, dtw in (("a", 1.0), ("b", 2.0))
    ]
    write_clips(folder, rows)
    (folder / "skipped_clips.txt").write_text("csl/z\ta reason\n")
    for i, name in enumerate(predictions):
        write_motion(folder / "predictions" / "csl" / f"{name}.npz", Motion.rest(4 + i, 20.0))
    return ResultFolder(folder)


@pytest.fixture
def folders(tmp_path) -> dict[str, ResultFolder]:
    return {"one": write_results(tmp_path / "one", 0.0), "two": write_results(tmp_path / "two", 10.0, ())}


def source_of(folders, corpus=None, signed={}):
    clips = Clips([corpus or Corpus()], ("train", "val", "test"))
    return results_source(folders, {label: lambda: "body" for label in folders}, clips, signed)


def test_systems_are_matched_by_corpus_and_clip(folders):
    source = source_of(folders)
    entry = source.find("csl", "b")
    assert {s: entry.scores[s]["DTW-JPE body m"] for s in entry.scores} == {"one": 2.0, "two": 12.0}
    assert entry.readings == {REFERENCE: "ground truth b", "one": "generated b", "two": "generated b"}
    assert entry.text == "text\nof b" and list(source.figures) == [REFERENCE, "one", "two"]
    assert source.directions == {"BLEU-4 percent": True, "DTW-JPE body m": False}
    assert source.systems == ["one", "two"] and source.corpora == ["csl"]


def test_what_the_test_left_out_is_broken_with_its_reason(folders):
    (broken,) = [entry for entry in source_of(folders).entries if entry.fault]
    assert broken.name == "z" and "a reason" in broken.fault


def test_motions_are_read_when_they_are_shown(folders):
    corpus = Corpus()
    source = source_of(folders, corpus)
    entry = source.find("csl", "b")
    assert not corpus.loaded
    assert len(source.figures["one"].motion(entry)) == 5 and len(source.figures[REFERENCE].motion(entry)) == 3
    assert corpus.loaded == ["b"] and source.clip(entry).split == "test"


def test_a_folder_without_predictions_says_how_to_get_them(folders):
    source = source_of(folders)
    with pytest.raises(UserError, match="TEST.SAVE_PREDICTIONS=true"):
        source.figures["two"].motion(source.find("csl", "a"))
    with pytest.raises(UserError, match="not on this machine"):
        source.figures[REFERENCE].motion(Entry("csl", "unknown"))


def test_a_model_at_hand_signs_what_was_not_saved(folders):
    signed = {"one": "model 1", "two": "model 2"}
    figures = source_of(folders, signed=signed).figures
    assert figures["two"] == "model 2" and figures["one"] != "model 1"


def test_no_file_outside_of_the_predictions_is_read(folders, tmp_path):
    write_motion(tmp_path / "secret.npz", Motion.rest(2, 20.0))
    with pytest.raises(UserError, match="outside"):
        folders["one"].motion(Entry("csl", "../../../secret"))


def test_folders_that_are_none_and_damaged_ones_are_named(tmp_path):
    with pytest.raises(UserError, match="table.json"):
        ResultFolder(tmp_path)
    write_results(tmp_path / "damaged", 0.0)
    (tmp_path / "damaged" / "clips.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="clips.csv is damaged"):
        ResultFolder(tmp_path / "damaged")


def test_a_corpus_lists_its_clips_and_its_broken_ones_and_loads_none():
    corpus = Corpus()
    clips = Clips([corpus], ("train", "val", "test"))
    source = corpus_source(corpus, "test", clips, lambda: "body")
    assert [(e.name, e.text, e.language, e.fault) for e in source.entries] == [
        ("a", "text of a", "CSL", ""), ("b", "text of b", "CSL", ""), ("z", "", "", "no frames"),
    ]
    assert source.name == "csl test" and not corpus.loaded
    assert torch.equal(source.figures[REFERENCE].motion(source.entries[0]).rotations, torch.zeros(3, 55, 3))
    with pytest.raises(UserError, match="no val"):
        corpus_source(corpus, "val", clips, lambda: "body").entries
