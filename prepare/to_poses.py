"""Motions as .pose files of pose-format: `python -m prepare.to_poses --cfg configs/soke.yaml --out poses --split test`.

Without --from the clips of the configuration's corpora are written, with --from what TEST.SAVE_PREDICTIONS has saved
(results/NAME/predictions). Of motions in rotations these are the 50 joints that `prepare.to_skeletons` writes, and all
of SMPL-X; positions must be those of .skels files. `python -m soke.evaluation.score --pred … --ref …` scores one folder
against another.
`--form slrtp` writes, in their place, OUT/CORPUS.pt as the SLRTP 2025 challenge has them, of positions that hold its 178
joints. Clips that cannot be written are listed in OUT/skipped_clips.txt.
"""
from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from prepare.to_skeletons import require_whole, seen_by
from soke.body.motion import JointMotion, Motion
from soke.body.skeleton import Skeleton
from soke.body.skeletonise import named_joints
from soke.build.body import body_model, layout_of
from soke.build.data import corpora_of
from soke.data.clip import SPLITS, Clip, ClipError, Corpus, SkippedClip
from soke.data.corpora import slrtp
from soke.data.storage.pose_files import SUFFIX, write_pose
from soke.data.storage.saved import read_motion
from soke.errors import UserError
from soke.run import cli
from soke.run.config import Config, load_config, resolve
from soke.storage import new_file

_log = logging.getLogger(__name__)
Joints = Callable[[Motion | JointMotion], JointMotion]
# Corpus, name in it, and what loads the motion; or why it cannot be written.
Found = tuple[str, str, Callable[[], Motion | JointMotion]]
Fault = tuple[str, str, str]


def joints_by(config: Config, file: str) -> Joints:
    """Makes the named joints of a motion that the configuration's body poses; raises UserError where it cannot."""
    layout, body = layout_of(config), body_model(config, "cpu")
    if not isinstance(body, Skeleton):
        require_whole(layout, file)
        return lambda motion: named_joints(body, seen_by(layout, motion))
    return lambda motion: named_joints(body, motion, file)


def clip_motions(corpora: Iterable[Corpus], split: str) -> Iterator[Found]:
    """Of every clip of a split."""
    for corpus in corpora:
        for clip in corpus.clips(split):
            yield corpus.name, clip.name, lambda corpus=corpus, clip=clip: corpus.load(clip)


def saved_motions(folder: Path) -> Iterator[Found]:
    """Of saved motions, CORPUS/NAME.npz below the folder. Raises UserError where there are none."""
    files = sorted(folder.rglob("*.npz"))
    if not files:
        raise UserError(f"{folder} holds no saved motions (.npz); test with TEST.SAVE_PREDICTIONS=true")
    for file in files:
        corpus, *name = file.relative_to(folder).with_suffix("").as_posix().split("/", 1)
        yield *([corpus, *name] if name else ["", corpus]), lambda file=file: read_motion(file)


def write_poses(out: Path, found: Iterable[Found], joints: Joints) -> tuple[int, list[Fault]]:
    """A .pose file of each motion; how many were written, and what could not be."""
    written, faults = 0, []
    for corpus, name, load in found:
        try:
            motion = joints(load())
        except (ClipError, ValueError) as error:
            faults.append((corpus, name, str(error)))
            continue
        write_pose(out / corpus / f"{name}{SUFFIX}", motion)
        written += 1
    return written, faults


def write_slrtp(out: Path, found: Iterable[Found], clips: Mapping[tuple[str, str], Clip]) -> tuple[int, list[Fault]]:
    """As `write_poses`, one file of each corpus. clips: corpus and name -> the clip, whose texts are written"""
    files: dict[str, dict[str, slrtp.SlrtpClip]] = {}
    faults, textless = [], 0
    for corpus, name, load in found:
        try:
            motion = load()
            positions = slrtp.in_slrtp_s_order(motion)
        except (ClipError, ValueError) as error:
            faults.append((corpus, name, str(error)))
            continue
        clip = clips.get((corpus, name))
        textless += clip is None
        texts = {} if clip is None else {"gloss": clip.gloss or "", "speaker": clip.signer or ""}
        text = "" if clip is None else clip.text
        entry = slrtp.SlrtpClip(name, text, positions, **texts, made_by=motion.made_by)
        files.setdefault(corpus, {})[name] = entry
    if textless:
        _log.warning("%d motions are of no clip of the split, so they have no text: --split names it", textless)
    for corpus, entries in files.items():
        slrtp.write_slrtp(out / f"{corpus or 'clips'}{slrtp.SUFFIX}", entries)
    return sum(map(len, files.values())), faults


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.to_poses", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cfg", required=True, help="configuration that names parts and body, and corpora")
    parser.add_argument("--cfg_assets", help="a second file merged over it: your paths")
    parser.add_argument("--from", dest="saved", metavar="DIR", help="saved motions, in place of the corpora's")
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the corpora")
    parser.add_argument("--form", choices=("pose", "slrtp"), default="pose", help="of what is written")
    parser.add_argument("--out", required=True, help="folder for the files")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value")
    options = parser.parse_intermixed_args(arguments)
    config = load_config(options.cfg, options.cfg_assets, options.overrides)
    out = resolve(options.out)
    corpora = corpora_of(config) if options.form == "slrtp" or not options.saved else []
    found = saved_motions(resolve(options.saved)) if options.saved else clip_motions(corpora, options.split)
    found = tqdm(found, unit="clip")
    if options.form == "slrtp":
        clips = {(c.name, clip.name): clip for c in corpora for clip in c.clips(options.split)}
        written, faults = write_slrtp(out, found, clips)
    else:
        written, faults = write_poses(out, found, joints_by(config, options.cfg))
    skipped = [SkippedClip(corpus, name, reason, options.split) for corpus, name, reason in faults]
    if not options.saved:
        skipped += [replace(clip, split=options.split) for c in corpora for clip in c.skipped(options.split)]
    with new_file(out / "skipped_clips.txt") as path:
        path.write_text("".join(each.line for each in skipped), encoding="utf-8")
    if not written:
        raise UserError(f"not one clip could be written; {skipped[0].reason}" if skipped else "there are no clips")
    print(f"{out}: {written} clips, {len(skipped)} skipped")


if __name__ == "__main__":
    cli.run(main)
