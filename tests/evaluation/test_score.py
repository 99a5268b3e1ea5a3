"""Predictions of others: every form of file gives the same scores, and nothing that is wrong with one stops another."""
from __future__ import annotations

import csv
import json
import logging
import os
import pickle
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soke.body.joints import BODY, LEFT_HAND, RIGHT_HAND, SKELETON_50, UPPER_BODY, joint_indices
from soke.body.motion import JointMotion, Motion
from soke.body.smplx import BodyModel
from soke.data.storage.frames import FRAME_KEYS, frame_dicts, frames_from_motion
from soke.data.storage.saved import write_motion
from soke.data.storage.smplfx_clips import write_clip
from soke.errors import UserError
from soke.evaluation import predictions, score
from soke.evaluation.predictions import TrackReader
from soke.evaluation.score import main, score_motion, score_texts
from soke.evaluation.scored import Scored
from soke.metrics.joint_sets import track_of
from soke.metrics.motion_scores import MotionScores
from soke.metrics.text_scores import BLEU
from soke.run import cli
from soke.run.config import ROOT

FPS = 25.0
BODIES = ROOT / "deps" / "smpl_models"
GENERATED = joint_indices([*UPPER_BODY, *LEFT_HAND, *RIGHT_HAND, "jaw"])


@pytest.fixture(scope="module")
def reader() -> TrackReader:
    return TrackReader(BODIES, flat_hand_mean=True, betas=torch.zeros(10), fps=FPS)


@pytest.fixture(scope="module")
def faceless(reader: TrackReader) -> TrackReader:
    other = replace(reader, face=False)
    other.body = reader.body
    return other


@pytest.fixture(scope="module")
def poser(reader: TrackReader) -> BodyModel:
    return reader.body


def motion(seed: int, frames: int = 6) -> Motion:
    """Moves what SOKE generates, and nothing else."""
    rng = torch.Generator().manual_seed(seed)
    rotations = torch.zeros(frames, 55, 3)
    rotations[:, GENERATED] = 0.3 * torch.randn(frames, len(GENERATED), 3, generator=rng)
    return Motion(rotations, torch.randn(frames, 10, generator=rng), torch.randn(10, generator=rng), FPS)


def doubts(scored: Scored) -> list[str]:
    return [note for note in scored.notes if note.startswith("in doubt")]


def features(moving: Motion) -> np.ndarray:
    """[T, 133]: without the root, 11 joints of the body, and the shape."""
    frames = frames_from_motion(moving)
    return np.concatenate([frames[:, 36:159], frames[:, 169:]], axis=1)


def smplx_names(moving: Motion) -> dict[str, np.ndarray]:
    groups = {
        "global_orient": BODY[:1], "body_pose": BODY[1:], "jaw_pose": ("jaw",), "left_hand_pose": LEFT_HAND,
        "right_hand_pose": RIGHT_HAND, "leye_pose": ("left_eye_smplhf",), "reye_pose": ("right_eye_smplhf",),
    }
    poses = {key: moving.rotations[:, joint_indices(joints)].numpy() for key, joints in groups.items()}
    return {**poses, "expression": moving.expression.numpy(), "betas": moving.betas.numpy()[None]}


def saved(moving: Motion) -> dict[str, object]:
    """As an evaluation saves its predictions."""
    return {
        "rotations": moving.rotations.numpy(), "expression": moving.expression.numpy(), "betas": moving.betas.numpy(),
        "fps": moving.fps,
    }


def joints(moving: Motion, body: BodyModel) -> dict[str, np.ndarray]:
    track = track_of(body, moving, face=False)
    return {"joints" if part == "body" else part: points.numpy() for part, points in track.points.items()}


def pickled(pred: Motion, ref: Motion) -> dict[str, object]:
    return {"feats_rst": features(pred), "feats_ref": features(ref)[None], "text": "a sentence"}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez_compressed(path, **content)
    elif path.suffix == ".npy":
        np.save(path, content)
    else:
        path.write_bytes(pickle.dumps(content))


FORMS = {
    "saved": lambda m, _: (".npz", saved(m)),
    "smplx": lambda m, _: (".npz", smplx_names(m) | {"gender": np.array({"neutral"}, dtype=object)}),
    "frames": lambda m, _: (".npz", {key: np.stack([frame[key] for frame in frame_dicts(m)]) for key in FRAME_KEYS}),
    "179": lambda m, _: (".npz", {"poses": frames_from_motion(m)}),
    "133": lambda m, _: (".npy", features(m)),
    "given": lambda m, body: (".npz", joints(m, body) | {"fps": np.array([FPS])}),
    "body": lambda m, body: (".npy", body.joints(m).double().numpy()),
    "pickle": lambda m, _: (".pkl", pickled(m, m)),
    "saved in a pickle": lambda m, _: (".pkl", saved(m) | {"lacking": None}),
}


def values(scored: score.Scored) -> dict[tuple[str, str | None], tuple[float, ...]]:
    return {(s.signature.name, s.signature.part): tuple(s.values.values()) for s in scored.scores}


def label(scored: score.Scored) -> str | None:
    (body,) = {s.signature.body for s in scored.scores}
    return body


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three clips of different predictions and references, saved."""
    for index, name in enumerate(("a", "sub/b.1", "c")):
        write(tmp_path / f"pred/{name}.npz", saved(motion(index, 5 + index)))
        write(tmp_path / f"ref/{name}.npz", saved(motion(index + 10, 7)))
    return tmp_path / "pred", tmp_path / "ref"


def test_scores_are_those_of_the_tracks(folders, reader, poser, monkeypatch):
    names = ["a", "c", "sub/b.1"]
    expected = MotionScores(
        face_vertices=len(poser.face_vertices), fps=FPS, body=poser.label, inputs="rotations rad"
    )
    for index, name in enumerate(("a", "sub/b.1", "c")):
        tracks = track_of(poser, motion(index, 5 + index)), track_of(poser, motion(index + 10, 7))
        expected.update([name], [tracks[0]], [tracks[1]])
    for batch in (2, 32):
        monkeypatch.setattr(score, "_BATCH", batch)
        found = score_motion(reader, *folders)
        of_tracks = {(s.signature.name, s.signature.part): s for s in expected.scores()}
        assert len(found.scores) == len(of_tracks)
        for ours in found.scores:
            theirs = of_tracks[ours.signature.name, ours.signature.part]
            assert (ours.signature, ours.clips) == (theirs.signature, theirs.clips)
            assert ours.values == pytest.approx(theirs.values)
        assert (list(found.clips), found.unscored, found.total) == (names, {}, 3) and found.clips["c"]["frames"] == 7
        for name, of_clip in expected.per_clip().items():
            assert found.clips[name] == pytest.approx({"frames": found.clips[name]["frames"], **of_clip})


def test_a_prediction_equal_to_its_reference_costs_nothing_in_any_two_forms(tmp_path, faceless, poser):
    pairs = {(one, other) for one in FORMS for other in (one, "saved", "body")}
    for one, other in pairs:
        for folder, form in (("pred", one), ("ref", other)):
            suffix, content = FORMS[form](motion(3), poser)
            write(tmp_path / folder / f"{one}-{other}{suffix}", content)
    scored = score_motion(faceless, tmp_path / "pred", tmp_path / "ref")
    assert len(scored.clips) == scored.total == len(pairs) and not scored.unscored
    errors = [value for of in scored.clips.values() for key, value in of.items() if key.startswith("DTW")]
    assert max(errors) < 1e-3
    assert label(scored) == f"given+{poser.label},hands-of-144"


@pytest.mark.parametrize(("form", "faces"), [(name, name not in ("given", "body")) for name in FORMS])
def test_every_form_alone_scores_as_the_saved_one(tmp_path, reader, poser, form, faces):
    for name, (pred, ref) in {"x": (0, 1), "y": (2, 3)}.items():
        for folder, seed in (("pred", pred), ("ref", ref)):
            write(tmp_path / f"saved/{folder}/{name}.npz", saved(motion(seed)))
            suffix, content = FORMS[form](motion(seed), poser)
            write(tmp_path / f"own/{folder}/{name}{suffix}", content)
    found, expected = (score_motion(reader, tmp_path / w / "pred", tmp_path / w / "ref") for w in ("own", "saved"))
    compared = values(expected) if faces else {k: v for k, v in values(expected).items() if k[0] != "DTW-VPE"}
    assert values(found).keys() == compared.keys()
    if form == "body":  # other points on the hands
        compared = {k: v for k, v in compared.items() if k[1] == "body"}
        assert values(found)["DTW-JPE", "hand"] != pytest.approx(values(expected)["DTW-JPE", "hand"], rel=1e-3)
    for key, of in compared.items():
        assert values(found)[key] == pytest.approx(of, rel=1e-4), key
    assert label(found) == {"given": "given", "body": "given,hands-of-144"}.get(form, poser.label)


def test_hands_of_144_are_the_hands(tmp_path, reader, poser):
    rest = Motion.rest(1, FPS)
    write(tmp_path / "a.npy", poser.joints(rest).numpy())
    pred, _, sources, forms = reader.pair(tmp_path / "a.npy", tmp_path / "a.npy")
    assert sources == {"given", "hands-of-144"} and forms == {"joints m"}
    for side in ("left", "right"):
        taken, regressed = pred.points[f"{side}_hand"][0], poser.hand_joints(rest, side)[0]
        assert torch.cdist(taken, regressed).argmin(dim=1).tolist() == list(range(21))
        assert torch.allclose(taken[16:], regressed[16:], atol=1e-6)


def test_root_spine_and_legs_are_at_rest(folders, faceless):
    before = values(score_motion(faceless, *folders))
    for path in folders[0].rglob("*.npz"):
        content = dict(np.load(path))
        content["rotations"][:, joint_indices(BODY[:12])] = 0.7
        np.savez(path, **content)
    assert values(score_motion(faceless, *folders)) == {key: pytest.approx(of) for key, of in before.items()}


def test_own_betas(folders, faceless):
    zero, own = (
        score_motion(one, *(folder / "sub" for folder in folders))
        for one in (faceless, TrackReader(BODIES, flat_hand_mean=True, betas=None, face=False))
    )
    assert label(own) == label(zero) + ",own-betas"
    assert values(own)["DTW-JPE", "body"] != values(zero)["DTW-JPE", "body"]


@pytest.mark.parametrize("width", [133, 179])
def test_normalised_pickles_score_as_they_were(tmp_path, monkeypatch, poser, width):
    monkeypatch.setattr(predictions, "load_body_model", lambda *_: poser)
    rng = np.random.default_rng(0)
    mean, std = rng.normal(0, 0.1, 179).astype(np.float32), rng.uniform(0, 2, 179).astype(np.float32)
    std[40] = 1e-6  # hardly moves, and comes back as it was
    for name, numbers in {"mean": mean, "std": std}.items():
        torch.save(torch.from_numpy(numbers), tmp_path / f"{name}.pt")
    kept = np.arange(179) if width == 179 else np.r_[36:159, 169:179]
    for index in range(2):
        tracks = {"feats_rst": frames_from_motion(motion(index)), "feats_ref": frames_from_motion(motion(index + 5, 8))}
        write(tmp_path / f"plain/{index}.pkl", {key: f[:, kept] for key, f in tracks.items()} | {"text": "x"})
        stored = {key: ((f - mean) / (std + 1e-10))[None, :, kept] for key, f in tracks.items()}
        write(tmp_path / f"normal/{index}.pkl", stored | {"text": "x"})
    for name in ("plain", "normal"):
        statistics = [] if name == "plain" else ["--mean", tmp_path / "mean.pt", "--std", tmp_path / "std.pt"]
        arguments = ["--pred", tmp_path / name, "--fps", FPS, "--no_face", "--out", tmp_path / f"out-{name}"]
        main([str(item) for item in [*arguments, *statistics]])
    plain, normal = (
        json.loads((tmp_path / f"out-{name}" / "table.json").read_text())["cells"] for name in ("plain", "normal")
    )
    told = [{key: cell["signature"].pop(key) for key in ("statistics", "inputs")} for cell in (plain[0], normal[0])]
    assert told[0] == {"statistics": None, "inputs": f"{width} rad"}
    assert told[1]["inputs"] == f"{width} rad normalised" and re.fullmatch("[0-9a-f]{12}", told[1]["statistics"])
    assert plain[0]["signature"] == normal[0]["signature"]
    for one, other in zip(plain, normal):
        assert list(one["values"].values()) == pytest.approx(list(other["values"].values()), rel=1e-3)
        assert one["clips"] == one["total"] == 2


def moving(kind: str, seed: int, body: BodyModel) -> tuple[str, dict | np.ndarray]:
    """A clip as a signer's might be stored, in a unit or a form."""
    signing = motion(seed, 40)
    frames = frames_from_motion(signing)
    return {
        "radians": (".npz", {"poses": frames}),
        "degrees": (".npz", {"poses": np.degrees(frames)}),
        "normalised": (".npy", np.random.default_rng(seed).normal(size=(40, 133))),
        "metres": (".npy", body.joints(signing).numpy()),
        "millimetres": (".npy", body.joints(signing).numpy() * 1000),
        "centimetres": (".npy", body.joints(signing).numpy() * 100),
        "shoulders": (".npy", body.joints(signing).numpy() * 3),
        "hand in mm": (".npz", {k: v * (1000 if "hand" in k else 1) for k, v in joints(signing, body).items()}),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "told", "refused"),
    [
        ("radians", None, False),
        ("metres", None, False),
        ("degrees", r"half of its joints turn by more than \d+\.\d, .* 6.28 rad; if these are degrees", True),
        ("normalised", r"neck, head, collars and jaw turn by 1\.[678] rad .* a signer's by less than 1", False),
        ("millimetres", r"its body measures 1[4-9]\d\d m", True),
        ("centimetres", r"its body measures 1[4-9]\d\.\d m", True),
        ("shoulders", r"the body measures [45]\.\d m, usual is 0.5 to 3 m", False),
        ("hand in mm", r"its hand measures 1\d\d(\.\d)? m", True),
    ],
)
def test_numbers_that_are_not_what_they_are_taken_for(tmp_path, faceless, poser, caplog, kind, told, refused):
    for folder, kinds in (("pred", ["metres", kind]), ("ref", ["metres", kind])):
        for index, of in enumerate(kinds):
            suffix, content = moving(of, index, poser)
            write(tmp_path / folder / f"{index}{suffix}", content)
    scored = score_motion(faceless, tmp_path / "pred", tmp_path / "ref")
    assert len(scored.clips) == (1 if refused else 2)
    if refused:
        assert re.search(told, scored.unscored["1"])
    elif told is not None:
        (note,) = doubts(scored)
        assert note in caplog.text and "2 found; the first, " in note and re.search(told, note)
    else:
        assert not doubts(scored) and not caplog.records


def statistics(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    mean, std = rng.normal(0, 0.3, 179).astype(np.float32), rng.uniform(0.05, 0.4, 179).astype(np.float32)
    return {
        "right": (mean, std), "none": (np.zeros(179, np.float32), np.ones(179, np.float32)), "swapped": (std, mean),
        "std twice": (std, std), "std as mean": (std * 2, std), "degrees": (mean, std * 57.3),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "told", "refused"),
    [
        ("right", None, False),
        ("none", None, False),
        ("swapped", r"\d+ of 179 standard deviations are below zero, the lowest is -\d.*deviation swapped", True),
        ("std twice", "are the same numbers", True),
        ("std as mean", r"all 179 means are at least 0 \(the greatest is 0\.\d+\)", False),
        ("degrees", r"the greatest standard deviation of a rotation is 2\d\.\d+ rad, more than half a turn", False),
    ],
)
def test_mean_and_standard_deviation_that_are_not_such(tmp_path, faceless, caplog, kind, told, refused):
    mean, std = statistics("none" if kind == "none" else "right")
    frames = frames_from_motion(motion(0, 30))
    write(tmp_path / "a.pkl", {"feats_rst": (frames - mean) / std, "feats_ref": (frames - mean) / std})
    reader = replace(faceless, normalisation=statistics(kind))
    reader.body = faceless.body
    if refused:
        with pytest.raises(UserError, match=f"--mean and --std cannot be used: .*{told}"):
            score_motion(reader, tmp_path)
        return
    notes = doubts(score_motion(reader, tmp_path))
    if told is None:
        assert not notes and not caplog.records
    else:
        assert re.search(told, notes[0]) and notes[0] in caplog.text


def test_statistics_for_numbers_that_were_not_normalised_are_in_doubt(tmp_path, faceless):
    mean, std = statistics("right")
    raw = np.random.default_rng(0).normal(mean, std, size=(30, 179)).astype(np.float32)
    write(tmp_path / "raw/a.pkl", {"feats_rst": raw, "feats_ref": raw})
    stored = (raw - mean) / std
    write(tmp_path / "stored/a.pkl", {"feats_rst": np.zeros_like(stored), "feats_ref": stored})  # predicts the mean
    reader = replace(faceless, normalisation=(mean, std))
    reader.body = faceless.body
    (note,) = doubts(score_motion(reader, tmp_path / "raw"))
    assert "look as if they were not normalised (root mean square 0." in note and "leave out --mean and --std" in note
    assert not doubts(score_motion(reader, tmp_path / "stored"))
    write(tmp_path / "plain/a.npy", raw)  # for which they are not meant
    reader.fps = FPS
    (note,) = doubts(score_motion(reader, tmp_path / "plain", tmp_path / "plain"))
    assert "--mean and --std are not used: no file holds feats_rst or feats_ref" in note


@pytest.mark.parametrize("shapes", [
    {"array": (0, 179)}, {"feats_rst": (0, 133), "feats_ref": (0, 133)}, {"rotations": (0, 55, 3)},
    {"body_pose": (0, 63), "left_hand_pose": (0, 45), "right_hand_pose": (0, 45)}, {"joints": (0, 144, 3)},
], ids=lambda shapes: min(shapes))
def test_a_clip_without_frames_is_told_and_stops_no_other(tmp_path, faceless, shapes):
    write(tmp_path / "a.npz", {name: np.zeros(shape, np.float32) for name, shape in shapes.items()} | {"fps": FPS})
    write(tmp_path / "b.npz", saved(motion(1)))
    found = score_motion(faceless, tmp_path, tmp_path)
    assert "no frames" in found.unscored["a"] and set(found.clips) == {"b"}


def test_a_frame_rate_that_no_camera_has_is_in_doubt(tmp_path, faceless):
    write(tmp_path / "a.npz", saved(motion(0)) | {"fps": 0.04})
    assert "0.04 frames/s, usual is 5 to 250" in score_motion(faceless, tmp_path, tmp_path).notes[0]


class Payload:
    """Makes a file when it is unpickled freely."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def write_bad(pred: Path, ref: Path, body: BodyModel, trap: Path) -> dict[str, str]:
    """One clip of each kind of trouble beside the good ones; clip to what its reason says."""
    good, nan = motion(1), motion(1)
    nan.rotations[2, joint_indices(["left_elbow"])] = torch.nan
    bad_joints = body.joints(good).numpy()
    bad_joints[4, 100, 1] = np.inf
    contents = {
        "missing": (None, "no prediction"),
        "rate": ((".npz", saved(good) | {"fps": 30.0}), "30 frames/s, the reference 25"),
        "count": ((".npy", np.zeros((6, 55, 3))), r"[6, 55, 3], it must be [T, 144, 3]"),
        "contourless": ((".npz", {"joints": np.zeros((6, 127, 3))}), "use_face_contour=True"),
        "nan": ((".npz", saved(nan)), "NaN or infinite positions, first in frame 2"),
        "infinite": ((".npy", bad_joints), "NaN or infinite positions, first in frame 4"),
        "empty": ((".npz", saved(motion(1, 0))), "no frames"),
        "frame": ((".pkl", frame_dicts(good)[0]), "it holds one frame, and a clip is one file: stack the frames"),
        "pca": ((".npz", smplx_names(good) | {"left_hand_pose": np.zeros((6, 12))}), "left_hand_pose is [6, 12]"),
        "handless": ((".npz", {"body_pose": np.zeros((6, 63)), "betas": np.zeros(10)}), "no left_hand_pose"),
        "onehanded": ((".npz", {k: v for k, v in joints(good, body).items() if k != "left_hand"}), "no left_hand"),
        "width": ((".npy", np.zeros((6, 165))), "[6, 165], it must be [T, 133] or [T, 179]"),
        "stranger": ((".npz", {"trans": np.zeros(3), "pose": np.zeros(66), "x": np.zeros(1)}), "trans, pose, x, which"),
        "timeless": ((".npz", saved(good) | {"fps": 0.0}), "fps is [0.0]"),
        "objects": ((".npy", np.array([{}], dtype=object)), "cannot be read"),
        "text": ((".pkl", {"feats_rst": "abc", "feats_ref": features(good)}), "feats_rst is no array of numbers"),
        "tensor": ((".pkl", {"feats_rst": torch.zeros(6, 133)}), "save it as a numpy array"),
        "malicious": ((".pkl", {"feats_rst": Payload(trap)}), "refused"),
    }
    for name, (content, _) in contents.items():
        write(ref / f"bad/{name}.npz", saved(good))
        if content is not None:
            write(pred / f"bad/{name}{content[0]}", content[1])
    write(pred / "bad/extra.npz", saved(good))
    write(ref / "bad/cut.npz", saved(good))
    (pred / "bad/cut.npz").write_bytes((ref / "bad/cut.npz").read_bytes()[:3000])
    (pred / "notes.md").write_text("no clip")
    reasons = {name: reason for name, (_, reason) in contents.items()}
    reasons |= {"extra": "no reference", "cut": "cannot be read"}
    return {f"bad/{name}": reason for name, reason in reasons.items()}


def test_trouble_is_named_and_changes_no_other_score(folders, tmp_path, monkeypatch, poser, capsys):
    monkeypatch.setattr(predictions, "load_body_model", lambda *_: poser)
    arguments = ["--pred", str(folders[0]), "--ref", str(folders[1]), "--fps", "25", "--no_face"]
    main([*arguments, "--out", str(tmp_path / "good")])
    assert "motion: scored 3 of 3 clips" in capsys.readouterr().out
    assert (tmp_path / "good" / "unscored.txt").read_text() == ""
    trap = tmp_path / "trap"
    expected = write_bad(*folders, poser, trap)
    main([*arguments, "--out", str(tmp_path / "bad"), "--name", "theirs"])

    out, total = capsys.readouterr().out, 3 + len(expected) - 1
    assert not trap.exists()
    assert f"motion: scored 3 of {total} clips" in out and f"and {len(expected) - 5} more" in out
    assert f"3 of {total}" in (tmp_path / "bad" / "table.txt").read_text()
    reasons = dict(line.split("\t") for line in (tmp_path / "bad" / "unscored.txt").read_text().splitlines())
    assert reasons.keys() == expected.keys()
    assert sum(f"  {name}: {reason}" in out for name, reason in reasons.items()) == 5
    for name, reason in expected.items():
        assert reason in reasons[name], name

    good, bad = (json.loads((tmp_path / run / "table.json").read_text())["cells"] for run in ("good", "bad"))
    changed = {"row": "theirs", "total": total}
    assert bad == [{**cell, **changed} for cell in good] and {cell["total"] for cell in good} == {3}
    clips = [list(csv.DictReader((tmp_path / run / "clips.csv").open(encoding="utf-8"))) for run in ("good", "bad")]
    assert clips[1] == [{**row, "row": "theirs"} for row in clips[0]]
    assert [row["clip"] for row in clips[0]] == ["a", "c", "sub/b.1"] and clips[0][0]["corpus"] == "ref"


def test_faces_are_scored_when_all_have_one(folders, reader, caplog):
    write(folders[0] / "c.npz", joints(motion(2, 7), reader.body))
    scored = score_motion(reader, *folders)
    assert len(scored.clips) == 3 and ("DTW-VPE", "face") not in values(scored)
    assert "some clips have none" in caplog.text


@pytest.mark.parametrize(("write_as", "absent"), [("saved", "expression"), ("smplx", "expression"), ("smplx", "jaw_pose")])
def test_faces_that_a_file_does_not_hold_are_not_scored_as_faces_at_rest(tmp_path, reader, caplog, write_as, absent):
    for folder, lacking in (("pred", absent), ("ref", None)):
        moving = motion(1)
        content = saved(moving) if write_as == "saved" else {**smplx_names(moving), "fps": FPS}
        write(tmp_path / folder / "a.npz", {key: value for key, value in content.items() if key != lacking})
    scored = score_motion(reader, tmp_path / "pred", tmp_path / "ref")
    assert len(scored.clips) == 1 and ("DTW-JPE", "body") in values(scored) and ("DTW-VPE", "face") not in values(scored)
    assert "faces are not scored: some clips have none" in caplog.text


def test_predictions_of_smpl_fx_are_posed_by_it(tmp_path, reader, caplog):
    def with_head(seed: int, lids: bool = True) -> Motion:
        moving, rng = motion(seed), torch.Generator().manual_seed(seed)
        head = {"eyelids": torch.rand(6, 2, generator=rng)} if lids else {"head_shape": torch.randn(300, generator=rng)}
        return replace(moving, expression=0.5 * torch.randn(6, 20, generator=rng), **head)

    pairs = {"a": (with_head(0), with_head(1)), "b": (with_head(2, False), with_head(3, False))}
    for name, pair in pairs.items():
        for folder, moving in zip(("pred", "ref"), pair):
            write_motion(tmp_path / folder / f"{name}.npz", moving)
    found = score_motion(reader, tmp_path / "pred", tmp_path / "ref")
    expected = MotionScores.of(reader.smplfx, fps=FPS, inputs="rotations rad")
    for name, pair in pairs.items():
        expected.update([name], *([track_of(reader.smplfx, moving)] for moving in pair))
    of_tracks = {s.signature: s.values for s in expected.scores()}
    assert {s.signature for s in found.scores} == set(of_tracks) and label(found) == reader.smplfx.label
    assert all(s.values == pytest.approx(of_tracks[s.signature]) for s in found.scores)

    for name, (_, given) in pairs.items():  # references as the corpora have them, of one an invalid frame more
        write_clip(tmp_path / "ref" / f"{name}.npz", given)
    arrays = dict(np.load(tmp_path / "ref" / "a.npz"))
    longer = {k: np.concatenate([v[:1], v]) if v.shape[:1] == (6,) else v for k, v in arrays.items()}
    np.savez(tmp_path / "ref" / "a.npz", **longer, valid=np.arange(7) > 0)
    clips = score_motion(reader, tmp_path / "pred", tmp_path / "ref")
    assert values(clips).keys() == values(found).keys() and label(clips) == reader.smplfx.label
    assert all(value == pytest.approx(values(found)[key]) for key, value in values(clips).items())
    assert {s.signature.inputs for s in clips.scores} == {"rotations rad+smplfx rad"}
    write_clip(tmp_path / "ref" / "a.npz", replace(pairs["a"][1], lacking=frozenset(LEFT_HAND)))
    write_motion(tmp_path / "pred" / "b.npz", replace(pairs["b"][0], lacking=frozenset(RIGHT_HAND)))
    unseen = score_motion(reader, tmp_path / "pred", tmp_path / "ref").unscored
    assert "left index1 was not observed" in unseen["a"] and "right index1 was not observed" in unseen["b"]

    for folder in ("pred", "ref"):
        write_motion(tmp_path / folder / "a.npz", pairs["a"][0])
        write_motion(tmp_path / folder / "b.npz", motion(4))
    mixed = score_motion(reader, tmp_path / "pred", tmp_path / "ref")
    assert ("DTW-VPE", "face") not in values(mixed) and "one of another body model" in caplog.text
    assert label(mixed) == "+".join(sorted([reader.body.label, reader.smplfx.label]))


def test_saved_positions_are_sent_where_they_are_scored(tmp_path, faceless):
    write_motion(tmp_path / "a.npz", JointMotion(torch.zeros(3, 50, 3), SKELETON_50, FPS))
    (reason,) = score_motion(faceless, tmp_path, tmp_path).unscored.values()
    assert "a.npz holds positions" in reason and ".pose files of both sides with `python -m prepare.to_poses`" in reason


def test_signature_has_the_median_rate(folders, faceless):
    def scored(name: str, fps: float) -> tuple[set[float], list[str]]:
        for folder in folders:
            write(folder / f"{name}.npz", saved(motion(1)) | {"fps": fps})
        found = score_motion(faceless, *folders)
        return {s.signature.fps for s in found.scores}, [note for note in found.notes if "frames/s" in note]

    assert scored("a", 24.9) == ({25.0}, [])
    rates, (note,) = scored("a", 50)
    assert rates == {25.0} and note.startswith("the clips have 25 to 50 frames/s, of which signatures give the median, 25:")
    rates, (note,) = scored("c", 40)
    assert rates == {40.0} and "25 to 50 frames/s" in note


def test_files_of_single_frames_are_in_doubt(tmp_path, faceless, poser):
    for name, content in (("a", saved(motion(0, 1))), ("b", joints(motion(1, 1), poser) | {"fps": FPS})):
        write(tmp_path / f"{name}.npz", content)
    (doubt,) = doubts(score_motion(faceless, tmp_path, tmp_path))
    assert doubt.startswith("in doubt: length (4 found") and "where files are frames, stack those of a clip" in doubt


def test_a_rate_must_be_said_where_files_have_none(tmp_path):
    write(tmp_path / "a.npy", features(motion(0)))
    with pytest.raises(UserError, match="no clip could be scored; the first, a: .*a.npy .*no frame rate; give --fps"):
        main(["--pred", str(tmp_path), "--ref", str(tmp_path)])


def test_results_of_test_py_are_not_written_over(tmp_path):
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(UserError, match="holds results of test.py; give another folder"):
        main(["--pred", str(tmp_path), "--out", str(tmp_path)])


def test_nothing_scored_is_an_error_that_leaves_the_reasons(tmp_path, capsys):
    write(tmp_path / "a.pkl", {"feats_rst": features(motion(0))})  # a prediction alone, without --ref
    write_texts(tmp_path / "out" / "table.json", {"an earlier": "table"})
    with pytest.raises(SystemExit) as stopped:
        cli.run(lambda: main(["--pred", str(tmp_path), "--fps", "25", "--out", str(tmp_path / "out")]))
    assert stopped.value.code == 2
    assert "error: no clip could be scored; the first, a:" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["unscored.txt"]
    assert "holds no feats_ref" in (tmp_path / "out" / "unscored.txt").read_text()


def test_files_without_a_clip_are_said_to_have_none(tmp_path):
    torch.save({}, tmp_path / "empty.pt")
    with pytest.raises(UserError, match="no clip could be scored; there are none in the files"):
        main(["--pred", str(tmp_path / "empty.pt"), "--ref", str(tmp_path / "empty.pt")])


TEXTS = {"a": "the dog sleeps in the garden", "b": "rain in the north", "sub/c": "it snows on the mountains today"}
HYPOTHESES = {"a": "the dog sleeps in a garden", "b": "", "sub/c": "it snows today"}


def write_texts(path: Path, texts: dict[str, str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{name}\t{text}\n" for name, text in texts.items()), encoding="utf-8")
    return path


def test_texts(tmp_path, caplog):
    hyp = write_texts(tmp_path / "hyp.tsv", HYPOTHESES | {"extra": "x", "bare": "x"})
    ref = write_texts(tmp_path / "ref.tsv", TEXTS | {"missing": "y", "bare": ""})
    scored = score_texts(hyp, ref, "word")
    bleu = BLEU(level="word")
    for name, text in TEXTS.items():
        bleu.update(name, HYPOTHESES[name], text)
    assert scored.scores[:4] == bleu.scores()
    assert [key[0] for key in values(scored)][4:] == ["chrF", "ROUGE-L", "ROUGE-L adaptive", "WER"]
    assert scored.total == 5 and set(scored.clips) == set(TEXTS)
    assert scored.clips["b"]["WER percent"] == 100.0 and scored.clips["b"]["BLEU-1 percent"] == 0.0
    assert scored.unscored.keys() == {"extra", "missing", "bare"}
    assert scored.unscored["bare"] == "its reference has no tokens"
    assert "1 of 3 hypotheses are empty (b)" in caplog.text


@pytest.mark.parametrize("kind", ["motion", "texts"])
def test_accents_of_names_may_come_with_their_letters_or_follow_them(tmp_path, faceless, kind):
    names = [unicodedata.normalize(form, "é/café") for form in ("NFC", "NFD")]
    if kind == "motion":
        for folder, name in zip(("pred", "ref"), names):
            write(tmp_path / folder / f"{name}.npz", saved(motion(1)))
        scored = score_motion(faceless, tmp_path / "pred", tmp_path / "ref")
    else:
        files = [write_texts(tmp_path / f"{i}.tsv", {name: "ja"}) for i, name in enumerate(names)]
        scored = score_texts(*files, "word")
    assert list(scored.clips) == names[:1] and not scored.unscored


def test_a_heading_is_no_clip(tmp_path, caplog):
    ref = write_texts(tmp_path / "ref.tsv", {"Name": "sentence"} | TEXTS)
    scored = score_texts(write_texts(tmp_path / "hyp.tsv", {"Name": "sentence"} | HYPOTHESES), ref, "word")
    assert (scored.total, set(scored.clips)) == (len(TEXTS), set(TEXTS))
    assert "ref.tsv: the first line, Name and sentence, is taken for a heading" in caplog.text
    clips = {"name": "one word", "id": "word"}  # none of them is one
    assert score_texts(write_texts(tmp_path / "own.tsv", clips), tmp_path / "own.tsv", "word").total == 2


def test_texts_beside_motion_and_alone(folders, tmp_path, caplog):
    names = dict(zip(("a", "c", "sub/b.1"), TEXTS.values()))
    texts = write_texts(tmp_path / "phoenix.tsv", names)
    asked = ["--hyp", str(texts), "--ref_text", str(texts), "--level", "char", "--out", str(tmp_path / "out")]
    with caplog.at_level(logging.WARNING):
        main(asked)
    assert not caplog.records
    cells = json.loads((tmp_path / "out" / "table.json").read_text())["cells"]
    assert {cell["corpus"] for cell in cells} == {"phoenix"} and cells[0]["signature"]["level"] == "char"
    assert [cell["values"]["percent"] for cell in cells] == pytest.approx([100.0] * 7 + [0.0])

    main([*asked, "--pred", str(folders[0]), "--ref", str(folders[1]), "--no_face"])
    cells = json.loads((tmp_path / "out" / "table.json").read_text())["cells"]
    assert {cell["corpus"] for cell in cells} == {"ref"}
    assert {"DTW-JPE", "BLEU-4"} < {cell["metric"] for cell in cells} and "DTW-VPE" not in str(cells)
    rows = list(csv.DictReader((tmp_path / "out" / "clips.csv").open(encoding="utf-8")))
    assert [row["clip"] for row in rows] == list(names)
    assert all(row["DTW-JPE body m"] and row["WER percent"] for row in rows)


def test_texts_are_counted_as_their_script_asks(tmp_path):
    (tmp_path / "hyp.tsv").write_text("a\t他今年四岁。\n", encoding="utf-8")
    (tmp_path / "ref.tsv").write_text("a\t他 今 年 四 岁 。\n", encoding="utf-8")
    main(["--hyp", str(tmp_path / "hyp.tsv"), "--ref_text", str(tmp_path / "ref.tsv"), "--out", str(tmp_path / "out")])
    cells = json.loads((tmp_path / "out" / "table.json").read_text(encoding="utf-8"))["cells"]
    bleu = {cell["signature"]["name"]: cell for cell in cells}["BLEU-4"]
    assert bleu["signature"]["level"] == "jieba" and bleu["values"]["percent"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to score"),
        (["--ref", "x"], "nothing to score"),
        (["--hyp", "x"], "--hyp and --ref_text belong together"),
        (["--pred", "x", "--mean", "x"], "--mean and --std belong together"),
        (["--pred", "x", "--fps", "0"], "--fps is 0"),
        (["--pred", "absent"], "absent is no folder"),
        (["--pred", "."], "holds no clips"),
        (["--pred", "twice"], "two files of one clip"),
        (["--pred", "twice", "--mean", "few.pt", "--std", "few.pt"], "does not hold a tensor of 179"),
        (["--pred", "twice", "--mean", "no.tsv", "--std", "few.pt"], "not a saved tensor"),
        (["--hyp", "absent", "--ref_text", "no.tsv"], "absent cannot be read"),
        (["--hyp", "no.tsv", "--ref_text", "no.tsv"], "no.tsv holds no texts"),
        (["--pred", "a.pt", "--fps", "24", "--no_face"], "no motions in parameters, to be read by --fps, --no_face: leave"),
        (["--hyp", "no.tsv", "--ref_text", "no.tsv", "--flat_hand_mean"], "to be read by --flat_hand_mean"),
        (["--hyp", "twice.tsv", "--ref_text", "twice.tsv"], "two lines of clip a"),
        (["--hyp", "latin.tsv", "--ref_text", "no.tsv"], "not in UTF-8"),
    ],
)
def test_what_the_command_refuses(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(Path("._a.npy"), np.zeros((2, 133)))  # macOS leaves such beside every file
    if message != "holds no clips":
        write(Path("twice/a.npy"), np.zeros((2, 133)))
        write(Path("twice/a.pkl"), {})
    torch.save(torch.zeros(5), "few.pt")
    Path("no.tsv").write_text("a b c\n")
    Path("twice.tsv").write_text("a\tx\nb\ty\na\tz\n")
    Path("latin.tsv").write_bytes("a\tgrün\n".encode("latin-1"))
    with pytest.raises(UserError, match=message):
        main(arguments)
