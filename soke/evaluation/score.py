"""Score anybody's predictions, without a model or a configuration of this framework.

    python -m soke.evaluation.score --pred DIR --ref DIR
    python -m soke.evaluation.score --hyp FILE --ref_text FILE

A clip is one .npz, .npy or .pkl file; its name is the path below the folder, without suffix. A file holds

  parameters   rotations [T,55,3], expression [T,E], betas [10], as TEST.SAVE_PREDICTIONS writes them;
               body_pose, left_hand_pose, right_hand_pose and, if there are any, jaw_pose, leye_pose, reye_pose,
               expression, betas, as smplx names them, axis-angle; the seven smplx_* vectors of the public
               frames, [T,...] each; or one array [T,179] or [T,133] of their numbers
  joints       joints or body [T,144,3], those of smplx in metres, and, if there are any, left_hand and
               right_hand [T,21,3]: wrist, finger joints as smplx orders them, tips from thumb to little finger
  both sides   feats_rst and feats_ref [T,133] or [T,179], as SOKE saves its predictions; --pred is then enough

and fps. Parameters are scored with root, spine and legs at rest, as in SOKE's evaluation, joints as they come. Where
144 joints come without hands, the hands of both sides are taken from the 144, and signatures say hands-of-144.
Numbers that cannot be radians or metres are refused, those that hardly can be are warned of; signatures say what files
were taken for. Texts are lines of name<TAB>text.
"""
from __future__ import annotations

import argparse
import hashlib
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm

from soke.body.joints import BODY, LEFT_HAND, NUM_JOINTS, RIGHT_HAND, UPPER_BODY, joint_indices
from soke.body.layout import MotionLayout, PartSpec
from soke.body.model import BodyModel, load_body_model
from soke.body.motion import Motion
from soke.data.frames import FRAME_SIZE, NUM_BETAS, NUM_EXPRESSION, motion_from_frames
from soke.data.pickles import load_pickle
from soke.data.statistics import read_statistics
from soke.errors import UserError
from soke.metrics.clips import Score
from soke.metrics.joint_sets import BODY_JOINTS, HAND_JOINTS, TRACK_JOINTS, Track, track_of
from soke.metrics.motion_scores import MotionScores
from soke.metrics.plausible import (
    doubt_of_normalised,
    doubt_of_points,
    doubt_of_rate,
    doubt_of_rotations,
    doubt_of_statistics,
)
from soke.metrics.text_scores import TextScores
from soke.report.tables import ResultTable, write_clips
from soke.storage import new_file, read_text
from soke.text.words import LEVELS, Level, level_of

log = logging.getLogger(__name__)

Role = Literal["prediction", "reference"]
SUFFIXES = (".npz", ".npy", ".pkl")
GIVEN, DERIVED_HANDS = "given", "hands-of-144"  # in signatures: joints came as such; hands were taken from the body's
NORMALISED = "normalised"
BODY_MODELS = Path(__file__).resolve().parents[2] / "deps" / "smpl_models"
_WRITTEN = ("table.txt", "table.json", "table.csv", "clips.csv")
_BATCH = 32  # pairs whose joints and faces are held in memory together
_REASONS_SHOWN = 5

# The numbers that SOKE generates per frame, in their order.
_GENERATED = MotionLayout([PartSpec("all", (*UPPER_BODY, *LEFT_HAND, *RIGHT_HAND), jaw=True, expression=10)])
_WIDTHS = (_GENERATED.sizes["all"], FRAME_SIZE)
_AT_REST = joint_indices([joint for joint in BODY if joint not in UPPER_BODY])
_FEATURES: dict[Role, str] = {"prediction": "feats_rst", "reference": "feats_ref"}
_SMPLX_POSES = {
    "body_pose": BODY[1:], "left_hand_pose": LEFT_HAND, "right_hand_pose": RIGHT_HAND, "jaw_pose": ("jaw",),
    "leye_pose": ("left_eye_smplhf",), "reye_pose": ("right_eye_smplhf",),
}
_NEEDED_POSES = ("body_pose", "left_hand_pose", "right_hand_pose")
_SMPLX_NAMES = {
    "smplx_body_pose": "body_pose", "smplx_lhand_pose": "left_hand_pose", "smplx_rhand_pose": "right_hand_pose",
    "smplx_jaw_pose": "jaw_pose", "smplx_shape": "betas", "smplx_expr": "expression",
}
_KNOWN = {
    "fps", "rotations", "expression", "betas", "joints", *TRACK_JOINTS, *_FEATURES.values(), *_SMPLX_POSES,
    *_SMPLX_NAMES,
}
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
class Scored:
    """Scores of one kind, of motion or of texts.

    scores:   the table's columns; none where no clip could be scored
    clips:    clip -> column -> value, of those that were scored
    unscored: clip -> why; predictions without a reference are among them
    total:    number of references
    notes:    sentences below the table
    """

    scores: list[Score]
    clips: dict[str, dict[str, object]]
    unscored: dict[str, str]
    total: int
    notes: Sequence[str] = ()


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
    """

    root: Path
    flat_hand_mean: bool = False
    betas: torch.Tensor | None = None
    fps: float | None = None
    normalisation: tuple[np.ndarray, np.ndarray] | None = None
    face: bool = True
    doubts: dict[str, list[str]] = field(default_factory=dict, init=False)

    @cached_property
    def body(self) -> BodyModel:
        return load_body_model(self.root, self.flat_hand_mean, self.betas)

    def pair(self, pred: Path, ref: Path) -> tuple[Track, Track, set[str], set[str]]:
        """A prediction, its reference, what made their joints, and what the files were taken for, as signatures say it.

        Raises UserError that names the file: it cannot be read, what it holds is not known, or cannot be what it is
        taken for.
        """
        tracks, makers, forms = zip(self._track(pred, "prediction"), self._track(ref, "reference"))
        sources = set(makers)
        if any(track.left_hand is None for track in tracks):
            # Hands that the body model regresses from posed vertices are other points, up to centimetres away.
            tracks = [replace(t, **{hand: t.body[:, points] for hand, points in _HANDS_OF_144.items()}) for t in tracks]
            sources.add(DERIVED_HANDS)
        return *tracks, sources, set(forms)

    def _track(self, path: Path, role: Role) -> tuple[Track, str, str]:
        """A file's track, no hands where it holds 144 joints alone; what made the joints; what it was taken for."""
        content = read_arrays(path)
        try:
            fps = self._fps(content)
            self._note("rate", path, doubt_of_rate(fps))
            if "joints" in content or "body" in content:
                track = _joint_track(content, fps)
                for points, kind in ((track.body, "body"), (track.left_hand, "hand"), (track.right_hand, "hand")):
                    self._note(kind, path, None if points is None else doubt_of_points(points, kind))
                return track, GIVEN, "joints m"
            motion, form, doubt = self._motion(content, fps, role)
            self._note("normalisation", path, doubt)
            self._note("rotations", path, doubt_of_rotations(motion.rotations))
        except ValueError as error:
            raise UserError(f"{path} cannot be scored: {error}") from error
        rotations = motion.rotations.clone()
        rotations[:, _AT_REST] = 0
        return track_of(self.body, replace(motion, rotations=rotations), self.face), self.body.label, form

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

    def _motion(self, content: Mapping[str, Any], fps: float, role: Role) -> tuple[Motion, str, str | None]:
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
            return Motion(rotations, _expression(content, len(rotations)), _betas(content), fps), "rotations rad", doubt
        if "body_pose" in content:
            return _smplx_motion(content, fps), "smplx rad", doubt
        raise ValueError(f"it holds {', '.join(map(str, content)) or 'nothing'}, which is no form that --help lists")


def read_arrays(path: Path) -> dict[str, Any]:
    """What a file holds, by smplx's names; one array alone, whatever its name, is `joints` [T, J, 3] or `array`.

    Raises UserError that names the file when it cannot be read, or not without running what is in it.
    """
    content = load_pickle(path) if path.suffix == ".pkl" else _load_numpy(path)
    if not isinstance(content, Mapping):
        content = {"array": content}
    alone = set(content) - {"fps"}
    if len(alone) == 1 and not alone & _KNOWN:
        shape = getattr(content[min(alone)], "shape", ())
        form = "joints" if len(shape) == 3 and shape[2] == 3 else "array"
        content = {form if name in alone else name: value for name, value in content.items()}
    return {_SMPLX_NAMES.get(name, name): value for name, value in content.items()}


def clip_files(folder: Path) -> dict[str, Path]:
    """Clip name -> its file, in the order of the names. Raises UserError: no folder, no clips, two files of a name."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give the folder that holds one file per clip")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in files:
            raise UserError(f"{files[name]} and {path} are two files of one clip; move one elsewhere")
        files[name] = path
    if not files:
        raise UserError(f"{folder} holds no clips, which are files that end in {', '.join(SUFFIXES)}")
    return files


def read_texts(path: Path) -> dict[str, str]:
    """Clip name -> text, of lines name<TAB>text; a line without a tab has no text.

    Raises UserError that names the file: unreadable, not UTF-8, no tab in it, a name twice.
    """
    content = read_text(path)
    if "\t" not in content:
        raise UserError(f"{path} holds no texts; write one clip per line, its name, a tab and the text")
    texts: dict[str, str] = {}
    for line in filter(str.strip, content.split("\n")):
        name, _, text = line.partition("\t")
        if name in texts:
            raise UserError(f"{path} has two lines of clip {name}; remove one")
        texts[name] = text.strip()
    return texts


def score_motion(reader: TrackReader, pred: Path, ref: Path | None = None, method: str = "exact") -> Scored:
    """Scores a folder of predictions against a folder of references; a clip that cannot be scored stops no other.

    Faces are scored where every clip has one on both sides.

    Args:
        reader: of the files.
        pred, ref: the folders; without ref, the predictions' files hold the references too.
        method: of the DTW, exact or fastdtw.

    Raises:
        UserError: as `clip_files` does, and for a mean and a standard deviation that cannot be such.
    """
    reader.doubts.clear()
    if reader.normalisation is not None:
        try:
            reader.doubts |= {"statistics": [doubt] for doubt in [doubt_of_statistics(*reader.normalisation)] if doubt}
        except ValueError as error:
            raise UserError(f"--mean and --std cannot be used: {error}") from error
    preds = clip_files(pred)
    refs = preds if ref is None else clip_files(ref)
    unscored = _unpaired(preds, refs)
    joints, faces = MotionScores(tuple(TRACK_JOINTS), method=method), None
    facts: dict[str, tuple[int, float, set[str], set[str]]] = {}  # frames, frames/s, what made the joints, of what
    for batch in _batches(reader, preds, refs, unscored):
        facts |= {name: (len(p), r.fps, sources, forms) for name, p, r, sources, forms in batch}
        joints.update(*_columns(batch))
        expressive = [row for row in batch if row[1].face is not None and row[2].face is not None]
        if expressive:
            faces = faces or MotionScores(["face"], face_vertices=len(reader.body.face_vertices))
            faces.update(*_columns(expressive))
    unscored |= {name: _reason(name, reason) for name, reason in joints.unscored.items()}

    systems, per_clip = [joints], joints.per_clip()
    doubts = _doubts(reader.doubts)
    if not per_clip:
        return Scored([], {}, unscored, len(refs), doubts)
    if faces is not None:
        of_faces = faces.per_clip()
        if of_faces.keys() == per_clip.keys():
            systems.append(faces)
            per_clip = {name: values | of_faces[name] for name, values in per_clip.items()}
        else:
            log.warning("faces are not scored: some clips have none")
    facts = {name: of_clip for name, of_clip in facts.items() if name in per_clip}
    frames, rates, sources, forms = zip(*facts.values())
    taken_for = sorted(set().union(*forms))
    normalised = any(form.endswith(NORMALISED) for form in taken_for)
    conditions = {
        "fps": float(np.median(rates)), "body": _label(set().union(*sources)), "inputs": "+".join(taken_for),
        "statistics": _hash(reader.normalisation) if normalised else None,
    }
    scores = {(s.signature.name, s.signature.part): s for system in systems for s in system.scores()}
    return Scored(
        [replace(score, signature=replace(score.signature, **conditions)) for score in scores.values()],
        {name: {"frames": count, **per_clip[name]} for name, count in zip(facts, frames)},
        unscored, len(refs), [*doubts, *joints.notes()],
    )


def score_texts(hyp: Path, ref: Path, level: Level | Literal["auto"] = "auto") -> Scored:
    """BLEU, chrF, ROUGE-L and WER of the texts in a file against those in another. Raises UserError as `read_texts`.

    level: what a token is, see `soke.text.words.level_of`
    """
    hypotheses, references = read_texts(hyp), read_texts(ref)
    unscored = _unpaired(hypotheses, references)
    metrics = TextScores(level_of(references.values(), level))
    for name in [name for name in references if name in hypotheses]:
        metrics.update(name, hypotheses[name], references[name])
    unscored |= {name: _reason(name, error) for name, error in metrics.unscored.items()}
    clips: dict[str, dict[str, object]] = {name: dict(values) for name, values in metrics.per_clip().items()}
    empty = [name for name in clips if not hypotheses[name]]
    if empty:
        shown = ", ".join(empty[:_REASONS_SHOWN]) + (", …" if len(empty) > _REASONS_SHOWN else "")
        log.warning("%d of %d hypotheses are empty (%s); they are scored as such", len(empty), len(clips), shown)
    return Scored(metrics.scores() if clips else [], clips, unscored, len(references))


# Clip, prediction, reference, what made the joints, what the files were taken for.
_Row = tuple[str, Track, Track, set[str], set[str]]


def _batches(
    reader: TrackReader, preds: Mapping[str, Path], refs: Mapping[str, Path], unscored: dict[str, str]
) -> Iterator[list[_Row]]:
    """The pairs that can be read; why others cannot goes into `unscored`."""
    names = [name for name in refs if name in preds]
    batch: list[_Row] = []
    for name in tqdm(names, desc="score", unit="clip"):
        try:
            batch.append((name, *reader.pair(preds[name], refs[name])))
        except UserError as error:
            unscored[name] = str(error)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


def _columns(batch: Sequence[_Row]) -> tuple[list[str], list[Track], list[Track]]:
    return [row[0] for row in batch], [row[1] for row in batch], [row[2] for row in batch]


def _unpaired(preds: Iterable[str], refs: Iterable[str]) -> dict[str, str]:
    preds, refs = dict.fromkeys(preds), dict.fromkeys(refs)
    absent = {name: "there is no prediction for this reference" for name in refs if name not in preds}
    return absent | {name: "there is no reference for this prediction" for name in preds if name not in refs}


def _reason(name: str, message: str) -> str:
    return message.removeprefix(f"clip {name} cannot be scored: ")


def _doubts(doubts: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for each kind of doubt, which are logged, too."""
    sentences = [
        f"in doubt: {kind} ({len(found)} found; the first, {found[0]})" for kind, found in doubts.items()
    ]
    for sentence in sentences:
        log.warning(sentence)
    return sentences


def _hash(arrays: Iterable[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:12]


def _label(sources: set[str]) -> str:
    """As it stands in signatures: `stand-in`, `given`, `given,hands-of-144`, `given+stand-in`."""
    return ",".join(["+".join(sorted(sources - {DERIVED_HANDS})), *sources & {DERIVED_HANDS}])


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
        return Track(body, None, None, None, fps)
    hands = [_points(content, hand, HAND_JOINTS.total) for hand in _HANDS_OF_144]
    if any(len(hand) != len(body) for hand in hands):
        raise ValueError(f"it has {len(body)} frames of the body, {len(hands[0])} and {len(hands[1])} of the hands")
    return Track(body, *hands, None, fps)


def _frame_numbers(content: Mapping[str, Any], key: str) -> np.ndarray:
    """[T, 133] or [T, 179]; a batch dimension of 1 is left out."""
    values = _numbers(content, key)
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or values.shape[1] not in _WIDTHS:
        raise ValueError(
            f"the shape of its {key} is {list(values.shape)}, it must be [T, 133] or [T, 179] (joints: [T, 144, 3])"
        )
    return values


def _generated(numbers: np.ndarray) -> np.ndarray:
    """[179] -> [133]."""
    return _GENERATED.features(motion_from_frames(numbers[None], fps=1.0))["all"][0].numpy()


def _motion_of_numbers(frames: np.ndarray, fps: float) -> Motion:
    if frames.shape[1] == FRAME_SIZE:
        return motion_from_frames(frames, fps)
    return _GENERATED.motion({"all": torch.from_numpy(frames)}, fps)


def _smplx_motion(content: Mapping[str, Any], fps: float) -> Motion:
    frames = len(_numbers(content, "body_pose"))
    rotations = torch.zeros(frames, NUM_JOINTS, 3)
    for key, joints in _SMPLX_POSES.items():
        if key in content or key in _NEEDED_POSES:
            values = _numbers(content, key)
            if len(values) != frames or values.size != frames * 3 * len(joints):
                raise ValueError(
                    f"the shape of its {key} is {list(values.shape)}, it must be [{frames}, {3 * len(joints)}]"
                )
            rotations[:, joint_indices(joints)] = torch.from_numpy(values).view(frames, -1, 3)
    return Motion(rotations, _expression(content, frames), _betas(content), fps)


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


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="soke.evaluation.score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    motion = parser.add_argument_group("motion")
    motion.add_argument("--pred", type=Path, metavar="DIR", help="predictions")
    motion.add_argument("--ref", type=Path, metavar="DIR", help="references, where the predictions' files hold none")
    motion.add_argument("--fps", type=float, help="frames per second of files that hold none")
    motion.add_argument(
        "--body", type=Path, metavar="DIR", default=BODY_MODELS,
        help="folder of the body model: smplx/SMPLX_NEUTRAL.npz in there, else stand_in/; default: deps/smpl_models",
    )
    motion.add_argument(
        "--flat_hand_mean", action="store_true",
        help="finger rotations are relative to a flat hand; without it, to the body model's mean hand",
    )
    motion.add_argument(
        "--betas", choices=["zero", "own"], default="zero", help="one body shape for all clips, or each clip's own"
    )
    motion.add_argument("--mean", type=Path, metavar="FILE", help="mean.pt, if feats_rst and feats_ref are normalised")
    motion.add_argument("--std", type=Path, metavar="FILE", help="std.pt, if they are")
    motion.add_argument("--dtw", choices=["exact", "fastdtw"], default="exact", help="fastdtw is slow and approximate")
    motion.add_argument("--no_face", action="store_true", help="leave out the face, which takes most of the time")
    texts = parser.add_argument_group("texts")
    texts.add_argument("--hyp", type=Path, metavar="FILE", help="translations")
    texts.add_argument("--ref_text", type=Path, metavar="FILE", help="their references")
    texts.add_argument(
        "--level", choices=["auto", *LEVELS], default="auto",
        help="what a token is; auto: jieba's segment in Chinese, a character in other scripts without blanks, a word",
    )
    parser.add_argument("--name", default="generated", metavar="ROW", help="of the system, in the table")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for table.txt, .json, .csv, clips.csv and unscored.txt"
    )
    options = parser.parse_args(argv)
    if options.pred is None and (options.ref is not None or options.hyp is None):
        raise UserError("nothing to score: give a folder with --pred, or texts with --hyp and --ref_text")
    for one, other in (("hyp", "ref_text"), ("mean", "std")):
        if (getattr(options, one) is None) != (getattr(options, other) is None):
            raise UserError(f"--{one} and --{other} belong together: give both")
    if options.out is not None and (options.out / "config.yaml").is_file():
        raise UserError(f"--out {options.out} holds results of test.py; give another folder")
    if options.fps is not None and not 0 < options.fps < math.inf:
        raise UserError(f"--fps is {options.fps:g}, it must be above 0")
    return options


def _reader(options: argparse.Namespace) -> TrackReader:
    normalisation = None
    if options.mean is not None:
        normalisation = read_statistics(options.mean), read_statistics(options.std)
    betas = torch.zeros(NUM_BETAS) if options.betas == "zero" else None
    return TrackReader(
        options.body, options.flat_hand_mean, betas, options.fps, normalisation, face=not options.no_face
    )


def _report(kind: str, scored: Scored) -> None:
    print(f"{kind}: scored {len(scored.clips)} of {scored.total} clips")
    for name, reason in list(scored.unscored.items())[:_REASONS_SHOWN]:
        print(f"  {name}: {reason}")
    if len(scored.unscored) > _REASONS_SHOWN:
        print(f"  and {len(scored.unscored) - _REASONS_SHOWN} more")


def _save_clips(folder: Path, corpus: str, row: str, results: Iterable[Scored]) -> None:
    """clips.csv."""
    clips: dict[str, dict[str, object]] = {}
    for scored in results:
        for name, values in scored.clips.items():
            clips.setdefault(name, {"corpus": corpus, "clip": name, "row": row}).update(values)
    write_clips(folder, list(clips.values()))


def main(argv: Sequence[str] | None = None) -> None:
    options = _options(argv)
    results: dict[str, Scored] = {}
    if options.pred is not None:
        results["motion"] = score_motion(_reader(options), options.pred, options.ref, options.dtw)
    if options.hyp is not None:
        results["text"] = score_texts(options.hyp, options.ref_text, options.level)
    for kind, scored in results.items():
        _report(kind, scored)
    reasons = [(name, reason) for scored in results.values() for name, reason in scored.unscored.items()]
    if options.out is not None:
        for name in _WRITTEN:  # by an earlier scoring, of which nothing shall stay where this one fails
            (options.out / name).unlink(missing_ok=True)
        with new_file(options.out / "unscored.txt") as path:
            path.write_text("".join(f"{name}\t{reason}\n" for name, reason in reasons), encoding="utf-8")
    if not any(scored.scores for scored in results.values()):
        raise UserError(f"no clip could be scored; the first, {reasons[0][0]}: {reasons[0][1]}")

    folder = options.ref or options.pred
    corpus = options.ref_text.stem if folder is None else folder.resolve().name
    table = ResultTable("Scores of given predictions")
    for scored in results.values():
        for score in scored.scores:
            table.add(options.name, corpus, score, scored.total)
        table.notes += scored.notes
    table.print()
    if options.out is not None:
        table.save(options.out)
        _save_clips(options.out, corpus, options.name, results.values())
        print(f"saved in {options.out}")


if __name__ == "__main__":
    from soke.run import cli

    cli.run(main)
