"""Models that an operator keeps in folders of this machine: nothing is ever fetched from a hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from headrace.engines.options import Misconfigured, Options

_FORM: Final = "should be name=folder, separated by commas, as in mine=/models/mine"


def model_folders(options: Options, *, has: str) -> dict[str, Path]:
    """The folders of the option `models` by name, each with a file `has`. Raises Misconfigured."""
    folders: dict[str, Path] = {}
    for part in filter(None, map(str.strip, options.get("models", "").split(","))):
        name, _, folder = part.partition("=")
        if not name or not folder:
            raise Misconfigured("models", f"{_FORM}, not {part!r}")
        if not (Path(folder) / has).is_file():
            raise Misconfigured("models", f"says that {name} is in {folder}, where no {has} is")
        folders[name] = Path(folder).absolute()
    return folders


def stay_offline() -> None:
    """Before Hugging Face's libraries are imported: they read this once, and then ask nobody."""
    told: Mapping[str, str] = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    os.environ.update(told)  # noqa: TID251  # said to libraries, not read
