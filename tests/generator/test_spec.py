"""What generator.json holds reads back; so does what was written before the settings were saved whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from soke.errors import UserError
from soke.generator.files import read_settings
from soke.generator.model import SignGenerator
from soke.generator.settings import DROPOUTS, Generator, Retrieval
from soke.generator.spec import GeneratorSpec
from tests.generator.helpers import make_generator, make_spec, settings_of_before


def test_a_spec_reads_back():
    spec = make_spec(
        heads="tied", fusion={"body": 1.0, "lhand": 2.0, "rhand": 0.5}, retrieval_recording="medoid",
        corpora={"phoenix": "DGS"}, fps={"phoenix": 25.0}, data="0123",
    )
    assert GeneratorSpec.from_plain(json.loads(json.dumps(spec.to_plain()))) == spec


def test_a_spec_of_a_version_before_reads_as_what_it_said():
    flat = {
        "languages": ["ASL"], "codebooks": {"body": 96}, "tokenizer_hash": "abc", "fps": {"how2sign": 24.0},
        "decoding": "parallel", "fusion": {"body": 2.0}, "tied_heads": True, "max_steps": 7, "max_pieces": 9,
        "retrieval_words": 1, "retrieval_steps": 2, "retrieval_match": "token", "retrieval_similar": 0.5,
        "retrieval_recording": "longest", "retrieval_keywords": "lists 0123", "retrieval_word_codes": "x.json 4567",
        "retrieval_form": "fused", "retrieval_drop": 0.25, "translation": 0.75, "corpora": {"how2sign": "ASL"},
        "data": "cdef",
    }
    retrieval = Retrieval(1, 2, "token", 0.5, "longest", "lists 0123", "x.json 4567", "fused", 0.25)
    assert GeneratorSpec.from_plain(flat) == GeneratorSpec(
        Generator("", "parallel", "language", "tied", "tied", {"body": 2.0}, 7, 9, 0.75, retrieval), ["ASL"], {"body": 96}, "abc",
        {"how2sign": 24.0}, {"how2sign": "ASL"}, data="cdef",
    )


def test_the_oldest_specs_say_little():
    spec = GeneratorSpec.from_plain(
        {"languages": ["ASL"], "codebooks": {"body": 96}, "tokenizer_hash": "abc", "fps": {"ASL": 24.0}}
    )
    retrieval = Retrieval(3, 10, "token", 0.0, "first", "", "", "interleaved", 0.0)
    assert spec.settings == Generator("", "multi_head", "language", "separate", "tied", None, 100, 256, 0.0, retrieval)
    assert (spec.corpora, spec.data, spec.rate("ASL")) == (None, "", 24.0)


def test_a_generator_written_before_says_the_same(tmp_path):
    model = make_generator(3, heads="tied", retrieval_form="fused", max_steps=5)
    model.save_pretrained(tmp_path / "now")
    file = tmp_path / "now" / "generator.json"
    saved = settings_of_before(tmp_path / "now")
    settings = saved["spec"].pop("settings")
    retrieval = {f"retrieval_{name}": value for name, value in settings.pop("retrieval").items()}
    old = {
        "tied_heads": settings.pop("heads") == "tied", "max_pieces": settings.pop("max_source"), **settings, **retrieval
    }
    for later in ("mbart", "prompts", "text_head", *DROPOUTS):
        del old[later]
    file.write_text(json.dumps({**saved, "spec": {**saved["spec"], **old}}), encoding="utf-8")
    loaded = type(model).from_pretrained(tmp_path / "now")
    assert loaded.spec == GeneratorSpec.from_plain({**model.spec.to_plain(), "settings": {
        **model.spec.to_plain()["settings"], "mbart": ""
    }})
    texts, languages = ["rain tomorrow", "sun"], ["ASL", "DGS"]
    for one, other in zip(model.generate(texts, languages), loaded.generate(texts, languages)):
        assert one.tolist() == other.tolist()


def test_settings_that_came_later_are_what_was_so_before(tmp_path):
    model = make_generator(3, translation=0.5)
    model.save_pretrained(tmp_path)
    saved = settings_of_before(tmp_path)
    del saved["spec"]["settings"]["prompts"], saved["spec"]["settings"]["text_head"]
    (tmp_path / "generator.json").write_text(json.dumps(saved), encoding="utf-8")
    loaded = type(model).from_pretrained(tmp_path)
    assert loaded.spec == model.spec
    assert loaded.generate(["rain"], ["ASL"])[0].tolist() == model.generate(["rain"], ["ASL"])[0].tolist()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"version": "9.9", "spec": {**make_spec().to_plain(), "later": 1}}, "'later'.*it names 9.9"),
        ({"version": "9.9", "spec": {"languages": ["ASL"]}}, "missing.*it names 9.9"),
        ({"version": "9.9"}, "KeyError: 'spec'"),
        ([], "it names unknown"),
    ],
)
def test_a_spec_of_an_unknown_form_is_refused_with_version_and_remedy(tmp_path, content, reason):
    (tmp_path / "generator.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=f"generator.json cannot be read by version .*{reason}.*train the generator again"):
        read_settings(tmp_path)
    (tmp_path / "generator.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be read by version .*JSONDecodeError"):
        read_settings(tmp_path)


def _changed(table: str, *keys: str, value: object):
    """What changes an entry of a table in a folder."""
    def change(folder: Path) -> None:
        content = entry = json.loads((folder / table).read_text(encoding="utf-8"))
        for key in keys[:-1]:
            entry = entry[key]
        entry[keys[-1]] = value
        (folder / table).write_text(json.dumps(content), encoding="utf-8")
    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("lexicon.json", _changed("lexicon.json", "ASL", value={})),
        ("keywords.json", _changed("keywords.json", "test", value={})),
        ("keywords.json", lambda folder: (folder / "keywords.json").unlink()),
        ("mbart/config.json", _changed("mbart/config.json", "activation_function", value="relu")),
        ("mbart/tokenizer.json", _changed("mbart/tokenizer.json", "normalizer", value=None)),
        ("generator.json", _changed("generator.json", "spec", "settings", "decoding", value="sequential")),
        ("generator.json", _changed("generator.json", "spec", "streams", "body", value="seven")),
        ("generator.json", _changed("generator.json", "files", value={})),
        ("model.safetensors", lambda folder: make_generator(4).save_pretrained(folder.with_name("other"))
            or shutil.copy(folder.with_name("other") / "model.safetensors", folder)),
    ],
)
def test_what_was_changed_after_it_was_saved_is_refused_by_name(tmp_path, name, change):
    make_generator(3, keywords={"test": {"clip": ["rain"]}}).save_pretrained(tmp_path / "generator")
    change(tmp_path / "generator")
    with pytest.raises(UserError, match=f"generator/{name} (was changed after|does not exist).*copy or fetch it again"):
        SignGenerator.from_pretrained(tmp_path / "generator")
