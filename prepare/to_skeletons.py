"""Joint positions of parametric corpora, as .skels files.

    python -m prepare.to_skeletons --cfg configs/soke.yaml --out data/skeletons

Every corpus of the configuration gets a folder in OUT, with the files of Progressive Transformers: of every clip the
50 joints (neck at the origin, y down, shoulders 1 apart at rest) of what the configuration's layout sees of its motion,
posed by the configuration's body. So systems that generate positions are trained and compared on the same clips as
those that generate rotations. A .skels corpus has one frame rate: that of its corpus, or --fps; clips at other rates are
resampled to it, and how many is said. OUT/data.yaml names the corpora for configurations that inherit it (BASE);
OUT/skeletons.json says which body and layout made them, and of which synthetic corpora, whose signs an oracle knows;
OUT/skipped_clips.txt what could not be used.
"""
from __future__ import annotations

import argparse
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Items
from tqdm import tqdm

from soke.body.joints import SKELETON_50, SMPLX_JOINTS, joint_indices
from soke.body.layout import MotionLayout
from soke.body.model import STAND_IN_NAME
from soke.body.motion import JointMotion, Motion
from soke.body.skeletonise import SKELETON_NEEDS, skeleton_50
from soke.body.skinned import SkinnedBody
from soke.build.body import body_model, layout_of
from soke.build.data import corpora_of
from soke.data.clip import SPLITS, Clip, ClipError, Corpus, SkippedClip, locale_of
from soke.data.corpora.listing import MAX_FPS, MIN_FPS
from soke.data.corpora.skels_writer import SkelsWriter
from soke.data.synthetic.known import SKELETONS, origin_of
from soke.errors import UserError
from soke.run import cli
from soke.run.config import load_config, resolve
from soke.storage import new_file, write_json
from soke.text.locales import TEXT_LOCALE

_log = logging.getLogger(__name__)


@dataclass
class Written:
    """What became of a corpus.

    clips:   split -> how many were written
    rates:   frames per second of recordings that were resampled -> how many clips
    skipped: what could not be used
    absent:  a sentence for every split that is not there
    """

    clips: dict[str, int] = field(default_factory=dict)
    rates: Counter[float] = field(default_factory=Counter)
    skipped: list[SkippedClip] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


class _Skeletons(Items):
    """Item i: positions [T, 50, 3], the model that made the motion, and the rate of its frames as they were stored; or
    the ClipError that says why there are none."""

    def __init__(self, corpus: Corpus, clips: Sequence[Clip], body: SkinnedBody, layout: MotionLayout, fps: float):
        self.corpus, self.clips, self.body, self.layout, self.fps = corpus, clips, body, layout, fps

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[np.ndarray, str, float] | ClipError:
        clip = self.clips[index]
        try:
            motion = self.corpus.load(clip)
            if unseen := sorted(SKELETON_NEEDS & motion.lacking):
                return ClipError(f"clip {clip.name}: it lacks {unseen[0]}{' …' * (len(unseen) > 1)}")
            joints = skeleton_50(self.body, seen_by(self.layout, motion.resampled(self.fps)))
        except ClipError as error:
            return error
        return joints.positions.numpy(), joints.made_by, motion.fps


def write_skeletons(
    corpus: Corpus, folder: Path, body: SkinnedBody, layout: MotionLayout, fps: float, workers: int = 0,
    progress: Callable[[Any, int], Any] = lambda items, total: items, strict: bool = False,
) -> Written:
    """The .skels files of all splits of a corpus; a split that is written in whole replaces what was there.

    fps:      of the frames
    workers:  processes that read and pose; 0: this one does
    progress: wraps the sequence of a split's clips, of which the number is given
    strict:   a clip that cannot be used is an error, as ClipError

    Raises UserError when there is no split at all, and when not one clip of a split can be used.
    """
    written = Written()
    for split in SPLITS:
        try:
            clips, skipped = corpus.clips(split), corpus.skipped(split)
        except UserError as error:
            written.absent.append(f"{corpus.name}: split {split} is left out: {error}")
            continue
        skipped = list(skipped)
        items = _Skeletons(corpus, clips, body, layout, fps)
        loader = DataLoader(items, batch_size=None, num_workers=min(workers, len(clips)), collate_fn=_as_it_is)
        with SkelsWriter(folder, split) as writer:
            count = 0
            for item, clip in zip(progress(loader, len(clips)), clips):
                try:
                    if isinstance(item, ClipError):
                        raise item
                    positions, made_by, stored = item
                    writer.add(clip, JointMotion(torch.from_numpy(positions), SKELETON_50, fps, made_by))
                except ClipError as error:
                    if strict:
                        raise
                    skipped.append(SkippedClip(corpus.name, clip.name, str(error), split))
                    continue
                count += 1
                written.rates[stored] += stored != fps
            if not count:
                raise UserError(f"not one clip of split {split} of {corpus.name} can be used; {skipped[0].reason}")
        written.clips[split] = count
        written.skipped += [SkippedClip(s.corpus, s.name, s.reason, split) for s in skipped]
    if not written.clips:
        raise UserError(" ".join(written.absent))
    return written


def seen_by(layout: MotionLayout, motion: Motion) -> Motion:
    """What the layout sees of a motion; all else is at rest. A part that lacks its face alone keeps its joints."""
    rotations = motion.rotations.clone()
    rotations[:, joint_indices([joint for joint in SMPLX_JOINTS if joint not in layout.covers])] = 0
    coefficients = max(part.expression for part in layout.parts)
    expression = motion.expression[:, :coefficients] if coefficients else torch.zeros(len(motion), 10)
    return replace(motion, rotations=rotations, expression=expression)


def _as_it_is(item: Any) -> Any:
    return item


def require_whole(layout: MotionLayout, file: str) -> None:
    """Raises UserError for a layout of positions, or one that does not see all that moves the 50 joints."""
    if layout.of_positions:
        raise UserError(f"{file} has joint positions already; give a configuration of rotations (SMPL-X, SMPL-FX)")
    if lacking := sorted(SKELETON_NEEDS - layout.covers):
        raise UserError(
            f"the parts of {file} do not see {lacking[0]}{' and other joints' * (len(lacking) > 1)} of head, arms and "
            "hands; give a configuration whose parts see all of them"
        )


def _data_file(out: Path, corpora: Sequence[Corpus], rates: dict[str, float]) -> dict[str, Any]:
    """The configuration that reads what was written."""
    entries: dict[str, dict[str, Any]] = {}
    for corpus in corpora:
        entries[corpus.name] = {
            "ROOT": str(out / corpus.name), "READER": "soke.data.corpora.skels.SkelsCorpus", "LANGUAGE": corpus.language,
            "FPS": rates[corpus.name],
        }
        if corpus.language not in TEXT_LOCALE:
            entries[corpus.name]["LOCALE"] = locale_of(corpus)
    return {
        "BASE": ["configs/parts/skeleton_50.yaml"], "DATASET": {"CORPORA": entries, "CODE_PATH": str(out / "TOKENS")},
    }


def _said(name: str, fps: float, written: Written) -> str:
    clips = ", ".join(f"{split} {count}" for split, count in written.clips.items())
    resampled = ", ".join(f"{count} of {rate:g}" for rate, count in sorted(written.rates.items()) if count)
    kept = f"resampled: {resampled} frames/s" if resampled else "as recorded"
    return f"{name}: clips {clips}; {fps:g} frames/s, {kept}; {len(written.skipped)} clips skipped"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.to_skeletons", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cfg", required=True, help="configuration that names corpora, body and parts")
    parser.add_argument("--cfg_assets", help="a second file merged over it: your paths")
    parser.add_argument("--out", required=True, help="folder for a folder per corpus, data.yaml, skeletons.json")
    parser.add_argument("--fps", type=float, help="frames per second of all; default: each corpus's own")
    parser.add_argument("--workers", type=cli.count, default=os.cpu_count(), help="processes; default: all cores")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value")
    options = parser.parse_intermixed_args(arguments)
    if options.fps is not None and not MIN_FPS <= options.fps <= MAX_FPS:
        raise UserError(f"--fps is {options.fps:g}, it must be between {MIN_FPS:g} and {MAX_FPS:g}")
    config = load_config(options.cfg, options.cfg_assets, options.overrides)
    layout = layout_of(config)
    require_whole(layout, options.cfg)
    body, corpora, out = body_model(config, "cpu"), corpora_of(config), resolve(options.out)
    rates = {corpus.name: float(options.fps or corpus.fps) for corpus in corpora}
    skipped: list[SkippedClip] = []
    for corpus in corpora:
        written = write_skeletons(
            corpus, out / corpus.name, body, layout, rates[corpus.name], options.workers,
            lambda items, total, name=corpus.name: tqdm(items, desc=name, total=total, unit="clip"),
            config.dataset.strict,
        )
        for sentence in written.absent:
            _log.warning("%s", sentence)
        skipped += written.skipped
        print(_said(corpus.name, rates[corpus.name], written))
    with new_file(out / "skipped_clips.txt") as path:
        path.write_text("".join(each.line for each in skipped), encoding="utf-8")
    # On another body, or with bent fingers, bones point elsewhere than in the forms that an oracle knows.
    as_planned = body.label.startswith(STAND_IN_NAME) and config.body.flat_hand_mean
    origins = {corpus.name: origin_of(corpus.root) for corpus in corpora if as_planned and hasattr(corpus, "root")}
    write_json(out / SKELETONS, {
        "body": body.label, "layout": layout.hash, "frames": config.dataset.frames, "fps": rates,
        "synthetic": {name: origin for name, origin in origins.items() if origin is not None},
    })
    with new_file(out / "data.yaml") as path:
        path.write_text(yaml.safe_dump(_data_file(out, corpora, rates), sort_keys=False), encoding="utf-8")
    print(f"{out}/data.yaml names them for configurations (BASE)")


if __name__ == "__main__":
    cli.run(main)
