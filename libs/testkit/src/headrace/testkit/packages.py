"""A package as if pip had installed it: its modules and its entry points, for one test."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

_FILE: Final = re.compile(r"^```\w+ (?P<name>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def files_of(page: Path) -> dict[str, str]:
    """Those that a page of the documents shows, by the names that it gives them."""
    return {match["name"]: match["text"] for match in _FILE.finditer(page.read_text())}


def install(folder: Path, files: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put `files` (a `pyproject.toml` among them) where Python finds them, until the test ends."""
    lay_out(folder, files)
    monkeypatch.syspath_prepend(folder)
    for module in [name for name in sys.modules if (folder / f"{name}.py").exists()]:
        monkeypatch.delitem(sys.modules, module)


def lay_out(folder: Path, files: Mapping[str, str]) -> None:
    """For a process that has `folder` on its path."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    facts = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (facts / "entry_points.txt").write_text(_entry_points(project.get("entry-points", {})))


def _entry_points(groups: Mapping[str, Mapping[str, str]]) -> str:
    return "\n".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in groups.items()
    )
