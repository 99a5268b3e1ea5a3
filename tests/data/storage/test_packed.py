"""The packed store: the same samples as from frame files, whole or not in use, and a sentence for every damage."""
from __future__ import annotations

import logging
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from prepare import pack_poses
from prepare.pack_poses import pack, summary
from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.dataset import MotionDataset, collate_motions
from soke.data.fingerprints import Watch
from soke.data.storage import packed
from soke.data.storage.formats import Stored
from soke.data.storage.packed import PackedStore
from soke.errors import UserError
from tests.data.writing import (
    LAYOUT,
    random_motion,
    write_entries,
    write_how2sign,
    write_how2sign_frames,
    write_phoenix,
)
from tests.worlds import together

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(packed, "CLIPS_PER_SHARD", 2)


@pytest.fixture
def root(tmp_path) -> Path:
    write_phoenix(tmp_path / "corpus", {"a": 41, "b": 5, "c": 90, "d": 3, "e": 12})
    return tmp_path / "corpus"


@st.composite
def stored(draw: st.DrawFn) -> tuple[int, list[np.ndarray]]:
    """Clips per shard, and the frames of clips: none, one or more of them, of any type, of 1 to 5 columns."""
    width, kind = draw(st.integers(1, 5)), draw(st.sampled_from(["f2", "f4", "f8", ">f4", "i4"]))
    lengths = draw(st.lists(st.sampled_from([0, 1, 2, 7, 1500]), min_size=1, max_size=7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    frames = [(100 * rng.normal(size=(length, width))).astype(kind) for length in lengths]
    if draw(st.booleans()):
        frames = [np.asfortranarray(each) for each in frames]
    return draw(st.integers(1, 8)), frames


@given(stored())
def test_what_is_written_is_what_is_read(drawn):
    per_shard, frames = drawn
    clips = [Clip(f"c{i}", "own", "val", "DGS", "text", Path("."), 25.0) for i in range(len(frames))]
    of_clip = {clip.name: each for clip, each in zip(clips, frames)}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "CLIPS_PER_SHARD", per_shard)
        shards = packed.plan_shards("val", clips, [SkippedClip("own", "bad", "its text is empty")])
        width = frames[0].shape[1]
        for shard in shards:
            packed.pack_shard(Path(folder), shard, lambda c: Stored(of_clip[c.name], len(c.name)), width)
            assert packed.is_packed(Path(folder), shard) == ("skipped" not in shard.name)
        packed.complete_store(Path(folder), "own", shards, width, {}, {"val": {}})
        store = PackedStore(folder)
        assert [clip.name for clip in store.clips("val")] == list(of_clip)
        assert [clip.name for clip in store.skipped("val")] == ["bad"]
        for clip in [*store.clips("val"), *store.clips("val")[::-1]]:
            found, expected = store.read(clip).values, of_clip[clip.name].astype(np.float32)
            assert found.dtype == np.float32 and np.array_equal(found, expected)
            assert store.place(clip).frames == len(expected) and store.place(clip).missing == len(clip.name)


def packed_phoenix(root: Path) -> PackedStore:
    corpus = Phoenix14T(root)
    return pack(corpus, corpus.packed, workers=0)


def assert_equal_samples(first, second):
    assert len(first) == len(second) > 0
    for ours, theirs in zip(first, second):
        facts = [(s.clip.name, s.clip.text, s.clip.gloss, s.clip.signer, s.clip.fps, s.motion.fps)
                 for s in (ours, theirs)]
        assert facts[0] == facts[1]
        for part in LAYOUT.names:
            assert torch.equal(ours.features[part], theirs.features[part])
        assert torch.equal(ours.motion.betas, theirs.motion.betas)


def test_samples_are_bit_identical(root):
    expected = list(MotionDataset([Phoenix14T(root)], "val", LAYOUT))
    packed_phoenix(root)
    shutil.rmtree(root / "dev")
    corpus = Phoenix14T(root)
    assert_equal_samples(MotionDataset([corpus], "val", LAYOUT), expected)
    assert corpus.dropped("val") == {"of fewer than 4 frames": 1}


def test_frame_rates_are_brought_down_alike(tmp_path):
    write_how2sign(tmp_path, "train", [("a", 0, 2, "x"), ("b", 0, 2, "y")], fps=30.0)
    for name, frames in (("a", 50), ("b", 61)):
        write_how2sign_frames(tmp_path, "train", name, random_motion(frames, seed=frames))
    expected = list(MotionDataset([How2Sign(tmp_path)], "train", LAYOUT))
    corpus = How2Sign(tmp_path)
    pack(corpus, corpus.packed, workers=0)
    assert_equal_samples(MotionDataset([How2Sign(tmp_path)], "train", LAYOUT), expected)


@pytest.mark.slow
def test_random_access_from_many_processes(root):
    packed_phoenix(root)
    data = MotionDataset([Phoenix14T(root)], "val", LAYOUT)
    data[0]  # maps a shard before the workers are forked
    for context in ("fork", "spawn"):
        loader = DataLoader(
            data, batch_size=1, num_workers=2, collate_fn=collate_motions, multiprocessing_context=context,
            sampler=[3, 1, 0, 2, 3],
        )
        batches = list(loader)
        assert [batch.clips[0].name for batch in batches] == ["dev/e", "dev/b", "dev/a", "dev/c", "dev/e"]
        assert all(torch.equal(b.features["body"][0], data[i].features["body"]) for b, i in zip(batches, [3, 1, 0, 2]))


def test_a_store_can_be_moved_and_needs_nothing_else(root, tmp_path):
    packed_phoenix(root)
    expected = list(MotionDataset([Phoenix14T(root)], "val", LAYOUT))
    shutil.move(root / "packed", tmp_path / "elsewhere")
    shutil.rmtree(root)
    assert_equal_samples(MotionDataset([Phoenix14T(root, tmp_path / "elsewhere")], "val", LAYOUT), expected)


def test_index_explains_itself(root):
    store = packed_phoenix(root)
    import pyarrow.parquet as pq

    rows = pq.read_table(root / "packed" / "index.parquet").to_pylist()
    first = rows[0]
    assert [row["name"] for row in rows] == ["dev/a", "dev/b", "dev/c", "dev/e"]
    assert (first["split"], first["language"], first["text"]) == ("val", "DGS", "es regnet a .")
    assert (first["gloss"], first["signer"], first["fps"], first["frames"]) == ("REGEN KOMMEN", "Signer08", 25.0, 41)
    assert first["duration"] == 41 / 25 and len({row["content"] for row in rows}) == 4
    assert "4 clips, 148 frames" in summary(store)


# --- interruptions


def test_an_incomplete_store_is_not_in_use(root, monkeypatch):
    calls = 0
    write = packed.pack_shard

    def interrupted(*args):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return write(*args)

    monkeypatch.setattr("prepare.pack_poses.pack_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        packed_phoenix(root)
    assert Phoenix14T(root).store is None
    monkeypatch.setattr("prepare.pack_poses.pack_shard", write)
    done = (root / "packed/shards/val-00000.npy").stat().st_mtime_ns
    packed_phoenix(root)
    assert Phoenix14T(root).store is not None
    assert (root / "packed/shards/val-00000.npy").stat().st_mtime_ns == done, "what was packed is kept"


@pytest.mark.slow
def test_killed_at_any_moment_the_result_is_the_same(tmp_path):
    lengths = {f"clip{i:03}": 60 for i in range(40)}
    write_phoenix(tmp_path / "whole", lengths)
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    expected = packed_phoenix(tmp_path / "whole")
    script = (
        "import sys; from soke.data.storage import packed; packed.CLIPS_PER_SHARD = 2\n"
        "from prepare.pack_poses import pack; from soke.data.corpora.phoenix14t import Phoenix14T\n"
        "corpus = Phoenix14T(sys.argv[1]); print('start', flush=True); pack(corpus, corpus.packed, 2)"
    )
    shards = tmp_path / "killed/packed/shards"
    for wanted in (1, 8, 15):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "killed")], cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )
        process.stdout.readline()
        while process.poll() is None and len(list(shards.glob("*.npy"))) < wanted:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert Phoenix14T(tmp_path / "killed").store is None or wanted == 15
    result = packed_phoenix(tmp_path / "killed")
    assert result.content == expected.content
    ours, theirs = (sorted((tmp_path / name / "packed").rglob("*")) for name in ("killed", "whole"))
    visible = [path for path in ours if not path.name.startswith(".")]
    assert [path.name for path in visible] == [path.name for path in theirs]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(visible, theirs) if a.is_file())


def test_run_again_it_packs_what_could_not_be_read_and_what_is_new(root):
    file = root / "dev/c/images0003.pkl"
    content = file.read_bytes()
    file.write_bytes(content[:30])
    packed_phoenix(root)
    corpus = Phoenix14T(root)
    assert [c.name for c in corpus.clips("val")] == ["dev/a", "dev/b", "dev/e"]
    (skipped,) = corpus.skipped("val")
    assert skipped.name == "dev/c" and "images0003.pkl is cut off" in skipped.reason
    file.write_bytes(content)
    packed_phoenix(root)
    assert [c.name for c in Phoenix14T(root).clips("val")] == ["dev/a", "dev/b", "dev/c", "dev/e"]


def test_changed_annotations_are_noticed(root):
    packed_phoenix(root)
    write_phoenix(root / "other", {"a": 41})
    shutil.copy(root / "other/phoenix14t.dev", root / "phoenix14t.dev")
    with pytest.raises(UserError, match=r"phoenix14t\.dev has changed since .*packed was packed; run"):
        Phoenix14T(root)
    corpus = Phoenix14T(root, root / "nothing")
    pack(corpus, root / "packed", workers=0)
    assert [c.name for c in Phoenix14T(root).clips("val")] == ["dev/a"]
    assert len(list((root / "packed/shards").iterdir())) == 2, "shards of the old annotation are removed"


# --- damage


def test_damaged_stores(root):
    packed_phoenix(root)
    corpus = Phoenix14T(root)
    clip = corpus.clips("val")[0]
    shard = root / "packed/shards/val-00000.npy"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:500])
    with pytest.raises(ClipError, match=r"clip dev/a: .*val-00000\.npy is cut off; run"):
        corpus.load(clip)
    for content, fault in ((b"", "cannot be read"), (whole.replace(b"<f4", b"<f8"), "float64")):
        shard.write_bytes(content)
        with pytest.raises(ClipError, match=rf"clip dev/a: .*val-00000\.npy .*{fault}"):
            Phoenix14T(root).load(clip)
    shard.unlink()
    with pytest.raises(ClipError, match=r"clip dev/a: .*val-00000\.npy cannot be read"):
        Phoenix14T(root).load(clip)
    index = root / "packed/index.parquet"
    index.write_bytes(index.read_bytes()[:100])
    with pytest.raises(UserError, match=r"index\.parquet is no index of packed poses"):
        Phoenix14T(root)
    (root / "packed").rename(root / "kept")
    assert packed_phoenix(root).content  # and it can be made anew


def test_another_corpus_and_another_version(root, monkeypatch):
    packed_phoenix(root)
    with pytest.raises(UserError, match="holds the packed corpus phoenix, not how2sign"):
        How2Sign(root)
    monkeypatch.setattr(packed, "VERSION", 2)
    with pytest.raises(UserError, match="version 1 of its format, this is 2"):
        Phoenix14T(root)


def test_full_disk(root):
    """A limit on the size of files stands in for the disk: writing fails in the middle of a shard."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match=r"val-00000\.npy cannot be written: .*; make room"):
            packed_phoenix(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (root / "packed").rglob("*")] == ["shards"], "no halves are left"
    assert Phoenix14T(root).store is None
    packed_phoenix(root)
    assert len(Phoenix14T(root).clips("val")) == 4


def test_folder_that_cannot_be_written_to(root):
    (root / "packed").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"packed/shards/val-00000\.npy cannot be written: Not a directory"):
        packed_phoenix(root)


def test_nothing_to_pack(tmp_path):
    with pytest.raises(UserError, match=r"corpus phoenix: there are no clips .*phoenix14t\.train does not exist"):
        packed_phoenix(tmp_path)


def test_missing_middle_frames_are_counted(root, caplog):
    caplog.set_level(logging.WARNING)
    (root / "dev/c/images0007.pkl").unlink()
    for number in range(2, 11):
        (root / f"dev/e/images{number:04}.pkl").unlink()
    corpus = Phoenix14T(root)
    a, c = corpus.clips("val")[0], corpus.clips("val")[2]
    assert [corpus.missing_frames(clip) for clip in (a, c)] == [0, 1]
    assert len(corpus.load(c)) == 89
    store = packed_phoenix(root)
    assert [store.place(clip).missing for clip in (a, c)] == [0, 1]
    assert "1 lack frames in between" in summary(store)


def test_a_clip_that_lacks_most_of_its_frames(root):
    for number in (*range(1, 30), *range(31, 60)):
        (root / f"dev/c/images{number:04}.pkl").unlink()
    corpus = Phoenix14T(root)
    with pytest.raises(ClipError, match=r"clip dev/c: .* lacks 58 of the 90 frames from images0000\.pkl to images0089"):
        corpus.load(corpus.clips("val")[2])


class CreatesFile:
    """What an attacker would send: unpickling it runs a command."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_payload_in_a_frame_is_refused_by_name_and_does_not_run(root, tmp_path):
    (root / "dev/a/images0002.pkl").write_bytes(pickle.dumps({"smplx_root_pose": CreatesFile(tmp_path / "owned")}))
    packed_phoenix(root)
    (skipped,) = Phoenix14T(root).skipped("val")
    assert "images0002.pkl was refused: it asks to load posix.system" in skipped.reason
    assert not (tmp_path / "owned").exists()


@pytest.mark.slow
def test_memory_of_a_loader_stays_flat(tmp_path, monkeypatch):
    """2,000 clips, 90 MB of frames, three epochs in one worker process."""
    monkeypatch.setattr(packed, "CLIPS_PER_SHARD", 256)
    from soke.data.clip import Clip

    clips = [Clip(f"c{i}", "phoenix", "train", "DGS", "x", tmp_path, 25.0) for i in range(2000)]
    shards = packed.plan_shards("train", clips, [])
    frames = np.random.default_rng(0).standard_normal((60, 179), dtype=np.float32)
    for shard in shards:
        packed.pack_shard(tmp_path / "packed", shard, lambda clip: Stored(frames), 179)
    packed.complete_store(tmp_path / "packed", "phoenix", shards, 179, {}, {"train": {}})
    data = MotionDataset([Phoenix14T(tmp_path)], "train", LAYOUT)
    loader = DataLoader(
        data, batch_size=32, shuffle=True, num_workers=1, collate_fn=collate_motions, persistent_workers=True
    )
    resident = []
    for _ in range(3):
        for number, batch in enumerate(loader):
            if number % 10 == 0:
                pid = loader._iterator._workers[0].pid
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                resident.append(pages * resource.getpagesize() / 2**20)
    assert max(resident) - resident[1] < 50


# --- frame files that change afterwards


def changed_sentence(root: Path, count: int, first: str) -> str:
    return rf"{count} clips of phoenix val \(the first: {first}\) have changed since .*packed was packed; run"


def write_anew(file: Path) -> None:
    frame = pickle.loads(file.read_bytes())
    frame["smplx_jaw_pose"] = frame["smplx_jaw_pose"] + 1
    file.write_bytes(pickle.dumps(frame))


@pytest.mark.parametrize("change", ["in place", "added", "removed", "renamed"])
def test_frame_files_that_changed_are_refused_and_packed_again(root, change):
    store = packed_phoenix(root)
    file = root / "dev/c/images0045.pkl"
    if change == "in place":
        write_anew(file)
    elif change == "added":
        shutil.copy(file, root / "dev/c/images0090.pkl")
    elif change == "removed":
        file.unlink()
    else:
        file.rename(root / "dev/c/images0093.pkl")
    with pytest.raises(UserError, match=changed_sentence(root, 1, "dev/c")):
        Phoenix14T(root).clips("val")
    kept = (root / "packed/shards/val-00000.npy").stat().st_mtime_ns
    pack(Phoenix14T(root), root / "packed", workers=0)
    corpus, plain = Phoenix14T(root), Phoenix14T(root, root / "nothing")
    assert_equal_samples(MotionDataset([corpus], "val", LAYOUT), MotionDataset([plain], "val", LAYOUT))
    assert corpus.store.content != store.content
    assert (root / "packed/shards/val-00000.npy").stat().st_mtime_ns == kept, "shards of other clips are kept"


@pytest.mark.parametrize("there", [0, 2], ids=["none", "too few"])
def test_frame_files_that_appear_later_are_noticed(root, there):
    """Of a clip that had none, or too few, when the store was packed."""
    shutil.move(root / "dev/c", root / "moved")
    files = sorted((root / "moved").iterdir())
    for file in files[:there]:
        (root / "dev/c").mkdir(exist_ok=True)
        shutil.copy2(file, root / "dev/c")
    store = packed_phoenix(root)
    assert len(Phoenix14T(root).clips("val")) == 3 and len(store.clips("val")) == 3
    shutil.rmtree(root / "dev/c", ignore_errors=True)
    assert len(Phoenix14T(root).clips("val")) == 3, "files that are gone are no matter"
    shutil.move(root / "moved", root / "dev/c")
    with pytest.raises(UserError, match=changed_sentence(root, 1, "dev/c")):
        Phoenix14T(root).clips("val")
    packed_phoenix(root)
    assert [clip.name for clip in Phoenix14T(root).clips("val")] == ["dev/a", "dev/b", "dev/c", "dev/e"]


def test_frame_files_that_are_gone_or_unchanged_are_no_matter(root):
    packed_phoenix(root)
    shutil.rmtree(root / "dev/a")
    assert len(Phoenix14T(root).clips("val")) == 4


def test_of_very_many_files_the_ends_are_looked_at(root, monkeypatch):
    packed_phoenix(root)
    monkeypatch.setattr("soke.data.corpora.base.Watch", lambda: Watch(files=100))
    write_anew(root / "dev/a/images0020.pkl")  # within the first 100 files
    with pytest.raises(UserError, match=changed_sentence(root, 1, "dev/a")):
        Phoenix14T(root).clips("val")
    packed_phoenix(root)
    write_anew(root / "dev/c/images0045.pkl")  # beyond them, in the middle: not noticed, as the docstring says
    assert len(Phoenix14T(root).clips("val")) == 4
    (root / "dev/c/images0045.pkl").rename(root / "dev/c/images0045b.pkl")
    with pytest.raises(UserError, match=changed_sentence(root, 1, "dev/c")):
        Phoenix14T(root).clips("val")
    (root / "dev/c/images0045b.pkl").rename(root / "dev/c/images0045.pkl")
    assert len(Phoenix14T(root).clips("val")) == 4
    for file in (root / "dev/c").iterdir():  # extracted again as a whole
        write_anew(file)
    with pytest.raises(UserError, match=changed_sentence(root, 1, "dev/c")):
        Phoenix14T(root).clips("val")


def test_stores_that_do_not_know_their_files_are_used(root, monkeypatch):
    """As they were written before fingerprints."""
    corpus = Phoenix14T(root)
    listing = corpus.unpacked("val")
    shards = packed.plan_shards("val", listing.clips, listing.skipped)
    for shard in shards:
        packed.pack_shard(root / "packed", shard, corpus.read_frames, 179)
    packed.complete_store(root / "packed", "phoenix", shards, 179, {}, {"val": {}})
    write_anew(root / "dev/a/images0020.pkl")
    assert len(Phoenix14T(root).clips("val")) == 4


def test_packing_again_never_loses_what_has_no_frame_files_any_more(root):
    content = packed_phoenix(root).content
    shutil.move(root / "dev/c", root / "moved")
    with pytest.raises(UserError, match=r"holds 1 clips of phoenix val whose frame files are gone \(the first: dev/c"):
        pack(Phoenix14T(root), root / "packed", workers=0)
    assert len(Phoenix14T(root).clips("val")) == 4
    shutil.rmtree(root / "dev")
    assert pack(Phoenix14T(root), root / "packed", workers=0).content == content
    assert len(MotionDataset([Phoenix14T(root)], "val", LAYOUT)) == 4
    assert isinstance(MotionDataset([Phoenix14T(root)], "val", LAYOUT)[2].features, dict)


def test_the_command_packs_again_after_the_annotation_has_changed(tmp_path, monkeypatch, capsys):
    """The sentence that refuses the old store names the command, so the command must not be refused itself."""
    write_phoenix(tmp_path / "corpus", {"a": 41, "b": 40})
    config = ["--cfg", "configs/deto.yaml", "--workers", "0", "DATASET.LEXICON=null",
              f"DATASET.CORPORA={{phoenix: {{ROOT: {tmp_path}/corpus}}}}",
              "DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.csl=null"]
    pack_poses.main(config)
    annotation = tmp_path / "corpus/phoenix14t.dev"
    write_entries(annotation, [{"name": "dev/a", "text": "es schneit", "gloss": "SCHNEE"}])
    with pytest.raises(UserError, match=r"phoenix14t\.dev has changed since"):
        Phoenix14T(tmp_path / "corpus")
    pack_poses.main(config)
    assert [clip.text for clip in Phoenix14T(tmp_path / "corpus").clips("val")] == ["es schneit"]


def test_several_processes_pack_the_bytes_of_one_and_what_one_left_is_continued(tmp_path):
    """Five shards, of which one has a clip that cannot be read; a process that dies leaves a store that is not in use."""
    write_phoenix(tmp_path / "corpus", {f"c{i}": 40 + i for i in range(9)})
    (tmp_path / "corpus/dev/c4/images0003.pkl").write_bytes(b"")

    def content(store: str) -> dict[str, bytes]:
        folder = tmp_path / store
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def by(processes: int, store: str, killed: int | None = None) -> list[BaseException]:
        return together(
            lambda world: pack(Phoenix14T(tmp_path / "corpus"), tmp_path / store, 0, world), processes, killed
        )

    assert by(1, "alone") == []
    assert len(content("alone")) == 2 * 5 + 1
    for processes in (2, 3):
        assert by(processes, f"by{processes}") == [] and content(f"by{processes}") == content("alone")
    assert len(by(2, "broken", killed=2)) == 2
    assert PackedStore.find(tmp_path / "broken") is None and content("broken")
    for name in list(content("broken"))[:3]:  # as if it had died before
        (tmp_path / "broken" / name).unlink()
    assert by(2, "broken") == [] and content("broken") == content("alone")
    (tmp_path / "corpus/phoenix14t.dev").unlink()
    ended = by(2, "gone")  # all of them end, with the sentence of the first
    assert len(ended) == 2 and all("no clips to pack" in str(error) for error in ended)
