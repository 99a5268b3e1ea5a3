"""Corpora of line files by the configuration: their names, languages, locales, rates and joint tables."""
from __future__ import annotations

import pytest
import torch

from soke.body.joints import SKELETON_50
from soke.build.body import body_model
from soke.build.data import corpora_of
from soke.data.clip import locales_of
from soke.errors import UserError
from soke.generator.sign_vocabulary import SignVocabulary
from soke.run.changes import changes
from soke.run.config import load_config, to_yaml
from soke.text.locales import ALIASES, TEXT_LOCALE
from tests.data.corpora.test_skels import random_positions
from tests.data.skels_writing import write_split

EIGHT = {
    "asl": ("ASL", "en_XX"), "gsl": ("DGS", "de_DE"), "dsgs": ("DSGS", "de_DE"), "lsf_ch": ("LSF-CH", "fr_XX"),
    "lis_ch": ("LIS-CH", "it_IT"), "lsa": ("LSA", "es_XX"), "ksl": ("KSL", "ko_KR"), "tsl": ("TSL", "tr_TR"),
}
SKELS = "soke.data.corpora.skels.SkelsCorpus"


@pytest.fixture
def root(tmp_path):
    write_split(tmp_path / "data", "train", [random_positions(5)])
    return tmp_path


def configured(root, **keys):
    entry = ", ".join(f"{key}: {value}" for key, value in {"ROOT": root / "data", "READER": SKELS, **keys}.items())
    return load_config("configs/skels/data.yaml", overrides=[
        "NAME=x", "DATASET.CORPORA.skels=null", f"DATASET.CORPORA.mine={{{entry}}}",
    ])


def test_prompt2signs_eight_languages(root):
    for name in EIGHT:
        write_split(root / name, "train", [random_positions(5)])
    overrides = ["NAME=x", *(f"DATASET.CORPORA.{name}.ROOT={root}/{name}" for name in EIGHT)]
    config = load_config("configs/data/prompt2sign.yaml", overrides=overrides)
    corpora = corpora_of(config)
    assert {c.name: c.language for c in corpora} == {name: code for name, (code, _) in EIGHT.items()}
    assert locales_of(corpora) == dict(EIGHT.values())
    for corpus in corpora:
        (clip,) = corpus.clips("train")
        motion = corpus.load(clip)
        assert (clip.corpus, clip.language, clip.fps) == (corpus.name, corpus.language, motion.fps)
    assert [corpus.fps for corpus in corpora] == [24, 25, 25, 25, 25, 60, 30, 30]
    assert body_model(config, "cpu").joints == SKELETON_50


def test_readers_are_found_where_configurations_knew_them_before(root):
    before = configured(root, READER="soke.data.skels.SkelsCorpus", LANGUAGE="ASL")
    (corpus,) = corpora_of(before)
    assert type(corpus).__module__ == "soke.data.corpora.skels"
    (root / "config.yaml").write_text(to_yaml(before), encoding="utf-8")
    assert not changes(root / "config.yaml", configured(root, LANGUAGE="ASL"))


def test_a_language_of_ones_own_needs_a_locale(root):
    (corpus,) = corpora_of(configured(root, LANGUAGE="BSL", LOCALE="en_XX", FPS=12.5))
    assert (corpus.name, corpus.language, corpus.locale, corpus.fps) == ("mine", "BSL", "en_XX", 12.5)
    with pytest.raises(UserError, match=r"CORPORA.mine.LANGUAGE: DSGG is none of ASL, .*\(did you mean DSGS\?\)"):
        corpora_of(configured(root, LANGUAGE="DSGG"))
    with pytest.raises(UserError, match="GSL is another name of DGS, whose texts have the locale de_DE, not el_GR"):
        corpora_of(configured(root, LANGUAGE="GSL", LOCALE="el_GR"))


def test_keys_that_a_reader_does_not_take(root):
    with pytest.raises(UserError, match="DATASET.CORPORA.csl.LANGUAGE: only readers of .skels files take it"):
        corpora_of(load_config("configs/soke.yaml", overrides=[
            "DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.phoenix=null", "DATASET.CORPORA.csl.LANGUAGE=CSL",
        ]))
    with pytest.raises(UserError, match="DATASET.CORPORA.mine.FPS must be a number above 0, not -1"):
        configured(root, FPS=-1)


def test_a_joint_table_gives_joints_unit_and_direction(root):
    (root / "table.yaml").write_text('JOINTS: [{skip: 1}, neck, {skip: 48}]\nUNIT: m\nUP: "+y"\n', encoding="utf-8")
    config = configured(root, JOINTS=root / "table.yaml")
    (corpus,) = corpora_of(config)
    assert corpus.load(corpus.clips("train")[0]).joints == ("neck",)
    body = body_model(config, "cpu")
    assert (body.unit, body.up) == ("m", "+y")
    with pytest.raises(UserError, match="none.yaml cannot be read"):
        corpora_of(configured(root, JOINTS=root / "none.yaml"))


def test_an_alias_is_the_same_language_everywhere(root):
    config = configured(root, LANGUAGE="GSL")
    (corpus,) = corpora_of(config)
    assert corpus.language == corpus.clips("train")[0].language == "DGS"
    assert set(ALIASES.values()) <= set(TEXT_LOCALE) and not set(ALIASES) & set(TEXT_LOCALE)
    assert SignVocabulary(10, ["DGS", "ASL"], {"body": 4}).language_ids("GSL") == SignVocabulary(
        10, ["DGS", "ASL"], {"body": 4}
    ).language_ids("DGS")
    assert torch.equal(*(corpora_of(configured(root, LANGUAGE=code))[0].load(corpus.clips("train")[0]).positions
                         for code in ("GSL", "DGS")))
