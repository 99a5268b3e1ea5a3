"""Make SMPL-FX clips of what other tools wrote: `python -m prepare.import_faces pixel3dmm --from DIR --out ROOT --fps 25`.

  soke       SOKE's frame pickles, a folder per clip: body and hands, ten expression coefficients
  signspark  an LMDB of SignSparK: upper body, hands, jaw, 50 expression coefficients
  pixel3dmm  <clip>/checkpoint/*.frame: jaw, eyes, 100 expression coefficients, eyelids, shape of the head
  vhap       <clip>/flame_param.npz, or a folder of one per frame: jaw, eyes, 100 expression coefficients, shape
  ehm        EHM-Tracker's optim_tracking_ehm.pkl: body, hands, jaw, eyes, 50 expression coefficients, eyelids
  mead       EMOTE's MEAD, <sequence>/<method>/shape_pose_cam.hdf5: jaw, 100 expression coefficients, shape of the head

The clip NAME becomes ROOT/smplfx/NAME.npz, which DATASET.FRAMES=smplfx reads; NAME is the clip's own, or its folder's path
below DIR. A clip that cannot be read is skipped, counted, and listed with the reason in ROOT/skipped_clips.tsv. What was
not observed is noted as lacking: a tokenizer trains each part on the clips that have it. With --onto, what was observed
takes its place in the clip of the same name there: SOKE's body and hands, then Pixel3DMM's face.
"""
from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from soke.body.joints import BODY, LEFT_HAND, RIGHT_HAND
from soke.body.model import MODEL_FILE, STAND_IN
from soke.data.corpora.face_clips import write_list
from soke.data.foreign.assembling import ForeignClips, Rules
from soke.data.foreign.ehm import EhmTracker
from soke.data.foreign.flame import Mead, Pixel3DMM, Vhap
from soke.data.foreign.importing import SKIPPED, Imported, import_clips
from soke.data.foreign.signspark import RENDERED_AT, SignSpark
from soke.data.foreign.soke_frames import SokeFolders
from soke.errors import UserError
from soke.run import cli
from soke.run.config import resolve

READERS: dict[str, Callable[[Path, Rules], ForeignClips]] = {
    "soke": SokeFolders, "signspark": SignSpark, "pixel3dmm": Pixel3DMM, "vhap": Vhap, "ehm": EhmTracker, "mead": Mead,
}
RATES = {"signspark": RENDERED_AT, "mead": 25.0}  # where --fps is not given; MEAD's published files are of this rate
FLAT_HANDS = ("signspark", "ehm")  # whose finger rotations start from a flat hand
_GROUPS = {"left hand": LEFT_HAND, "right hand": RIGHT_HAND, "upper body": BODY[12:], "root, spine and legs": BODY[:12]}


def rules_of(options: argparse.Namespace) -> Rules:
    """Raises UserError for what must be said and was not."""
    fps = options.fps or RATES.get(options.kind)
    if fps is None:
        raise UserError(f"the files of {options.kind} do not tell their frame rate: give it with --fps")
    if options.kind in FLAT_HANDS and options.hands is None:
        raise UserError(
            f"the fingers of {options.kind} start from a flat hand, those of SOKE's poses from the body's mean hand: "
            "give --hands mean to have them converted, or --hands flat to keep them, for BODY.FLAT_HAND_MEAN=true"
        )
    mean = hand_mean(resolve(options.body)) if options.hands == "mean" and options.kind in FLAT_HANDS else None
    return Rules(
        fps, options.six_d, mean, options.left_hand == "mirrored", options.eyelids == "open", options.eyes == "rest"
    )


def hand_mean(root: Path) -> Tensor:
    """[2, 15, 3] mean pose of the left and the right hand of the body model in `root`. Raises UserError without one."""
    for file in (root / MODEL_FILE, root / STAND_IN / MODEL_FILE):
        if file.is_file():
            with np.load(file, allow_pickle=False) as model:
                means = [model[key] for key in ("hands_meanl", "hands_meanr")]
            if file.is_relative_to(root / STAND_IN):
                print(f"The mean hand is the stand-in body's ({file}): import again once SMPL-X is there.")
            return torch.from_numpy(np.stack(means).astype(np.float32)).unflatten(1, (-1, 3))
    raise UserError(f"no body model in {root}, whose mean hand is needed; see deps/README.md")


def summary(kind: str, rules: Rules, found: Imported, out: Path) -> str:
    """What was written and what was not, in a few lines."""
    lines = [f"{found.written} clips, {found.frames} frames at {rules.fps:g} frames/s of {kind} are in {out / 'smplfx'}"]
    lacking = Counter(found.lacking)
    for group, joints in _GROUPS.items():
        counts = {lacking.pop(joint, 0) for joint in joints}
        lacking[group] = max(counts)
    listed = [f"{name} ({count})" for name, count in sorted(lacking.items()) if count]
    if listed:
        lines.append(f"lacking, in so many clips: {', '.join(listed)}")
    if found.gaps:
        lines.append(f"{found.gaps} clips lack frames in between, so that they are a little too fast there")
    if found.skipped:
        lines.append(f"{len(found.skipped)} clips were skipped, see {out / SKIPPED}; the first: {found.skipped[0].reason}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.import_faces", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=list(READERS))
    parser.add_argument("--from", dest="source", type=Path, required=True, help="what the tool wrote")
    parser.add_argument("--out", type=Path, required=True, help="root of the corpus; made if missing")
    parser.add_argument("--onto", type=Path, help="root of SMPL-FX clips that keep all that was not observed here")
    parser.add_argument(
        "--fps", type=float, help="frames/s; default: 20 of signspark, whose files do not tell it; 25 of mead; others: none"
    )
    parser.add_argument("--six-d", choices=["rows", "columns"], default="rows", help="how 6D rotations are written; default: rows")
    parser.add_argument("--hands", choices=["mean", "flat"], help="signspark, ehm: what finger rotations are relative to")
    parser.add_argument("--body", default="deps/smpl_models", help="for --hands mean: folder as BODY.ROOT")
    parser.add_argument(
        "--left-hand", choices=["own", "mirrored"], default="own", help="mirrored: written as a right hand is"
    )
    parser.add_argument(
        "--eyelids", choices=["lacking", "open"], default="lacking", help="of files without: open takes them for open"
    )
    parser.add_argument(
        "--eyes", choices=["lacking", "rest"], default="lacking", help="of files without: rest lets them look ahead"
    )
    options = parser.parse_args(arguments)
    if options.fps is not None and not 0 < options.fps < float("inf"):
        raise UserError(f"--fps must be above 0, not {options.fps:g}")
    rules = rules_of(options)
    clips = READERS[options.kind](options.source, rules)
    found = import_clips(clips, options.out, options.onto, lambda names: tqdm(names, desc="import", unit="clip"))
    if isinstance(clips, Mead) and options.onto is None:  # which have no annotation of their own
        faulty = {clip.name for clip in found.skipped}
        write_list(options.out, {name: who for name, who in clips.people.items() if name not in faulty})
    print(summary(options.kind, rules, found, options.out))


if __name__ == "__main__":
    cli.run(main)
