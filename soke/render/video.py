"""Figures side by side as a video which browsers play, or as a GIF."""
from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image
from tqdm import tqdm

from soke.render.figure import Figure
from soke.render.lettering import PAPER, text_strip
from soke.render.pictures import GAP, Pictures, arranged, close_up_size
from soke.render.sheet import sheet_frames
from soke.storage import new_file

GIF_HEIGHT, GIF_WIDTH = 320, 1024  # pixels of a figure's picture, and of all of them side by side at most
_GIF_RATE, _GIF_COLORS, _GIF_SAMPLES = 50, 128, 8


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
    require_one_rate(figures)
    title, frames = f"drawing {path.name}" if progress else "", range(max(map(len, figures)))
    with contextlib.closing(canvases(figures, caption, size, backend, title, frames, beside)) as shown:
        first = next(shown)
        with new_file(path) as part:
            writer = imageio_ffmpeg.write_frames(
                str(part),
                (first.shape[1], first.shape[0]),
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
                for canvas in itertools.chain([first], shown):
                    writer.send(canvas.tobytes())
    return path


def write_gif(
    path: str | Path, figures: list[Figure], caption: str, height: int = GIF_HEIGHT, backend: str = "auto",
    progress: bool = True,
) -> Path:
    """As `write_video`, an animated GIF that repeats, of one palette of 128 colours.

    Its times are hundredths of a second, so frames are shown for as many as keep the whole duration, and above 50
    frames/s, which browsers do not show, frames are left out.

    height: pixels of each figure's picture; of figures that are together wider than 1024 pixels less
    """
    path = Path(path)
    require_one_rate(figures)
    side = min(height, GIF_WIDTH // len(figures))
    fps, length = figures[0].fps, max(map(len, figures))
    frames = range(0, length, max(1, math.ceil(fps / _GIF_RATE)))
    few = canvases(figures, caption, (side, side), backend, "", sheet_frames(length, _GIF_SAMPLES))
    palette = Image.fromarray(np.concatenate([canvas.copy() for canvas in few])).quantize(_GIF_COLORS)
    title = f"drawing {path.name}" if progress else ""
    first, *others = (
        Image.fromarray(canvas).quantize(palette=palette, dither=Image.Dither.NONE)
        for canvas in canvases(figures, caption, (side, side), backend, title, frames)
    )
    ends = np.rint(100 * np.append(frames[1:], length) / fps).astype(int)
    with new_file(path) as part:
        first.save(
            part, save_all=True, append_images=others, duration=(10 * np.diff(ends, prepend=0)).tolist(), loop=0,
            disposal=1,
        )
    return path


def require_one_rate(figures: list[Figure]) -> None:
    """Raises ValueError without figures or when their frame rates differ."""
    if not figures:
        raise ValueError("a video needs at least one figure")
    if len({figure.fps for figure in figures}) > 1:
        rates = ", ".join(f"'{figure.label}' {figure.fps}" for figure in figures)
        raise ValueError(f"figures side by side need one frame rate, these have: {rates}")


def canvases(
    figures: list[Figure], caption: str, size: tuple[int, int], backend: str, title: str, frames: Iterable[int],
    beside: Sequence[Figure] = (),
) -> Iterator[np.ndarray]:
    """Frame after frame what `write_video` shows, [H, W, 3] uint8, in one array that is drawn over.

    title:  of the progress that is shown; "" shows none
    frames: which, in their order
    beside: as of `write_video`
    """
    (width, height), of_close_up = size, close_up_size(figures[0], size, axis=1)
    block = width + GAP + of_close_up[0] if figures[0].close_ups else width  # what is shown of a figure
    canvas, top = _canvas(figures, caption, block, height)
    pictures = Pictures([*figures, *beside], size, of_close_up, backend)
    try:
        drawn = [-1] * len(figures)
        for t in tqdm(frames, desc=title, unit="frame", disable=not title):
            for i, (figure, x) in enumerate(zip(figures, _left_edges(len(figures), block))):
                if drawn[i] != (frame := min(t, len(figure) - 1)):
                    canvas[top : top + height, x : x + block] = arranged(pictures.draw(figure, frame), axis=1)
                    drawn[i] = frame
            yield canvas
    finally:
        pictures.close()


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
