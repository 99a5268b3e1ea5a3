"""A corpus of one's own, in a sign language that nobody knows: trained, saved, and shown by a process that knows the
saved model alone, and that imports no more than it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import get_motion_code
import train
import vis_mesh
from soke.errors import UserError
from soke.generator import SignProducer
from soke.run.config import ROOT
from soke.text.locales import TEXT_LOCALE
from tests.test_chain import Workshop

READER = """
from soke.data.corpora.how2sign import How2Sign


class Own(How2Sign):
    name = "own"
    language, locale = "BSL", "en_XX"
"""
SHOW = """
import sys

import vis_mesh

vis_mesh.main(sys.argv[1:])
print("modules:", *sys.modules)
"""
# What a typed sentence does without: training, scores, tables, other stages, dictionaries of other languages.
NEEDLESS = {
    "pytorch_lightning", "lightning_fabric", "torchmetrics", "sacrebleu", "pandas", "matplotlib", "tensorboard", "roma",
    "jieba", "my_reader", "soke.data.datamodule", "soke.run.training", "soke.run.optim", "soke.generator.module",
    "soke.tokenizer.module",
    "soke.translation.module", "soke.translation.model", "soke.evaluation.rows", "soke.evaluation.scoring",
    "soke.report.tables", "soke.metrics.dtw", "soke.metrics.text_scores",
}
TEXT = ["--text=the dogs sleep", "--show_retrieval"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    """A generator of BSL, of one epoch."""
    root = tmp_path_factory.mktemp("own")
    own = json.dumps({"ROOT": f"{root}/data/How2Sign", "READER": "my_reader.Own"})
    shop = Workshop(
        root, *(f"DATASET.CORPORA.{name}=null" for name in ("how2sign", "csl", "phoenix")),
        f"DATASET.CORPORA.own={own}", "TRAIN.END_EPOCH=1", "EVAL.GENERATE_EVERY=0",
    )
    shop.furnish()
    lexicon = root / "data" / "lexicon" / "lexicon.csv"
    lexicon.write_text(lexicon.read_text(encoding="utf-8").replace(",ASL,", ",BSL,"), encoding="utf-8")
    (root / "my_reader.py").write_text(READER)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        shop.run(train, "deto")
        shop.run(get_motion_code, "soke")
        shop.run(train, "soke")
    sys.modules.pop("my_reader")
    return shop


@pytest.fixture(scope="module")
def shown(shop) -> list[str]:
    """Lines that a process of its own prints, which cannot import the corpus's reader."""
    command = [sys.executable, "-c", SHOW, "--cfg", "configs/demo/soke.yaml", "--nodebug", "--language=BSL", *TEXT]
    done = subprocess.run([*command, *shop.overrides], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def folder_of(shop: Workshop) -> Path:
    return shop.folder("experiments", "generator", "toy", "generator")


def test_the_generator_keeps_the_locale_of_its_language(shop):
    spec = json.loads((folder_of(shop) / "generator.json").read_text(encoding="utf-8"))["spec"]
    assert (spec["languages"], spec["locales"]) == (["BSL"], {"BSL": "en_XX"}) and "BSL" not in TEXT_LOCALE
    producer = SignProducer.from_pretrained(folder_of(shop))
    (motion,) = producer.generate(["the dogs sleep"], ["BSL"])
    assert len(motion) >= 4 and motion.fps == 24.0


def test_another_process_shows_a_sentence_and_finds_its_signs_by_english_lemmas(shop, shown):
    assert any(line.startswith('"dogs" -> dog (BSL, lemma, ') for line in shown)
    assert any(line.startswith('"sleep" -> sleeps (BSL, ') for line in shown)
    pictures = shop.folder("results", "toy", "pictures")
    assert sorted(path.name for path in pictures.iterdir()) == ["BSL_the_dogs_sleep.mp4", "BSL_the_dogs_sleep.png"]


def test_it_imports_no_more_than_it_needs(shown):
    (line,) = (line for line in shown if line.startswith("modules: "))
    modules = set(line.split()[1:])
    assert "soke.generator.model" in modules and not modules & NEEDLESS


def test_an_unknown_language_is_refused_with_those_that_the_model_knows(shop):
    with pytest.raises(UserError, match="unknown sign language 'ASL': this generator signs BSL"):
        shop.run(vis_mesh, "soke", "--language=ASL", "--text=the dogs sleep")
