"""Which clips train and which validate, and what becomes of labels that do not match."""
from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from soke.data.corpora.share import TrainingShare
from soke.data.labels import SignLabel
from soke.errors import UserError
from soke.recognition.data import RecognitionData, SignDataset, collate_signs, held_out, known, labels_of, signs_of
from tests.recognition.helpers import SIGNS, ToySigns, features


def labelled(counts: dict[int, int]) -> dict[str, SignLabel]:
    return {f"{sign}/{i}": SignLabel(sign, str(sign)) for sign, count in counts.items() for i in range(count)}


def recognition_data(tmp_path, corpus: ToySigns, parts=("rhand", "face"), **options) -> RecognitionData:
    val = features(tmp_path, corpus, "val") if corpus.clips("val") else None
    made = {"val_share": 0.25, "batch_size": 4, "eval_batch_size": 3, "seed": 3, "folder": tmp_path / "run", **options}
    return RecognitionData(corpus, features(tmp_path, corpus), val, parts, **made)


def test_a_share_of_every_sign_is_held_out():
    labels = labelled({0: 24, 1: 10, 2: 3, 3: 2, 4: 1})
    chosen = held_out(labels, 0.1, seed=1)
    counts = {sign: sum(name.startswith(f"{sign}/") for name in chosen) for sign in range(5)}
    assert counts == {0: 2, 1: 1, 2: 1, 3: 1, 4: 0}  # one at least of two or more, and never all
    assert held_out(dict(reversed(labels.items())), 0.1, seed=1) == chosen != held_out(labels, 0.1, seed=2)
    half = held_out(labels, 0.99, seed=1)
    assert len(labels) - len(half) == 5  # one is left of each


def test_train_is_parted_where_there_is_no_val_split(tmp_path, caplog):
    corpus = ToySigns({"train": 8})
    with caplog.at_level(logging.INFO):
        data = recognition_data(tmp_path, corpus)
    assert "toy has no val split: 0.25 of every sign's training clips validate, by seed 3" in caplog.text
    assert len(data.train) == 24 and len(data.val) == 8 and not set(data.train.names) & set(data.val.names)
    assert data.rule == {"share": 0.25, "seed": 3} and data.signs == SIGNS
    assert set(data.val.names) == set(labels_of(corpus, "val", data.rule))
    assert set(data.train.names) == set(labels_of(corpus, "train", data.rule))


def test_a_val_split_is_taken_as_it_is(tmp_path):
    corpus = ToySigns({"train": 3, "val": 2})
    data = recognition_data(tmp_path, corpus)
    assert (len(data.train), len(data.val), data.rule) == (12, 8, {})
    assert set(data.val.names) == set(corpus.labels("val"))


@pytest.mark.parametrize("share", [TrainingShare(0.34, None, 3), TrainingShare(1.0, 2, 3)])
def test_a_share_of_every_sign_trains_and_validation_stays_as_it_is(tmp_path, share):
    corpus = ToySigns({"train": 8})
    whole, part = recognition_data(tmp_path, corpus), recognition_data(tmp_path, corpus, share=share)
    assert part.val.names == whole.val.names and part.signs == whole.signs == SIGNS
    assert set(part.train.names) < set(whole.train.names)
    assert sorted(part.train.signs.values()) == [0, 0, 1, 1, 2, 2, 3, 3]  # of the six of each that do not validate


def test_batches_hold_the_seen_parts_of_every_clip_once(tmp_path):
    data = recognition_data(tmp_path, ToySigns({"train": 8}), parts=("face", "rhand"))
    for loader, dataset, size in ((data.train_dataloader(), data.train, 4), (data.val_dataloader(), data.val, 3)):
        names = []
        for batch in loader:
            assert len(batch.names) <= size
            for i, name in enumerate(batch.names):
                own = dataset.features.read(name)[:, [3, 2]]  # face and right hand of body, left, right hand, face
                assert torch.equal(batch.states[i, : batch.lengths[i]], own) and len(own) == batch.lengths[i]
                assert not batch.states[i, batch.lengths[i] :].any()
                assert SIGNS[batch.signs[i]].number == int(name.split("/")[0])
            names += batch.names
        assert sorted(names) == sorted(dataset.names)


def test_statistics_are_over_the_steps_of_the_training_clips(tmp_path):
    data = recognition_data(tmp_path, ToySigns({"train": 4}))
    states = torch.cat([data.train[i].states for i in range(len(data.train))])
    mean, std = data.train.statistics()
    torch.testing.assert_close(mean, states.mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(std, states.std(0, correction=0), atol=1e-4, rtol=1e-4)


def test_an_empty_batch_can_be_moved():
    batch = collate_signs([]).to("cpu")
    assert batch.names == [] and len(batch.lengths) == 0


def test_classes_without_training_clips_are_told(tmp_path, caplog):
    recognition_data(tmp_path, ToySigns({"train": 4}))  # of the classes 0, 1, 7 and 9
    assert "6 of the classes 0 to 9 have no training clips, the first: 2" in caplog.text


def test_unreadable_clips_are_listed_in_the_run_folder(tmp_path, caplog):
    data = recognition_data(tmp_path, ToySigns({"train": 8}, unreadable=["0/0", "9/3"]))
    assert len(data.train) + len(data.val) == 30 and "2 clips are left out" in caplog.text
    lines = (tmp_path / "run" / "skipped_clips.txt").read_text().splitlines()
    assert sorted(line.split("\t")[0] for line in lines) == ["toy/0/0", "toy/9/3"]


def test_clips_without_a_seen_part_are_listed(tmp_path):
    corpus = ToySigns({"train": 8})
    corpus.motions["0/0"] = replace(corpus.motions["0/0"], lacking=frozenset(["expression"]))
    data = recognition_data(tmp_path, corpus, parts=["face"])
    assert [(clip.name, clip.reason) for clip in data.skipped] == [("0/0", "nobody observed what makes its face")]
    assert "0/0" not in [*data.train.names, *data.val.names]
    data = recognition_data(tmp_path, corpus, parts=["lhand"])
    assert not data.skipped and "0/0" in [*data.train.names, *data.val.names]


def test_signs_that_are_not_trained_on_are_listed():
    labels = labelled({0: 2, 5: 1})
    chosen, strange = known(labels, [SignLabel(0, "0"), SignLabel(1, "1")], "toy", "test")
    assert chosen == {"0/0": 0, "0/1": 0}
    assert [(s.name, s.reason) for s in strange] == [("5/0", "its sign, class 5, is not trained on")]
    with pytest.raises(UserError, match="no clip of toy test shows a sign that is trained on"):
        known(labels, [SignLabel(7, "7")], "toy", "test")


def test_a_label_that_stands_for_another_sign_is_refused():
    with pytest.raises(UserError, match="clip 0/0 of toy test has the label 0 of .*, but in training that was .*water"):
        known(labelled({0: 1}), [SignLabel(0, "water")], "toy", "test")
    with pytest.raises(UserError, match="the label 3 stands for .*a.* and for .*b"):
        signs_of([SignLabel(3, "a"), SignLabel(3, "b")])
    with pytest.raises(UserError, match="show 1 sign; recognition needs two at least"):
        signs_of([SignLabel(3, "a")])


def test_lengths_are_in_steps(tmp_path):
    found = features(tmp_path, ToySigns({"train": 4}))
    dataset = SignDataset(found, {"0/1": 0, "7/3": 2}, ["face"])
    assert dataset.lengths.tolist() == [len(found.read("0/1")), len(found.read("7/3"))]
    assert dataset.lengths.dtype == np.int64
