"""The back-translator: batches and single motions, saving, what it refuses, the choice of its search."""
from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from itertools import product

import pytest
import torch
from safetensors.torch import load_file, save_file

from soke.body.motion import JointMotion, Motion
from soke.data.fingerprints import other_data
from soke.data.statistics import compute_statistics
from soke.errors import UserError
from soke.model_files import WEIGHTS_FILE
from soke.text.words import text_tokens
from soke.translation import BackTranslator
from soke.translation.module import TranslationModule
from soke.translation.translator import CONFIG_FILE
from tests.translation.helpers import (
    LAYOUT,
    SENTENCES,
    SETTINGS,
    TRAINING,
    bleu4,
    fit,
    loader,
    plateau,
    sample,
    samples,
    translator,
)


@pytest.fixture
def trained() -> BackTranslator:
    """Not trained at all, but with statistics of its own and something to say."""
    made = translator(samples())
    for norm in (made.model.frame_norm, made.model.text_norm):
        norm.running_var.uniform_(0.2, 0.6)
    with torch.no_grad():
        made.model.text_head.weight.mul_(4)
    return made


def motions(count: int = 4, seed: int = 0) -> list[Motion]:
    torch.manual_seed(seed)
    return [replace(sample("x", SENTENCES[i % 4], hold=1 + i).motion, fps=25.0) for i in range(count)]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_a_translation_depends_on_its_motion_alone(trained, beams, batch_size):
    trained.beams, trained.alpha = beams, 1.0
    given = motions()
    expected = [trained.translate([motion])[0] for motion in given]
    assert trained.translate(given, batch_size) == expected
    assert trained.translate(given[::-1], batch_size) == expected[::-1]
    assert len(set(expected)) > 1


def test_training_goes_on_as_it_was(trained):
    for training in (True, False):
        trained.model.train(training)
        before = {name: value.clone() for name, value in trained.model.state_dict().items()}
        assert trained.translate(motions()) == trained.translate(motions())  # no dropout
        assert trained.model.training is training
        assert all(torch.equal(before[name], value) for name, value in trained.model.state_dict().items())


def test_no_motions_and_motions_of_no_frames(trained):
    first, second = motions(2)
    assert trained.translate([]) == []
    empty = first.frames(slice(0, 0))
    assert trained.translate([empty]) == [""]
    assert trained.translate([first, empty, second]) == [
        trained.translate([first])[0], "", trained.translate([second])[0],
    ]


def test_the_model_of_generated_motion_is_no_obstacle(trained):
    (motion,) = motions(1)
    assert trained.translate([replace(motion, made_by="somebody")]) == trained.translate([motion])


def test_saved_and_loaded_it_translates_the_same(trained, tmp_path):
    trained.beams, trained.alpha = 3, 2.0
    trained.save_pretrained(tmp_path / "model")
    loaded = BackTranslator.from_pretrained(tmp_path / "model", "cpu")
    assert loaded.translate(motions()) == trained.translate(motions())
    assert loaded.hash == trained.hash and len(loaded.hash) == 12
    assert loaded.provenance == trained.provenance
    assert (loaded.layout, loaded.language) == (LAYOUT, "ASL")
    assert (loaded.beams, loaded.alpha, loaded.max_tokens) == (3, 2.0, 12)
    assert not loaded.model.training
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("options", [{"glosses": False}, {"glosses": False, "pseudo_glosses": True}])
def test_translators_without_the_corpus_s_glosses_are_saved_too(tmp_path, options):
    made = translator(samples(options.pop("glosses")), **options)
    made.save_pretrained(tmp_path / "model")
    loaded = BackTranslator.from_pretrained(tmp_path / "model")
    assert loaded.hash == made.hash
    assert loaded.targets.to_dict() == made.targets.to_dict()
    assert (loaded.model.gloss_head is None) == (loaded.targets.glosses is None) == (not options)


def test_the_locale_is_saved_and_older_models_have_that_of_their_language(trained, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / CONFIG_FILE
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "locale": "fr_XX"}), encoding="utf-8")
    assert BackTranslator.from_pretrained(tmp_path / "model").targets.locale == "fr_XX"
    assert config.pop("locale") == "en_XX"
    path.write_text(json.dumps(config), encoding="utf-8")
    older = BackTranslator.from_pretrained(tmp_path / "model")
    assert older.targets.locale == "en_XX" and older.hash == trained.hash
    path.write_text(json.dumps({**config, "language": "BSL"}), encoding="utf-8")
    with pytest.raises(UserError, match=rf'{CONFIG_FILE}: .* texts of BSL are written: add its "locale", "en_XX" for E'):
        BackTranslator.from_pretrained(tmp_path / "model")


def test_the_hash_changes_with_all_that_changes_a_translation(trained):
    hashes = {trained.hash}
    with torch.no_grad():
        trained.model.text_head.weight[5, 3] += 1e-3
    hashes.add(trained.hash)
    for name, value in (("beams", 2), ("alpha", 1.5), ("max_tokens", 20), ("language", "DGS")):
        setattr(trained, name, value)
        hashes.add(trained.hash)
    trained.model.mean[0] += 1
    hashes.add(trained.hash)
    assert len(hashes) == 7
    trained.provenance["training_clips"] += 1
    assert trained.hash in hashes


def test_provenance_says_what_it_was_trained_on(trained):
    found = trained.provenance
    assert found["trained_on"] == "reference motion"
    assert (found["corpora"], found["language"], found["training_clips"]) == (["tiny"], "ASL", 4)
    assert found["layout_hash"] == LAYOUT.hash
    assert {"statistics_hash", "targets_hash", "code_version"} < found.keys()


def test_where_nothing_is_saved(tmp_path):
    remedy = "train one with `python -m train --cfg configs/back_translation.yaml --nodebug`"
    with pytest.raises(UserError, match=remedy):
        BackTranslator.from_pretrained(tmp_path)


def test_damaged_files(trained, tmp_path):
    folder = tmp_path / "model"
    for damage in ("text", "missing key", "other weights", "other config"):
        trained.save_pretrained(folder)
        config, weights = json.loads((folder / CONFIG_FILE).read_text("utf-8")), load_file(folder / WEIGHTS_FILE)
        if damage == "text":
            (folder / CONFIG_FILE).write_text("{", encoding="utf-8")
        elif damage == "missing key":
            del config["targets"]
        elif damage == "other weights":
            weights["text_head.weight"] = weights["text_head.weight"] * 2
        else:
            config["targets"]["texts"].reverse()
        if damage != "text":
            (folder / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
            save_file(weights, folder / WEIGHTS_FILE)
        with pytest.raises(UserError, match="cannot be read|do not belong together"):
            BackTranslator.from_pretrained(folder)


def test_motion_that_lacks_what_the_layout_needs(trained):
    positions = JointMotion(torch.zeros(4, 2, 3), ("a", "b"), 25.0)
    with pytest.raises(UserError, match="cannot read this motion: the motion holds joint positions"):
        trained.translate([positions])


def test_clips_of_two_languages_or_none_cannot_be_learnt_from():
    with pytest.raises(UserError, match="one sign language, but these clips are of ASL, DGS"):
        translator([*samples(), sample("d", "regen", language="DGS")])
    statistics = compute_statistics([samples()[0].features], LAYOUT)
    with pytest.raises(UserError, match="no training clips"):
        BackTranslator.untrained([], LAYOUT, statistics, SETTINGS, "en_XX", "word")
    with pytest.raises(ValueError, match="of the layout other"):
        BackTranslator.untrained([samples()[0].clip], LAYOUT, replace(statistics, layout="other"), SETTINGS, "en_XX", "word")


@pytest.mark.parametrize(("level", "blank"), [("word", " "), ("char", "")])
def test_texts_are_joined_as_they_were_cut(level, blank):
    made = translator(samples(), level=level)
    for norm in (made.model.frame_norm, made.model.text_norm):
        norm.running_var.fill_(0.3)
    (text,) = made.translate(motions(1))
    (ids,) = made._tokens([made.features(motions(1)[0])], made.beams, [made.alpha], 1)
    assert ids[0] and text == blank.join(ids[0]) and text_tokens(text, level) == ids[0]


def test_the_search_with_the_highest_bleu_is_taken():
    items = samples()
    half_trained = translator(items)
    fit(TranslationModule(half_trained, items, TRAINING, plateau(lr=3e-3)), loader(items), loader(items), epochs=20)
    torch.manual_seed(0)
    references = [text.split() for text in SENTENCES * 2]
    features = [half_trained.features(item.motion) for item in items * 2]
    features = [frames + 0.05 * torch.randn_like(frames) for frames in features]
    given = [LAYOUT.motion(dict(zip(LAYOUT.names, f.split(list(LAYOUT.sizes.values()), 1))), 25.0) for f in features]
    slow = {}
    for beams, alpha in product([4, 2, 1], [0.0, 1.0, 3.0]):
        half_trained.beams, half_trained.alpha = beams, alpha
        slow[beams, alpha] = bleu4([text.split() for text in half_trained.translate(given)], references)
    assert len(set(slow.values())) > 2
    best = half_trained.choose_search(features, references, [4, 2, 1], [0.0, 1.0, 3.0])
    assert best == pytest.approx(max(slow.values()))
    first_best = next(pair for pair, score in slow.items() if score == max(slow.values()))
    assert (half_trained.beams, half_trained.alpha) == first_best


def test_other_data_are_told(trained):
    theirs = {"train.csv": "aaa", "val.csv": "bbb"}
    trained.provenance["annotations"], trained.provenance["corpora"] = theirs, ["one"]
    told = partial(other_data, trained.provenance)
    assert told("one", theirs) == told("one", {"val.csv": "bbb", "test.csv": "ccc"}) == ""
    assert told("one", {**theirs, "train.csv": "new"}).startswith("was trained with another train.csv,")
    assert told("two", theirs) == "was trained on one, not on two"
