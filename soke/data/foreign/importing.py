"""Clips of other tools -> SMPL-FX clips, perhaps onto clips that are there."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from soke.body.joints import joint_indices
from soke.body.motion import OBSERVABLE, Motion
from soke.data.clip import ClipError, SkippedClip
from soke.data.corpora.annotations import safe_name
from soke.data.foreign.assembling import ForeignClips
from soke.data.storage.formats import SMPLFX_CLIPS
from soke.data.storage.smplfx_clips import read_clip, write_clip
from soke.errors import UserError
from soke.storage import new_file

SKIPPED = "skipped_clips.tsv"


@dataclass
class Imported:
    """written: clips; frames: of them; gaps: how many lack frames in between; lacking: name of `OBSERVABLE` -> clips that lack
    it; skipped: with the reason."""

    written: int = 0
    frames: int = 0
    gaps: int = 0
    lacking: dict[str, int] = field(default_factory=dict)
    skipped: list[SkippedClip] = field(default_factory=list)


def import_clips(
    clips: ForeignClips, out: Path, onto: Path | None = None,
    progress: Callable[[Iterable[str]], Iterable[str]] = lambda names: names,
) -> Imported:
    """Write every clip as `<out>/smplfx/<name>.npz`, those that are bad as lines of `<out>/skipped_clips.tsv`.

    onto: root of SMPL-FX clips; what a clip observed takes the place of it in the clip of the same name there, which
          keeps all else

    Raises UserError when not one clip can be written.
    """
    found = Imported()
    for name in progress(clips.names):
        try:
            safe_name(name)
            motion = clips.read(name)
            if onto is not None:
                _require_all(name, clips.gaps.get(name, 0))
                motion = merged(_base(onto, name), motion, name)
        except (UserError, ValueError) as error:
            found.skipped.append(SkippedClip(out.name, name, str(error)))
            continue
        write_clip(_file(out, name), motion)
        found.written, found.frames = found.written + 1, found.frames + len(motion)
        found.gaps += clips.gaps.get(name, 0) > 0
        for part in motion.lacking:
            found.lacking[part] = found.lacking.get(part, 0) + 1
    if not found.written:
        first = f"; the first: {found.skipped[0].reason}" if found.skipped else ""
        raise UserError(f"none of the {len(found.skipped)} clips could be imported{first}")
    lines = (f"{clip.name}\t{' '.join(clip.reason.split())}\n" for clip in found.skipped)
    with new_file(out / SKIPPED) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    return found


def merged(base: Motion, more: Motion, name: str) -> Motion:
    """`base` with everything that `more` observed; at the base's rate.

    Raises ClipError when they have different numbers of frames, though they last equally long at rates of their own one
    may have a frame more, which is dropped or held.
    """
    if more.fps != base.fps:
        at_rate = more.resampled(base.fps)
        if abs(len(at_rate) - len(base)) <= 1:
            at_rate = at_rate.frames(torch.arange(len(base)).clamp_max(len(at_rate) - 1))
    else:
        at_rate = more
    if len(at_rate) != len(base):
        raise ClipError(
            f"clip {name}: {len(more)} frames at {more.fps:g} frames/s do not fit the {len(base)} at {base.fps:g} that "
            "they are to be put onto"
        )
    observed = frozenset(OBSERVABLE) - at_rate.lacking
    joints = joint_indices(sorted(observed - {"expression", "eyelids"}))
    rotations = base.rotations.clone()
    rotations[:, joints] = at_rate.rotations[:, joints]
    return replace(
        base, rotations=rotations, lacking=base.lacking - observed,
        expression=at_rate.expression if "expression" in observed else base.expression,
        eyelids=at_rate.eyelids if "eyelids" in observed else base.eyelids,
        head_shape=base.head_shape if at_rate.head_shape is None else at_rate.head_shape,
        made_by=base.made_by or at_rate.made_by,
    )


def _require_all(name: str, missing: int) -> None:
    """Raises ClipError for frames of which nobody knows any more beside which others they belong."""
    if missing:
        raise ClipError(
            f"clip {name}: {missing} of its frames are missing in between, so that it fits frame by frame onto no other; track "
            "it again"
        )


def _file(root: Path, name: str) -> Path:
    return SMPLFX_CLIPS.place(root, name, root)


def _base(root: Path, name: str) -> Motion:
    path = _file(root, name)
    if not path.is_file():
        raise ClipError(f"clip {name}: {path} does not exist, onto which it is to be put")
    return read_clip(path)
