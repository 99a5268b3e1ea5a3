"""Models are found by path or by name on the hub; a stand-in of it on this machine answers."""
from __future__ import annotations

from pathlib import Path

import pytest

from soke.errors import UserError
from soke.hub import model_folder
from soke.run.config import ROOT
from soke.run.config import model_folder as configured
from tests.loopback_hub import Hub, commit_of, hub, no_outside_address, offline, turn_to  # noqa: F401

FILES = {"model.safetensors": b"weights", "config.json": b"{}", "mbart/sentencepiece.bpe.model": b"pieces"}


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_path_is_itself_and_asks_no_one(tmp_path, no_outside_address):  # noqa: F811
    (tmp_path / "user").mkdir()
    for name in ("user/name", "a/b/c", "name", "/abs/olute", "", "user/name@v1", "../user/name"):
        assert model_folder(name, tmp_path) == tmp_path / name  # `user` is a folder here
    assert configured("deps/no-such-model") == ROOT / "deps" / "no-such-model"


def test_a_name_is_fetched_and_only_what_cannot_run(hub):  # noqa: F811
    unsafe = dict.fromkeys(("pytorch_model.bin", "a.pt", "b/c.pkl", "last.ckpt", "setup.py", "a.txt", "x.npy"), b"boom")
    hub.put("user/name", FILES | unsafe | {"README.md": b"# card"})
    folder = configured("user/name")
    assert content(folder) == FILES and sorted(hub.fetched) == sorted(2 * list(FILES))  # asked for, then fetched


def test_a_revision_can_be_named(hub):  # noqa: F811
    newer = {**FILES, "model.safetensors": b"newer"}
    hub.put("user/name", FILES)
    hub.put("user/name", newer, "refs/pr/1")
    assert content(model_folder("user/name")) == content(model_folder(f"user/name@{commit_of(FILES)}")) == FILES
    assert content(model_folder("user/name@refs/pr/1")) == newer
    with pytest.raises(UserError, match="user/name on the hub has no revision v9: name a branch"):
        model_folder("user/name@v9")
    assert model_folder("user/name@../../x") == Path("user/name@../../x")  # no revision has dots


def test_what_changes_on_the_hub_is_fetched_again_and_offline_serves_what_is_there(hub, monkeypatch):  # noqa: F811
    hub.put("user/name", FILES)
    model_folder("user/name")
    newer = {**FILES, "model.safetensors": b"newer"}
    hub.put("user/name", newer)
    assert content(model_folder("user/name")) == newer
    offline(monkeypatch)
    assert content(model_folder("user/name")) == newer
    assert content(model_folder(f"user/name@{commit_of(FILES)}")) == FILES
    with pytest.raises(UserError, match=r"user/other is no folder, and user/other is not, .*, and HF_HUB_OFFLINE is set"):
        model_folder("user/other")


@pytest.mark.parametrize(("status", "code", "sentence"), [
    (404, "RepoNotFound", "the hub has no user/name: check the name; where it is private, log in with `hf auth login`"),
    (403, "GatedRepo", "the hub gives user/name only to those whom its author admits: ask on its page for access, and"),
    (500, "", "is not, or not whole, in .*, and http.* cannot be reached"),
])
def test_what_the_hub_refuses_is_one_sentence(hub, status, code, sentence):  # noqa: F811
    hub.refusing["user/name"] = status, code
    with pytest.raises(UserError, match=sentence) as raised:
        model_folder("user/name")
    assert "\n" not in str(raised.value)


def test_files_of_a_gated_model_are_refused_alike(hub):  # noqa: F811
    hub.put("user/name", FILES)
    hub.refusing_files["user/name"] = 403, "GatedRepo"
    with pytest.raises(UserError, match="the hub gives user/name only to those whom its author admits"):
        model_folder("user/name")
    hub.refusing_files.clear()
    assert content(model_folder("user/name")) == FILES


def test_what_is_half_there_is_fetched_to_the_end(hub):  # noqa: F811
    hub.put("user/name", FILES)
    hub.refusing_files["user/name"] = 404, "EntryNotFound"
    with pytest.raises(UserError, match="user/name") as raised:
        model_folder("user/name")
    assert "\n" not in str(raised.value)
    hub.refusing_files.clear()
    assert content(model_folder("user/name")) == FILES


def test_no_network_is_one_sentence(tmp_path, monkeypatch, no_outside_address):  # noqa: F811
    turn_to("http://127.0.0.1:9", tmp_path / "hf", monkeypatch)  # where nothing listens
    with pytest.raises(UserError, match="user/name is not, .* in .*hf/hub, and http://127.0.0.1:9 cannot be reached"):
        model_folder("user/name")


def test_pickles_alone_are_no_model(hub):  # noqa: F811
    hub.put("user/name", {"config.json": b"{}", "pytorch_model.bin": b"boom"})
    with pytest.raises(UserError, match="user/name on the hub holds no weights in safetensors"):
        model_folder("user/name")
    assert "pytorch_model.bin" not in hub.fetched


@pytest.mark.parametrize("name", ["../../../../outside.json", "a/../../../../../outside.json", "/tmp/outside.json"])
def test_a_name_that_leaves_the_folder_is_refused(hub, tmp_path, name):  # noqa: F811
    hub.put("user/name", FILES | {name: b"{}"})
    with pytest.raises(UserError, match="user/name is refused"):
        model_folder("user/name")
    assert not list(tmp_path.rglob("outside.json"))
