"""Inference: every sentence ends by itself, by its own counter or by its reference's; one that does not is cut."""
from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor

from soke.errors import UserError
from soke.evaluation.protocols import Typed
from soke.regressor.producer import RegressorProducer
from soke.regressor.transformer import Past
from soke.regressor.unroll import Guide, unroll
from soke.transformer import Memory
from tests.regressor.helpers import FEATURES, LAYOUT, regressor, sample, samples

NEVER = float("nan")


class Scripted:
    """In the place of a network: sentence i counts as written, and its frames say which step they are of."""

    def __init__(self, counters: list[list[float]]):
        self.counters, self.read = torch.tensor(counters), []
        rows = torch.arange(len(counters), dtype=torch.float32)
        mask = torch.ones(len(counters), 1, dtype=torch.bool)
        self.memory = Memory(rows[:, None, None], mask, [(rows[:, None], rows[:, None])])

    def decode(self, frames: Tensor, memory: Memory, past: Past | None) -> tuple[Tensor, Past]:
        rows = memory.states[:, 0, 0]
        assert torch.equal(memory.cross[0][0][:, 0], rows)  # what is carried along fits together
        step = 0 if past is None else past[0][0].shape[1]
        before = rows.new_zeros(len(rows), 0) if past is None else past[0][0]
        assert torch.equal(before, rows[:, None].expand(-1, step))
        self.read.append(dict(zip(rows.long().tolist(), frames[:, 0].tolist())))
        output = torch.stack([rows, torch.full_like(rows, step), self.counters[rows.long(), step]], dim=1)
        return output[:, None], [(torch.cat([before, rows[:, None]], dim=1), before)]


def counting(frames: int, steps: int) -> list[float]:
    return [min((step + 1) / frames, 1.0) for step in range(steps)]


def test_every_sentence_ends_by_its_own_counter():
    """With exact counters, a motion has exactly its frames, also of one frame; what was made of others stays out."""
    network = Scripted([counting(frames, 12) for frames in (5, 1, 12, 2, 3)])
    frames, ended = unroll(network, network.memory, torch.tensor([7.0, 8.0]), 12)
    assert [len(own) for own in frames] == [5, 1, 12, 2, 3] and ended == [True] * 5
    for row, own in enumerate(frames):
        assert own.tolist() == [[row, step] for step in range(len(own))]
    assert network.read[0] == dict.fromkeys(range(5), [7.0, 8.0, 0.0])  # the start, whose counter is 0
    assert network.read[1][0] == [0.0, 0.0, pytest.approx(1 / 5)]  # then each one's own frames and counters
    assert list(network.read[-1]) == [2]  # those that have ended are not computed for ever


@pytest.mark.parametrize(
    "counters, frames",
    [([0.3, 0.62, 0.94, 1.3], 3), ([0.21, 0.45, 0.7, 0.85], 5), ([0.26, 0.5, 0.76, 0.9], 4), ([0.01] * 90 + [0.981], 91)],
)
def test_the_end_is_the_frame_whose_counter_is_nearest_to_one(counters, frames):
    """0.94 at frame 3 tells 3 / 0.94 = 3.2 frames, so it is the last; 0.85 at frame 4 tells 4.7, so another follows; 0.981 at frame 91
    tells 92.8, but is nearly 1."""
    network = Scripted([[*counters, 1.0]])
    (made,), _ = unroll(network, network.memory, torch.zeros(2), len(counters) + 1)
    assert len(made) == frames


def test_a_counter_that_hesitates_before_its_end_goes_on():
    """0.9 after 18 frames: 0.05 a frame, of which half at least is gone on with: 0.925, 0.949, 0.973, 0.996."""
    counters = [0.05 * (step + 1) for step in range(18)]
    network = Scripted([[*counters, *[0.9] * 20], [*counters, *[0.7] * 20], [*counters[:14], *[0.7] * 24]])
    frames, ended = unroll(network, network.memory, torch.zeros(2), 30)
    assert [len(own) for own in frames] == [22, 22, 30] and ended == [True, True, False]
    read = [network.read[step][1][-1] for step in range(18, 22)]
    assert read == pytest.approx([0.9, 0.925, 0.94934, 0.97308], abs=1e-4)


def test_a_counter_that_never_ends_is_cut_and_disturbs_nobody():
    network = Scripted([[0.5] * 9, counting(4, 9), [NEVER] * 9])
    frames, ended = unroll(network, network.memory, torch.zeros(2), 9)
    assert [len(own) for own in frames] == [9, 4, 9] and ended == [False, True, False]


def test_a_guide_gives_first_frame_counter_and_length():
    network = Scripted([[0.9] * 9] * 3)  # which says that it ends at once
    guide = Guide(torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), torch.tensor([4, 1, 9]))
    frames, ended = unroll(network, network.memory, torch.zeros(2), 2, guide)  # beyond the longest of free timing
    assert [len(own) for own in frames] == [4, 1, 9] and ended == [True] * 3
    assert [own[0].tolist() for own in frames] == guide.first.tolist()
    assert frames[0][1:].tolist() == [[0, step] for step in range(1, 4)]
    assert network.read[1][0] == [3.0, 4.0, 0.25] and network.read[3][2] == [2.0, 2.0, pytest.approx(3 / 9)]


def test_a_producer_keeps_order_rates_and_its_maker(caplog):
    model = regressor()
    producer = RegressorProducer(model, batch_size=2, max_frames=5)
    assert producer.name == "generated" and producer.conditions["layout"] == LAYOUT.hash
    sentences = [Typed("sun and snow tomorrow", "ASL"), Typed("morgen regen", "DGS"), samples()[0].clip]
    with caplog.at_level(logging.WARNING):
        motions = producer.produce(sentences) + producer.batched(1).produce(sentences[:0])
        motions += producer.produce([Typed("unheard-of", "ASL")])
    assert [motion.fps for motion in motions] == [24.0, 25.0, 24.0, 24.0]
    assert {motion.made_by for motion in motions} == {f"regressor {model.hash}"}
    for sentence, motion in zip(sentences, motions):
        torch.testing.assert_close(producer.produce([sentence])[0].rotations, motion.rotations, atol=2e-5, rtol=1e-5)
    assert producer.counts["cut"] > 1 and producer.counts["made"] == 7
    assert len([record for record in caplog.records if "has not ended after 5 frames" in record.message]) == 1
    (of_words,) = (record.message for record in caplog.records if "knows no word" in record.message)
    assert "no word of 1 of 1 sentences, the first of them typed, 'unheard-of'" in of_words


def test_sentences_of_unknown_words_alone_are_counted_and_named_once(caplog):
    """One word that is known is enough, of the sentence's own language; punctuation is no word."""
    producer = RegressorProducer(regressor(groups="per_language"), max_frames=2)
    for texts in (["a zebra", "Snow!", "..."], ["quagga"]):
        producer.produce([Typed(text, "ASL") for text in texts])
    producer.produce([Typed("rain", "GSL")])
    assert producer.counts["unknown"] == 4
    assert [r.message for r in caplog.records if "knows no word of 2 of 3 sentences, the first" in r.message]
    assert len([record for record in caplog.records if "knows no word" in record.message]) == 1


def test_oracle_timing_is_named_and_takes_the_signer_s(caplog):
    item, other = sample("rain tomorrow", "ASL", hold=4), sample("snow", "ASL", 1, hold=7)
    signed = {item.clip.name: item.motion, other.clip.name: other.motion}
    producer = RegressorProducer(regressor(), max_frames=2, references=lambda clip: signed[clip.name])
    assert producer.name == "generated, oracle timing"
    for motion, reference in zip(producer.produce([item.clip, other.clip]), (item.motion, other.motion)):
        assert len(motion) == len(reference) and motion.fps == reference.fps
        torch.testing.assert_close(motion.rotations[0], reference.rotations[0], atol=1e-5, rtol=0)
        assert not torch.allclose(motion.rotations[1:], reference.rotations[1:], atol=1e-3)
    assert not caplog.records
    with pytest.raises(UserError, match="typed is a sentence without a clip"):
        producer.produce([Typed("rain", "ASL")])


def test_a_learnt_start_is_read():
    model = regressor()
    before = model.generate([samples()[0].clip], 1).features[0]
    with torch.no_grad():
        model.groups["all"].start += 1
    assert (model.generate([samples()[0].clip], 1).features[0]["head"] - before["head"]).abs().max() > 1e-3
    assert regressor(start="mean").groups["all"].start is None and FEATURES == 21
