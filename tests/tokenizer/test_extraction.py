"""Extraction keeps what fits and makes again what does not; a folder never holds codes of two tokenizers."""
from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from prepare.pack_poses import pack
from soke.data.clip import SPLITS, Clip, ClipError
from soke.data.codes import CodeStore
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.lexicon import Lexicon
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.dataset import CodesDataset
from soke.data.recordings import read_recordings
from soke.data.storage.formats import SMPLFX_CLIPS
from soke.data.storage.smplfx_clips import write_clip
from soke.errors import UserError
from soke.run.processes import World
from soke.tokenizer.extraction import extract_codes
from soke.tokenizer.tokenizer import SignTokenizer
from tests.data.writing import random_motion, write_entries, write_frames, write_how2sign, write_how2sign_frames
from tests.locks import held
from tests.tokenizer.helpers import small_tokenizer
from tests.worlds import together

LIMITS = (40, 400)
FILES = {"train": "train", "val": "dev", "test": "test"}


def write_german(root: Path) -> Path:
    """Two clips per split, of which training has `first`."""
    for i, (split, suffix) in enumerate(FILES.items()):
        first = "first" if split == "train" else f"first-{split}"
        entries = [{"name": name, "text": f"es regnet {name}", "gloss": "REGEN"} for name in (first, f"own-{split}")]
        write_entries(root / f"phoenix14t.{suffix}", entries)
        write_frames(root / first, random_motion(44, seed=90), "images{:04d}.pkl")
        write_frames(root / f"own-{split}", random_motion(48, seed=i), "images{:04d}.pkl")
    return root


def write_american(root: Path) -> Path:
    """One clip per split, all of the same name; their folders differ."""
    for i, split in enumerate(SPLITS):
        write_how2sign(root, split, [("hello", 0, 3, f"hello {split}")], fps=24.0)
        write_how2sign_frames(root, split, "hello", random_motion(60, seed=20 + i))
    return root


def write_lexicon(root: Path, words: dict[str, int]) -> Path:
    """German signs of these words; each word's motion has the seed beside it."""
    lines = [f"{word},DGS,{word}-rec,25" for word in words]
    root.mkdir(exist_ok=True)
    (root / "lexicon.csv").write_text("word,language,name,fps\n" + "\n".join(lines) + "\n", encoding="utf-8")
    for word, seed in words.items():
        if not (root / "poses" / f"{word}-rec").exists():
            write_frames(root / "poses" / f"{word}-rec", random_motion(40, seed=seed))
    return root


def rewrite(folder: Path, seed: int) -> None:
    """New poses in the old files."""
    frames = sorted(folder.iterdir())
    fresh = folder.parent / "fresh"
    write_frames(fresh, random_motion(len(frames), seed=seed))
    for file, new in zip(frames, sorted(fresh.iterdir())):
        file.write_bytes(new.read_bytes())
    shutil.rmtree(fresh)


@pytest.fixture(scope="module")
def tokenizer() -> SignTokenizer:
    return small_tokenizer()


@pytest.fixture(scope="module")
def another() -> SignTokenizer:
    return small_tokenizer(num_codes={"body": 12, "lhand": 20, "rhand": 20}, code_dim=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_german(root / "german")
    write_american(root / "american")
    write_lexicon(root / "lexicon", {"regen": 1, "sonne": 2})
    return root


@pytest.fixture
def root(data, tmp_path) -> Path:
    shutil.copytree(data, tmp_path / "data", copy_function=shutil.copy2)
    return tmp_path / "data"


def extract(
    tokenizer: SignTokenizer, root: Path, corpora="german american", limits=LIMITS, lexicon=True, codes="codes",
    batch_size=4, world=World(),
) -> None:
    made = [{"german": Phoenix14T, "american": How2Sign}[name](root / name) for name in corpora.split()]
    signs = Lexicon(root / "lexicon") if lexicon else None
    store = CodeStore(root / codes)
    extract_codes(tokenizer, made, signs, store, limits=limits, batch_size=batch_size, world=world)


def times(root: Path) -> dict[str, int]:
    """File of codes or words -> when it was written."""
    folder = root / "codes"
    files = [*folder.rglob("*.npy"), *folder.glob("word2code*.json")]
    return {str(file.relative_to(folder)): file.stat().st_mtime_ns for file in files}


def encoded(tokenizer: SignTokenizer, corpus, split: str, name: str, limits=LIMITS) -> torch.Tensor:
    """The slow way: one clip at a time."""
    from soke.data.dataset import MotionDataset

    dataset = MotionDataset([corpus], split, tokenizer.layout, *limits)
    (sample,) = [dataset[i] for i in range(len(dataset)) if dataset.clips[i].name == name]
    return tokenizer.encode_motion(sample.motion)


def test_every_clip_of_every_split_gets_its_own_codes(root, tokenizer):
    extract(tokenizer, root)
    store, american = CodeStore(root / "codes"), How2Sign(root / "american")
    for split in SPLITS:
        (clip,) = american.clips(split)
        assert torch.equal(store.read(clip), encoded(tokenizer, american, split, "hello")), split
    files = sorted(file.name for file in (root / "codes/how2sign").glob("*.npy"))
    assert files == ["hello.npy", "hello@test.npy", "hello@val.npy"]
    assert len({(root / "codes/how2sign" / file).read_bytes() for file in files}) == 3


def test_run_again_everything_is_kept(root, tokenizer):
    extract(tokenizer, root)
    before = times(root)
    extract(tokenizer, root)
    assert times(root) == before and len(before) == 6 + 3 + 2


def test_only_clips_whose_poses_were_written_anew_are_encoded_again(root, tokenizer, caplog):
    caplog.set_level(logging.INFO)
    extract(tokenizer, root)
    before = times(root)
    rewrite(root / "german/own-val", seed=77)
    extract(tokenizer, root)
    changed = {file for file, time in times(root).items() if time != before[file]}
    assert changed == {"phoenix/own-val.npy"}
    corpus = Phoenix14T(root / "german")
    clip = [clip for clip in corpus.clips("val") if clip.name == "own-val"][0]
    assert torch.equal(CodeStore(root / "codes").read(clip), encoded(tokenizer, corpus, "val", "own-val"))
    assert "1 clips of phoenix val are encoded again, because their frames have changed" in caplog.text


def test_a_single_frame_that_changed_in_its_place_is_noticed(root, tokenizer):
    extract(tokenizer, root)
    file = sorted((root / "german/own-train").iterdir())[20]
    frame = pickle.loads(file.read_bytes())
    frame["smplx_lhand_pose"] = frame["smplx_lhand_pose"] + 1
    file.write_bytes(pickle.dumps(frame))
    with pytest.raises(UserError, match=r"1 clips of split train \(the first: phoenix/own-train\) have changed"):
        CodesDataset([Phoenix14T(root / "german")], "train", CodeStore(root / "codes"))
    before = times(root)
    extract(tokenizer, root)
    assert {file for file, time in times(root).items() if time != before[file]} == {"phoenix/own-train.npy"}


def test_clips_that_became_unreadable_lose_their_codes(root, tokenizer):
    extract(tokenizer, root)
    sorted((root / "german/own-test").iterdir())[3].write_bytes(b"")
    extract(tokenizer, root)
    assert not (root / "codes/phoenix/own-test.npy").exists()
    dataset = CodesDataset([Phoenix14T(root / "german")], "test", CodeStore(root / "codes"))
    assert [clip.name for clip in dataset.clips] == ["first-test"]
    (line,) = (root / "codes/skipped_clips.txt").read_text().splitlines()
    assert line.startswith("phoenix/own-test\ttest\tclip own-test: ") and line.endswith("copy or extract it again")


def test_a_clip_that_lacks_a_part_has_no_codes_and_is_listed(root, tokenizer):
    """Until it has the part."""
    motion = random_motion(60)
    motion = replace(motion, expression=torch.zeros(60, 100), eyelids=torch.zeros(60, 2))

    def made(lacking: set[str]) -> CodeStore:
        store = CodeStore(root / "fx")
        write_clip(root / "german/smplfx/own-val.npz", replace(motion, lacking=frozenset(lacking)))
        corpus = Phoenix14T(root / "german", form=SMPLFX_CLIPS)
        extract_codes(tokenizer, [corpus], None, store, limits=LIMITS, batch_size=4)
        return CodeStore(root / "fx")

    names = [clip.name for split in SPLITS for clip in Phoenix14T(root / "german").clips(split)]
    for name in names:
        write_clip(root / "german/smplfx" / f"{name}.npz", motion)
    store = made({"left_index1"})
    assert not (root / "fx/phoenix/own-val.npy").exists() and (root / "fx/phoenix/own-test.npy").exists()
    assert (store.path / "skipped_clips.txt").read_text() == (
        "phoenix/own-val\tval\tclip own-val: it lacks left_index1 of the part lhand\n"
    )
    assert (made(set()).path / "phoenix/own-val.npy").exists() and not (root / "fx/skipped_clips.txt").exists()


def test_another_longest_clip_makes_all_codes_again(root, tokenizer, caplog):
    extract(tokenizer, root)
    extract(tokenizer, root, limits=(40, 44))
    corpus = Phoenix14T(root / "german")
    clip = [clip for clip in corpus.clips("val") if clip.name == "own-val"][0]
    found = CodeStore(root / "codes").read(clip)
    assert len(found) == 11 and torch.equal(found, encoded(tokenizer, corpus, "val", "own-val", (40, 44)))
    assert "codes of phoenix are made again: they were made with `max_frames`=400, here it is 44" in caplog.text
    assert "tables of words are made again: they were made with `max_frames`=400" in caplog.text


def test_another_tokenizer_leaves_nothing_of_the_first(root, tokenizer, another, caplog):
    """Also of the corpora that the second run does not have."""
    extract(tokenizer, root)
    extract(another, root, "american", lexicon=False)
    assert set(times(root)) == {"how2sign/hello.npy", "how2sign/hello@val.npy", "how2sign/hello@test.npy"}
    store = CodeStore(root / "codes")
    assert store.provenance.tokenizer == another.hash and set(store.provenance.fps) == {"how2sign"}
    assert f"tokenizer {tokenizer.hash}" in caplog.text and "3 of how2sign, 6 of phoenix" in caplog.text
    with pytest.raises(UserError, match="holds no codes of corpus phoenix; run `python -m get_motion_code`"):
        store.check(another.hash, [Phoenix14T(root / "german")], LIMITS)


def test_one_corpus_alone_keeps_the_codes_of_the_others(root, tokenizer):
    extract(tokenizer, root)
    before = times(root)
    extract(tokenizer, root, "american", lexicon=False)
    assert times(root) == before
    CodeStore(root / "codes").check(tokenizer.hash, [Phoenix14T(root / "german"), How2Sign(root / "american")], LIMITS)


def test_a_corpus_that_comes_later_is_asked_for_and_added(root, tokenizer):
    extract(tokenizer, root, "german")
    before = times(root)
    both = [Phoenix14T(root / "german"), How2Sign(root / "american")]
    with pytest.raises(UserError, match="holds no codes of corpus how2sign; run `python -m get_motion_code`"):
        CodeStore(root / "codes").check(tokenizer.hash, both, LIMITS)
    extract(tokenizer, root)
    CodeStore(root / "codes").check(tokenizer.hash, both, LIMITS)
    assert before.items() <= times(root).items()


def test_codes_of_other_settings_are_refused(root, tokenizer):
    extract(tokenizer, root, "german")
    corpus, store = Phoenix14T(root / "german"), CodeStore(root / "codes")
    with pytest.raises(UserError, match=r"codes of phoenix .*`max_frames`=400, here it is 300; run"):
        store.check(tokenizer.hash, [corpus], (40, 300))
    corpus.fps = 24.0
    with pytest.raises(UserError, match=r"codes of phoenix .*fps=25\.0, here it is 24\.0; run"):
        store.check(tokenizer.hash, [corpus], LIMITS)


def test_codes_of_unknown_origin_are_neither_kept_nor_overwritten(root, tokenizer):
    published = root / "codes/phoenix/own-val.npy"
    published.parent.mkdir(parents=True)
    np.save(published, np.zeros((1, 12, 3), int))
    before = times(root)
    with pytest.raises(UserError, match="no provenance.json .* set `code_path` to another folder"):
        extract(tokenizer, root)
    assert times(root) == before
    clip = Phoenix14T(root / "german").clips("val")[1]
    assert CodeStore(root / "codes").read(clip).shape == (12, 3), "published folders can still be read"


def test_an_interrupted_extraction_continues(root, tokenizer, monkeypatch):
    note, written = CodeStore.note, []

    def interrupted(self, clip, *rest):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(clip.name)
        note(self, clip, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CodeStore, "note", interrupted)
        extract(tokenizer, root)
    journal = root / "codes/phoenix/val.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])  # cut off in the middle of its last line
    before = times(root)
    extract(tokenizer, root)
    kept = {file for file, time in before.items() if times(root)[file] == time}
    assert kept == {"phoenix/first.npy", "phoenix/own-train.npy"}
    assert len(CodesDataset([Phoenix14T(root / "german")], "val", CodeStore(root / "codes"))) == 2


def by(root: Path, codes: str, processes: int, killed: int | None = None) -> list[BaseException]:
    """What ended the processes that extract together, if anything did."""
    tokenizers = [small_tokenizer() for _ in range(processes)]
    return together(
        lambda world: extract(tokenizers[world.rank], root, codes=codes, batch_size=1, world=world), processes, killed
    )


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_several_processes_write_the_bytes_of_one(root):
    (root / "german/own-val/images0007.pkl").write_bytes(b"")
    assert by(root, "alone", 1) == []
    alone = content(root / "alone")
    assert len([name for name in alone if name.endswith(".npy")]) == 8 and "skipped_clips.txt" in alone
    for processes in (2, 3):
        assert by(root, f"by{processes}", processes) == []
        assert content(root / f"by{processes}") == alone


@pytest.mark.parametrize("killed", [2, 4, 6, 9, 11])
def test_when_one_of_the_processes_dies_the_others_end_and_what_is_noted_is_whole(root, tokenizer, killed):
    """And however many go on, they write what an uninterrupted process writes, but for the order of what is noted."""
    by(root, "alone", 1)
    ended = by(root, "broken", 2, killed)
    assert sorted(type(error).__name__ for error in ended) == ["SystemExit", "UserError"]
    store = CodeStore(root / "broken")
    for corpus in (Phoenix14T(root / "german"), How2Sign(root / "american")):
        for clip in (clip for split in SPLITS for clip in corpus.clips(split)):
            if store.is_noted(clip):
                assert torch.equal(store.read(clip), CodeStore(root / "alone").read(clip))
    assert by(root, "broken", 2) == []
    alone, found = content(root / "alone"), content(root / "broken")
    assert {name: sorted(lines.split(b"\n")) for name, lines in found.items()} == {
        name: sorted(lines.split(b"\n")) for name, lines in alone.items()
    }


def test_what_cannot_be_read_is_read_again_without_encoding_the_others(root, tokenizer, monkeypatch):
    (root / "german/own-train/images0007.pkl").write_bytes(b"")
    extract(tokenizer, root)
    before, listed = times(root), (root / "codes/skipped_clips.txt").read_text(encoding="utf-8")
    monkeypatch.setattr(SignTokenizer, "encode", None)
    extract(tokenizer, root)
    assert times(root) == before and (root / "codes/skipped_clips.txt").read_text(encoding="utf-8") == listed


def test_clips_of_similar_length_are_encoded_together(tmp_path, tokenizer, monkeypatch):
    names = [f"c{i}" for i in range(8)]
    write_entries(tmp_path / "phoenix14t.train", [{"name": name, "text": name, "gloss": "A"} for name in names])
    for i, name in enumerate(names):
        write_frames(tmp_path / name, random_motion((48, 80)[i % 2], seed=i), "images{:04d}.pkl")
    for split in ("dev", "test"):
        write_entries(tmp_path / f"phoenix14t.{split}", [{"name": split, "text": "c0", "gloss": "A"}])
        write_frames(tmp_path / split, random_motion(48), "images{:04d}.pkl")
    corpus, frames, encode = Phoenix14T(tmp_path), [], SignTokenizer.encode
    monkeypatch.setattr(
        SignTokenizer, "encode", lambda self, f, lengths: frames.append(lengths.tolist()) or encode(self, f, lengths)
    )
    extract_codes(tokenizer, [corpus], None, CodeStore(tmp_path / "codes"), limits=LIMITS, batch_size=4)
    assert frames[:2] == [[80] * 4, [48] * 4]


def test_codes_survive_packing_and_the_removal_of_frame_files(root, tokenizer):
    extract(tokenizer, root)
    before = times(root)
    corpus = Phoenix14T(root / "german")
    pack(corpus, corpus.packed, workers=0)
    extract(tokenizer, root)
    assert times(root) == before, "the packed frames are those that the codes were made from"
    for folder in ("first", "own-train", "own-val", "own-test"):
        shutil.rmtree(root / "german" / folder)
    extract(tokenizer, root)
    assert times(root) == before


def test_codes_are_enough_where_there_are_no_poses(root, tokenizer):
    extract(tokenizer, root)
    for folder in (*(root / "german").iterdir(), *(root / "american").rglob("poses")):
        if folder.is_dir():
            shutil.rmtree(folder)
    corpora = [Phoenix14T(root / "german"), How2Sign(root / "american")]
    with pytest.raises(UserError, match="none of the 2 clips"):
        corpora[0].clips("train")
    dataset = CodesDataset(corpora, "train", CodeStore(root / "codes"), strict=True)
    assert [clip.name for clip in dataset.clips] == ["first", "own-train", "hello"]
    assert all(len(dataset[i].codes) > 0 for i in range(3))


class Own:
    """A corpus of one's own, which tells no fingerprints: a clip is a file that holds a seed."""

    name, language, fps = "own", "ASL", 25.0

    def __init__(self, root: Path):
        self.root = root

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{split}{i}", "own", split, "ASL", "x", self.root / f"{split}{i}", 25.0) for i in range(2)]

    def skipped(self, split: str) -> list:
        return []

    def load(self, clip: Clip):
        return random_motion(40, seed=int(clip.frames.read_text()))


def test_clips_of_a_corpus_of_ones_own_are_encoded_again_when_their_files_change(tmp_path, tokenizer):
    corpus, store = Own(tmp_path), CodeStore(tmp_path / "codes")
    for i, clip in enumerate(clip for split in SPLITS for clip in corpus.clips(split)):
        clip.frames.write_text(f"{i}")
    extract_codes(tokenizer, [corpus], None, store, limits=LIMITS, batch_size=4)
    before = times(tmp_path)
    (tmp_path / "val1").write_text("99")
    extract_codes(tokenizer, [corpus], None, CodeStore(tmp_path / "codes"), limits=LIMITS, batch_size=4)
    assert {file for file, time in times(tmp_path).items() if time != before[file]} == {"own/val1.npy"}
    found = CodeStore(tmp_path / "codes").read(corpus.clips("val")[1])
    assert torch.equal(found, encoded(tokenizer, corpus, "val", "val1"))


def test_codes_of_which_nothing_is_noted_are_made_again(root, tokenizer):
    """As a folder was written before anything was noted in it."""
    extract(tokenizer, root, "german", lexicon=False)
    for journal in (root / "codes").rglob("*.jsonl"):
        journal.unlink()
    clip = Phoenix14T(root / "german").clips("val")[1]
    assert not CodeStore(root / "codes").has(clip), "the folder's record says that its codes are noted"
    record = root / "codes/provenance.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({key: content[key] for key in content if key not in ("limits", "words")}))
    with pytest.raises(UserError, match="no note of the settings .*; run `python -m get_motion_code`"):
        CodeStore(root / "codes").check(tokenizer.hash, [Phoenix14T(root / "german")], LIMITS)
    before = times(root)
    extract(tokenizer, root, "german", lexicon=False)
    assert all(time != before.get(file) for file, time in times(root).items())
    CodeStore(root / "codes").check(tokenizer.hash, [Phoenix14T(root / "german")], LIMITS)


# --- words


def first_recordings(store: CodeStore, tokenizer: SignTokenizer) -> dict[str, torch.Tensor]:
    table = read_recordings(store.word_file("DGS"), tokenizer.parts)
    return {word: recordings[0].codes for word, recordings in table.items()}


@pytest.mark.parametrize("change", ["recording", "annotation", "gone"])
def test_tables_of_words_are_made_again_or_refused(root, tokenizer, change):
    extract(tokenizer, root)
    store, before = CodeStore(root / "codes"), times(root)
    from soke.data.fingerprints import Watch

    def misfit() -> str:
        return CodeStore(root / "codes").words_misfit(Lexicon(root / "lexicon"), {"DGS"}, LIMITS, Watch())

    assert misfit() == ""
    old = first_recordings(store, tokenizer)
    if change == "recording":
        rewrite(root / "lexicon/poses/regen-rec", seed=55)
        assert "recording of regen-rec has changed" in misfit()
    elif change == "annotation":
        write_lexicon(root / "lexicon", {"sonne": 2, "schnee": 3})
        assert "the lexicon names other signs of DGS" in misfit()
    else:
        shutil.rmtree(root / "lexicon/poses")
        assert misfit() == "", "recordings that are not on this machine say nothing"
        return
    extract(tokenizer, root)
    assert misfit() == ""
    new = first_recordings(store, tokenizer)
    assert set(new) == ({"regen", "sonne"} if change == "recording" else {"sonne", "schnee"})
    assert torch.equal(new["sonne"], old["sonne"])
    assert change != "recording" or not torch.equal(new["regen"], old["regen"])
    changed = {file for file, time in times(root).items() if before[file] != time}
    assert changed == {"word2code_DGS.json", "word2code.json"}


def test_a_segment_with_other_bounds_is_another_sign(root, tokenizer):
    def bounds(end: int) -> None:
        lines = ["word,language,name,fps,source,start,end", f"regen,DGS,cut,25,../german/own-val,0,{end}"]
        (root / "lexicon/lexicon.csv").write_text("\n".join(lines), encoding="utf-8")

    bounds(41)
    extract(tokenizer, root)
    bounds(44)
    before = times(root)
    extract(tokenizer, root)
    assert len(first_recordings(CodeStore(root / "codes"), tokenizer)["regen"]) == 11
    changed = {file for file, time in times(root).items() if before[file] != time}
    assert changed == {"word2code_DGS.json", "word2code.json"}


def test_recordings_that_come_later_are_taken_in(root, tokenizer):
    shutil.move(root / "lexicon/poses/regen-rec", root / "elsewhere")
    extract(tokenizer, root)
    assert set(first_recordings(CodeStore(root / "codes"), tokenizer)) == {"sonne"}
    shutil.move(root / "elsewhere", root / "lexicon/poses/regen-rec")
    extract(tokenizer, root)
    assert set(first_recordings(CodeStore(root / "codes"), tokenizer)) == {"regen", "sonne"}


def test_a_language_that_leaves_the_lexicon_loses_its_table(root, tokenizer):
    extract(tokenizer, root)
    (root / "lexicon/lexicon.csv").write_text("word,language,name,fps\nrain,ASL,regen-rec,25\n", encoding="utf-8")
    extract(tokenizer, root)
    assert [file.name for file in sorted((root / "codes").glob("word2code_*"))] == ["word2code_ASL.json"]


# --- the store alone


def test_a_clip_never_answers_for_its_namesake_of_another_split(tmp_path):
    train, val = (Clip("a", "own", split, "ASL", "x", Path("nowhere"), 24.0) for split in ("train", "val"))
    store = CodeStore(tmp_path)
    store.write(train, torch.zeros(3, 3, dtype=torch.int64))
    assert not store.has(val) and not CodeStore(tmp_path).has(val)
    with pytest.raises(ClipError, match="has no codes of it in split val"):
        store.read(val)
    store.write(val, torch.ones(2, 3, dtype=torch.int64))
    store.write(train, torch.zeros(5, 3, dtype=torch.int64))
    for each in (store, CodeStore(tmp_path)):
        assert each.read(train).tolist() == [[0] * 3] * 5 and each.read(val).tolist() == [[1] * 3] * 2
    store.remove(train)
    assert not CodeStore(tmp_path).has(train) and CodeStore(tmp_path).has(val)


def test_times_alone_make_codes_again_and_say_so(root, tokenizer, caplog):
    extract(tokenizer, root, "american", lexicon=False)
    codes = (root / "codes/how2sign/hello.npy").read_bytes()
    for file in (root / "american/train/poses/hello").iterdir():
        os.utime(file, (1, 1))
    extract(tokenizer, root, "american", lexicon=False)
    assert (root / "codes/how2sign/hello.npy").read_bytes() == codes
    assert "1 clips of how2sign train are encoded again" in caplog.text and "times of their files" in caplog.text


def test_two_commands_do_not_write_into_one_folder(tokenizer, root):
    """Of two tokenizers, the second would note its name beside what the first goes on to write."""
    with held(root / "codes") as other:
        told = f"codes is in use: process {other} on .* is writing codes there; .* choose another `code_path`"
        with pytest.raises(UserError, match=told):
            extract(tokenizer, root, "german", lexicon=False)
        assert not CodeStore(root / "codes").has_provenance()
    extract(tokenizer, root, "german", lexicon=False)
    assert CodeStore(root / "codes").has_provenance()
