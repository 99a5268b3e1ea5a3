"""Timing: every sentence is made, the numbers fit together."""

from __future__ import annotations

import json

import pytest

from soke.data.clip import Clip
from soke.evaluation.protocols import Typed
from soke.evaluation.timing import count_time, report
from soke.generator.producer import SignProducer
from tests.generator.helpers import make_generator
from tests.tokenizer.helpers import small_tokenizer


@pytest.fixture(scope="module")
def producer() -> SignProducer:
    tokenizer = small_tokenizer().eval()
    generator = make_generator(streams=tokenizer.streams, tokenizer_hash=tokenizer.hash)
    return SignProducer(generator, tokenizer)


def test_timings_fit_together(producer):
    timings = count_time(producer.batched, [Typed("rain", "ASL"), Typed("snow and sun", "ASL")], batch_sizes=(1, 8))
    assert [t.batch_size for t in timings] == [1, 8]
    for timing in timings:
        assert timing.videos >= 32 and timing.videos % timing.batch_size == 0
        assert timing.videos_per_second * timing.mean == pytest.approx(1)
        assert 0 < timing.p50 <= timing.p95 and timing.frames_per_second >= timing.videos_per_second


def test_no_sentences_no_timing(producer):
    with pytest.raises(ValueError, match="no sentences"):
        count_time(producer.batched, [])


def test_report_is_printed_and_saved(producer, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("soke.evaluation.timing.BATCH_SIZES", (1,))

    class Corpus:
        def clips(self, split):
            return [Clip("a", "own", split, "ASL", "rain and sun", tmp_path, 24.0)]

    report(producer.batched, [Corpus()], "test", tmp_path, "cpu")
    saved = json.loads((tmp_path / "timing.json").read_text())
    assert saved["timings"][0]["batch_size"] == 1 and saved["device"].startswith("CPU")
    assert "s/video" in capsys.readouterr().out
