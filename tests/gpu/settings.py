"""What a run is asked for, from the environment, and what it passes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ENVIRONMENT: Final[Mapping[str, str]] = os.environ


def _number(name: str, usual: int) -> int:
    return int(os.environ.get(name, usual))


OUT: Final = Path(os.environ.get("OUT", "var/gpu"))  # where the report goes
WITHIN_S: Final = _number("WITHIN_S", 450)
TEXT: Final = os.environ.get("TEXT", "3b")  # or tiny
IMAGE: Final = os.environ.get("IMAGE", "sd15")  # or tiny
MEMORY_MIB: Final = _number("MEMORY_MIB", 10_240)  # that each engine may take of the GPU
TOKENS: Final = _number("TOKENS", 256)
STEPS: Final = _number("STEPS", 30)
SIDE: Final = _number("SIDE", 512)  # of a picture, in pixels
READ: Final = _number("READ", 16_000)  # characters of a long prompt
TRAIN: Final[dict[str, Any]] = json.loads(os.environ.get("TRAIN_INPUT", "{}"))
