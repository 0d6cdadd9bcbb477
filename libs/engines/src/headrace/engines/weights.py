"""Where an installed package keeps its weights: found on disk, the package itself never imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from headrace.engines.engine import EngineError


class NoWeights(EngineError):
    def __init__(self, package: str, name: str) -> None:
        super().__init__(f"{name} is not in the package {package}: install {package} again")
        self.package, self.name = package, name


def packaged(package: str, name: str) -> Path:
    """The file `name` inside `package`, whose own dependencies may well be absent."""
    spec = find_spec(package)
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / name
        if path.is_file():
            return path
    raise NoWeights(package, name)
