"""The locks pin everything by hash, say nothing of where it came from, and cover every package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
LOCK: Final = ROOT / "requirements.lock"
MEMBERS: Final = sorted(ROOT.glob("*/*/pyproject.toml"))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _excluded() -> set[str]:
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return set(root["tool"]["uv"]["exclude-dependencies"])


def test_the_python_lock_names_no_place() -> None:
    assert re.findall(r"\w+://|file:|--\w*index", LOCK.read_text()) == []


def test_the_page_lock_names_no_place() -> None:
    lock = (ROOT / "services/web/package-lock.json").read_text()

    assert '"resolved"' not in lock


def test_every_requirement_is_pinned_with_hashes() -> None:
    pins = re.split(r"\n(?=\S)", LOCK.read_text().strip())

    assert len(pins) > 100
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


@pytest.mark.parametrize("path", MEMBERS, ids=lambda path: path.parent.name)
def test_what_a_package_asks_for_is_in_the_lock(path: Path) -> None:
    project = tomllib.loads(path.read_text())["project"]
    extras = project.get("optional-dependencies", {})
    asked = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    names = {_plain(re.split(r"[^\w.-]", line)[0]) for line in asked}
    ours = {name for name in names if name.startswith("headrace-")}
    locked = {_plain(name) for name in re.findall(r"^([\w.-]+)==", LOCK.read_text(), re.MULTILINE)}

    assert names - ours - _excluded() <= locked


def test_what_is_left_out_on_purpose_stays_out() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", LOCK.read_text(), re.MULTILINE))

    assert locked & _excluded() == set()
