"""Clips that lack parts: the others are trained on, and where all are needed, such clips are skipped."""
from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from soke.body.joints import LEFT_HAND
from soke.body.layout import MotionLayout, PartSpec
from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.dataset import MotionDataset, collate_motions
from soke.data.statistics import compute_statistics, load_or_compute_statistics
from soke.errors import UserError
from tests.data.storage.test_smplfx_clips import random_motion

LAYOUT = MotionLayout([
    PartSpec("lhand", LEFT_HAND), PartSpec("face", (), jaw=True, expression=100, eyelids=True, rotation="6d"),
])
LACKING = {"whole": (), "no_lids": ("eyelids",), "no_hand": ("left_thumb1",), "bare": ("jaw", "left_index2")}


class Partial:
    name, language, fps = "own", "ASL", 25.0

    def __init__(self, names=tuple(LACKING)):
        self.names = names

    def clips(self, split):
        return [Clip(n, "own", split, "ASL", "text", Path("nowhere"), 25.0) for n in self.names]

    def skipped(self, split):
        return []

    def load(self, clip):
        return replace(random_motion(40 + len(clip.name)), fps=25.0, lacking=frozenset(LACKING[clip.name]))


def data(partial: bool, *names: str, strict: bool = False) -> MotionDataset:
    return MotionDataset([Partial(names or tuple(LACKING))], "train", LAYOUT, strict=strict, partial=partial)


def test_where_all_parts_are_needed_a_clip_that_lacks_one_is_skipped_with_what_it_lacks():
    whole, *others = list(data(partial=False))
    assert whole.clip.name == "whole" and all(isinstance(item, SkippedClip) for item in others)
    assert others[0].reason == "clip no_lids: it lacks eyelids of the part face"
    assert others[2].reason == "clip bare: it lacks left_index2 of the part lhand and jaw of the part face"
    with pytest.raises(ClipError, match="clip no_lids: it lacks eyelids"):
        data(partial=False, strict=True)[1]


def test_a_partial_batch_says_who_has_what():
    items = list(data(partial=True))
    assert [item.lacking for item in items[:3]] == [set(), {"face"}, {"lhand"}]
    assert isinstance(items[3], SkippedClip)  # it has nothing of the layout
    batch = pickle.loads(pickle.dumps(collate_motions(items))).to("cpu")
    assert {part: rows.tolist() for part, rows in batch.rows.items()} == {"lhand": [0, 1], "face": [0, 2]}
    assert batch.features["face"].shape == (3, 44, 108) and not batch.features["face"][1].any()
    assert [clip.name for clip in batch.skipped] == ["bare"]
    assert collate_motions(items[:1]).rows is None and collate_motions([]).rows is None


def test_statistics_of_a_part_are_of_the_clips_that_have_it(tmp_path: Path):
    dataset = data(partial=True)
    found = load_or_compute_statistics(tmp_path / "s.json", dataset)
    of = {item.clip.name: item for item in dataset if not isinstance(item, SkippedClip)}
    hands = torch.cat([of[name].features["lhand"] for name in ("whole", "no_lids")])
    faces = torch.cat([of[name].features["face"] for name in ("whole", "no_hand")])
    torch.testing.assert_close(found.mean["lhand"], hands.mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.std["face"], faces.std(0, correction=0), atol=1e-5, rtol=1e-5)
    assert (found.clips, found.frames) == (3, sum(len(item.motion) for item in of.values()))


def test_a_part_that_nobody_has_cannot_be_trained():
    features = [{"lhand": torch.zeros(4, 45)}]
    with pytest.raises(UserError, match="none of the 1 clips has the part face: add a corpus that has it"):
        compute_statistics(features, LAYOUT)
