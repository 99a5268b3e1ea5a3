"""A clip at one glance: evenly spaced frames as one PNG."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from soke.render.figure import Figure
from soke.render.lettering import PAPER, text_strip
from soke.render.pictures import GAP, Pictures, arranged, close_up_size, joined
from soke.storage import new_file

_SCALE = 2  # drawn that much larger and reduced, so that outlines stay fine in a small picture
_STAMP = (96, 100, 110)


def sheet_frames(length: int, columns: int) -> np.ndarray:
    """Indices of at most `columns` evenly spaced frames, first and last among them."""
    return np.linspace(0, length - 1, min(columns, length)).round().astype(int)


def contact_sheet(
    path: str | Path,
    figures: list[Figure],
    caption: str,
    columns: int = 8,
    size: tuple[int, int] = (288, 288),
    backend: str = "auto",
    progress: bool = True,
) -> Path:
    """Write a PNG: a row for each figure under its label, frame number and time under each picture, then the caption.

    Each figure's own clip is spread over its row; its close-ups stand under it, together as wide as it.
    size: (width, height) in pixels of a figure's picture; backend: see `make_renderer`.
    The file appears under its name only when it is complete. Returns the path.
    Raises ValueError without figures or columns, UserError for a backend that cannot draw.
    """
    path = Path(path)
    if not figures or columns < 1:
        raise ValueError("contact_sheet needs at least one figure and one column")
    width, height = size
    chosen = [sheet_frames(len(figure), columns) for figure in figures]
    columns = max(map(len, chosen))
    total = columns * width + (columns - 1) * GAP
    sizes = [(_SCALE * across, _SCALE * down) for across, down in (size, close_up_size(figures[0], size, axis=0))]
    pictures = Pictures(figures, *sizes, backend)
    bar = tqdm(total=sum(map(len, chosen)), desc=f"drawing {path.name}", unit="frame", disable=not progress)
    strips = []
    try:
        for figure, indices in zip(figures, chosen):
            strips.append(text_strip(figure.label, total, max(16, height // 12)))
            cells = []
            for index in indices:
                drawn = [np.asarray(Image.fromarray(p).reduce(_SCALE)) for p in pictures.draw(figure, index)]
                stamp = text_strip(f"{index}  |  {index / figure.fps:.2f} s", width, max(11, height // 20), _STAMP)
                cells.append(np.concatenate([arranged(drawn, axis=0), stamp]))
                bar.update()
            row = np.full((len(cells[0]), total, 3), PAPER, dtype=np.uint8)
            shown = joined(cells, axis=1)
            row[:, : shown.shape[1]] = shown
            strips.append(row)
    finally:
        bar.close()
        pictures.close()
    strips.append(text_strip(caption, total, max(18, height // 10)))
    with new_file(path) as part:
        Image.fromarray(np.concatenate(strips)).save(part)
    return path
