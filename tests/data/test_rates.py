"""Frame rates of what models make, and corpora of one sign language that have several."""
from __future__ import annotations

from soke.data.rates import rate_of, warn_of_rates

LANGUAGES = {"how2sign": "ASL", "asl": "ASL", "phoenix": "DGS"}


def test_a_corpus_has_its_own_rate_and_others_their_languages_first():
    fps = {"how2sign": 24.0, "asl": 60.0, "phoenix": 25.0}
    assert [rate_of(fps, LANGUAGES, "ASL", corpus) for corpus in ("asl", "phoenix", None)] == [60.0, 24.0, 24.0]


def test_a_language_of_two_rates_is_named(caplog):
    warn_of_rates({"how2sign": 24.0, "asl": 24.0, "phoenix": 25.0}, LANGUAGES)
    assert not caplog.records
    warn_of_rates({"how2sign": 24.0, "asl": 60.0, "phoenix": 25.0}, LANGUAGES)
    (record,) = caplog.records
    assert "ASL is learnt at different rates (frames/s: how2sign 24, asl 60)" in record.getMessage()
