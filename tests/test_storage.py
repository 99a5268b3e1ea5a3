"""Files and folders appear whole or not at all; texts are read in UTF-8 or not at all."""
from __future__ import annotations

import unicodedata

import pytest

from soke.errors import UserError
from soke.storage import existing, folder_hash, new_file, new_folder, read_text


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


@pytest.mark.parametrize("data", ["grün\n一\n", "\ufeffgrün\r\n一\r\n", "grün\r一\r"])
def test_a_text_is_its_letters_and_lines(tmp_path, data):
    (tmp_path / "a.txt").write_bytes(data.encode())
    assert read_text(tmp_path / "a.txt") == "grün\n一\n"


@pytest.mark.parametrize(
    ("encoding", "found"),
    [("latin-1", "its line 2 holds the byte 0xfc, perhaps of Latin-1"), ("utf-16", "it begins with the mark of UTF-16"),
     ("utf-16-be", "as UTF-16 does"), ("utf-16-le", "as UTF-16 does")],
)
def test_a_text_in_another_encoding_is_named(tmp_path, encoding, found):
    text = "first\ngrün\n" if encoding == "latin-1" else "first\nsecond\n"
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    with pytest.raises(UserError, match=rf"a\.txt is not in UTF-8: .*{found}.*; save it in UTF-8"):
        read_text(tmp_path / "a.txt")


def test_a_text_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"a\.txt cannot be read: No such file"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_other_spelling_of_a_name(tmp_path, form):
    there = tmp_path / unicodedata.normalize(form, "größe") / "a" / unicodedata.normalize(form, "ü")
    there.mkdir(parents=True)
    for spelling in ("NFC", "NFD"):
        assert existing(tmp_path / unicodedata.normalize(spelling, "größe/a/ü")).samefile(there)
        absent = tmp_path / unicodedata.normalize(spelling, "größe/a/ä")
        assert existing(absent) == absent


def test_the_hash_of_a_folder_is_that_of_names_and_contents(tmp_path):
    def written(**files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        return folder_hash(folder)

    first = written(**{"a": "12", "b/c": "3"})
    assert first == written(**{"b/c": "3", "a": "12"}) and len(first) == 12
    others = [{"a": "12", "b/c": "4"}, {"a": "1", "b/c": "23"}, {"a": "12", "c": "3"}, {"a": "12"}]
    assert len({first, *(written(**files) for files in others)}) == 5
