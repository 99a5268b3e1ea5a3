"""Models of all kinds go to the hub and come back the same; what is no model of ours is refused in one sentence."""
from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from prepare import push_to_hub
from soke.build.translation import folder_of_corpus
from soke.errors import UserError
from soke.generator.files import trained_mbart
from soke.hub import model_folder
from soke.run.config import ROOT
from soke.storage import folder_hash
from tests.generator.helpers import settings_of_before
from tests.loopback_hub import Hub, hub, no_outside_address  # noqa: F401
from tests.travelling import CLASSES, MAKERS, fingerprint, make_producer


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Path]:
    """Kind -> folder of a saved model."""
    folders = {kind: tmp_path_factory.mktemp("saved") / kind for kind in MAKERS}
    for kind, make in MAKERS.items():
        make().save_pretrained(folders[kind])
    return folders


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


@pytest.mark.slow  # other tests fetch them into this process
def test_a_fresh_process_gets_every_kind_from_the_hub_bit_for_bit(hub):  # noqa: F811
    models = {kind: make() for kind, make in MAKERS.items()}
    for kind, model in models.items():
        assert model.push_to_hub(f"user/{kind}").startswith(f"{hub.url}/user/{kind}/commit/")
        assert set(Path(name).suffix for name in hub.files(f"user/{kind}")) == {".md", ".json", ".safetensors"}
    names = json.dumps({kind: f"user/{kind}" for kind in models})
    ran = subprocess.run([sys.executable, "-m", "tests.travelling", names], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == {kind: fingerprint(kind, model) for kind, model in models.items()}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_folder_that_travels_is_the_one_that_was_saved(saved, hub, tmp_path, capsys, kind):  # noqa: F811
    push_to_hub.main(["--model", str(saved[kind]), "--repo", f"user/{kind}@v1", "--license", "mit", "--private"])
    assert hub.private == {f"user/{kind}": True} and f"user/{kind}@v1: {hub.url}" in capsys.readouterr().out
    push_to_hub.main(["--model", str(saved[kind]), "--to", str(tmp_path / "shared" / kind)])
    wanted = folder_hash(saved[kind])
    assert folder_hash(model_folder(f"user/{kind}@v1")) == folder_hash(tmp_path / "shared" / kind) == wanted
    model = CLASSES[kind].from_pretrained(tmp_path / "shared" / kind)
    assert fingerprint(kind, model) == fingerprint(kind, MAKERS[kind]())
    card = hub.files(f"user/{kind}", "v1")["README.md"].decode()
    assert wanted in card and front_matter(card)["license"] == "mit" and "sign-language" in front_matter(card)["tags"]
    assert (tmp_path / "shared" / kind / "README.md").read_text(encoding="utf-8").startswith("---\n")
    with pytest.raises(UserError, match="is there already: choose a new folder"):
        push_to_hub.main(["--model", str(saved[kind]), "--to", str(tmp_path / "shared" / kind)])


def test_a_push_takes_the_place_of_the_model_that_was_there(hub):  # noqa: F811
    hub.put("user/model", {"groups/OLD/model.safetensors": b"old", "README.md": b"old", "picture.png": b"mine"})
    model = MAKERS["regressor"]()
    model.push_to_hub("user/model", text="# For whom\nFor all.")
    files = hub.files("user/model")
    assert "groups/OLD/model.safetensors" not in files and files["picture.png"] == b"mine"
    assert "# For whom\nFor all." in files["README.md"].decode()
    assert CLASSES["regressor"].from_pretrained("user/model").hash == model.hash


def test_the_readers_of_a_run_travel_together(saved, hub, tmp_path):  # noqa: F811
    for corpus in ("csl", "phoenix"):
        shutil.copytree(saved["reader"], tmp_path / "run" / corpus / "translation")
        (tmp_path / "run" / corpus / "last.ckpt").write_bytes(b"optimiser")
    push_to_hub.main(["--model", str(tmp_path / "run"), "--repo", "user/readers"])
    folder = folder_of_corpus(model_folder("user/readers"), "csl")  # as METRIC.BACK_TRANSLATION names them
    assert folder_hash(folder) == folder_hash(saved["reader"])
    assert "## phoenix/translation" in hub.files("user/readers")["README.md"].decode()
    assert not any("ckpt" in name for name in hub.files("user/readers"))


def test_only_who_has_logged_in_pushes(saved, hub, monkeypatch):  # noqa: F811
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="log in with `hf auth login`, or set HF_TOKEN"):
        push_to_hub.main(["--model", str(saved["tokenizer"]), "--repo", "user/model"])
    with pytest.raises(UserError, match="nobody is no name on the hub: write user/name"):
        push_to_hub.main(["--model", str(saved["tokenizer"]), "--repo", "nobody"])


@pytest.mark.parametrize("kind", MAKERS)
def test_a_model_of_another_kind_or_of_a_later_version_is_named(saved, tmp_path, kind):
    names = {
        "reader": "back-translation model", "recognizer": "sign recognizer", "retriever": "retrieval model",
        "motion_autoencoder": "motion auto-encoder",
    }
    for other in set(MAKERS) - {kind}:
        with pytest.raises(UserError, match=f"{other} holds a model of another kind, {names.get(other, other)}, and no"):
            CLASSES[kind].from_pretrained(saved[other])
    folder = shutil.copytree(saved[kind], tmp_path / kind)
    file = next(path for path in sorted(folder.glob("*.json")) if "format" in json.loads(path.read_text()))
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), "format": 2}), encoding="utf-8")
    with pytest.raises(UserError, match="is of format 2, written by version .*; this version, .*, knows formats up to 1"):
        CLASSES[kind].from_pretrained(folder)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_run_s_folder_or_checkpoint_in_place_of_its_model_says_what_to_name(saved, tmp_path, kind):
    run = tmp_path / "run"
    shutil.copytree(saved[kind], run / "model")
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").touch()
    for place in (run, run / "checkpoints" / "last.ckpt"):
        with pytest.raises(UserError, match=f"no .* in {place} .*: name {run / 'model'}$"):
            CLASSES[kind].from_pretrained(place)


class Touch:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("kind", MAKERS)
def test_no_pickle_is_fetched_loaded_or_pushed(saved, hub, tmp_path, kind):  # noqa: F811
    trap = pickle.dumps(Touch(str(tmp_path / "trapped")))
    folder = shutil.copytree(saved[kind], tmp_path / kind)
    for name in ("pytorch_model.bin", "model.pt", "model.pkl", "last.ckpt"):
        (folder / name).write_bytes(trap)
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    hub.put("user/model", files)
    for name in (folder, "user/model"):
        assert fingerprint(kind, CLASSES[kind].from_pretrained(name)) == fingerprint(kind, MAKERS[kind]())
    push_to_hub.main(["--model", str(folder), "--repo", "user/pushed"])
    assert {Path(name).suffix for name in hub.files("user/pushed")} == {".md", ".json", ".safetensors"}
    assert not (tmp_path / "trapped").exists()
    assert not any(name.endswith((".bin", ".pt", ".pkl", ".ckpt")) for name in hub.fetched)


def test_what_leads_out_of_the_folder_is_refused(saved, tmp_path):
    folder = shutil.copytree(saved["regressor"], tmp_path / "model")
    config = json.loads((folder / "regressor.json").read_text(encoding="utf-8"))
    for name in ("../../elsewhere", "/elsewhere", "..", "a\\b"):
        changed = {**config, "groups": {name: next(iter(config["groups"].values()))}}
        (folder / "regressor.json").write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(UserError, match="leads out of the folder"):
            CLASSES["regressor"].from_pretrained(folder)
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    linked = shutil.copytree(saved["tokenizer"], tmp_path / "linked")
    (linked / "notes.json").symlink_to(secret)
    with pytest.raises(UserError, match="notes.json is a link to .*secret.json, outside of the folder"):
        push_to_hub.main(["--model", str(linked), "--to", str(tmp_path / "out")])


def test_an_mbart_that_names_code_is_refused(saved, tmp_path):
    folder = shutil.copytree(saved["generator"], tmp_path / "generator")
    file = folder / "mbart" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "attn_implementation": "user/kernel"}))
    (folder / "generator.json").write_text(json.dumps(settings_of_before(folder)))  # which who names code would do, too
    with pytest.raises(UserError, match="names code to be run, attn_implementation='user/kernel': remove the key"):
        CLASSES["generator"].from_pretrained(folder)


def test_of_an_mbart_with_safetensors_nothing_else_is_read(tmp_path):
    mbart, folder = make_producer().generator.mbart, tmp_path / "mbart"
    mbart.save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Touch(str(tmp_path / "trapped"))))
    torch.testing.assert_close(trained_mbart(folder).state_dict(), mbart.state_dict(), rtol=0, atol=0)
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    with pytest.raises(UserError, match="cannot be read"):
        trained_mbart(folder)
    assert not (tmp_path / "trapped").exists()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="holds an adapter besides: merge it"):
        trained_mbart(folder)


@pytest.mark.parametrize("kind", MAKERS)
def test_no_file_is_cut_off_or_gone_without_a_sentence(saved, tmp_path, kind):
    for name in [path.relative_to(saved[kind]).as_posix() for path in saved[kind].rglob("*") if path.is_file()]:
        for content in (lambda whole: whole[: len(whole) // 2], lambda whole: b"[]", lambda whole: None):
            folder = shutil.copytree(saved[kind], tmp_path / "model", dirs_exist_ok=True)
            changed = content((folder / name).read_bytes())
            (folder / name).unlink() if changed is None else (folder / name).write_bytes(changed)
            with pytest.raises(UserError, match=str(folder)) as raised:
                CLASSES[kind].from_pretrained(folder)
            assert "\n" not in str(raised.value)
            with pytest.raises(UserError):  # nor is it pushed
                push_to_hub.main(["--model", str(folder), "--to", str(tmp_path / "out")])


def test_what_is_no_model_says_what_to_name(tmp_path, saved):
    shutil.copytree(saved["tokenizer"], tmp_path / "run" / "tokenizer")
    with pytest.raises(UserError, match="no model in .*run: name .*run/tokenizer"):
        push_to_hub.main(["--model", str(tmp_path / "run"), "--to", str(tmp_path / "out")])
    inside = tmp_path / "run" / "tokenizer" / "copy"
    with pytest.raises(UserError, match="--to .*copy lies in the model's own folder"):
        push_to_hub.main(["--model", str(inside.parent), "--to", str(inside)])
    with pytest.raises(UserError, match="name either --repo user/name, of the hub, or --to"):
        push_to_hub.main(["--model", str(saved["tokenizer"])])
