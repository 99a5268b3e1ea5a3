"""Batches of clips of similar length: every clip has its turn, hardly any padding, and all processes keep step."""
from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prepare.pack_poses import pack
from soke.body.motion import JointMotion
from soke.data.clip import Clip, ClipError
from soke.data.codes import CodeStore
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.skels import SKELETON_50, SkelsCorpus
from soke.data.sampling import GroupedBatches, SortedBatches
from tests.data.skels_writing import write_split
from tests.data.writing import random_motion, write_how2sign, write_how2sign_frames

LENGTHS = np.random.default_rng(0).integers(40, 401, 1000) // 4 * 4  # multiples of 4, all equally frequent
SMALL = [4, 9, 4, 30, 12, 7, 100]


def epochs(batches: GroupedBatches, count: int = 3) -> list[list[list[int]]]:
    found = []
    for epoch in range(count):
        batches.set_epoch(epoch)
        found.append(list(batches))
    return found


def of_all_processes(lengths, processes: int, batch_size: int = 8, **options) -> list[list[list[int]]]:
    """The batches of each process in its first epoch."""
    ranks = range(processes)
    return [list(GroupedBatches(lengths, batch_size, processes=processes, rank=r, **options)) for r in ranks]


def padded(lengths, batches: list[list[int]]) -> int:
    """Frames that are computed."""
    return sum(len(batch) * max((lengths[i] for i in batch), default=0) for batch in batches)


@st.composite
def drawings(draw: st.DrawFn) -> tuple[list[int], dict]:
    """Lengths of 1 to 60 clips, and options of a sampler, weights and a budget among them or not."""
    lengths = draw(st.lists(st.integers(1, 400), min_size=1, max_size=60))
    options = {"batch_size": draw(st.integers(1, 70)), "seed": draw(st.integers(0, 9))}
    if draw(st.booleans()):
        options["batch_length"] = draw(st.integers(1, 3000))
    if draw(st.booleans()):
        options["weights"] = [draw(st.sampled_from([0.5, 1.0, 3.0])) for _ in lengths]
    return lengths, options


@given(drawings(), st.integers(1, 5))
def test_an_epoch_has_as_many_clips_as_there_are_and_all_processes_keep_step(drawn, processes):
    lengths, options = drawn
    ranks = [GroupedBatches(lengths, **options, processes=processes, rank=rank) for rank in range(processes)]
    for epoch in zip(*(epochs(rank, 2) for rank in ranks)):
        assert {len(own) for own in epoch} == {len(ranks[0])} == {len(rank) for rank in ranks}
        clips = Counter(i for own in epoch for batch in own for i in batch)
        assert clips.total() == len(lengths)
        if "weights" not in options:
            assert clips == Counter(range(len(lengths)))
        uneven = 0
        for together in zip(*epoch):
            sizes = [len(batch) for batch in together]
            assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1 and sizes[0]
            uneven += sizes[0] != sizes[-1]
            for batch in together:
                if "batch_length" in options:
                    assert len(batch) <= 1 or padded(lengths, [batch]) <= options["batch_length"]
                else:
                    assert len(batch) <= options["batch_size"]
        assert uneven == (len(lengths) % processes > 0)


@given(drawings(), st.integers(1, 3), st.sampled_from([2, 3, 4]))
def test_batches_of_several_processes_are_together_those_of_one(drawn, batch_size, processes):
    lengths, options = drawn
    options = {**options, "batch_length": 0, "batch_size": batch_size}
    ranks = [GroupedBatches(lengths, **options, processes=processes, rank=rank) for rank in range(processes)]
    one = GroupedBatches(lengths, **{**options, "batch_size": batch_size * processes})
    for alone, *together in zip(epochs(one), *map(epochs, ranks)):
        dealt = [[batch[rank::processes] for batch in alone] for rank in range(processes)]
        assert together == dealt


@given(drawings(), st.integers(0, 70))
def test_a_pass_may_begin_anywhere(drawn, start):
    lengths, options = drawn
    whole, resumed = GroupedBatches(lengths, **options), GroupedBatches(lengths, **options)
    resumed.start = start
    assert epochs(resumed, 2) == [epochs(whole, 1)[0][start:], epochs(whole, 2)[1]]


@given(st.lists(st.integers(1, 400), max_size=40), st.integers(1, 9), st.integers(1, 5))
def test_outside_training_every_clip_comes_once_the_longest_first(lengths, batch_size, processes):
    of_ranks = [list(SortedBatches(lengths, batch_size, processes, rank)) for rank in range(processes)]
    assert sorted(i for own in of_ranks for batch in own for i in batch) == list(range(len(lengths)))
    assert {len(own) for own in of_ranks} == {-(-len(lengths) // (batch_size * processes))}
    together = [sorted(sum(batches, []), key=lambda i: -lengths[i]) for batches in zip(*of_ranks)]
    assert [lengths[i] for i in sum(together, [])] == sorted(lengths, reverse=True)


@pytest.mark.parametrize("size", [1, 7, 8, 64, 2000])
def test_batches_are_full_but_one(size):
    batches = GroupedBatches(LENGTHS, size)
    for epoch in epochs(batches):
        assert len(epoch) == len(batches) == -(-1000 // size)
        short = [len(batch) for batch in epoch if len(batch) != size]
        assert short == ([1000 % size] if 1000 % size else [])


def test_order_depends_on_seed_and_epoch_alone():
    first, second = (epochs(GroupedBatches(LENGTHS, 8, seed=1)) for _ in range(2))
    assert first == second != epochs(GroupedBatches(LENGTHS, 8, seed=2))
    assert first[0] != first[1] and set(map(frozenset, first[0])) != set(map(frozenset, first[1]))
    longest = [max(LENGTHS[i] for i in batch) for batch in first[0]]
    assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.3  # batches come in random order


def test_any_clip_may_be_in_the_batch_that_is_not_full():
    batches = GroupedBatches(LENGTHS, 300)
    left_over = [LENGTHS[min(epoch, key=len)].mean() for epoch in epochs(batches, 20)]
    assert min(left_over) < 100 and max(left_over) > 300


def test_other_clips_meet_in_every_epoch():
    first, second = epochs(GroupedBatches(LENGTHS, 8), 2)
    met = [{frozenset((a, b)) for batch in epoch for a in batch for b in batch if a != b} for epoch in (first, second)]
    assert len(met[0] & met[1]) < 0.5 * len(met[0])


def test_hardly_any_padding():
    lengths = np.random.default_rng(1).permutation(LENGTHS.repeat(20))
    for size in (32, 320):
        (epoch,) = epochs(GroupedBatches(lengths, size), 1)
        (random,) = epochs(GroupedBatches(np.full(len(lengths), 400), size), 1)
        assert padded(lengths, epoch) < 1.03 * lengths.sum() < 1.7 * lengths.sum() < padded(lengths, random)


@pytest.mark.parametrize("options", [{}, {"batch_length": 3000}], ids=["clips", "frames"])
@pytest.mark.parametrize("processes", [2, 3, 7])
def test_processes_share_the_clips_and_keep_step(processes, options):
    batches = of_all_processes(LENGTHS, processes, **options)
    drawn = Counter(i for own in batches for batch in own for i in batch)
    assert drawn == Counter(range(1000))
    assert len({len(own) for own in batches}) == 1
    computed = waited_for = 0
    for together in zip(*batches):
        costs = [padded(LENGTHS, [batch]) for batch in together]
        computed, waited_for = computed + sum(costs), waited_for + processes * max(costs)
    assert waited_for < 1.03 * computed


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("weights", [None, [1.0] * 300 + [3.0] * 700], ids=["once", "weighted"])
@pytest.mark.parametrize("budget", [400, 1000, 12800])
def test_batches_hold_as_many_clips_as_fit(budget, weights, processes):
    for rank in range(processes):
        options = {"batch_length": budget, "weights": weights, "processes": processes, "rank": rank}
        batches = GroupedBatches(LENGTHS, 8, **options)
        for epoch in epochs(batches, 6):
            assert len(epoch) == len(batches)  # Lightning asks once
            assert all(padded(LENGTHS, [batch]) <= budget for batch in epoch)
            if budget == 12800:
                assert padded(LENGTHS, epoch) > 0.8 * budget * len(epoch)


def test_a_clip_that_does_not_fit_is_a_batch():
    (epoch,) = epochs(GroupedBatches(SMALL, 8, batch_length=30), 1)
    assert sorted(sum(epoch, [])) == list(range(7))
    assert [3] in epoch and [6] in epoch
    assert all(padded(SMALL, [batch]) <= 30 for batch in epoch if len(batch) > 1)


def test_weights_change_the_shares_not_the_length_of_an_epoch():
    weights = [0.5] * 800 + [4.0] * 200  # shares 400 : 800 of 1200, so 333 and 667 of 1000 clips
    drawn = Counter()
    for epoch in epochs(GroupedBatches(LENGTHS, 8, weights=weights), 30):
        clips = Counter(sum(epoch, []))
        of = [[clips[i] for i in range(800)], [clips[i] for i in range(800, 1000)]]
        assert [sum(counts) for counts in of] == [333, 667]
        assert [(min(counts), max(counts)) for counts in of] == [(0, 1), (3, 4)]
        drawn += clips
    assert all(3 <= drawn[i] <= 25 for i in range(800))  # 12.5 on average: none is left out for good
    assert all(90 <= drawn[i] <= 112 for i in range(800, 1000))  # 100 on average


def test_clips_of_one_length_keep_their_order():
    assert list(SortedBatches([40] * 5, 2)) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("packed", [False, True])
def test_a_corpus_tells_the_frames_that_it_loads(tmp_path, packed):
    rows = [("a", 0.0, 2.0, "One."), ("b", 0.0, 3.0, "Two."), ("c", 0.0, 0.2, "Three.")]
    write_how2sign(tmp_path, "train", rows, fps=30.0)  # brought down to 24
    for name, frames in (("a", 31), ("b", 77), ("c", 4)):
        write_how2sign_frames(tmp_path, "train", name, random_motion(frames))
    corpus = How2Sign(tmp_path)
    if packed:
        pack(corpus, corpus.packed, workers=0)
        corpus = How2Sign(tmp_path)
    clips = corpus.clips("train")
    assert [corpus.length(clip) for clip in clips] == [len(corpus.load(clip)) for clip in clips] == [24, 61, 3]
    with pytest.raises(ClipError, match="gone"):
        corpus.length(replace(clips[0], name="gone", frames=tmp_path / "gone"))


def test_skels_tell_the_frames_that_they_load(tmp_path):
    motions = [JointMotion(torch.randn(frames, 50, 3), SKELETON_50, 25.0) for frames in (5, 12)]
    write_split(tmp_path, "train", motions)
    corpus = SkelsCorpus(tmp_path)
    assert [corpus.length(clip) for clip in corpus.clips("train")] == [5, 12]


def test_codes_tell_their_steps(tmp_path):
    store, clip = CodeStore(tmp_path), Clip("a", "own", "train", "DGS", "text", tmp_path, 25.0)
    store.write(clip, torch.zeros(17, 3, dtype=torch.long))
    assert store.length(clip) == len(store.read(clip)) == 17
    with pytest.raises(ClipError, match="clip b: .* has no codes of it in split train"):
        store.length(replace(clip, name="b"))
    torn = (tmp_path / "own" / "a.npy").read_bytes()[:40]
    for content in (b"", b"no array at all", torn, torn + bytes(100)):
        (tmp_path / "own" / "a.npy").write_bytes(content)
        with pytest.raises(ClipError, match="clip a"):
            store.length(clip)
