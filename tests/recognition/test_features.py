"""Features of clips: what they are, that they are computed once, and made again when anything behind them changes."""
from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch

from soke.body.layout import MotionLayout
from soke.data.clip import ClipError
from soke.errors import UserError
from tests.recognition.helpers import LAYOUT, WINDOW, Body, ToySigns, extraction, features, tokenizer
from tests.recognition.test_window import clip as standing
from tests.tokenizer.helpers import small_tokenizer


def test_states_are_those_of_each_clip_alone(tmp_path):
    corpus, made = ToySigns({"train": 5}), tokenizer()
    found = features(tmp_path, corpus)
    assert found.parts == LAYOUT.names and found.size == 16 and set(found.places) == set(corpus.motions)
    for name, motion in corpus.motions.items():
        single = {part: values[None] for part, values in LAYOUT.features(motion).items()}
        length = len(motion) // 4 * 4
        start = (len(motion) - length) // 2  # cropped at both ends to whole steps
        cut = {part: values[:, start : start + length] for part, values in single.items()}
        with torch.no_grad():
            hidden = made.hidden(cut, torch.tensor([length]))
        states = found.read(name)
        assert states.shape == (length // 4, 4, 16) and found.places[name].frames == len(motion)
        for i, part in enumerate(LAYOUT.names):
            torch.testing.assert_close(states[:, i], hidden[part][0], atol=1e-5, rtol=1e-5)


def test_they_are_of_the_active_window(tmp_path, caplog):
    corpus = ToySigns({"train": 2})
    joints = standing(40, {"left_wrist": [range(5, 12)]})
    options = {"window": WINDOW, "body": Body(joints)}
    with caplog.at_level(logging.INFO):
        found = features(tmp_path, corpus, **options)
    for name, motion in corpus.motions.items():
        assert (found.places[name].kept, found.places[name].steps, found.places[name].frames) == (11, 2, len(motion))
        cut = motion.frames(slice(4, 12))  # 3 to 14, cropped to two steps of four frames
        single = {part: values[None] for part, values in LAYOUT.features(cut).items()}
        with torch.no_grad():
            hidden = tokenizer().hidden(single, torch.tensor([8]))
        torch.testing.assert_close(found.read(name)[:, 3], hidden["face"][0], atol=1e-5, rtol=1e-5)
    frames = sum(map(len, corpus.motions.values()))
    kept = f"{100 * 88 / frames:.1f} % of the frames, 0 of 8 clips whole"
    assert f"toy train: the active window keeps {kept}" in caplog.text


def test_they_are_computed_once(tmp_path):
    """And whether they are found or made, what is drawn afterwards, such as first weights, is the same."""
    corpus = ToySigns({"train": 3})
    torch.manual_seed(5)
    first, drawn = features(tmp_path, corpus), torch.rand(3)
    reads = corpus.reads.copy()
    torch.manual_seed(5)
    again = features(tmp_path, corpus)
    assert torch.equal(torch.rand(3), drawn)
    assert corpus.reads == reads and again.places == first.places
    assert all(torch.equal(first.read(name), again.read(name)) for name in first.places)


@pytest.mark.parametrize("change", ["frames", "tokenizer", "window", "limits", "damaged", "clips"])
def test_what_is_stale_is_made_again(tmp_path, change):
    corpus = ToySigns({"train": 3})
    first = features(tmp_path, corpus)
    reads, before = corpus.reads.copy(), {name: first.read(name) for name in first.places}
    options = {}
    if change == "frames":
        corpus.touched, name = 1, next(iter(corpus.motions))
        corpus.motions[name] = corpus.motions[name].mirrored()
    elif change == "tokenizer":
        other = tokenizer()
        other.autoencoders["face"].encoder.stem.weight.data.mul_(1.1)
        options = {"tokenizer": other}
    elif change == "window":
        options = {"window": WINDOW, "body": Body(standing(40, {"left_wrist": [range(5, 12)]}))}
    elif change == "limits":
        options = {"limits": (40, 400)}
    elif change == "damaged":
        values = first.folder / "states.f32"
        values.write_bytes(values.read_bytes()[:-4])
    else:
        corpus._labels["train"].popitem()
    again = features(tmp_path, corpus, **options)
    assert corpus.reads != reads
    same = all(name in before and _equal(again.read(name), before[name]) for name in again.places)
    assert same == (change in ("damaged", "clips")) and len(again.places) == (11 if change == "clips" else 12)
    if change in ("tokenizer", "window", "limits"):  # the others' are kept beside them
        reads = corpus.reads.copy()
        features(tmp_path, corpus)
        assert corpus.reads == reads


def _equal(states: torch.Tensor, others: torch.Tensor) -> bool:
    """Up to what else was in their batch."""
    return states.shape == others.shape and torch.allclose(states, others, atol=1e-5)


def test_clips_that_cannot_be_read_are_listed_and_read_when_they_are_mended(tmp_path):
    corpus = ToySigns({"train": 2}, unreadable=["7/1"])
    found = features(tmp_path, corpus)
    assert "7/1" not in found.places and found.faults == {"7/1": "clip 7/1: torn"}
    assert features(tmp_path, corpus).faults == found.faults
    with pytest.raises(ClipError, match="clip 7/1: torn"):
        features(tmp_path, corpus, strict=True)
    corpus.unreadable, corpus.touched = set(), 1
    assert len(features(tmp_path, corpus).places) == 8
    with pytest.raises(UserError, match="not one clip of split train of toy can be read"):
        features(tmp_path / "other", ToySigns({"train": 1}, unreadable=["0/0", "1/0", "7/0", "9/0"]))


def test_a_corpus_that_lacks_the_face_is_told(tmp_path):
    """Ten coefficients given to a tokenizer of a hundred."""
    parts = [replace(part, expression=100) if part.name == "face" else part for part in LAYOUT.parts]
    other = small_tokenizer(MotionLayout(parts), {"body": 12, "rhand": 20, "face": 20})
    with pytest.raises(UserError, match="corpus toy does not fit the layout .*face needs 100 expression coefficients"):
        features(tmp_path, ToySigns({"train": 1}), tokenizer=other)


def test_parts_that_nobody_observed(tmp_path):
    """The clip is for those who see others; the states of what was observed are as they would be."""
    corpus = ToySigns({"train": 1})
    whole = features(tmp_path / "whole", corpus)
    corpus.motions["0/0"] = replace(corpus.motions["0/0"], lacking=frozenset(["jaw", "expression"]))
    found = features(tmp_path / "part", corpus)
    assert found.places["0/0"].lacks == ["face"] and found.places["1/0"].lacks == []
    assert found.fault("0/0", ["face", "rhand"]) == "nobody observed what makes its face"
    assert found.fault("0/0", ["body", "rhand"]) is None and found.fault("1/0", ["face"]) is None
    torch.testing.assert_close(found.read("0/0")[:, :3], whole.read("0/0")[:, :3], atol=1e-5, rtol=1e-5)


def test_a_broken_extraction_leaves_nothing(tmp_path):
    made = extraction(tmp_path)
    corpus = ToySigns({"train": 1})
    corpus.motions["9/0"] = None
    with pytest.raises(TypeError):
        made.features_of(corpus, "train")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
