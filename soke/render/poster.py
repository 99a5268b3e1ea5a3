"""Chosen frames as a sheet for papers: text as text, pictures embedded, in PDF and SVG."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from soke.errors import UserError
from soke.render.figure import Figure
from soke.render.lettering import INK, choose_font, wrap
from soke.render.pictures import Pictures, arranged, close_up_size
from soke.render.sheet import sheet_frames
from soke.storage import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Sheet

WIDTH = 7.0  # inches, as wide as the text of most papers
COLUMNS, MOST = 6, 40  # pictures beside each other: usual, and at most, of 3 mm
_SIDE, _SCALE = 384, 2  # pixels of a picture, which is drawn that much larger and reduced
_GAP = 0.04  # inches between two pictures
_SMALL, _LARGE = 7.0, 9.0  # points
_LINE = 1.4 * _LARGE / 72  # inches
_MEASURE = 64  # pixels of the font that text is measured in


def write_poster(
    stem: Path, figures: list[Figure], caption: str, frames: Sequence[int] = (), backend: str = "auto"
) -> list[Path]:
    """Writes stem.pdf and stem.svg: a row for each figure under its label, time and frame under each picture, then the
    caption; returns their paths.

    frames: of every figure, which leaves out those it does not have; none takes evenly spaced ones of each figure

    Raises UserError for a frame that no figure has, and for too many.
    """
    import matplotlib
    from matplotlib.figure import Figure as Sheet

    if len(frames) > MOST:
        raise UserError(f"a poster has room for {MOST} frames beside each other, not for {len(frames)}: choose fewer")
    rows = pictures(figures, frames, backend)
    columns = max(map(len, rows))
    width = (WIDTH - (columns - 1) * _GAP) / columns
    drawn = [picture for row in rows for picture, _ in row if picture is not None]
    height = max(picture.shape[0] / picture.shape[1] for picture in drawn) * width
    labels, foot = [_lines(figure.label) for figure in figures], _lines(caption)
    total = sum(len(each) * _LINE + height + _LINE for each in labels) + (len(foot) + 0.5) * _LINE
    sheet, y = Sheet((WIDTH, total)), 0.0  # inches from above
    for row, lines in zip(rows, labels):
        y = _write(sheet, lines, y)
        for column, (picture, stamp) in enumerate(row):
            x = column * (width + _GAP)
            if picture is not None:
                axes = sheet.add_axes((x / WIDTH, 1 - (y + height) / total, width / WIDTH, height / total))
                axes.imshow(picture, interpolation="none")
                axes.set_axis_off()
            _write(sheet, [stamp], y + height, x + width / 2, _SMALL)
        y += height + _LINE
    _write(sheet, foot, y + 0.25 * _LINE)
    paths = [stem.with_name(stem.name + suffix) for suffix in (".pdf", ".svg")]
    for path in paths:
        with new_file(path) as temporary, matplotlib.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "poster"}):
            sheet.savefig(temporary, dpi=300)
    return paths


def pictures(
    figures: list[Figure], frames: Sequence[int], backend: str
) -> list[list[tuple[np.ndarray | None, str]]]:
    """A row for each figure: picture and what stands below it; None and "" for a frame that it does not have."""
    longest = max(map(len, figures))
    if absent := [frame for frame in frames if not 0 <= frame < longest]:
        raise UserError(f"there is no frame {absent[0]}: frames go from 0 to {longest - 1}")
    size = (_SIDE, _SIDE)
    sizes = [(_SCALE * across, _SCALE * down) for across, down in (size, close_up_size(figures[0], size, axis=0))]
    drawing = Pictures(figures, *sizes, backend)
    try:
        return [
            [
                _cell(drawing, figure, int(frame)) if frame < len(figure) else (None, "")
                for frame in (frames or sheet_frames(len(figure), COLUMNS))
            ]
            for figure in figures
        ]
    finally:
        drawing.close()


def _cell(drawing: Pictures, figure: Figure, frame: int) -> tuple[np.ndarray, str]:
    drawn = [np.asarray(Image.fromarray(each).reduce(_SCALE)) for each in drawing.draw(figure, frame)]
    return arranged(drawn, axis=0), f"{frame / figure.fps:.2f} s ({frame})"


def _lines(text: str) -> list[str]:
    """Of the sheet's width."""
    return wrap(text, choose_font(text, _MEASURE), round(0.96 * WIDTH * 72 / _LARGE * _MEASURE))


def _write(sheet: Sheet, lines: Sequence[str], y: float, x: float = WIDTH / 2, size: float = _LARGE) -> float:
    """Lines around x, y inches from above; returns where they end."""
    from matplotlib.font_manager import FontProperties

    width, height = sheet.get_size_inches()
    for number, line in enumerate(lines):
        file = choose_font(line, _MEASURE).path
        font = FontProperties(fname=file if isinstance(file, str) else None, size=size)  # Pillow's own has no file
        sheet.text(
            x / width, 1 - (y + (number + 0.5) * _LINE) / height, line, fontproperties=font, ha="center", va="center",
            color=np.array(INK) / 255, parse_math=False,
        )
    return y + len(lines) * _LINE
