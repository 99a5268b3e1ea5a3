from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soke.data.clip import Clip, ClipError
from soke.data.codes import CodeStore, Provenance
from soke.data.word_codes import read_word_codes, write_word_codes
from soke.errors import UserError

CLIP = Clip("dev/11August-2", "phoenix", "val", "DGS", "regen", Path("unused"), 25.0)
PARTS = ("body", "lhand", "rhand")
STREAMS = {"body": 96, "lhand": 192, "rhand": 192}
PROVENANCE = Provenance("aaa111", "bbb", "ccc", STREAMS, 4, {"phoenix": 25.0, "how2sign": 24.0}, "0.1.0")
CODES = torch.tensor([[95, 0, 191], [1, 2, 3]])


def test_codes_come_back_in_the_published_form(tmp_path):
    store = CodeStore(tmp_path)
    assert not store.has(CLIP)
    store.write(CLIP, CODES.to(torch.int32))
    stored = np.load(tmp_path / "phoenix" / "dev" / "11August-2.npy")
    assert stored.shape == (1, 2, 3) and stored.dtype.kind == "i"
    assert store.has(CLIP) and store.read(CLIP).dtype == torch.int64 and torch.equal(store.read(CLIP), CODES)
    assert [p.name for p in (tmp_path / "phoenix" / "dev").iterdir()] == ["11August-2.npy"]  # no temporary file stays
    store.remove(CLIP)
    store.remove(CLIP)
    assert not store.has(CLIP)


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/a", "a//b", "", ".", "..", "a\\..\\b", "C:/a", "a\0b"])
def test_names_cannot_leave_the_folder(tmp_path, name):
    store = CodeStore(tmp_path / "codes")
    for clip in (replace(CLIP, name=name), replace(CLIP, corpus=name)):
        with pytest.raises(ClipError, match="leads out of the folder"):
            store.write(clip, CODES)
        with pytest.raises(ClipError, match="leads out of the folder"):
            store.read(clip)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (np.zeros((2, 3), int), "not whole numbers"),
        (np.zeros((1, 0, 3), int), "not whole numbers"),
        (np.zeros((1, 2, 3)), "not whole numbers"),
        (np.full((1, 2, 3), 96), "no codebook has"),
        (np.full((1, 2, 3), -1), "no codebook has"),
        (np.zeros((1, 2, 4), int), "no codebook has"),
        (np.array([{}], dtype=object), "damaged"),
        (b"", "damaged"),
        (b"\x93NUMPY", "damaged"),
        (None, "does not exist"),
    ],
)
def test_bad_code_files_name_clip_file_and_command(tmp_path, content, fault):
    store = CodeStore(tmp_path)
    store.write_provenance(PROVENANCE)
    path = tmp_path / "phoenix" / "dev" / "11August-2.npy"
    path.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(ClipError, match=rf"clip dev/11August-2: .*-2\.npy .*{fault}.*python -m get_motion_code"):
        store.read(CLIP)


def test_provenance_comes_back_and_is_checked(tmp_path):
    CodeStore(tmp_path).write_provenance(PROVENANCE)
    store = CodeStore(tmp_path)
    assert store.provenance == PROVENANCE
    store.check("aaa111")
    with pytest.raises(UserError, match="tokenizer aaa111, this one is ddd222; run `python -m get_motion_code`"):
        store.check("ddd222")


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"parts": 1}'])
def test_no_provenance(tmp_path, content):
    if content is not None:
        (tmp_path / "provenance.json").write_text(content)
    remedy = "; run" if content is None else f"; remove {tmp_path}, then run"
    with pytest.raises(UserError, match=rf"provenance\.json .*{remedy} `python -m get_motion_code`"):
        CodeStore(tmp_path).check("aaa111")


def test_words(tmp_path):
    words = {"regen": CODES, "好": torch.tensor([[5, 6, 7]])}
    path = CodeStore(tmp_path).word_file("DGS")
    write_word_codes(path, words, PARTS)
    assert path.name == "word2code_DGS.json"
    assert json.loads(path.read_text())["regen"] == {"body": [95, 1], "lhand": [0, 2], "rhand": [191, 3]}
    read = read_word_codes(path, PARTS)
    assert list(read) == ["regen", "好"] and all(torch.equal(read[word], words[word]) for word in words)
    assert torch.equal(read_word_codes(path, ("rhand", "body"))["regen"], CODES[:, [2, 0]])


@pytest.mark.parametrize(
    "streams", [{"body": [1]}, {"body": [1], "lhand": [1, 2], "rhand": [1]}, {"body": [], "lhand": [], "rhand": []},
                {"body": [1.5], "lhand": [1], "rhand": [1]}, None],
)
def test_bad_words_are_named(tmp_path, streams):
    path = tmp_path / "word2code.json"
    path.write_text(json.dumps({"fine": {part: [1] for part in PARTS}, "odd": streams}))
    with pytest.raises(UserError, match=r"word2code\.json: word 'odd'"):
        read_word_codes(path, PARTS)
    with pytest.raises(UserError, match=r"gone\.json does not exist"):
        read_word_codes(tmp_path / "gone.json", PARTS)


@pytest.mark.parametrize(("written", "read"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_codes_are_found_in_either_unicode_spelling(tmp_path, written, read):
    clips = {form: Clip(unicodedata.normalize(form, "dev/ü/ö"), "own", "val", "DGS", "x", tmp_path, 25.0)
             for form in (written, read)}
    store = CodeStore(tmp_path)
    store.write(clips[written], torch.ones(5, 3, dtype=torch.int64))
    assert store.has(clips[read]) and len(store.read(clips[read])) == 5


def test_a_record_of_before_has_a_stream_per_part(tmp_path):
    CodeStore(tmp_path).write_provenance(PROVENANCE)
    file = tmp_path / "provenance.json"
    record = json.loads(file.read_text())
    streams = record.pop("streams")
    file.write_text(json.dumps({**record, "parts": list(streams), "codebook_sizes": list(streams.values())}))
    assert CodeStore(tmp_path).provenance == PROVENANCE
    file.write_text(json.dumps({**record, "parts": list(streams), "codebook_sizes": [1]}))
    with pytest.raises(UserError, match="provenance.json is no record of origin .*get_motion_code"):
        CodeStore(tmp_path).provenance
