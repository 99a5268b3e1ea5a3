"""A packed store travels as a folder of parquet files: bit for bit there and back, readable without this program."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from prepare import dataset_folder as command
from prepare.pack_poses import pack
from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.corpora.lexicon import Lexicon
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.dataset import MotionDataset
from soke.data.storage import dataset_folder
from soke.data.storage.dataset_folder import LEFT_OUT, read_dataset, write_dataset
from soke.data.storage.formats import FORMATS, Stored
from soke.data.storage.packed import PackedStore, Shard, complete_store, pack_shard
from soke.errors import UserError
from tests.data.writing import LAYOUT, random_motion, write_frames, write_phoenix

LENGTHS = {"train": [4, 7, 5, 9, 4], "val": [6], "test": []}


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(dataset_folder, "CLIPS_PER_SHARD", 2)
    monkeypatch.setattr(dataset_folder, "CLIPS_PER_FILE", 3)


def any_bits(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """float32 of any bits: infinite ones, zeros of both signs, and NaNs that are not all the same."""
    values = rng.integers(0, 2**32, shape, dtype=np.uint32)
    values.reshape(-1)[:4] = [0x80000000, 0, 0x7FC00001, 0xFF800000]
    return values.view(np.float32)


@pytest.fixture(params=FORMATS)
def store(request, tmp_path) -> PackedStore:
    """Clips of any bits in every split but one, which is empty; one could not be read, one was not there."""
    form, rng, shards = FORMATS[request.param], np.random.default_rng(3), []
    frames = {}
    for split, lengths in LENGTHS.items():
        clips = []
        for number, length in enumerate(lengths):
            shape = any_bits(rng, 15) if request.param == "smplfx" else None
            made, lacking = ("tokenizer x", {"jaw", "left_eye"}) if number == 1 else ("", ())
            name = f"{split}/{number}"
            frames[name] = Stored(any_bits(rng, length, form.width), number, made, shape, frozenset(lacking))
            signer, gloss = (None, None) if number == 2 else (f"S{number}", "REGEN MORGEN")
            text, fps = f"明天下雨 {number}, ö", 25.0 + number / 3
            clips.append(Clip(name, "csl", split, "CSL", text, Path("no"), fps, gloss, signer))
        if split == "train":
            clips.insert(2, Clip("broken", "csl", split, "CSL", "雨", Path("no"), 25.0))
        shards.append(Shard(f"{split}-00000", split, clips, {}))
    shards.append(Shard("train-skipped", "train", [SkippedClip("csl", "gone", "/home/me/poses is not there")], {}))

    def read(clip: Clip) -> Stored:
        if clip.name == "broken":
            raise ClipError(f"clip {clip.name}: /home/me/poses/x.pkl is damaged")
        return frames[clip.name]

    for shard in shards:
        pack_shard(tmp_path / "packed", shard, read, form.width)
    dropped = {"train": {"too long": 2}, "val": {}, "test": {}}
    return complete_store(tmp_path / "packed", "csl", shards, form.width, {"csl.train": "ab"}, dropped, form=form.name)


def facts_of(clip: Clip) -> list:
    return [clip.name, clip.corpus, clip.split, clip.language, clip.text, clip.fps, clip.gloss, clip.signer]


def written(store: PackedStore, tmp_path: Path) -> Path:
    write_dataset(store, tmp_path / "folder", "# card")
    return tmp_path / "folder"


def test_what_comes_back_is_what_was_packed_bit_for_bit(store, tmp_path):
    folder = written(store, tmp_path)
    back = read_dataset(folder, tmp_path / "moved" / "packed")
    assert (back.corpus, back.form, back.sources) == ("csl", store.form, {"csl.train": "ab"})
    for split, lengths in LENGTHS.items():
        ours, theirs = store.clips(split), back.clips(split)
        assert list(map(facts_of, ours)) == list(map(facts_of, theirs)) and len(theirs) == len(lengths)
        assert back.dropped(split) == store.dropped(split)
        for one, other in zip(ours, theirs):
            a, b = store.read(one), back.read(other)
            assert a.values.tobytes() == b.values.tobytes() and a.values.shape == b.values.shape
            assert (a.missing, a.made_by, a.lacking) == (b.missing, b.made_by, b.lacking)
            shapes = [None if stored.shape is None else stored.shape.tobytes() for stored in (a, b)]
            assert shapes[0] == shapes[1]
            assert store.fingerprint(one).content == back.fingerprint(other).content
    left = [SkippedClip("csl", "broken", LEFT_OUT), SkippedClip("csl", "gone", LEFT_OUT)]
    assert back.skipped("train") == left and "/home/me" not in (folder / "store.json").read_text()
    with pytest.raises(UserError, match="packed holds a packed store already"):
        read_dataset(folder, tmp_path / "moved" / "packed")
    with pytest.raises(UserError, match="folder is there already: choose a new folder"):
        write_dataset(store, folder, "")


def test_a_lexicon_takes_what_its_signs_are_cut_from_along(tmp_path):
    root, moved = tmp_path / "lexicon", tmp_path / "moved"
    write_frames(root / "poses" / "long", random_motion(30))
    (root / "lexicon.csv").write_text("word,language,name,fps,source,start,end\nREGEN,DGS,cut,25,poses/long,5,17\n")
    pack(Lexicon(root), root / "packed", workers=0)
    folder = written(PackedStore(root / "packed"), tmp_path)
    read_dataset(folder, moved / "packed")
    back = Lexicon(moved)
    (sign,) = back.clips("train")
    assert (back.segment(sign), back.source(sign)) == ((5, 17), "poses/long")
    with (folder / "lexicon.csv").open("a") as table:
        table.write("SONNE,DGS,other,25,poses/long,0,5\n")
    with pytest.raises(UserError, match="lexicon.csv is missing, cut off, or not the file that store.json names"):
        read_dataset(folder, tmp_path / "changed")


def test_pyarrow_alone_reads_it(store, tmp_path):
    folder, rows = written(store, tmp_path), []
    assert sorted(path.name for path in (folder / "data").iterdir()) == [
        "train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "val-00000-of-00001.parquet",
    ]
    for path in sorted((folder / "data").glob("train-*.parquet")):
        rows += pq.read_table(path).to_pylist()
    for row, clip in zip(rows, store.clips("train"), strict=True):
        stored = store.read(clip)
        assert [row[key] for key in ("name", "text", "language", "fps", "signer", "num_frames", "missing")] == [
            clip.name, clip.text, clip.language, clip.fps, clip.signer, len(stored.values), stored.missing,
        ]
        np.testing.assert_array_equal(np.array(row["frames"], np.float32), stored.values)


def test_the_datasets_library_reads_it(tmp_path):
    datasets = pytest.importorskip("datasets")
    write_phoenix(tmp_path / "corpus", {"a": 41, "b": 5})
    corpus = Phoenix14T(tmp_path / "corpus")
    store = pack(corpus, corpus.packed, workers=0)
    command.main(["write", "--store", str(store.folder), "--to", str(tmp_path / "folder"), "--may_be_passed_on"])
    data = datasets.load_dataset(str(tmp_path / "folder"), cache_dir=str(tmp_path / "cache"))
    assert set(data) == {split for split in ("train", "val", "test") if store.has(split)}
    for split, rows in data.items():
        for row, clip in zip(rows, store.clips(split), strict=True):
            assert (row["name"], row["text"], row["fps"]) == (clip.name, clip.text, clip.fps)
            np.testing.assert_array_equal(np.array(row["frames"], np.float32), store.read(clip).values)


def test_a_corpus_is_used_without_its_files(tmp_path, capsys):
    """By the command, as a configuration would name it; frames that are missing in between stay known."""
    write_phoenix(tmp_path / "corpus", {"a": 41, "b": 60})
    folder = next(path for path in (tmp_path / "corpus").rglob("*.pkl") if path.parent.name == "a").parent
    sorted(folder.glob("*.pkl"))[7].unlink()
    corpus = Phoenix14T(tmp_path / "corpus")
    store = pack(corpus, corpus.packed, workers=0)
    split = next(split for split in ("val", "train", "test") if store.has(split))
    expected = list(MotionDataset([Phoenix14T(tmp_path / "corpus")], split, LAYOUT))
    said = ["--may_be_passed_on", "--license", "mit"]
    command.main(["write", "--store", str(store.folder), "--to", str(tmp_path / "f"), *said])
    command.main(["read", "--folder", str(tmp_path / "f"), "--to", str(tmp_path / "copy" / "packed")])
    assert "1 lack frames in between" in capsys.readouterr().out.splitlines()[-1]
    found = list(MotionDataset([Phoenix14T(tmp_path / "copy")], split, LAYOUT))
    assert [sample.clip.name for sample in found] == [sample.clip.name for sample in expected] and found
    for ours, theirs in zip(expected, found):
        assert all(torch.equal(ours.features[part], theirs.features[part]) for part in LAYOUT.names)
    card = (tmp_path / "f" / "README.md").read_text(encoding="utf-8")
    matter = yaml.safe_load(card.split("---\n")[1])
    assert matter["license"] == "mit" and matter["language"] == ["de"]
    assert {"split": split, "path": f"data/{split}-*.parquet"} in matter["configs"][0]["data_files"]
    clips = store.clips(split)
    frames = sum(store.place(clip).frames for clip in clips)
    assert f"| {split} | {len(clips)} | {frames} | {frames / 25 / 3600:.2f} | DGS | 25 |" in card
    assert "RWTH-PHOENIX-Weather 2014T: Creative Commons BY-NC-SA" in card


def test_a_corpus_of_signers_needs_a_word_and_an_invented_one_none(store, tmp_path):
    sentence = "packed holds CSL-Daily, given by an agreement .*: most corpora .* --may_be_passed_on"
    with pytest.raises(UserError, match=sentence):
        command.main(["write", "--store", str(store.folder), "--to", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
    (tmp_path / "corpora.json").write_text("{}")
    command.main(["write", "--store", str(store.folder), "--to", str(tmp_path / "out")])
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "an invented sign language: made by this program" in card


def edit(folder: Path, **changes) -> None:
    facts = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps({**facts, **changes}))


def rehash(folder: Path, name: str) -> None:
    facts = json.loads((folder / "store.json").read_text())
    facts["files"][name]["sha256"] = dataset_folder.file_hash(folder / name)
    edit(folder, files=facts["files"])


def test_frames_that_are_no_longer_what_was_packed_are_not_passed_on(store, tmp_path):
    shard = store.clips("train")[0].frames
    content = shard.read_bytes()
    shard.write_bytes(content[:-400] + bytes(400))  # as a copy that broke off may leave it
    with pytest.raises(UserError, match="train-00000.npy does not hold the numbers that were packed"):
        written(store, tmp_path)
    assert not (tmp_path / "folder").exists()


def test_damage_is_named(store, tmp_path):
    whole, name = written(store, tmp_path), "data/train-00001-of-00002.parquet"
    cut = whole / name

    def damaged(change) -> Path:
        shutil.rmtree(tmp_path / "damaged", ignore_errors=True)
        folder = shutil.copytree(whole, tmp_path / "damaged")
        change(folder)
        return folder

    def other_rows(folder: Path) -> None:
        shutil.copy(folder / "data" / "train-00000-of-00002.parquet", folder / name)
        rehash(folder, name)

    def foreign(folder: Path) -> None:
        pq.write_table(pa.table({"name": ["a"], "frames": [[1.0]]}), folder / name)
        rehash(folder, name)

    def truncated(folder: Path) -> None:
        (folder / name).write_bytes(cut.read_bytes()[:-50])

    def truncated_as_named(folder: Path) -> None:
        truncated(folder)
        rehash(folder, name)

    for change, sentence in (
        (truncated, "train-00001-of-00002.parquet is missing, cut off, or not the file that store.json names"),
        (lambda folder: (folder / name).unlink(), "train-00001-of-00002.parquet is missing"),
        (truncated_as_named, "train-00001-of-00002.parquet is no file of packed poses"),
        (foreign, "train-00001-of-00002.parquet is no file of packed poses .its columns are others"),
        (other_rows, "does not hold the clips and frames that its store.json names"),
        (lambda folder: (folder / "store.json").unlink(), "store.json does not exist; .* is not, or not whole, what"),
        (lambda folder: edit(folder, version=9), "store.json is of version 9 of its format, this is 1: take a newer"),
        (lambda folder: edit(folder, form="other"), "store.json is damaged .ValueError: frames other of"),
        (lambda folder: edit(folder, files={"data/../x": {"split": "train", "sha256": ""}}), "leads out of the folder"),
        (lambda folder: edit(folder, corpus=3), "store.json is damaged .TypeError"),
        (lambda folder: edit(folder, splits={"train": {}}), "store.json is damaged .KeyError"),
        (lambda folder: edit(folder, kept=["../x"], sources={"../x": ""}), "leads out of the folder"),
        (lambda folder: edit(folder, splits={"../x": {"dropped": {}, "left_out": []}}), "store.json is damaged"),
    ):
        with pytest.raises(UserError, match=sentence) as raised:
            read_dataset(damaged(change), tmp_path / "out" / "packed")
        assert "\n" not in str(raised.value) and PackedStore.find(tmp_path / "out" / "packed") is None
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_a_write_that_fails_leaves_nothing(store, tmp_path, monkeypatch):
    next((store.folder / "shards").glob("train-00000.npy")).write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read"):
        written(store, tmp_path)
    assert not (tmp_path / "folder").exists()
