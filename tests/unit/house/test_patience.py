"""Tests wait for what they mean, never for a time: only `eventually` sleeps."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
# A load has a pace, a measurement its moments, and nothing there is a test.
PACED: Final = (ROOT / "tests/bench", ROOT / "tests/gpu", ROOT / "tests/load")
SUITES: Final = sorted(
    path
    for path in (*(ROOT / "tests").rglob("*.py"), *ROOT.glob("libs/testkit/**/conformance/*.py"))
    if not any(path.is_relative_to(each) for each in PACED)
)


@pytest.mark.parametrize("path", SUITES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_sleeps(path: Path) -> None:
    sleeps = [
        f"line {call.lineno}"
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and _sleeps(call)
    ]

    assert sleeps == []


def _sleeps(call: ast.Call) -> bool:
    """`sleep(0)` is no sleep: it lets the others run once."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    yields = [ast.unparse(argument) for argument in call.args] == ["0"]
    return name == "sleep" and not yields
