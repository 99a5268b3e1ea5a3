"""Predictions of others: files in every form that the field saves them in, read as tracks and texts."""
from __future__ import annotations

import logging
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from soke.body.joints import BODY, LEFT_HAND, NUM_JOINTS, RIGHT_HAND, UPPER_BODY, joint_indices
from soke.body.layout import MotionLayout, PartSpec
from soke.body.model import load_body_model, load_smplfx
from soke.body.motion import Motion
from soke.body.skinned import SkinnedBody
from soke.data.storage.frames import FRAME_SIZE, NUM_BETAS, NUM_EXPRESSION, motion_from_frames
from soke.data.storage.pose_files import SUFFIX as POSE_SUFFIX
from soke.data.storage.smplfx_clips import read_clip
from soke.errors import UserError
from soke.metrics.joint_sets import BODY_JOINTS, HAND_JOINTS, TRACK_JOINTS, Track, track_of
from soke.metrics.plausible import (
    doubt_of_length,
    doubt_of_normalised,
    doubt_of_points,
    doubt_of_rate,
    doubt_of_rotations,
)
from soke.pickles import load_pickle
from soke.storage import read_text

_log = logging.getLogger(__name__)
Role = Literal["prediction", "reference"]
SUFFIXES = (".npz", ".npy", ".pkl")
GIVEN, DERIVED_HANDS = "given", "hands-of-144"  # in signatures: joints came as such; hands were taken from the body's
NORMALISED = "normalised"

# The numbers that SOKE generates per frame, in their order.
_GENERATED = MotionLayout([PartSpec("all", (*UPPER_BODY, *LEFT_HAND, *RIGHT_HAND), jaw=True, expression=10)])
_WIDTHS = (_GENERATED.sizes["all"], FRAME_SIZE)
_AT_REST = joint_indices([joint for joint in BODY if joint not in UPPER_BODY])
_FEATURES: dict[Role, str] = {"prediction": "feats_rst", "reference": "feats_ref"}
_SMPLX_POSES = {
    "body_pose": BODY[1:], "left_hand_pose": LEFT_HAND, "right_hand_pose": RIGHT_HAND, "jaw_pose": ("jaw",),
    "leye_pose": ("left_eye_smplhf",), "reye_pose": ("right_eye_smplhf",),
}
_OF_HEAD = ("eyelids", "head_shape")  # what SMPL-FX has besides SMPL-X's
_OF_CLIPS = {"eyelids", "flame_shape"}  # the same beside smplx's names, in an SMPL-FX clip
_SCORED = (*UPPER_BODY, *LEFT_HAND, *RIGHT_HAND)
_NEEDED_POSES = ("body_pose", "left_hand_pose", "right_hand_pose")
_SMPLX_NAMES = {
    "smplx_body_pose": "body_pose", "smplx_lhand_pose": "left_hand_pose", "smplx_rhand_pose": "right_hand_pose",
    "smplx_jaw_pose": "jaw_pose", "smplx_shape": "betas", "smplx_expr": "expression",
}
_KNOWN = {
    "fps", "rotations", "expression", "betas", *_OF_HEAD, "lacking", "joints", *TRACK_JOINTS, *_FEATURES.values(), *_SMPLX_POSES,
    *_SMPLX_NAMES,
}
_HEADINGS = {"name", "names", "clip", "id", "video", "video_name", "sentence_name", "file"}  # of a column of names
_POINTS = {
    BODY_JOINTS.total: "the joints that smplx gives with use_face_contour=True",
    HAND_JOINTS.total: "wrist, finger joints and tips",
}
# The points of a hand among smplx's 144: wrist, finger joints, and the vertices at the tips.
_HANDS_OF_144 = {
    "left_hand": [*joint_indices(("left_wrist", *LEFT_HAND)), *range(66, 71)],
    "right_hand": [*joint_indices(("right_wrist", *RIGHT_HAND)), *range(71, 76)],
}


@dataclass
class TrackReader:
    """Makes tracks of files.

    root:           folder of the body model, which is loaded when a file holds parameters
    flat_hand_mean: False adds the model's mean hand pose to the finger rotations
    betas:          [10] shape used for every clip; None uses each clip's own
    fps:            frames per second of files that hold none
    normalisation:  mean and standard deviation [179] that feats_rst and feats_ref were normalised by
    face:           whether the faces of parameters are scored

    doubts: kind -> which files may not hold what they are taken for, and why
    bodies: label -> a body model that parameters were posed by
    """

    root: Path
    flat_hand_mean: bool = False
    betas: torch.Tensor | None = None
    fps: float | None = None
    normalisation: tuple[np.ndarray, np.ndarray] | None = None
    face: bool = True
    doubts: dict[str, list[str]] = field(default_factory=dict, init=False)
    bodies: dict[str, SkinnedBody] = field(default_factory=dict, init=False)

    @cached_property
    def body(self) -> SkinnedBody:
        """SMPL-X."""
        return load_body_model(self.root, self.flat_hand_mean, self.betas)

    @cached_property
    def smplfx(self) -> SkinnedBody:
        return load_smplfx(self.root, self.flat_hand_mean, self.betas)

    def pair(self, pred: Path, ref: Path) -> tuple[Track, Track, set[str], set[str]]:
        """A prediction, its reference, what made their joints, and what the files were taken for, as signatures say it.

        Raises UserError that names the file: it cannot be read, what it holds is not known, or cannot be what it is
        taken for.
        """
        tracks, makers, forms = zip(self._track(pred, "prediction"), self._track(ref, "reference"))
        sources = set(makers)
        if any("left_hand" not in track.points for track in tracks):
            # Hands that the body model regresses from posed vertices are other points, up to centimetres away.
            tracks = [
                Track({**t.points, **{hand: t.points["body"][:, own] for hand, own in _HANDS_OF_144.items()}}, t.fps)
                for t in tracks
            ]
            sources.add(DERIVED_HANDS)
        return *tracks, sources, set(forms)

    def motions(self, pred: Path, ref: Path) -> tuple[Motion, Motion, set[str]]:
        """A prediction and its reference in parameters, at rest where they are not scored, and what the files were taken
        for. Raises UserError as `pair` does, and for joints, of which there are no parameters."""
        found = [self._parameters(path, role) for path, role in ((pred, "prediction"), (ref, "reference"))]
        return found[0][0], found[1][0], {form for _, form in found}

    def _parameters(self, path: Path, role: Role) -> tuple[Motion, str]:
        content = read_arrays(path)
        if "joints" in content or "body" in content:
            raise UserError(f"{path} holds joints, which have no codes; give rotations")
        try:
            motion, form, _ = self._motion(path, content, self._fps(content), role)
        except ValueError as error:
            raise UserError(f"{path} cannot be scored: {error}") from error
        if not len(motion) or not (motion.rotations.isfinite().all() and motion.expression.isfinite().all()):
            raise UserError(f"{path} cannot be scored: it has no frames, or holds NaN or infinity")
        return _at_rest(motion), form

    def _track(self, path: Path, role: Role) -> tuple[Track, str, str]:
        """A file's track, no hands where it holds 144 joints alone; what made the joints; what it was taken for."""
        content = read_arrays(path)
        try:
            fps = self._fps(content)
            self._note("rate", path, doubt_of_rate(fps))
            if "joints" in content or "body" in content:
                track = _joint_track(content, fps)
                self._note("length", path, doubt_of_length(len(track)))
                for part, points in track.points.items():
                    kind = BODY_JOINTS.part if part == "body" else HAND_JOINTS.part
                    self._note(kind, path, doubt_of_points(points, kind))
                return track, GIVEN, "joints m"
            motion, form, doubt = self._motion(path, content, fps, role)
            self._note("length", path, doubt_of_length(len(motion)))
            self._note("normalisation", path, doubt)
            self._note("rotations", path, doubt_of_rotations(motion.rotations))
        except ValueError as error:
            raise UserError(f"{path} cannot be scored: {error}") from error
        # A model of its own: SMPL-FX alone has eyelids and a shape of the head, and its expressions are other ones.
        body = self.body if motion.eyelids is None and motion.head_shape is None else self.smplfx
        self.bodies[body.label] = body
        face = self.face and not motion.lacking & {"jaw", "expression"}
        return track_of(body, _at_rest(motion), face), body.label, form

    def _note(self, kind: str, path: Path, doubt: str | None) -> None:
        if doubt is not None:
            self.doubts.setdefault(kind, []).append(f"{path}: {doubt}")

    def _fps(self, content: Mapping[str, Any]) -> float:
        if "fps" not in content:
            if self.fps is None:
                raise ValueError("it holds no frame rate; give --fps")
            return self.fps
        values = _numbers(content, "fps").ravel()
        if len(values) != 1 or not 0 < values[0] < math.inf:
            raise ValueError(f"its fps is {values.tolist()}, it must be one number above 0")
        return float(values[0])

    def _motion(
        self, path: Path, content: Mapping[str, Any], fps: float, role: Role
    ) -> tuple[Motion, str, str | None]:
        """With what the content was taken for, and a doubt whether it was normalised."""
        doubt = None
        if any(key in content for key in _FEATURES.values()):
            features = _frame_numbers(content, _FEATURES[role])
            form = f"{features.shape[1]} rad"
            if self.normalisation is not None:
                mean, std = (n if features.shape[1] == len(n) else _generated(n) for n in self.normalisation)
                if role == "reference":  # predictions may well be close to the mean
                    doubt = doubt_of_normalised(features, mean, std)
                features, form = features * std + mean, f"{form} {NORMALISED}"
            return _motion_of_numbers(features, fps), form, doubt
        if "array" in content:
            numbers = _frame_numbers(content, "array")
            return _motion_of_numbers(numbers, fps), f"{numbers.shape[1]} rad", doubt
        if "rotations" in content:
            rotations = torch.from_numpy(_numbers(content, "rotations"))
            head = {key: torch.from_numpy(_numbers(content, key)) for key in _OF_HEAD if key in content}
            names = content.get("lacking")
            lacking = _absent(content, "expression").union(() if names is None else map(str, np.atleast_1d(names)))
            motion = Motion(
                rotations, _expression(content, len(rotations)), _betas(content), fps, **head, lacking=lacking
            )
            return _observed(motion), "rotations rad", doubt
        if path.suffix == ".npz" and "body_pose" in content and _OF_CLIPS & set(content):
            return _observed(read_clip(path)), "smplfx rad", doubt
        if "body_pose" in content:
            return _smplx_motion(content, fps), "smplx rad", doubt
        raise ValueError(f"it holds {', '.join(map(str, content)) or 'nothing'}, which is no form that --help lists")


def _observed(motion: Motion) -> Motion:
    """Raises ValueError where nobody has seen a joint that is scored."""
    if unseen := [joint for joint in _SCORED if joint in motion.lacking]:
        raise ValueError(f"its {unseen[0].replace('_', ' ')} was not observed")
    return motion


def _at_rest(motion: Motion) -> Motion:
    """Root, spine and legs at rest."""
    rotations = motion.rotations.clone()
    rotations[:, _AT_REST] = 0
    return replace(motion, rotations=rotations)


def read_arrays(path: Path) -> dict[str, Any]:
    """What a file holds, by smplx's names; one array alone, whatever its name, is `joints` [T, J, 3] or `array`.

    Raises UserError that names the file when it cannot be read, or not without running what is in it.
    """
    content = load_pickle(path) if path.suffix == ".pkl" else _load_numpy(path)
    if not isinstance(content, Mapping):
        content = {"array": content}
    if {"positions", "joints"} <= set(content):  # as `soke.data.storage.saved` writes positions
        raise UserError(
            f"{path} holds positions of joints of a skeleton's own; make {POSE_SUFFIX} files of both sides with `python -m "
            "prepare.to_poses`, predictions with --from, and score these"
        )
    alone = set(content) - {"fps"}
    if len(alone) == 1 and not alone & _KNOWN:
        shape = getattr(content[min(alone)], "shape", ())
        form = "joints" if len(shape) == 3 and shape[2] == 3 else "array"
        content = {form if name in alone else name: value for name, value in content.items()}
    return {_SMPLX_NAMES.get(name, name): value for name, value in content.items()}


def clip_files(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> dict[str, Path]:
    """Clip name, in composed characters (NFC), -> its file, in the order of the names. Raises UserError: no folder, no
    clips, two files of a name."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give the folder that holds one file per clip")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in suffixes or path.name.startswith(".") or not path.is_file():
            continue
        name = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
        if name in files:
            raise UserError(f"{files[name]} and {path} are two files of one clip; move one elsewhere")
        files[name] = path
    if not files:
        raise UserError(f"{folder} holds no clips, which are files that end in {', '.join(suffixes)}")
    return files


def read_texts(path: Path) -> dict[str, str]:
    """Clip name (NFC) -> text, of lines name<TAB>text; a line without a tab has no text. A heading is left out, with a warning.

    Raises UserError that names the file: unreadable, not UTF-8, no tab in it, a name twice.
    """
    content = read_text(path)
    if "\t" not in content:
        raise UserError(f"{path} holds no texts; write one clip per line, its name, a tab and the text")
    texts: dict[str, str] = {}
    for line in filter(str.strip, content.split("\n")):
        name, _, text = line.partition("\t")
        name = unicodedata.normalize("NFC", name)
        if name in texts:
            raise UserError(f"{path} has two lines of clip {name}; remove one")
        texts[name] = text.strip()
    first = next(iter(texts), "")
    if first.strip().lower() in _HEADINGS and len(texts[first].split()) == 1 < len(texts):
        _log.warning("%s: the first line, %s and %s, is taken for a heading", path, first, texts.pop(first))
    return texts


def _load_numpy(path: Path) -> Any:
    """An array, or those of an archive by name; where there are many, None for unknown ones, which may be objects."""
    try:
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            return content
        with content as archive:
            names = archive.files
            return {name: archive[name] if name in _KNOWN or len(names) <= 2 else None for name in names}
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(f"{path} cannot be read ({type(error).__name__}: {error}); save its arrays again") from error


def _numbers(content: Mapping[str, Any], key: str) -> np.ndarray:
    """float32, of at least one dimension."""
    if key not in content:
        raise ValueError(f"it holds no {key}")
    if content[key] is None:
        raise ValueError(f"its {key} is a torch tensor or nothing; save it as a numpy array")
    try:
        return np.atleast_1d(np.array(content[key], dtype=np.float32))
    except (TypeError, ValueError):
        raise ValueError(f"its {key} is no array of numbers") from None


def _points(content: Mapping[str, Any], key: str, count: int) -> torch.Tensor:
    """[T, count, 3]."""
    values = _numbers(content, key)
    if values.ndim != 3 or values.shape[1:] != (count, 3):
        raise ValueError(
            f"the shape of its {key} is {list(values.shape)}, it must be [T, {count}, 3], {_POINTS[count]}"
        )
    return torch.from_numpy(values)


def _joint_track(content: Mapping[str, Any], fps: float) -> Track:
    body = _points(content, "joints" if "joints" in content else "body", BODY_JOINTS.total)
    if not any(hand in content for hand in _HANDS_OF_144):
        return Track({"body": body}, fps)
    hands = {hand: _points(content, hand, HAND_JOINTS.total) for hand in _HANDS_OF_144}
    if any(len(points) != len(body) for points in hands.values()):
        frames = " and ".join(str(len(points)) for points in hands.values())
        raise ValueError(f"it has {len(body)} frames of the body, {frames} of the hands")
    return Track({"body": body, **hands}, fps)


def _frame_numbers(content: Mapping[str, Any], key: str) -> np.ndarray:
    """[T, 133] or [T, 179]; a batch dimension of 1 is left out."""
    values = _numbers(content, key)
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or values.shape[1] not in _WIDTHS:
        raise ValueError(
            f"the shape of its {key} is {list(values.shape)}, it must be [T, 133] or [T, 179] (joints: [T, 144, 3])"
        )
    if not len(values):
        raise ValueError("it has no frames")
    return values


def _generated(numbers: np.ndarray) -> np.ndarray:
    """[179] -> [133]."""
    return _GENERATED.features(motion_from_frames(numbers[None], fps=1.0))["all"][0].numpy()


def _motion_of_numbers(frames: np.ndarray, fps: float) -> Motion:
    if frames.shape[1] == FRAME_SIZE:
        return motion_from_frames(frames, fps)
    return _GENERATED.motion({"all": torch.from_numpy(frames)}, fps)


def _smplx_motion(content: Mapping[str, Any], fps: float) -> Motion:
    body = _numbers(content, "body_pose")
    if body.ndim == 1:
        raise ValueError("it holds one frame, and a clip is one file: stack the frames of each clip, [T, 63] of body_pose")
    frames = len(body)
    if not frames:
        raise ValueError("it has no frames")
    rotations = torch.zeros(frames, NUM_JOINTS, 3)
    for key, joints in _SMPLX_POSES.items():
        if key in content or key in _NEEDED_POSES:
            values = _numbers(content, key)
            if len(values) != frames or values.size != frames * 3 * len(joints):
                raise ValueError(
                    f"the shape of its {key} is {list(values.shape)}, it must be [{frames}, {3 * len(joints)}]"
                )
            rotations[:, joint_indices(joints)] = torch.from_numpy(values).view(frames, -1, 3)
    lacking = _absent(content, "expression", "jaw_pose")
    return Motion(rotations, _expression(content, frames), _betas(content), fps, lacking=lacking)


def _absent(content: Mapping[str, Any], *keys: str) -> frozenset[str]:
    """What a motion of the content lacks, of these keys: a face that is not there is none at rest."""
    return frozenset(key.removesuffix("_pose") for key in keys if key not in content)


def _expression(content: Mapping[str, Any], frames: int) -> torch.Tensor:
    if "expression" not in content:
        return torch.zeros(frames, NUM_EXPRESSION)
    return torch.from_numpy(_numbers(content, "expression"))


def _betas(content: Mapping[str, Any]) -> torch.Tensor:
    """The first 10 shape coefficients, of the first frame where every frame has its own."""
    betas = torch.zeros(NUM_BETAS)
    if "betas" in content:
        known = np.atleast_2d(_numbers(content, "betas"))[:1, :NUM_BETAS].ravel()
        betas[: len(known)] = torch.from_numpy(known)
    return betas
