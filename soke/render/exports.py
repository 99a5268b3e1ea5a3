"""One table of what motions can be written as, for `vis_mesh --format` and the viewer's buttons; see EXPORTS.md."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.body.rig import Rig
from soke.body.skeletonise import named_joints
from soke.data.pose_files import write_pose
from soke.data.saved import write_motion
from soke.errors import UserError
from soke.render.bvh import write_bvh
from soke.render.figure import Figure, figures_of
from soke.render.gltf import write_glb
from soke.render.page import write_page
from soke.render.poster import write_poster
from soke.render.sheet import contact_sheet
from soke.render.video import write_gif, write_video

USUAL = ("mp4", "png")
_OF_RIGS = ("glb", "bvh")


@dataclass(frozen=True)
class Shown:
    """Motions of one body to be written, and how.

    motions:   label -> motion
    caption:   below them
    close_ups: whether pictures have a close-up of each face
    size:      pixels of each figure's picture in a video
    backend:   that draws: auto, vtk or software
    frames:    of a poster; evenly spaced where there are none

    Raises UserError for a motion without frames, or one that holds NaN or infinite numbers.
    """

    body: Posed
    motions: Mapping[str, Motion | JointMotion]
    caption: str
    close_ups: bool = False
    size: int = 512
    backend: str = "auto"
    frames: Sequence[int] = ()

    def __post_init__(self) -> None:
        for label, motion in self.motions.items():
            if not len(motion):
                raise UserError(f"the motion '{label}' has no frames, so there is nothing to write")
            values = [getattr(motion, name, None) for name in ("rotations", "positions", "expression", "eyelids")]
            finite = torch.stack([v.flatten(1).isfinite().all(dim=1) for v in values if v is not None]).all(dim=0)  # [T]
            if not finite.all():
                raise UserError(
                    f"the motion '{label}' holds NaN or infinite numbers in frame {int((~finite).nonzero()[0])}, which "
                    "no file can show: look at what made it"
                )

    @cached_property
    def figures(self) -> list[Figure]:
        """As they are drawn."""
        return figures_of(self.body, self.motions, self.close_ups)

    @cached_property
    def rigs(self) -> dict[str, Rig]:
        """Label -> rig, of a body that has a surface."""
        return {label: self.body.rig(motion) for label, motion in self.motions.items()}


def write(format: str, stem: Path, shown: Shown) -> list[Path]:
    """Writes `stem`.`format` and returns the paths: one for all motions, of bvh, npz and pose one for each, with its
    label in the name where there are several; of poster a pdf and an svg. Raises UserError as `require_format` does."""
    require_format(format, shown.body)
    return FORMATS[format](Path(stem), shown)


def require_format(format: str, body: Posed) -> None:
    """Raises UserError for one that is unknown, or that the body has nothing for."""
    if format not in FORMATS:
        raise UserError(f"unknown format '{format}': choose among {', '.join(FORMATS)}")
    if format in _OF_RIGS and body.faces is None:
        others = [name for name in FORMATS if name not in _OF_RIGS]
        raise UserError(
            f"{format} holds skin or angles, and a body of joint positions ({body.label}) has neither: choose among "
            f"{', '.join(others)}"
        )


def file_name(text: str) -> str:
    """Any text as the beginning of a file's name."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "clip"


def _mp4(stem: Path, shown: Shown) -> list[Path]:
    path = _with(stem, ".mp4")
    return [write_video(path, shown.figures, shown.caption, (shown.size, shown.size), shown.backend)]


def _gif(stem: Path, shown: Shown) -> list[Path]:
    return [write_gif(_with(stem, ".gif"), shown.figures, shown.caption, backend=shown.backend)]


def _png(stem: Path, shown: Shown) -> list[Path]:
    return [contact_sheet(_with(stem, ".png"), shown.figures, shown.caption, backend=shown.backend)]


def _poster(stem: Path, shown: Shown) -> list[Path]:
    return write_poster(stem, shown.figures, shown.caption, shown.frames, shown.backend)


def _glb(stem: Path, shown: Shown) -> list[Path]:
    return [write_glb(_with(stem, ".glb"), shown.rigs, shown.caption)]


def _html(stem: Path, shown: Shown) -> list[Path]:
    return [write_page(_with(stem, ".html"), shown.body, shown.motions, shown.caption)]


def _bvh(stem: Path, shown: Shown) -> list[Path]:
    return [write_bvh(path, shown.rigs[label]) for label, path in _paths(stem, ".bvh", shown).items()]


def _npz(stem: Path, shown: Shown) -> list[Path]:
    paths = _paths(stem, ".npz", shown)
    for label, path in paths.items():
        write_motion(path, shown.motions[label])
    return [*paths.values()]


def _pose(stem: Path, shown: Shown) -> list[Path]:
    paths = _paths(stem, ".pose", shown)
    for label, path in paths.items():
        try:
            write_pose(path, named_joints(shown.body, shown.motions[label], f"the motion '{label}'"))
        except ValueError as error:
            raise UserError(f"the motion '{label}' cannot be written as .pose: {error}") from error
    return [*paths.values()]


def _with(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)  # a name may hold points


def _paths(stem: Path, suffix: str, shown: Shown) -> dict[str, Path]:
    """Label -> a file of its own."""
    if len(shown.motions) == 1:
        return {label: _with(stem, suffix) for label in shown.motions}
    return {label: _with(stem, f".{i}-{file_name(label)}{suffix}") for i, label in enumerate(shown.motions, start=1)}


FORMATS: dict[str, Callable[[Path, Shown], list[Path]]] = {
    "mp4": _mp4, "png": _png, "gif": _gif, "poster": _poster, "glb": _glb, "html": _html, "bvh": _bvh, "pose": _pose,
    "npz": _npz,
}
