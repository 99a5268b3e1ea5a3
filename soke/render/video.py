"""Figures side by side as a video which browsers play."""
from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from tqdm import tqdm

from soke.render.figure import Figure
from soke.render.lettering import PAPER, text_strip
from soke.render.pictures import GAP, Pictures, arranged, close_up_size
from soke.storage import new_file


def write_video(
    path: str | Path,
    figures: list[Figure],
    caption: str,
    size: tuple[int, int] = (512, 512),
    backend: str = "auto",
    progress: bool = True,
    beside: Sequence[Figure] = (),
) -> Path:
    """Write an mp4 (H.264, yuv420p): the figures side by side under their labels, the caption below.

    Close-ups stand beside their figure, together as high as it. One camera serves all figures, and one all close-ups of
    the same part. A clip that is shorter than the longest holds its last frame.
    size: (width, height) in pixels of each figure's picture; backend: see `make_renderer`.
    beside: figures that are not drawn here, but in other videos that shall have the same cameras.
    The file appears under its name only when it is complete. Returns the path.
    Raises ValueError without figures or when their frame rates differ, UserError for a backend that cannot draw.
    """
    path = Path(path)
    if not figures:
        raise ValueError("write_video needs at least one figure")
    if len({figure.fps for figure in figures}) > 1:
        rates = ", ".join(f"'{figure.label}' {figure.fps}" for figure in figures)
        raise ValueError(f"figures side by side need one frame rate, these have: {rates}")
    (width, height), of_close_up = size, close_up_size(figures[0], size, axis=1)
    block = width + GAP + of_close_up[0] if figures[0].close_ups else width  # what is shown of a figure
    canvas, top = _canvas(figures, caption, block, height)
    pictures = Pictures([*figures, *beside], size, of_close_up, backend)
    frames = max(len(figure) for figure in figures)
    try:
        with new_file(path) as part:
            writer = imageio_ffmpeg.write_frames(
                str(part),
                (canvas.shape[1], canvas.shape[0]),
                fps=figures[0].fps,
                codec="libx264",
                pix_fmt_out="yuv420p",
                macro_block_size=2,
                quality=None,
                output_params=["-crf", "18", "-movflags", "+faststart"],
                ffmpeg_log_level="error",
            )
            with contextlib.closing(writer):
                writer.send(None)
                for t in tqdm(range(frames), desc=f"drawing {path.name}", unit="frame", disable=not progress):
                    for figure, x in zip(figures, _left_edges(len(figures), block)):
                        if t < len(figure):
                            canvas[top : top + height, x : x + block] = arranged(pictures.draw(figure, t), axis=1)
                    writer.send(canvas.tobytes())
    finally:
        pictures.close()
    return path


def _left_edges(figures: int, width: int) -> list[int]:
    """Where what is shown of figures side by side begins."""
    return [number * (width + GAP) for number in range(figures)]


def _canvas(figures: list[Figure], caption: str, width: int, height: int) -> tuple[np.ndarray, int]:
    """Labels and caption around the place of the pictures, uint8 [H, W, 3]; and the row where the pictures begin.

    width, height: of what is shown of each figure, in pixels
    """
    left = _left_edges(len(figures), width)
    label_size = max(12, height // 22)
    labels = [_strip(figure.label, width, label_size) for figure in figures]
    top = max(len(label) for label in labels)
    foot = _strip(caption, left[-1] + width, max(14, height // 18))
    total_height, total_width = top + height + len(foot), left[-1] + width
    # even sizes, as yuv420p halves the colour planes
    canvas = np.full((total_height + total_height % 2, total_width + total_width % 2, 3), PAPER, dtype=np.uint8)
    for label, x in zip(labels, left):
        canvas[: len(label), x : x + width] = label
    canvas[top + height : total_height, :total_width] = foot
    return canvas, top


def _strip(text: str, width: int, size: int) -> np.ndarray:
    """As of `text_strip`, no rows high where there is no text."""
    return text_strip(text, width, size) if text.strip() else np.zeros((0, width, 3), dtype=np.uint8)
