from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from soke.body import MotionLayout, PartSpec
from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.codes import CodeStore
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.dataset import (
    CodeSample,
    CodesDataset,
    MotionDataset,
    MotionSample,
    collate_codes,
    collate_motions,
)
from soke.errors import UserError
from tests.data.writing import LAYOUT, random_motion, write_how2sign, write_how2sign_frames, write_phoenix


@pytest.fixture
def corpora(tmp_path):
    """Two corpora: how2sign clips h0 (48 frames/s) and phoenix clips dev/a, dev/b (its frame 9 empty), dev/c."""
    write_how2sign(tmp_path / "h", "val", [("h0", 0, 5, "hello")], fps=48.0)
    write_how2sign_frames(tmp_path / "h", "val", "h0", random_motion(100, seed=9))
    write_phoenix(tmp_path / "p", {"a": 50, "b": 41, "c": 12})
    (tmp_path / "p/dev/b/images0009.pkl").write_bytes(b"")
    return [How2Sign(tmp_path / "h"), Phoenix14T(tmp_path / "p")]


def test_items_follow_the_length_rules(corpora):
    dataset = MotionDataset(corpora, "val", LAYOUT)
    assert len(dataset) == 4
    first, second, third, fourth = (dataset[i] for i in range(4))
    assert (first.clip.name, len(first.motion), first.motion.fps) == ("h0", 48, 24.0)  # 100 -> 50 -> 48
    whole = random_motion(50, seed=0)
    assert torch.equal(second.motion.rotations, whole.rotations[1:49])
    assert third == SkippedClip("phoenix", "dev/b", third.reason, "val") and "images0009.pkl is empty" in third.reason
    assert len(fourth.motion) == 40
    assert torch.equal(fourth.motion.rotations[[0, -1]], random_motion(12, seed=2).rotations[[0, -1]])
    for part, values in LAYOUT.features(second.motion).items():
        assert torch.equal(second.features[part], values)


def test_strict_turns_a_bad_clip_into_an_error(corpora):
    with pytest.raises(ClipError, match=r"dev/b: .*images0009\.pkl is empty"):
        MotionDataset(corpora, "val", LAYOUT, strict=True)[2]


def test_strict_refuses_missing_clips(tmp_path):
    write_phoenix(tmp_path, {"a": 50, "b": 50})
    (tmp_path / "dev/b").rename(tmp_path / "gone")
    assert [s.name for s in MotionDataset([Phoenix14T(tmp_path)], "val", LAYOUT).skipped] == ["dev/b"]
    with pytest.raises(ClipError, match="1 clips of split val cannot be used; phoenix/dev/b: .* does not exist"):
        MotionDataset([Phoenix14T(tmp_path)], "val", LAYOUT, strict=True)


def test_cache_gives_the_same_and_keeps_to_its_budget(corpora, tmp_path):
    dataset = MotionDataset(corpora, "val", LAYOUT, cache_frames=100)
    before = [dataset[i] for i in range(4)]
    (tmp_path / "p/dev").rename(tmp_path / "p/gone")
    assert dataset[1] is before[1] and dataset[0] is before[0]  # 48 + 48 frames
    assert isinstance(dataset[3], SkippedClip)  # 40 more did not fit


def test_layout_that_the_corpus_cannot_fill(corpora):
    dataset = MotionDataset(corpora, "val", MotionLayout([PartSpec("face", (), expression=100)]))
    with pytest.raises(UserError, match="corpus how2sign does not fit .* 100 expression"):
        dataset[0]


def test_nothing_to_read(corpora):
    with pytest.raises(UserError, match="split val of no corpus has no clips"):
        MotionDataset([], "val", LAYOUT)
    with pytest.raises(UserError, match="same name: phoenix, phoenix"):
        MotionDataset([corpora[1], corpora[1]], "val", LAYOUT)


def test_batch_of_motions_is_its_items_padded_with_zero(corpora):
    dataset = MotionDataset(corpora, "val", LAYOUT)
    items = [dataset[i] for i in (3, 2, 0)]
    batch = collate_motions(items)
    kept = [item for item in items if isinstance(item, MotionSample)]
    assert batch.lengths.tolist() == [40, 48] and batch.fps == [25.0, 24.0]
    assert [c.name for c in batch.clips] == ["dev/c", "h0"] and batch.skipped == [items[1]]
    for part, size in LAYOUT.sizes.items():
        assert batch.features[part].shape == (2, 48, size)
        for row, item in zip(batch.features[part], kept):
            assert torch.equal(row[: len(item.motion)], item.features[part])
            assert (row[len(item.motion) :] == 0).all()
    moved = batch.to("cpu")
    assert moved.motions is batch.motions and torch.equal(moved.lengths, batch.lengths)


def test_motion_batch_survives_the_way_from_a_worker(corpora):
    dataset = MotionDataset(corpora, "val", LAYOUT)
    items = [dataset[1], dataset[0]]
    items[0] = replace(items[0], motion=replace(items[0].motion, eyelids=torch.rand(48, 2)))
    batch = collate_motions(items)
    back = pickle.loads(pickle.dumps(batch))
    assert back.clips == batch.clips and back.fps == batch.fps
    for one, other in zip(back.motions, batch.motions):
        assert torch.equal(one.rotations, other.rotations) and torch.equal(one.betas, other.betas)
    assert torch.equal(back.motions[0].eyelids, batch.motions[0].eyelids) and back.motions[1].eyelids is None


def test_batches_of_skipped_clips_only():
    skipped = SkippedClip("phoenix", "dev/b", "gone")
    for batch in (collate_motions([skipped]), collate_codes([skipped])):
        assert batch.clips == [] and len(batch.lengths) == 0 and batch.skipped == [skipped]


# --- codes


def codes_of(steps: int) -> torch.Tensor:
    return torch.arange(steps * 3).reshape(steps, 3)


def test_codes_dataset(corpora, tmp_path):
    store = CodeStore(tmp_path / "codes")
    with pytest.raises(UserError, match="of how2sign, phoenix has no codes in .*; run `python -m get_motion_code`"):
        CodesDataset(corpora, "val", store)
    h0, a, _b, c = (clip for corpus in corpora for clip in corpus.clips("val"))
    for clip, steps in ((h0, 13), (a, 120), (c, 3)):
        store.write(clip, codes_of(steps))
    dataset = CodesDataset(corpora, "val", store)
    assert [clip.name for clip in dataset.clips] == ["h0", "dev/a", "dev/c"]
    assert [skipped.name for skipped in dataset.skipped] == ["dev/b"]
    samples = [dataset[i] for i in range(3)]
    assert torch.equal(samples[0].codes, codes_of(13))  # within the limits: not cropped again
    assert torch.equal(samples[1].codes[[0, -1]], codes_of(120)[[0, -1]]) and len(samples[1].codes) == 100
    assert samples[2].codes[:, 0].unique().tolist() == [0, 3, 6] and len(samples[2].codes) == 10
    with pytest.raises(ClipError, match="phoenix/dev/b: it has no codes"):
        CodesDataset(corpora, "val", store, strict=True)

    batch = collate_codes([samples[2], SkippedClip("x", "y", "z"), samples[0]])
    assert batch.codes.shape == (2, 13, 3) and batch.lengths.tolist() == [10, 13]
    assert (batch.codes[0, 10:] == -1).all() and torch.equal(batch.codes[1], codes_of(13))
    assert batch.texts == ["es regnet c .", "hello"] and batch.languages == ["DGS", "ASL"]
    assert [s.name for s in batch.skipped] == ["y"]


def test_a_corpus_without_codes_is_an_error_beside_one_with_codes(corpora, tmp_path):
    store = CodeStore(tmp_path / "codes")
    for clip in corpora[1].clips("val"):
        store.write(clip, codes_of(12))
    with pytest.raises(UserError, match=f"split val of how2sign has no codes in {store.path}"):
        CodesDataset(corpora, "val", store)


def test_a_corpus_of_which_no_clip_can_be_read_is_an_error_beside_one_with_clips(corpora, tmp_path):
    MotionDataset(corpora, "val", LAYOUT).require_readable()
    write_how2sign(tmp_path / "ms", "val", [("h1", 0, 25, "x"), ("h2", 25, 50, "x")], fps=24.0)
    for name in ("h1", "h2"):
        write_how2sign_frames(tmp_path / "ms", "val", name, random_motion(24))
    dataset = MotionDataset([corpora[1], How2Sign(tmp_path / "ms")], "val", LAYOUT)
    with pytest.raises(UserError, match="not one clip of split val of how2sign can be read; the first: clip h1: .* 25"):
        dataset.require_readable()


def test_damaged_codes_are_skipped_or_an_error(corpora, tmp_path):
    store = CodeStore(tmp_path / "codes")
    clips = [clip for corpus in corpora for clip in corpus.clips("val")]
    for clip in clips:
        store.write(clip, codes_of(12))
    (tmp_path / "codes/phoenix/dev/a.npy").write_bytes(b"")
    assert isinstance(CodesDataset(corpora, "val", store)[0], CodeSample)
    assert "a.npy is damaged" in CodesDataset(corpora, "val", store)[1].reason
    with pytest.raises(ClipError, match=r"dev/a: .*a\.npy is damaged"):
        CodesDataset(corpora, "val", store, strict=True)[1]


class UnsafeNames:
    """A corpus of one's own that passes on what its annotation says."""

    name, language, fps = "own", "ASL", 24.0

    def clips(self, split):
        return [Clip(name, "own", split, "ASL", "x", Path("nowhere"), 24.0) for name in ("a", "../b", "/c")]

    def skipped(self, split):
        return []


def test_names_that_lead_out_of_folders_never_reach_a_data_set():
    data = MotionDataset([UnsafeNames()], "train", LAYOUT)
    assert [clip.name for clip in data.clips] == ["a"]
    assert [skipped.name for skipped in data.skipped] == ["../b", "/c"]
    assert "leads out of the folder" in data.skipped[0].reason
