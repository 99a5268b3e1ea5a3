"""What a page shows, as a file to keep."""
from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from soke.body.motion import JointMotion
from soke.errors import UserError
from soke.render import exports
from soke.render.settings import Render
from soke.viewer.moving import Posing, stick_body

VIEW = "picture"  # of what is seen at this moment, from where it is seen
_NAMES = {
    "mp4": "video (mp4)", "png": "contact sheet (png)", "gif": "animation (gif)", "poster": "poster (pdf and svg)",
    "glb": "3D, skinned (glb)", "html": "page that plays by itself (html)", "bvh": "skeleton's motion (bvh)",
    "pose": "points (.pose)", "npz": "motion as it is saved (npz)",
}
CHOICES = {VIEW: "picture of the view (png)", **{name: _NAMES.get(name, name) for name in exports.FORMATS}}
_DRAWN = ("mp4", "png", "gif", "poster", "html")  # in which figures look as they do on the page


def file_of(
    format: str, name: str, caption: str, posings: Mapping[str, Posing], style: str, render: Render
) -> tuple[str, bytes]:
    """Name and content of a file; an archive where one format takes several, or figures are of several bodies.

    Raises UserError as `exports.write` does, and where nothing is shown.
    """
    if not posings:
        raise UserError("there is no figure to save: open a clip, or sign a sentence")
    stem = exports.file_name(name)
    with tempfile.TemporaryDirectory() as folder:
        paths, groups = [], _by_body(posings, style if format in _DRAWN else "mesh")
        for i, group in enumerate(groups):
            body = next(iter(group.values())).body
            motions = {label: posing.motion for label, posing in group.items()}
            path = Path(folder) / (stem if len(groups) == 1 else f"{stem}.body{i + 1}")
            shown = exports.Shown(body, motions, caption, size=render.size, backend=render.backend)
            paths += exports.write(format, path, shown)
        if len(paths) == 1:
            return paths[0].name, paths[0].read_bytes()
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in paths:
                packed.write(path, path.name)
        return f"{stem}.{format}.zip", archive.getvalue()


def picture_of(pixels: np.ndarray) -> bytes:
    """A PNG of [H, W, 4]."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _by_body(posings: Mapping[str, Posing], style: str) -> list[dict[str, Posing]]:
    """Those of one body together."""
    groups: dict[tuple[str, bool], dict[str, Posing]] = {}
    for label, posing in posings.items():
        of_points = isinstance(posing.motion, JointMotion)
        body = stick_body(posing) if style == "sticks" or of_points else posing.body
        group = groups.setdefault((body.label, of_points), {})
        shared = next(iter(group.values())).body if group else body
        group[label] = Posing(posing.motion, shared)
    return list(groups.values())
