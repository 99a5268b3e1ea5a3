"""Whose reading rewards a generator does not test it; what learns by reward is what TRAIN.INIT has trained."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from soke.build import policy
from soke.errors import UserError
from soke.generator.producer import SignProducer
from soke.run.config import load_config
from tests.generator.helpers import make_generator
from tests.tokenizer.helpers import small_tokenizer

FILE = "configs/soke_grpo.yaml"


class Reader(SimpleNamespace):
    """In the place of a back-translation model."""

    begun_from = ()

    @property
    def lineage(self):
        return [self.weights_hash, *self.begun_from]


@pytest.fixture
def readers(tmp_path, monkeypatch):
    """Folders of readers, whose weights have the hash that is their folder's name."""

    def read(folder, *more):
        return Reader(weights_hash=folder.parent.parent.name)

    monkeypatch.setattr(policy, "back_translator", lambda config, folder, corpus, device: read(folder))
    monkeypatch.setattr(policy.BackTranslator, "from_pretrained", read)
    for name in ("first", "second", "copies/first"):
        (tmp_path / name / "csl" / "translation").mkdir(parents=True)
    return tmp_path


def config_of(folder, reader: str, tester: str, bleu: float = 1.0):
    return load_config(FILE, overrides=[
        f"POLICY.READER={folder / reader}", f"METRIC.BACK_TRANSLATION={folder / tester}", f"POLICY.REWARDS.bleu={bleu}",
    ])


CSL = [SimpleNamespace(name="csl")]


def test_the_reader_is_another_than_the_tester(readers):
    assert policy.readers(config_of(readers, "first", "second"), CSL)["csl"].weights_hash == "first"
    assert policy.readers(config_of(readers, "first", "nowhere"), CSL)
    with pytest.raises(UserError, match=r"of csl in METRIC.BACK_TRANSLATION is the one that rewards .* \(POLICY.READER\)"):
        policy.readers(config_of(readers, "copies/first", "first"), CSL)
    with pytest.raises(UserError, match="POLICY.READER is METRIC.BACK_TRANSLATION"):
        config_of(readers, "first", "first")
    with pytest.raises(UserError, match="POLICY.READER: there is no model in"):
        policy.readers(config_of(readers, "nowhere", "first"), CSL)
    assert policy.readers(config_of(readers, "nowhere", "first", bleu=0.0), CSL) == {}


def test_a_test_by_what_has_rewarded_it_is_refused(monkeypatch):
    monkeypatch.setattr(policy, "readers_of", lambda config, corpora: {"csl": Reader(weights_hash="first")})
    spec = make_generator().spec
    assert policy.examiners(spec)(None, CSL)
    assert policy.examiners(replace(spec, readers=["second"]))(None, CSL)
    with pytest.raises(UserError, match="its scores would be those of a test whose answers were known"):
        policy.examiners(replace(spec, readers=["second", "first"]))(None, CSL)
    fine = {"csl": Reader(weights_hash="third", begun_from=["first"])}  # trained from the one that has rewarded
    monkeypatch.setattr(policy, "readers_of", lambda config, corpora: fine)
    with pytest.raises(UserError, match="or was trained from it"):
        policy.examiners(replace(spec, readers=["first"]))(None, CSL)


def test_what_does_not_fit_is_an_error_for_learning_by_reward_and_a_warning_else(tmp_path, caplog):
    make_generator(5).save_pretrained(tmp_path / "generator")
    init = f"TRAIN.INIT={tmp_path / 'generator'}"
    rewarded, plain = load_config(FILE, overrides=[init]), load_config("configs/soke.yaml", overrides=[init])
    policy.begin(make_generator(6), rewarded)
    assert not caplog.text
    other = make_generator(6, decoding="sequential", languages=["ASL", "CSL"], fps={"ASL": 24.0, "CSL": 30.0})
    policy.begin(other, plain)
    assert "GENERATOR.DECODING: multi_head -> sequential" in caplog.text and "the tokens of CSL" in caplog.text
    with pytest.raises(UserError, match="is not the one that would learn by reward: .*multi_head -> sequential.*of CSL"):
        policy.begin(other, rewarded)


def test_codes_are_kept_of_the_parts_that_another_tokenizer_began_from(tmp_path, caplog):
    old = small_tokenizer()
    streams = old.streams
    trained = make_generator(5, streams=streams, tokenizer_hash=old.hash)
    SignProducer(trained, old).save_pretrained(tmp_path / "generator")
    plain = load_config("configs/soke.yaml", overrides=[f"TRAIN.INIT={tmp_path / 'generator'}"])
    new = small_tokenizer()
    with torch.no_grad():
        for name, value in new.named_parameters():  # body stays as it was, lhand is fine-tuned, rhand is another
            if not name.startswith("autoencoders.body."):
                value.add_(0.1)
    new.begun = {"lhand": [old.part_hash("lhand"), "an older one"]}
    generator = make_generator(6, streams=streams, tokenizer_hash=new.hash)
    policy.begin(generator, plain, new)
    assert f"the tokenizer is another, {old.hash} -> {new.hash}, in which the codes of body, lhand mean what they" in caplog.text
    rows = generator.vocabulary.first_codes.tolist()
    ours, theirs = generator.mbart.shared.weight, trained.mbart.shared.weight
    assert torch.equal(ours[: rows[2]], theirs[: rows[2]]) and not torch.equal(ours[rows[2] :], theirs[rows[2] :])
    assert generator.fresh == ("mbart.shared.weight", "heads.linear.rhand.weight", "heads.linear.rhand.bias")
    rewarded = load_config(FILE, overrides=[f"TRAIN.INIT={tmp_path / 'generator'}"])
    with pytest.raises(UserError, match="is not the one that would learn by reward: the tokenizer is another"):
        policy.begin(generator, rewarded, new)


@pytest.mark.parametrize(("overrides", "message"), [
    (["TRAIN.INIT="], "POLICY.SHARE needs TRAIN.INIT"),
    (["POLICY.REWARDS.blue=1"], r"POLICY.REWARDS.blue is none of .* \(did you mean bleu\?\)"),
    (["POLICY.REWARDS.dtw=0"], "POLICY.REWARDS must give one of"),
    (["POLICY.REWARDS.dtw=-1"], "POLICY.REWARDS.dtw must be a weight of at least 0, not -1"),
    (["POLICY.OBJECTIVE=scst"], "POLICY.UPDATES must be 1 for POLICY.OBJECTIVE=scst"),
    (["POLICY.SAMPLES=1"], "POLICY.SAMPLES must be at least 2"),
    (["TRAIN.ACCUMULATE=2"], "POLICY.UPDATES above 1 needs TRAIN.ACCUMULATE=1"),
    (["GENERATOR.TRANSLATION=0.6"], "more than all batches together"),
    (["POLICY.TEMPERATURE=0"], "POLICY.TEMPERATURE must be a number above 0"),
])
def test_contradictions(overrides, message):
    with pytest.raises(UserError, match=message):
        load_config(FILE, overrides=overrides)


@pytest.mark.parametrize("file", ["deto", "back_translation", "signllm_mlsf"])
def test_what_makes_no_codes_learns_by_no_reward(file):
    with pytest.raises(UserError, match="POLICY.SHARE has no effect on a model of stage .*: set it to 0"):
        load_config(f"configs/{file}.yaml", overrides=["POLICY.SHARE=0.5"])


def test_fine_tuning_is_ten_lines_over_the_generator_s_configuration():
    fine, plain = load_config(FILE), load_config("configs/soke.yaml")
    assert fine.generator == plain.generator and fine.policy.objective == "grpo" and fine.policy.share > 0
    assert (fine.policy.clip, fine.policy.kl) == (0.2, 0.02)
