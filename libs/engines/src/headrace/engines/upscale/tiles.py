"""A picture cut into tiles that overlap, so that memory is bounded and no seam shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

TILE: Final = 128  # pixels of result (before scaling) on each side
MARGIN: Final = 20  # more than the network's reach, so that a tile's edge knows what is beyond it


@dataclass(frozen=True, slots=True)
class Tile:
    """What to read (`left` to `right`, margins included) and what of that to keep."""

    left: int
    top: int
    right: int
    bottom: int
    keep_left: int
    keep_top: int
    keep_right: int
    keep_bottom: int


def tiles(width: int, height: int) -> Iterator[Tile]:
    """Row by row, so that a watcher sees the picture grow from the top."""
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            right, bottom = min(left + TILE, width), min(top + TILE, height)
            yield Tile(
                left=max(0, left - MARGIN),
                top=max(0, top - MARGIN),
                right=min(width, right + MARGIN),
                bottom=min(height, bottom + MARGIN),
                keep_left=left,
                keep_top=top,
                keep_right=right,
                keep_bottom=bottom,
            )


def tile_count(width: int, height: int) -> int:
    return -(-width // TILE) * -(-height // TILE)
