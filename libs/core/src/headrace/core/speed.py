"""How fast a remote worker is: megapixels times steps in a second, or tokens as asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.core.wants import IMAGE, TEXT, VIDEO

_MEGA: Final = 1_000_000
_LEAST_S: Final = 0.1  # what took less tells nothing
UNITS: Final[Mapping[str, str]] = {
    IMAGE: "megapixelsteps per second",
    VIDEO: "megapixelsteps per second",
    TEXT: "tokens per second",
}


def speed(kind: str, told: Mapping[str, Any], took_s: float) -> float | None:
    """Of one job, told in the words of its request; None: nothing of this kind is measured."""
    params: Mapping[str, Any] = told.get("params") or {}
    match kind:
        case "image" | "video":
            pixels = params.get("width", 512) * params.get("height", 512)
            frames = params.get("length", 24) if kind == VIDEO else 1
            done = float(pixels * params.get("steps", 30) * frames) / _MEGA
        case "text":
            done = float(params.get("max_length", 80))
        case _:
            return None
    return done / max(_LEAST_S, took_s)
