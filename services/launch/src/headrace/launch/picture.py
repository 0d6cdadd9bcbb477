"""Pictures as coloured half blocks: two pixels a character, where the terminal has the colours."""

from __future__ import annotations

import io
from base64 import b64decode
from typing import Final

from rich.color import Color
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

WIDEST: Final = 64
_SPARE_ROWS: Final = 6  # for what is said around it
_UPPER_HALF: Final = "▀"


def can_draw(console: Console) -> bool:
    return console.is_terminal and console.color_system in {"truecolor", "256"}


def drawn(console: Console, data: bytes, *, widest: int = WIDEST) -> Segments | None:
    """None where it cannot be drawn: no colours, no decoder, or no picture."""
    if not can_draw(console):
        return None
    try:
        from PIL import Image
    except ImportError:
        return None
    side = min(widest, console.width - 2, 2 * (console.height - _SPARE_ROWS))
    try:
        with Image.open(io.BytesIO(data)) as opened:
            picture = opened.convert("RGB")
            picture.thumbnail((side, side))
            if picture.height % 2:  # a row of blocks is two rows of pixels
                picture = picture.resize((picture.width, picture.height + 1))
    except (OSError, ValueError):
        return None
    pixels = picture.load()
    assert pixels is not None  # noqa: S101  # it is decoded
    segments: list[Segment] = []
    for row in range(0, picture.height, 2):
        segments.append(Segment("  "))
        segments += [
            Segment(
                _UPPER_HALF, Style(color=_rgb(pixels[x, row]), bgcolor=_rgb(pixels[x, row + 1]))
            )
            for x in range(picture.width)
        ]
        segments.append(Segment.line())
    return Segments(segments)


def from_data_url(url: str) -> bytes:
    """Empty where it is none."""
    head, found, body = url.partition(";base64,")
    return b64decode(body) if found and head.startswith("data:image/") else b""


def _rgb(pixel: object) -> Color:
    assert isinstance(pixel, tuple)  # noqa: S101  # it was converted to RGB
    return Color.from_rgb(*pixel)
