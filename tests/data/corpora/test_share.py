"""A part of the training clips: which ones, that smaller parts lie within larger ones, and that every stage has them."""
from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soke.body.joints import SKELETON_50
from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion
from soke.build.body import layout_of
from soke.build.data import code_data, corpora_of, motion_data, statistics_of, tokenizer_data, training_corpora
from soke.data.codes import CodeStore
from soke.data.corpora.share import TrainingShare, TrainingSubset
from soke.errors import UserError
from soke.run.config import Config, load_config
from tests.data.skels_writing import write_split
from tests.data.test_datamodule import Still

NAMES = [f"clip {i}" for i in range(40)]
COUNT = {"train": 30, "val": 4, "test": 3}


class Other(Still):
    """A corpus whose clips can be listed without their frames."""

    def described(self, split):
        raise AssertionError("not asked for")


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=4), st.integers(0, 9), st.permutations(NAMES))
def test_smaller_shares_lie_within_larger_ones_in_whatever_order_the_clips_come(shares, seed, names):
    choices = [TrainingShare(share, None, seed).chosen("c", NAMES) for share in sorted(shares)]
    assert all(small <= large for small, large in zip(choices, choices[1:]))
    assert [len(choice) for choice in choices] == [max(round(40 * share), 1) for share in sorted(shares)]
    assert TrainingShare(shares[0], None, seed).chosen("c", names) == choices[sorted(shares).index(shares[0])]


def test_numbers_of_clips_lie_within_each_other_too_and_within_shares():
    ten, twenty = (TrainingShare(1.0, count, 3).chosen("c", NAMES) for count in (10, 20))
    assert (len(ten), len(twenty)) == (10, 20) and ten < twenty
    assert TrainingShare(0.25, None, 3).chosen("c", NAMES) == ten == TrainingShare(0.5, 10, 3).chosen("c", NAMES)
    assert TrainingShare(0.1, 10, 3).chosen("c", NAMES) < ten
    others = {TrainingShare(0.25, None, 4).chosen("c", NAMES) == ten, TrainingShare(0.25, None, 3).chosen("d", NAMES) == ten}
    assert others == {False}


def test_what_is_left_of_a_corpus_is_that_corpus_in_all_else(caplog):
    caplog.set_level("INFO")
    whole = Still(size=20)
    part = TrainingSubset(whole, TrainingShare(0.25, None, 1))
    names = [clip.name for clip in part.clips("train")]
    assert len(names) == 5 and names == [clip.name for clip in whole.clips("train") if clip.name in names]
    assert part.clips("val") == whole.clips("val") and part.length(part.clips("train")[0]) == 40
    assert (part.name, part.language) == ("still", "DGS") and not hasattr(part, "described") and not hasattr(part, "up")
    assert hasattr(TrainingSubset(Other(), TrainingShare(0.5)), "described")
    assert caplog.text.count("training has 5 of the 20 clips of still, chosen by seed 1") == 1
    for twin in (copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
        assert [clip.name for clip in twin.clips("train")] == names


def test_fewer_clips_than_were_asked_for_are_told(caplog):
    part = TrainingSubset(Still(size=7), TrainingShare(1.0, 100))
    assert len(part.clips("train")) == len(part.clips("train")) == 7
    assert caplog.text.count("still has 7 training clips, fewer than the 100 asked for") == 1


@pytest.fixture(scope="module")
def skels(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("share")
    draw = torch.Generator().manual_seed(0)
    for split, count in COUNT.items():
        motions = [JointMotion(torch.randn(12, 50, 3, generator=draw), SKELETON_50, 25.0) for _ in range(count)]
        write_split(root, split, motions)
    return root


def config(root: Path, folder: Path, *overrides: str, seed: int = 1) -> Config:
    return load_config("configs/skels/soke.yaml", overrides=[
        f"SEED={seed}", f"FOLDER={folder}", f"DATASET.CORPORA.skels.ROOT={root}", f"DATASET.CODE_PATH={folder}/codes",
        "TRAIN.NUM_WORKERS=0", "DATASET.MIN_FRAMES=8", *overrides,
    ])


def names_of(data) -> list[str]:
    return [clip.name for clip in data.dataset("train", data.kind).clips]


def test_motions_and_codes_are_of_the_same_clips_and_other_splits_are_whole(skels, tmp_path):
    asked = config(skels, tmp_path, "DATASET.TRAIN_SHARE=0.1")
    store = CodeStore(tmp_path / "codes")
    for clip in (clip for corpus in corpora_of(asked) for split in ("train", "val") for clip in corpus.clips(split)):
        store.write(clip, torch.zeros(3, 3, dtype=torch.int64))
    chosen = [names_of(make(asked, tmp_path)) for make in (motion_data, tokenizer_data, code_data)]
    assert chosen[0] == chosen[1] == chosen[2] and len(chosen[0]) == 3
    assert [len(motion_data(asked, tmp_path).dataset(split, "motion").clips) for split in ("val", "test")] == [4, 3]
    larger = names_of(motion_data(config(skels, tmp_path, "DATASET.TRAIN_SHARE=0.3"), tmp_path))
    assert len(larger) == 9 and set(chosen[0]) < set(larger)
    few = config(skels, tmp_path, "DATASET.TRAIN_CLIPS=3")
    assert names_of(motion_data(few, tmp_path)) == chosen[0]
    assert names_of(motion_data(config(skels, tmp_path, "DATASET.TRAIN_SHARE=0.1", seed=2), tmp_path)) != chosen[0]
    assert len(corpora_of(asked)[0].clips("train")) == 30  # for tests, codes and packing


def test_statistics_are_of_the_chosen_clips_and_are_computed_again_for_others(skels, tmp_path):
    """A file of statistics knows its clips, so that a run never takes those of another share."""
    means = {}
    for share in (0.1, 0.5, 0.1):
        asked = config(skels, tmp_path, f"DATASET.TRAIN_SHARE={share}", "TRAIN.STAGE=tokenizer")
        layout, chosen = layout_of(asked), training_corpora(asked)
        found = statistics_of(asked, layout, chosen)
        assert found.clips == round(30 * share) == json.loads((asked.run_folder / "statistics.json").read_text())["clips"]
        rows = _features(chosen[0], layout)
        torch.testing.assert_close(found.mean["body"], rows.mean(0), atol=1e-6, rtol=0)
        means.setdefault(share, found.mean["body"])
        assert torch.equal(means[share], found.mean["body"])
    assert not torch.equal(means[0.1], means[0.5])


def _features(corpus, layout: MotionLayout) -> torch.Tensor:
    return torch.cat([layout.features(corpus.load(clip))["body"] for clip in corpus.clips("train")])


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("TRAIN_SHARE=0", "DATASET.TRAIN_SHARE must be above 0 and at most 1, not 0.0"),
        ("TRAIN_SHARE=-0.1", "DATASET.TRAIN_SHARE must be above 0 and at most 1, not -0.1"),
        ("TRAIN_SHARE=30", "DATASET.TRAIN_SHARE must be above 0 and at most 1, not 30.0"),
        ("TRAIN_SHARE=.nan", "DATASET.TRAIN_SHARE must be above 0 and at most 1, not nan"),
        ("TRAIN_SHARE=10%", "DATASET.TRAIN_SHARE must be a number, not '10%'"),
        ("TRAIN_CLIPS=0", "DATASET.TRAIN_CLIPS must be at least 1, or null for all, not 0"),
        ("TRAIN_CLIPS=2.5", "DATASET.TRAIN_CLIPS must be a whole number, not 2.5"),
        ("TRAIN_CLIPS=true", "DATASET.TRAIN_CLIPS must be a whole number, not True"),
    ],
)
def test_bad_values_are_named(override, fault):
    with pytest.raises(UserError) as error:
        load_config("configs/deto.yaml", overrides=[f"DATASET.{override}"])
    assert str(error.value) == f"configs/deto.yaml: {fault}"
