"""The documentation's example of a corpus of one's own, run as it stands there."""
from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from soke.build.data import corpus_of
from soke.data.clip import locale_of, locales_of
from soke.data.dataset import MotionDataset
from soke.errors import UserError
from soke.run.config import load_config
from tests.data.writing import LAYOUT, random_motion, write_frames

PAGE = (Path(__file__).resolve().parents[3] / "soke" / "data" / "DATA.md").read_text(encoding="utf-8")


def test_the_example_of_the_readme(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n# my_bsl\.py\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_bsl.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "train.tsv").write_text("id\tsentence\trate\none\tHello there.\t50\ntwo\tBye.\tfast\n")
    for name in ("one", "two"):
        write_frames(tmp_path / "frames" / name, random_motion(80))
    config = load_config("configs/deto.yaml", None, ["DATASET.CORPORA.my_bsl.READER=my_bsl.MyBSL",
                                                     f"DATASET.CORPORA.my_bsl.ROOT={tmp_path}"])
    corpus = corpus_of("my_bsl", config.dataset)
    (sample,) = MotionDataset([corpus], "train", LAYOUT)
    assert (sample.clip.text, sample.clip.language, len(sample.motion), sample.motion.fps) == (
        "Hello there.", "BSL", 40, 25.0
    )
    assert "rate 'fast', which is no number" in corpus.skipped("train")[0].reason
    sys.modules.pop("my_bsl")


OWN = ["DATASET.CORPORA={}", "DATASET.CORPORA.a.ROOT=x"]


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (["DATASET.CORPORA.how2sing.ROOT=x"], r"how2sing is none of .*\(did you mean how2sign\?\); a corpus of your"),
        ([*OWN, "DATASET.CORPORA.a.READER=no.Such"], "no.Such cannot be imported"),
        ([*OWN, "DATASET.CORPORA.a.READER=pathlib.Path"], "pathlib.Path is no corpus, it lacks language"),
    ],
)
def test_readers_that_cannot_be_used(overrides, fault):
    with pytest.raises(UserError, match=fault):
        config = load_config("configs/deto.yaml", None, overrides)
        corpus_of("a", config.dataset)


class Told:
    name, language = "told", "ASL"


def test_texts_have_the_locale_that_the_corpus_states_or_its_language_has(caplog):
    assert locale_of(Told()) == "en_XX"
    assert locale_of(type("French", (Told,), {"locale": "fr_XX"})()) == "fr_XX"
    assert caplog.text == ""


def test_english_is_taken_for_an_unknown_language_with_one_warning(caplog):
    for _ in range(3):
        assert locale_of(type("Unknown", (Told,), {"name": "unsaid", "language": "LIBRAS"})()) == "en_XX"
    assert caplog.text.count("the texts of LIBRAS are written, and English (en_XX) is taken") == 1
    assert "corpus unsaid" in caplog.text and "give its reader a `locale`" in caplog.text


def test_corpora_of_one_sign_language_have_one_locale():
    french = type("French", (Told,), {"name": "french", "locale": "fr_XX"})()
    german = type("German", (Told,), {"name": "german", "language": "DGS"})()
    assert locales_of([french, german, french]) == {"ASL": "fr_XX", "DGS": "de_DE"}
    with pytest.raises(UserError, match="texts of ASL have the locale en_XX in told, but fr_XX in french: give one"):
        locales_of([Told(), german, french])
