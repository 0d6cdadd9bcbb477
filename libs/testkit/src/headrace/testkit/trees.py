"""A copy of this repository's sources and rules, for tests that break the rules on purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOOL_WITHIN_S: Final = 120.0


@dataclass(frozen=True)
class Tree:
    """Modules are planted by their dotted names; tools run inside it, on it alone."""

    root: Path

    def plant(self, module: str, text: str) -> Path:
        """Write one module, and the packages above it where they are missing."""
        _, part, *inner = module.split(".")
        folder = next(self.root.glob(f"*/{part.replace('_', '-')}/src")) / "headrace" / part
        for package in inner[:-1]:
            folder /= package
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
        path = folder / f"{inner[-1]}.py"
        path.write_text(f'"""Planted."""\n\n{text}\n')
        return path

    def run(self, tool: str, *arguments: str) -> str:
        """What a tool of this environment says about the copy."""
        sources = sorted(str(path) for path in self.root.glob("*/*/src"))
        done = subprocess.run(  # noqa: S603  # our own argument list, no shell
            [str(Path(sys.executable).with_name(tool)), *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sources), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=TOOL_WITHIN_S,
        )
        return done.stdout + done.stderr


def copy_tree(origin: Path, to: Path) -> Tree:
    shutil.copy(origin / "pyproject.toml", to)
    leave = shutil.ignore_patterns("__pycache__", "page", "node_modules")
    for source in (*origin.glob("libs/*/src"), *origin.glob("services/*/src")):
        shutil.copytree(source, to / source.relative_to(origin), ignore=leave)
    return Tree(to)
