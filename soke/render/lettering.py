"""Labels and captions as pictures, in a font that has Chinese signs and umlauts."""
from __future__ import annotations

import importlib.util
import logging
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

logger = logging.getLogger(__name__)

PAPER = (255, 255, 255)
INK = (32, 34, 40)

# Best first. The package zhplot carries Noto Sans SC (SIL Open Font License): its file is used, the package is not
# imported. Then where Debian, Fedora and macOS put theirs. matplotlib's DejaVu Sans has umlauts, but no Chinese.
_FONTS = (
    ("zhplot", "fonts/NotoSansSC-Regular.ttf"),
    (None, "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
    (None, "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc"),
    (None, "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"),
    (None, "/System/Library/Fonts/PingFang.ttc"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSans.ttf"),
)
_NO_GLYPH = "\U0010ffff"  # never assigned: drawn as the font's box for "missing"
# Chinese, Japanese and Korean signs and their wide punctuation: a line may break before any of them
_SIGN = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff"
_WORDS = re.compile(rf"\s+|[{_SIGN}][，。！？、；：」』）》”]*|[^\s{_SIGN}]+")


@lru_cache(maxsize=1)
def font_files() -> list[Path]:
    """Font files that exist here, best first."""
    files = []
    for package, file in _FONTS:
        spec = importlib.util.find_spec(package) if package else None
        if package is None or spec is not None:
            files.append(Path(spec.origin).parent / file if spec is not None else Path(file))
    return [file for file in files if file.is_file()]


@lru_cache(maxsize=16)
def _fonts(size: int) -> list[ImageFont.FreeTypeFont]:
    """The fonts of that many pixels, best first; Pillow's own, which is always there, comes last."""
    return [ImageFont.truetype(str(path), size) for path in font_files()] + [ImageFont.load_default(size)]


def missing_glyphs(font: ImageFont.FreeTypeFont, text: str) -> list[str]:
    """The characters of the text that the font can only show as a box."""

    def picture(sign: str) -> tuple[tuple[int, int], bytes]:
        mask = font.getmask(sign)
        return mask.size, bytes(mask)

    box = picture(_NO_GLYPH)
    return [sign for sign in dict.fromkeys(text) if not sign.isspace() and picture(sign) == box]


@lru_cache(maxsize=1)
def _warn_of_boxes() -> None:
    logger.warning(
        "no font here has every character of the captions (pip install zhplot brings Chinese signs, Debian's package "
        "fonts-noto-cjk Korean and Japanese ones, too)"
    )


def choose_font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """The first font that has every character, or else the one that lacks fewest, which the log then says, once."""
    fonts = _fonts(size)
    lacking = [len(missing_glyphs(font, text)) for font in fonts]
    best = int(np.argmin(lacking))
    if lacking[best] > 0:
        _warn_of_boxes()
    return fonts[best]


def wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Lines no wider than `width` pixels: broken at spaces, between Chinese signs, in words if need be."""
    lines, line = [], ""
    for word in _WORDS.findall(text.strip()):
        if font.getlength((line + word).rstrip()) <= width:
            line += word
            continue
        if line.strip():
            lines.append(line.strip())
        line = word.lstrip()
        while len(line) > 1 and font.getlength(line) > width:
            fits = next((n for n in range(len(line) - 1, 1, -1) if font.getlength(line[:n]) <= width), 1)
            lines.append(line[:fits])
            line = line[fits:]
    return lines + [line.strip()] if line.strip() else lines


def text_strip(text: str, width: int, size: int, color: tuple[int, int, int] = INK) -> np.ndarray:
    """Text centred on white, as many lines as it needs: [H, width, 3] uint8."""
    font = choose_font(text, size)
    lines = wrap(text, font, width - size)
    spacing = int(1.4 * size)
    image = Image.new("RGB", (width, max(1, len(lines)) * spacing + size // 2), PAPER)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((width / 2, size // 4 + (number + 0.5) * spacing), line, fill=color, font=font, anchor="mm")
    return np.asarray(image)
