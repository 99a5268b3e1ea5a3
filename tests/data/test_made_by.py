"""Who made a motion is still known after it was written and read, in every form that motions are kept in."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from prepare.pack_poses import pack
from soke.body.motion import JointMotion
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.corpora.skels import SKELETON_50, SkelsCorpus
from soke.data.dataset import MotionDataset, collate_motions
from soke.data.storage.frames import FRAME_KEYS, frame_dicts
from soke.data.storage.saved import read_motion, write_motion
from soke.errors import UserError
from tests.data.skels_writing import write_split
from tests.data.writing import LAYOUT, random_motion, write_entries, write_frames

MAKER = "tokenizer 0123456789ab"
MADE = replace(random_motion(50, 1), made_by=MAKER)
SIGNED = random_motion(45, 2)


@pytest.fixture
def root(tmp_path):
    """Phoenix's dev split of a clip that a model made and one of a signer."""
    write_entries(tmp_path / "phoenix14t.dev", [{"name": f"dev/{n}", "text": n} for n in ("made", "signed")])
    write_frames(tmp_path / "dev" / "made", MADE, "images{:04d}.pkl")
    write_frames(tmp_path / "dev" / "signed", SIGNED, "images{:04d}.pkl")
    return tmp_path


def makers(corpus) -> dict[str, str]:
    return {clip.name: corpus.load(clip).made_by for clip in corpus.clips("val")}


def test_frame_files_and_packed_stores(root):
    expected = {"dev/made": MAKER, "dev/signed": ""}
    assert makers(Phoenix14T(root)) == expected
    pack(Phoenix14T(root), root / "packed", workers=0)
    packed = Phoenix14T(root)
    assert packed.store is not None and makers(packed) == expected
    batch = collate_motions([MotionDataset([packed], "val", LAYOUT)[i] for i in range(2)])
    assert [motion.made_by for motion in batch.motions] == [MAKER, ""]


def test_a_store_of_before_is_a_signers_and_grows(root, monkeypatch):
    from soke.data.storage import packed

    columns = packed._SCHEMA
    monkeypatch.setattr(packed, "_SCHEMA", columns.remove(columns.get_field_index("made_by")))
    pack(Phoenix14T(root), root / "packed", workers=0)
    assert makers(Phoenix14T(root)) == {"dev/made": "", "dev/signed": ""}
    monkeypatch.setattr(packed, "_SCHEMA", columns)
    write_entries(root / "phoenix14t.test", [{"name": "test/made", "text": "made"}])
    write_frames(root / "test" / "made", MADE, "images{:04d}.pkl")
    (root / "packed" / "index.parquet").unlink()
    pack(Phoenix14T(root), root / "packed", workers=0)
    grown = Phoenix14T(root)
    assert makers(grown)["dev/signed"] == "" and grown.load(grown.clips("test")[0]).made_by == MAKER


def test_the_frames_of_a_signer_are_as_published():
    assert all(list(frame) == list(FRAME_KEYS) for frame in frame_dicts(SIGNED))


def test_skels(tmp_path):
    made = JointMotion(torch.randn(5, 50, 3), SKELETON_50, 25.0, MAKER)
    signed = replace(made, made_by="")
    for motions in ([made, signed, signed], [signed, made, made], [signed] * 3):
        write_split(tmp_path, "val", motions)
        assert list(makers(SkelsCorpus(tmp_path)).values()) == [motion.made_by for motion in motions]
    assert not (tmp_path / "dev.made_by").exists()
    (tmp_path / "dev.made_by").write_text("a\n")
    with pytest.raises(UserError, match="dev.made_by 1"):
        SkelsCorpus(tmp_path).clips("val")


def test_saved_motions(tmp_path):
    motion = replace(MADE, eyelids=torch.rand(50, 2), head_shape=torch.rand(300), lacking=frozenset({"jaw", "neck"}))
    write_motion(tmp_path / "a.npz", motion)
    read = read_motion(tmp_path / "a.npz")
    for name, value in vars(motion).items():
        found = getattr(read, name)
        assert torch.equal(found, value) if isinstance(value, torch.Tensor) else found == value
    write_motion(tmp_path / "b.npz", SIGNED)
    assert read_motion(tmp_path / "b.npz").made_by == "" and read_motion(tmp_path / "b.npz").eyelids is None
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:90])
    np.savez(tmp_path / "d.npz", rotations=np.zeros((2, 55, 3)))
    for name in ("c", "d", "e"):
        with pytest.raises(UserError, match=f"{name}.npz is no saved motion"):
            read_motion(tmp_path / f"{name}.npz")


@pytest.mark.parametrize("change", [
    lambda m: m.to("cpu"), lambda m: m.frames(slice(3, 9)), lambda m: m.resampled(12.0),
    lambda m: m.mirrored(), LAYOUT.covered,
])
def test_what_is_made_of_it(change):
    assert change(MADE).made_by == MAKER and change(SIGNED).made_by == ""


def test_saved_positions_keep_their_joints_and_their_maker(tmp_path):
    made = JointMotion(torch.randn(5, 50, 3), SKELETON_50, 12.5, MAKER)
    write_motion(tmp_path / "a.npz", made)
    read = read_motion(tmp_path / "a.npz")
    assert torch.equal(read.positions, made.positions)
    assert (read.joints, read.fps, read.made_by) == (SKELETON_50, 12.5, MAKER)
