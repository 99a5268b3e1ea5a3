"""Score anybody's predictions, without a model or a configuration of this framework.

    python -m soke.evaluation.score --pred DIR --ref DIR
    python -m soke.evaluation.score --hyp FILE --ref_text FILE

A clip is one file; its name is the path below the folder, without suffix. Where these are .pose files of pose-format,
on both sides, the joints that all have of head, arms and hands are scored, in widths of each clip's shoulders (unit
shoulders), in two dimensions where a file has no depth; and the keypoints of the hands as pose-evaluation has it.

    python -m soke.evaluation.score --pred FILE.pt --ref FILE.pt

scores files of the SLRTP 2025 challenge, whose clips are entries; --ref_text may be one, too.

Else clips are .npz, .npy or .pkl files, and hold

  parameters   rotations [T,55,3], expression [T,E], betas [10], as TEST.SAVE_PREDICTIONS writes them, and
               eyelids [T,2] or head_shape [300], with which they are SMPL-FX's, and are posed by it;
               body_pose, left_hand_pose, right_hand_pose and, if there are any, jaw_pose, leye_pose, reye_pose,
               expression, betas, as smplx names them, axis-angle, or all of an SMPL-FX clip; the seven smplx_* vectors
               of the public frames, [T,...] each; or one array [T,179] or [T,133] of their numbers
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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from tqdm import tqdm

from soke.data.corpora import slrtp
from soke.data.statistics import doubt_of_statistics, read_statistics
from soke.data.storage.frames import NUM_BETAS
from soke.errors import UserError
from soke.evaluation.coding import score_given_codes
from soke.evaluation.columns import OF_GIVEN
from soke.evaluation.keypoint_scores import score_hands
from soke.evaluation.pose_scores import holds_poses, score_poses
from soke.evaluation.predictions import DERIVED_HANDS, NORMALISED, TrackReader, clip_files, read_texts
from soke.evaluation.protocols import Coder
from soke.evaluation.scored import Scored, common_rate, doubt_notes, reason_of, undefined_note, unpaired
from soke.evaluation.slrtp_scores import score_slrtp
from soke.metrics.joint_sets import TRACK_JOINTS, Track
from soke.metrics.motion_scores import MotionScores
from soke.metrics.text_scores import TextScores
from soke.report.tables import ResultTable, write_clips
from soke.storage import new_file
from soke.text.words import LEVELS, Level, level_of

log = logging.getLogger(__name__)

BODY_MODELS = Path(__file__).resolve().parents[2] / "deps" / "smpl_models"
_WRITTEN = ("table.txt", "table.json", "table.csv", "clips.csv")
_BATCH = 32  # pairs whose joints and faces are held in memory together
_OF_PARAMETERS = ("fps", "body", "flat_hand_mean", "betas", "mean", "std", "no_face", "tokenizer")  # how they are read
_REASONS_SHOWN = 5


def score_motion(reader: TrackReader, pred: Path, ref: Path | None = None, method: str = "exact") -> Scored:
    """Scores a folder of predictions against a folder of references; a clip that cannot be scored stops no other.

    Faces are scored where every clip has one on both sides, all of one body model.

    reader:    of the files
    pred, ref: the folders; without ref, the predictions' files hold the references too
    method:    of the DTW, exact or fastdtw

    Raises UserError as `clip_files` does, and for a mean and a standard deviation that cannot be such.
    """
    reader.doubts.clear()
    if reader.normalisation is not None:
        try:
            reader.doubts |= {"statistics": [doubt] for doubt in [doubt_of_statistics(*reader.normalisation)] if doubt}
        except ValueError as error:
            raise UserError(f"--mean and --std cannot be used: {error}") from error
    preds = clip_files(pred)
    refs = preds if ref is None else clip_files(ref)
    unscored = unpaired(preds, refs)
    joints, faces = MotionScores(tuple(TRACK_JOINTS), method=method), _Faces(reader)
    facts: dict[str, tuple[int, float, set[str], set[str]]] = {}  # frames, frames/s, what made the joints, of what
    for batch in _batches(reader, preds, refs, unscored):
        facts |= {name: (len(p), r.fps, sources, forms) for name, p, r, sources, forms in batch}
        joints.update(*_columns(batch))
        faces.update(batch)
    unscored |= {name: reason_of(name, reason) for name, reason in joints.unscored.items()}

    systems, per_clip = [joints], joints.per_clip()
    doubts = doubt_notes(reader.doubts)
    if not per_clip:
        return Scored([], {}, unscored, len(refs), doubts)
    of_faces = faces.scores_of(per_clip)
    if of_faces is not None:
        systems.append(of_faces)
        found = of_faces.per_clip()
        per_clip = {name: values | found[name] for name, values in per_clip.items()}
    facts = {name: of_clip for name, of_clip in facts.items() if name in per_clip}
    frames, rates, sources, forms = zip(*facts.values())
    taken_for = sorted(set().union(*forms))
    normalised = any(form.endswith(NORMALISED) for form in taken_for)
    if reader.normalisation is not None and not normalised:
        doubts += doubt_notes({"statistics": ["--mean and --std are not used: no file holds feats_rst or feats_ref"]})
    fps, of_rates = common_rate(rates)
    conditions = {
        "fps": fps, "body": _label(set().union(*sources)), "inputs": "+".join(taken_for),
        "statistics": _hash(reader.normalisation) if normalised else None,
    }
    scores = {(s.signature.name, s.signature.part): s for system in systems for s in system.scores()}
    return Scored(
        [replace(score, signature=replace(score.signature, **conditions)) for score in scores.values()],
        {name: {"frames": count, **per_clip[name]} for name, count in zip(facts, frames)},
        unscored, len(refs), [*doubts, *of_rates, *joints.notes(), *undefined_note(joints.undefined())],
    )


def score_texts(hyp: Path, ref: Path, level: Level | Literal["auto"] = "auto") -> Scored:
    """BLEU, chrF, ROUGE-L and WER of the texts in a file against those in another. Raises UserError as `read_texts`.

    level: what a token is, see `soke.text.words.level_of`
    """
    hypotheses, references = read_texts(hyp), slrtp.texts_of(ref) if ref.suffix == slrtp.SUFFIX else read_texts(ref)
    unscored = unpaired(hypotheses, references)
    metrics = TextScores(level_of(references.values(), level))
    for name in [name for name in references if name in hypotheses]:
        metrics.update(name, hypotheses[name], references[name])
    unscored |= {name: reason_of(name, error) for name, error in metrics.unscored.items()}
    clips: dict[str, dict[str, object]] = {name: dict(values) for name, values in metrics.per_clip().items()}
    empty = [name for name in clips if not hypotheses[name]]
    if empty:
        shown = ", ".join(empty[:_REASONS_SHOWN]) + (", …" if len(empty) > _REASONS_SHOWN else "")
        log.warning("%d of %d hypotheses are empty (%s); they are scored as such", len(empty), len(clips), shown)
    return Scored(metrics.scores() if clips else [], clips, unscored, len(references))


# Clip, prediction, reference, what made the joints, what the files were taken for.
_Row = tuple[str, Track, Track, set[str], set[str]]


class _Faces:
    """Scores of faces, by the body models that made them: no model's are those of another."""

    def __init__(self, reader: TrackReader) -> None:
        self.reader = reader
        self.of_models: dict[str, MotionScores] = {}  # label -> scores
        self.seen = False

    def update(self, batch: Sequence[_Row]) -> None:
        self.seen |= any("face" in track.points for row in batch for track in row[1:3])
        for label, body in self.reader.bodies.items():
            rows = [row for row in batch if row[3] == {label} and all("face" in track.points for track in row[1:3])]
            if rows:
                new = MotionScores(["face"], len(body.face_vertices), face_region=body.face_region)
                self.of_models.setdefault(label, new).update(*_columns(rows))

    def scores_of(self, clips: Collection[str]) -> MotionScores | None:
        """Of these clips, where all have faces of one model; the log says where they do not."""
        if not self.seen:
            return None
        scores = next(iter(self.of_models.values()), None)
        if scores is None or len(self.of_models) > 1 or scores.per_clip().keys() != set(clips):
            log.warning("faces are not scored: some clips have none, or one of another body model")
            return None
        return scores


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


def _hash(arrays: Iterable[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:12]


def _label(sources: set[str]) -> str:
    """As it stands in signatures: `stand-in`, `given`, `given,hands-of-144`, `given+stand-in`."""
    return ",".join(["+".join(sorted(sources - {DERIVED_HANDS})), *sources & {DERIVED_HANDS}])


def _options(argv: Sequence[str] | None, codes: bool) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="prepare.score" if codes else "soke.evaluation.score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
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
    if codes:
        motion.add_argument("--tokenizer", type=Path, metavar="DIR", help="by whose codes SiBLEU compares parameters")
    texts = parser.add_argument_group("texts")
    texts.add_argument("--hyp", type=Path, metavar="FILE", help="translations")
    texts.add_argument("--ref_text", type=Path, metavar="FILE", help="their references")
    texts.add_argument(
        "--level", choices=["auto", *LEVELS], default="auto",
        help="what a token is; auto: jieba's segment in Chinese, a character in other scripts without blanks, a word",
    )
    parser.add_argument("--full", action="store_true", help="print every score, with signatures, not the main ones alone")
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
    if options.pred is None or options.pred.suffix == slrtp.SUFFIX or holds_poses(options.pred):
        idle = [f"--{of}" for of in _OF_PARAMETERS if getattr(options, of, None) != parser.get_default(of)]
        if idle:
            raise UserError(f"--pred names no motions in parameters, to be read by {', '.join(idle)}: leave that out")
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


def _scored(options: argparse.Namespace, coder_of: Callable[[Path], Coder] | None) -> dict[str, Scored]:
    """Kind -> its scores."""
    pred, ref, results = options.pred, options.ref, {}
    if pred is not None and pred.suffix == slrtp.SUFFIX:
        results["motion"] = score_slrtp(pred, ref, options.dtw)
    elif pred is not None and holds_poses(pred):
        results |= {"motion": score_poses(pred, ref, options.dtw), "hands": score_hands(pred, ref)}
    elif pred is not None:
        reader = _reader(options)
        results["motion"] = score_motion(reader, pred, ref, options.dtw)
        if coder_of is not None and options.tokenizer is not None:
            results["codes"] = score_given_codes(reader, pred, ref, coder_of(options.tokenizer))
    if options.hyp is not None:
        results["text"] = score_texts(options.hyp, options.ref_text, options.level)
    return results


def main(argv: Sequence[str] | None = None, coder_of: Callable[[Path], Coder] | None = None) -> None:
    """coder_of: folder -> the tokenizer in it, by whose codes motions are compared; None: there are none"""
    options = _options(argv, coder_of is not None)
    results = _scored(options, coder_of)
    for kind, scored in results.items():
        _report(kind, scored)
    reasons = [(name, reason) for scored in results.values() for name, reason in scored.unscored.items()]
    if options.out is not None:
        for name in _WRITTEN:  # by an earlier scoring, of which nothing shall stay where this one fails
            (options.out / name).unlink(missing_ok=True)
        with new_file(options.out / "unscored.txt") as path:
            path.write_text("".join(f"{name}\t{reason}\n" for name, reason in reasons), encoding="utf-8")
    if not any(scored.scores for scored in results.values()):
        first = f"the first, {reasons[0][0]}: {reasons[0][1]}" if reasons else "there are none in the files"
        raise UserError(f"no clip could be scored; {first}")

    folder = options.ref or options.pred
    corpus = options.ref_text.stem if folder is None else folder.resolve().name.removesuffix(slrtp.SUFFIX)
    table = ResultTable("Scores of given predictions")
    for scored in results.values():
        for score in scored.scores:
            table.add(options.name, corpus, score, scored.total)
        table.notes += [note for note in scored.notes if note not in table.notes]
    if options.full:
        table.print()
    else:
        table.print_summary(OF_GIVEN)
    if options.out is not None:
        table.save(options.out)
        _save_clips(options.out, corpus, options.name, results.values())
        print(f"all scores and their signatures: {options.out / 'table.txt'}")


if __name__ == "__main__":
    from soke.run import cli

    cli.run(main)
