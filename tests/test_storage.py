"""Files and folders appear whole or not at all."""
from __future__ import annotations

import pytest

from soke.storage import new_file, new_folder


def test_file_replaces_the_old_one_only_when_complete(tmp_path):
    path = tmp_path / "sub" / "a.json"
    with new_file(path) as temporary:
        temporary.write_text("one")
    with pytest.raises(RuntimeError), new_file(path) as temporary:
        assert temporary.suffix == ".json"
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "one"
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_folder_replaces_the_old_one_only_when_complete(tmp_path):
    path = tmp_path / "model"
    for content in ("one", "two"):
        with new_folder(path) as temporary:
            (temporary / content).write_text(content)
    with pytest.raises(RuntimeError), new_folder(path) as temporary:
        (temporary / "half").write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert [p.name for p in path.iterdir()] == ["two"]
