"""Files of other tools, written here in their documented forms, become SMPL-FX clips; bad ones are named and skipped."""
from __future__ import annotations

import csv
import io
import itertools
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import lmdb
import numpy as np
import pytest
import roma
import torch

from prepare import import_faces
from soke.body.joints import BODY, JOINT_GROUPS, LEFT_HAND, RIGHT_HAND, SMPLX_JOINTS, UPPER_BODY, joint_indices
from soke.body.motion import Motion
from soke.data.corpora.face_clips import FaceClips
from soke.data.storage.formats import SMPLFX_CLIPS
from soke.data.storage.smplfx_clips import read_clip
from soke.errors import UserError
from tests.data.storage.test_smplfx_clips import random_motion
from tests.data.writing import Payload, write_frames
from tests.data.writing import random_motion as soke_motion

EYES = JOINT_GROUPS["eyes"]
T = 7


def truth(frames: int = T, angle: float = 0.4) -> Motion:
    """What everything below shows: rotations below pi, of which there is one axis-angle."""
    motion = random_motion(frames)
    return Motion(
        motion.rotations * angle, motion.expression, motion.betas, 25.0, motion.eyelids, head_shape=motion.head_shape
    )


def of(motion: Motion, *joints: str) -> np.ndarray:
    return motion.rotations[:, joint_indices(joints)].numpy()


def six(motion: Motion, *joints: str, form: str = "rows") -> np.ndarray:
    """[T, 6 J], written with plain matrices."""
    matrices = roma.rotvec_to_rotmat(motion.rotations[:, joint_indices(joints)]).numpy()
    if form == "columns":
        matrices = matrices.transpose(0, 1, 3, 2)
    return matrices[:, :, :2].reshape(len(motion), -1)


def run(kind: str, source: Path, out: Path, *more: str) -> None:
    import_faces.main([kind, "--from", str(source), "--out", str(out), *more])


def clip(out: Path, name: str) -> Motion:
    return read_clip(out / "smplfx" / f"{name}.npz")


def assert_observed(found: Motion, expected: Motion, joints: tuple[str, ...], *more: str, coefficients: int = 100):
    """That these joints and values are those of `expected`, and that all others are lacking, and zero."""
    assert found.lacking == {*SMPLX_JOINTS, "expression", "eyelids"} - {*joints, *more}
    torch.testing.assert_close(
        found.rotations[:, joint_indices(joints)], expected.rotations[:, joint_indices(joints)], atol=1e-4, rtol=0
    )
    others = joint_indices([name for name in SMPLX_JOINTS if name not in joints])
    assert not found.rotations[:, others].any()
    if "expression" in more:
        assert torch.equal(found.expression[:, :coefficients], expected.expression[:, :coefficients])
        assert not found.expression[:, coefficients:].any()
    if "eyelids" in more:
        assert torch.equal(found.eyelids, expected.eyelids)


# --- SignSparK


def write_signspark(path: Path, clips: dict[str, dict[str, np.ndarray]], meta: object = None) -> Path:
    with lmdb.open(str(path), subdir=False, map_size=2**24) as database, database.begin(write=True) as transaction:
        meta = {"clip_ids": list(clips), "num_clips": len(clips)} if meta is None else meta
        transaction.put(b"__meta__", pickle.dumps(meta))
        for name, content in clips.items():
            data = io.BytesIO()
            np.savez(data, **content)
            transaction.put(name.encode(), data.getvalue())
    return path


def signspark(motion: Motion, form: str = "rows", **changes: np.ndarray) -> dict[str, np.ndarray]:
    frames = len(motion)
    content = {
        "language": np.array(["ASL"]), "translation": np.array(["hello"]), "gloss": np.array([""]),
        "segment": np.zeros(frames), "left_features": six(motion, *LEFT_HAND, form=form),
        "right_features": np.concatenate([six(motion, *RIGHT_HAND, form=form), np.ones((frames, 3))], 1),
        "body_features": np.concatenate([np.zeros((frames, 66)), six(motion, *UPPER_BODY, form=form)], 1),
        "face_features": np.concatenate([six(motion, "jaw", form=form), motion.expression[:, :50].numpy()], 1),
    }
    return {key: value for key, value in {**content, **changes}.items() if value is not None}


SIGNSPARK_JOINTS = (*UPPER_BODY, *LEFT_HAND, *RIGHT_HAND, "jaw")


@pytest.mark.parametrize("form", ["rows", "columns"])
def test_signspark(tmp_path: Path, form: str, capsys: pytest.CaptureFixture):
    source = write_signspark(tmp_path / "a.lmdb", {"one": signspark(truth(), form)})
    run("signspark", source, tmp_path / "out", "--hands", "flat", "--six-d", form)
    found = clip(tmp_path / "out", "one")
    assert_observed(found, truth(), SIGNSPARK_JOINTS, "expression", coefficients=50)
    assert found.fps == 20.0
    said = capsys.readouterr().out
    assert "1 clips, 7 frames at 20 frames/s of signspark" in said and "root, spine and legs (1)" in said


def test_rows_read_as_columns_are_the_inverse_rotations(tmp_path: Path):
    """So that the flag matters: nothing in a file tells which it is."""
    source = write_signspark(tmp_path / "a.lmdb", {"one": signspark(truth())})
    run("signspark", source, tmp_path / "out", "--hands", "flat", "--six-d", "columns")
    torch.testing.assert_close(clip(tmp_path / "out", "one").rotations[:, 22], -truth().rotations[:, 22])


def test_hands_of_a_flat_hand_are_converted_or_kept_as_said(tmp_path: Path):
    source = write_signspark(tmp_path / "a.lmdb", {"one": signspark(truth())})
    with pytest.raises(UserError, match="give --hands mean to have them converted, or --hands flat to keep them"):
        run("signspark", source, tmp_path / "out")
    run("signspark", source, tmp_path / "out", "--hands", "mean")
    with np.load("deps/smpl_models/stand_in/smplx/SMPLX_NEUTRAL.npz") as model:
        for side, hand in (("l", LEFT_HAND), ("r", RIGHT_HAND)):
            shown = of(clip(tmp_path / "out", "one"), *hand) + model[f"hands_mean{side}"].reshape(15, 3)
            np.testing.assert_allclose(shown, of(truth(), *hand), atol=1e-4)  # as a body adds it


def test_a_left_hand_that_is_written_as_a_right_one(tmp_path: Path):
    mirror = np.diag([1.0, -1.0, -1.0])
    left = roma.rotvec_to_rotmat(truth().rotations[:, joint_indices(LEFT_HAND)]).double().numpy()
    other = (mirror @ left @ mirror)[:, :, :2].reshape(T, -1)
    source = write_signspark(tmp_path / "a.lmdb", {"one": signspark(truth(), left_features=other)})
    run("signspark", source, tmp_path / "out", "--hands", "flat", "--left-hand", "mirrored")
    assert_observed(clip(tmp_path / "out", "one"), truth(), SIGNSPARK_JOINTS, "expression", coefficients=50)


NOT_A_ROTATION = np.zeros((T, 90))
HOLE = signspark(truth())["face_features"].copy()
HOLE[3, 20] = np.nan


@pytest.mark.parametrize(("changes", "message"), [
    ({"face_features": np.zeros((T, 106))}, r"holds face_features of shape \[7, 106\] .* expected \[T, 56\]"),
    ({"body_features": np.zeros((T, 60))}, r"body_features of shape \[7, 60\] .* expected \[T, at least 126\]"),
    ({"left_features": None}, "lacks left_features; it has right_features, body_features, face_features"),
    ({"left_features": np.zeros((T - 1, 90))}, "has different numbers of frames: .*left_index1 6"),
    ({"left_features": NOT_A_ROTATION}, "holds numbers for left_index1 that are not finite, or no rotation"),
    ({"face_features": HOLE}, "holds numbers for expression that are not finite"),
])
def test_bad_clips_of_signspark_are_skipped_and_listed(tmp_path: Path, changes: dict, message: str):
    source = write_signspark(tmp_path / "a.lmdb", {"good": signspark(truth()), "bad": signspark(truth(), **changes)})
    run("signspark", source, tmp_path / "out", "--hands", "flat")
    assert_skipped(tmp_path / "out", "bad", message)
    assert len(clip(tmp_path / "out", "good")) == T


def assert_skipped(out: Path, name: str, message: str) -> None:
    (line,) = (out / "skipped_clips.tsv").read_text().splitlines()
    assert line.split("\t")[0] == name and not (out / "smplfx" / f"{name}.npz").exists()
    with pytest.raises(UserError, match=message):
        raise UserError(line)


def test_databases_of_another_kind_are_refused_in_a_sentence(tmp_path: Path):
    flat = ("--hands", "flat")
    (tmp_path / "text.lmdb").write_text("nothing")
    with pytest.raises(UserError, match="text.lmdb cannot be read as an LMDB .*: it is damaged, or of another version"):
        run("signspark", tmp_path / "text.lmdb", tmp_path, *flat)
    (tmp_path / "several").mkdir()
    with pytest.raises(UserError, match="several is a folder without data.mdb: --from names one database"):
        run("signspark", tmp_path / "several", tmp_path, *flat)
    with lmdb.open(str(tmp_path / "bare.lmdb"), subdir=False):
        pass
    with pytest.raises(UserError, match="bare.lmdb holds no __meta__"):
        run("signspark", tmp_path / "bare.lmdb", tmp_path, *flat)
    other = write_signspark(tmp_path / "other.lmdb", {}, meta={"keys": ["a"]})
    with pytest.raises(UserError, match="lists no clip_ids: it is a database of another version"):
        run("signspark", other, tmp_path, *flat)
    evil = write_signspark(tmp_path / "evil.lmdb", {}, meta=Payload(tmp_path / "made"))
    with pytest.raises(UserError, match="__meta__ of .*evil.lmdb was refused: it asks to load posix.mkdir"):
        run("signspark", evil, tmp_path, *flat)
    assert not (tmp_path / "made").exists()
    listed = write_signspark(tmp_path / "listed.lmdb", {}, meta={"clip_ids": ["gone"], "num_clips": 1})
    with pytest.raises(UserError, match="none of the 1 clips could be imported; the first: clip gone: .* does not hold"):
        run("signspark", listed, tmp_path / "out", *flat)


# --- faces in FLAME


def write_pixel3dmm(folder: Path, motion: Motion, form: str = "rows", step: int = 1, **changes: object) -> None:
    (folder / "checkpoint").mkdir(parents=True)
    eyes, jaw = (six(motion, *joints, form=form) for joints in (EYES, ("jaw",)))
    for i in range(len(motion)):
        flame = {
            "exp": motion.expression[i : i + 1].numpy(), "shape": motion.head_shape[None].numpy(), "eyes": eyes[i : i + 1],
            "eyelids": motion.eyelids[i : i + 1].numpy(), "jaw": jaw[i : i + 1], "neck": np.zeros((1, 6)),
            "R_rotation_matrix": np.eye(3)[None],
        }
        content = {"flame": {**flame, **changes}, "camera": {"fl": np.ones(1)}, "img_size": (512, 512), "frame_id": i}
        torch.save(content, folder / "checkpoint" / f"{step * i:05d}.frame")


FACE = ("jaw", *EYES)


@pytest.mark.parametrize("form", ["rows", "columns"])
def test_pixel3dmm(tmp_path: Path, form: str):
    write_pixel3dmm(tmp_path / "in/dev/a", truth(), form)
    run("pixel3dmm", tmp_path / "in", tmp_path / "out", "--fps", "25", "--six-d", form)
    found = clip(tmp_path / "out", "dev/a")
    assert_observed(found, truth(), FACE, "expression", "eyelids")
    assert torch.equal(found.head_shape, truth().head_shape) and found.fps == 25.0


def test_pixel3dmm_with_keys_in_one_table(tmp_path: Path):
    (tmp_path / "in/a/checkpoint").mkdir(parents=True)
    write_pixel3dmm(tmp_path / "nested", truth(2))
    for file in (tmp_path / "nested/checkpoint").iterdir():
        content = torch.load(file, weights_only=False)
        flat = {f"flame.{key}": value for key, value in content.pop("flame").items()}
        torch.save({**content, **flat}, tmp_path / "in/a/checkpoint" / file.name)
    run("pixel3dmm", tmp_path / "in", tmp_path / "out", "--fps", "25")
    assert_observed(clip(tmp_path / "out", "a"), truth(2), FACE, "expression", "eyelids")


@pytest.mark.parametrize(("changes", "message"), [
    ({"eyelids": torch.zeros(1, 2)}, "holds eyelids as a torch tensor; write it anew with numpy"),
    ({"exp": np.zeros((1, 50))}, r"holds exp of shape \[1, 50\]"),
    ({"jaw": np.full((1, 6), np.nan)}, "holds numbers for jaw that are not finite, or no rotation"),
    ({"shape": Payload("nowhere")}, "00000.frame was refused: it asks to load posix.mkdir"),
])
def test_bad_clips_of_pixel3dmm(tmp_path: Path, changes: dict, message: str):
    write_pixel3dmm(tmp_path / "in/good", truth(2))
    write_pixel3dmm(tmp_path / "in/bad", truth(2), **changes)
    run("pixel3dmm", tmp_path / "in", tmp_path / "out", "--fps", "25")
    assert_skipped(tmp_path / "out", "bad", message)


def test_frames_that_are_lost_or_cut_off(tmp_path: Path):
    write_pixel3dmm(tmp_path / "in/good", truth(2))
    write_pixel3dmm(tmp_path / "in/bad", truth(3), step=3)
    run("pixel3dmm", tmp_path / "in", tmp_path / "out", "--fps", "25")
    assert_skipped(tmp_path / "out", "bad", "lacks 4 of the 7 frames")
    (tmp_path / "in/bad/checkpoint/00006.frame").rename(tmp_path / "in/bad/checkpoint/00001.frame")
    (tmp_path / "in/bad/checkpoint/00003.frame").write_bytes(b"PK\x03\x04")
    run("pixel3dmm", tmp_path / "in", tmp_path / "out", "--fps", "25")
    assert_skipped(tmp_path / "out", "bad", "00003.frame is cut off or is no file of torch.save")
    with pytest.raises(UserError, match="the files of pixel3dmm do not tell their frame rate: give it with --fps"):
        run("pixel3dmm", tmp_path / "in", tmp_path / "out")
    with pytest.raises(UserError, match="holds no clips: nothing in it is called checkpoint"):
        run("pixel3dmm", tmp_path / "out", tmp_path / "x", "--fps", "25")


def test_frames_that_are_missing_in_between_are_told_and_fit_onto_no_other_clip(tmp_path: Path, capsys):
    write_pixel3dmm(tmp_path / "in/a", truth(8))
    write_pixel3dmm(tmp_path / "in/b", truth(8))
    write_pixel3dmm(tmp_path / "thin/a", truth(4), step=2)
    (tmp_path / "in/a/checkpoint/00003.frame").unlink()
    run("pixel3dmm", tmp_path / "in", tmp_path / "out", "--fps", "25")
    assert "1 clips lack frames in between" in capsys.readouterr().out and len(clip(tmp_path / "out", "a")) == 7
    run("pixel3dmm", tmp_path / "in", tmp_path / "both", "--fps", "25", "--onto", str(tmp_path / "out"))
    assert_skipped(tmp_path / "both", "a", "1 of its frames are missing in between")
    with pytest.raises(UserError, match="holds one frame in 2, which are 2 times as fast"):
        run("pixel3dmm", tmp_path / "thin", tmp_path / "fast", "--fps", "25")


def vhap(motion: Motion) -> dict[str, np.ndarray]:
    return {
        "expr": motion.expression.numpy(), "shape": motion.head_shape.numpy(), "rotation": np.zeros((len(motion), 3)),
        "neck_pose": np.ones((len(motion), 3)), "jaw_pose": of(motion, "jaw")[:, 0],
        "eyes_pose": of(motion, *EYES).reshape(len(motion), 6), "translation": np.zeros((len(motion), 3)),
        "static_offset": np.zeros((1, 5, 3)),
    }


def test_both_forms_of_vhap(tmp_path: Path):
    (tmp_path / "in/whole").mkdir(parents=True)
    np.savez(tmp_path / "in/whole/flame_param.npz", **vhap(truth()))
    (tmp_path / "in/single/flame_param").mkdir(parents=True)
    for i in range(T):
        np.savez(tmp_path / f"in/single/flame_param/{i:05d}.npz", **vhap(truth().frames(slice(i, i + 1))))
    run("vhap", tmp_path / "in", tmp_path / "out", "--fps", "25")
    for name in ("whole", "single"):
        found = clip(tmp_path / "out", name)
        assert_observed(found, truth(), FACE, "expression")
        assert torch.equal(found.head_shape, truth().head_shape)


def write_mead(folder: Path, motion: Motion, old: bool = False, coefficients: int = 100, **changes: np.ndarray) -> None:
    folder.mkdir(parents=True)
    content = {
        "shape": np.repeat(motion.head_shape[None, None].numpy(), len(motion), 1),
        "exp": motion.expression[None, :, :coefficients].numpy(), "jaw": of(motion, "jaw")[None, :, 0],
        "global_pose": np.zeros((1, len(motion), 3)), "cam": np.zeros((1, len(motion), 3)), **changes,
    }
    with h5py.File(folder / "shape_pose_cam.hdf5", "w") as file:
        group = file.create_group("data") if old else file
        for key, value in content.items():
            group[f'"{key}"' if old else key] = value


@pytest.mark.parametrize("old", [False, True])
def test_mead_trains_faces_alone(tmp_path: Path, old: bool):
    for identity in range(20):
        write_mead(tmp_path / f"in/M{identity:03}/video/front/angry/level_1/001/EMICA", truth(), old)
    run("mead", tmp_path / "in", tmp_path / "out")
    found = clip(tmp_path / "out", "M003/video/front/angry/level_1/001")
    assert_observed(found, truth(), ("jaw",), "expression")
    torch.testing.assert_close(found.head_shape, truth().head_shape)
    corpus = FaceClips(tmp_path / "out", form=SMPLFX_CLIPS)
    assert [len(corpus.clips(split)) for split in ("train", "val", "test")] == [14, 3, 3]
    assert "jaw" not in corpus.load(corpus.clips("val")[0]).lacking


@pytest.mark.parametrize("below", ["", "v1", "v1/M000/video"])
def test_nobody_of_mead_is_in_two_splits_wherever_the_folder_begins(tmp_path: Path, below: str):
    for identity, emotion in itertools.product(range(7), ("angry", "happy", "sad")):
        write_mead(tmp_path / f"in/v1/M{identity:03}/video/{emotion}/001/EMICA", truth())
    run("mead", tmp_path / "in" / below, tmp_path / "out")
    with (tmp_path / "out/faces.csv").open() as file:
        split_of = {row["name"]: row["split"] for row in csv.DictReader(file)}
    if below.endswith("video"):
        assert split_of == dict.fromkeys(("angry/001", "happy/001", "sad/001"), "train")
    else:
        assert sorted(Counter(split_of.values()).values()) == [3, 3, 15]


def test_eyelids_and_eyes_are_taken_for_open_and_ahead_when_said(tmp_path: Path):
    write_mead(tmp_path / "in/M003/001/EMOCA", truth(), coefficients=50)
    run("mead", tmp_path / "in", tmp_path / "out", "--eyelids", "open", "--eyes", "rest")
    found = clip(tmp_path / "out", "M003/001")
    assert found.lacking == {*SMPLX_JOINTS, "eyelids", "expression"} - {*FACE, "eyelids", "expression"}
    assert not found.eyelids.any() and torch.equal(found.expression[:, :50], truth().expression[:, :50])


@pytest.mark.parametrize(("change", "message"), [
    (lambda f: write_mead(f / "EMOCA", truth()), r"holds several methods \(EMICA, EMOCA\); keep one"),
    (lambda f: (f / "EMICA/shape_pose_cam.hdf5").write_text("x"), "is no HDF5 file that can be read"),
    (lambda f: h5py.File(f / "EMICA/shape_pose_cam.hdf5", "w").close(), "lacks exp; it has nothing"),
])
def test_bad_sequences_of_mead(tmp_path: Path, change: Callable[[Path], object], message: str):
    write_mead(tmp_path / "in/M003/001/EMICA", truth())
    write_mead(tmp_path / "in/M003/002/EMICA", truth())
    change(tmp_path / "in/M003/002")
    run("mead", tmp_path / "in", tmp_path / "out")
    assert_skipped(tmp_path / "out", "M003/002", message)


# --- bodies


def write_ehm(folder: Path, motions: dict[str, Motion]) -> None:
    folder.mkdir(parents=True)
    videos = {
        name: {
            f"{i:06d}": {
                "smplx_coeffs": {
                    "exp": np.zeros(50), "global_pose": of(motion, "pelvis")[i, 0], "body_pose": of(motion, *BODY[1:])[i],
                    "left_hand_pose": of(motion, *LEFT_HAND)[i], "right_hand_pose": of(motion, *RIGHT_HAND)[i],
                },
                "flame_coeffs": {
                    "expression_params": motion.expression[i, :50].numpy(), "jaw_params": of(motion, "jaw")[i, 0],
                    "eye_pose_params": of(motion, *EYES)[i].ravel(), "eyelid_params": motion.eyelids[i].numpy(),
                },
            } for i in reversed(range(len(motion)))
        } for name, motion in motions.items()
    }
    (folder / "optim_tracking_ehm.pkl").write_bytes(pickle.dumps(videos))
    shapes = {"smplx_shape": np.arange(300.0)[None], "flame_shape": truth().head_shape[None].numpy()}
    (folder / "id_share_params.pkl").write_bytes(pickle.dumps(shapes))


def test_ehm_tracker(tmp_path: Path):
    write_ehm(tmp_path / "in", {"a": truth()})
    run("ehm", tmp_path / "in", tmp_path / "out", "--fps", "25", "--hands", "flat")
    found = clip(tmp_path / "out", "a")
    assert_observed(found, truth(), SMPLX_JOINTS, "expression", "eyelids", coefficients=50)
    assert found.betas.tolist() == list(range(10)) and torch.equal(found.head_shape, truth().head_shape)
    content = pickle.loads((tmp_path / "in/optim_tracking_ehm.pkl").read_bytes())
    sparse = {"b": content["a"], "a": {f"{3 * int(key):06d}": frame for key, frame in content["a"].items()}}
    (tmp_path / "in/optim_tracking_ehm.pkl").write_bytes(pickle.dumps(sparse))
    run("ehm", tmp_path / "in", tmp_path / "other", "--fps", "25", "--hands", "flat")
    assert_skipped(tmp_path / "other", "a", "lacks 12 of the 19 frames; track it again")
    (tmp_path / "in/optim_tracking_ehm.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(UserError, match="does not hold videos of frames: it is no output of EHM-Tracker"):
        run("ehm", tmp_path / "in", tmp_path / "out", "--fps", "25", "--hands", "flat")


def test_soke_s_frames(tmp_path: Path):
    write_frames(tmp_path / "in/dev/a", soke_motion(T))
    write_frames(tmp_path / "in/dev/b", soke_motion(3))
    run("soke", tmp_path / "in", tmp_path / "out", "--fps", "25")
    found = clip(tmp_path / "out", "dev/a")
    assert_observed(found, soke_motion(T), (*BODY, *LEFT_HAND, *RIGHT_HAND, "jaw"), "expression", coefficients=10)
    assert torch.equal(found.betas, soke_motion(T).betas)
    assert_skipped(tmp_path / "out", "dev/b", "holds 3 frame files, at least 4 are needed")


# --- onto clips that are there


def bodies(root: Path, frames: int = T, fps: str = "25") -> Motion:
    write_frames(root / "poses/a", soke_motion(frames))
    run("soke", root / "poses", root / "corpus", "--fps", fps)
    return clip(root / "corpus", "a")


def test_a_face_is_put_onto_a_body(tmp_path: Path):
    body = bodies(tmp_path)
    write_pixel3dmm(tmp_path / "faces/a", truth())
    write_pixel3dmm(tmp_path / "faces/other", truth())
    run("pixel3dmm", tmp_path / "faces", tmp_path / "corpus", "--fps", "25", "--onto", str(tmp_path / "corpus"))
    found = clip(tmp_path / "corpus", "a")
    assert not found.lacking and torch.equal(found.betas, body.betas)
    assert torch.equal(found.rotations[:, :22], body.rotations[:, :22])
    assert torch.equal(found.rotations[:, 25:], body.rotations[:, 25:])
    torch.testing.assert_close(found.rotations[:, 22:25], truth().rotations[:, 22:25], atol=1e-4, rtol=0)
    assert torch.equal(found.expression, truth().expression) and torch.equal(found.eyelids, truth().eyelids)
    assert torch.equal(found.head_shape, truth().head_shape)
    assert_skipped(tmp_path / "corpus", "other", "other.npz does not exist, onto which it is to be put")


def test_a_face_of_another_rate_is_brought_to_the_body_s(tmp_path: Path):
    bodies(tmp_path, frames=7, fps="12.5")
    write_pixel3dmm(tmp_path / "faces/a", truth(13))  # half a second more or less a frame
    run("pixel3dmm", tmp_path / "faces", tmp_path / "out", "--fps", "25", "--onto", str(tmp_path / "corpus"))
    found = clip(tmp_path / "out", "a")
    assert found.fps == 12.5 and torch.equal(found.expression[:6], truth(13).expression[:12:2])


@pytest.mark.parametrize(("frames", "fps"), [(T + 1, "25"), (T, "50")])
def test_numbers_of_frames_that_no_rate_explains_are_an_error(tmp_path: Path, frames: int, fps: str):
    bodies(tmp_path)
    write_pixel3dmm(tmp_path / "faces/a", truth(frames))
    with pytest.raises(UserError, match=f"clip a: {frames} frames at {fps} frames/s do not fit the 7 at 25"):
        run("pixel3dmm", tmp_path / "faces", tmp_path / "out", "--fps", fps, "--onto", str(tmp_path / "corpus"))
