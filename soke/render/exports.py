"""One table of what motions can be written as, for `vis_mesh --format` and the viewer's buttons; see EXPORTS.md."""
from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.body.rig import Rig
from soke.body.skeletonise import named_joints, require_points
from soke.data.storage.pose_files import require_package, write_pose
from soke.data.storage.saved import write_motion
from soke.errors import UserError
from soke.render.bvh import write_bvh
from soke.render.figure import Figure, figures_of
from soke.render.gltf import write_glb
from soke.render.page import write_page
from soke.render.poster import write_poster
from soke.render.sheet import contact_sheet, sheet_frames
from soke.render.video import write_gif, write_video

log = logging.getLogger(__name__)

USUAL = ("mp4", "png")
_MEASURED = 8  # frames in which a rig is compared with the surface
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
            if broken := _not_finite(motion):
                raise UserError(
                    f"the motion '{label}' holds NaN or infinite numbers in {broken}, which no file can show: look at "
                    "what made it"
                )

    @cached_property
    def figures(self) -> list[Figure]:
        """As they are drawn."""
        return figures_of(self.body, self.motions, self.close_ups)

    @cached_property
    def rigs(self) -> dict[str, Rig]:
        """Label -> rig, where the body has a surface; the log says how far it is from that."""
        if self.body.faces is None:
            return {}
        for label, motion in self.motions.items():
            some = motion.frames(torch.from_numpy(sheet_frames(len(motion), _MEASURED)))
            most, mean = (1000 * off for off in self.body.rig(some).deviation(self.body.surface(some)))
            log.info("'%s' as a skinned figure: at most %.1f mm off its surface, %.2f mm on average", label, most, mean)
        return {label: self.body.rig(motion) for label, motion in self.motions.items()}


def _not_finite(motion: Motion | JointMotion) -> str:
    """Where a motion holds other numbers, "" where it does not."""
    shapes = [shape for shape in (motion.betas, motion.head_shape) if shape is not None]
    if not all(shape.isfinite().all() for shape in shapes):
        return "its shape"
    values = [getattr(motion, name, None) for name in ("rotations", "positions", "expression", "eyelids")]
    finite = torch.stack([v.flatten(1).isfinite().all(dim=1) for v in values if v is not None]).all(dim=0)  # [T]
    return "" if finite.all() else f"frame {int((~finite).nonzero()[0])}"


def write(format: str, stem: Path, shown: Shown) -> list[Path]:
    """Writes `stem`.`format` and returns the paths: one for all motions, of bvh, npz and pose one for each, with its
    label in the name where there are several; of poster a pdf and an svg. Raises UserError as `require_format` does."""
    require_format(format, shown.body)
    return FORMATS[format](Path(stem), shown)


def require_format(format: str, body: Posed) -> None:
    """Raises UserError for one that is unknown, that the body has nothing for, or whose package is not installed."""
    if format not in FORMATS:
        raise UserError(f"unknown format '{format}': choose among {', '.join(FORMATS)}")
    if format in _OF_RIGS and body.faces is None:
        others = [name for name in FORMATS if name not in _OF_RIGS]
        raise UserError(
            f"{format} holds skin or angles, and a body of joint positions ({body.label}) has neither: choose among "
            f"{', '.join(others)}"
        )
    if format == "pose":
        require_points(body, body.label)
        require_package("writing .pose files")


def file_name(text: str) -> str:
    """Any text as the beginning of a file's name."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "clip"


def _require_one_rate(format: str, shown: Shown) -> None:
    rates = {label: motion.fps for label, motion in shown.motions.items()}
    if len(set(rates.values())) > 1:
        listed = ", ".join(f"'{label}' {fps:g}" for label, fps in rates.items())
        raise UserError(f"{format} has one frame rate, these motions have {listed} frames/s: resample or choose html")


def _mp4(stem: Path, shown: Shown) -> list[Path]:
    _require_one_rate("mp4", shown)
    path = _with(stem, ".mp4")
    return [write_video(path, shown.figures, shown.caption, (shown.size, shown.size), shown.backend)]


def _gif(stem: Path, shown: Shown) -> list[Path]:
    _require_one_rate("gif", shown)
    return [write_gif(_with(stem, ".gif"), shown.figures, shown.caption, backend=shown.backend)]


def _png(stem: Path, shown: Shown) -> list[Path]:
    return [contact_sheet(_with(stem, ".png"), shown.figures, shown.caption, backend=shown.backend)]


def _poster(stem: Path, shown: Shown) -> list[Path]:
    return write_poster(stem, shown.figures, shown.caption, shown.frames, shown.backend)


def _glb(stem: Path, shown: Shown) -> list[Path]:
    return [write_glb(_with(stem, ".glb"), shown.rigs, shown.caption)]


def _html(stem: Path, shown: Shown) -> list[Path]:
    return [write_page(_with(stem, ".html"), shown.body, shown.motions, shown.rigs, shown.caption)]


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
            write_pose(path, named_joints(shown.body, shown.motions[label]))
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
