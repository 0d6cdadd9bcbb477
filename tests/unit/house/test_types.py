"""Each check that mypy is asked for, beyond its defaults, is provoked once and reported."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Set
from typing import Final

import pytest

from headrace.testkit.trees import Tree

# Error code -> code that earns it.
PLANTS: Final[Mapping[str, str]] = {
    "no-untyped-def": "def untyped(x): return x",
    "type-arg": "NAMES: list = []",
    "no-any-return": ("import json\n\ndef read(text: str) -> int:\n    return json.loads(text)"),
    "unused-ignore": "X: int = 1  # type: ignore[assignment]",
    "ignore-without-code": "X: int = ''  # type: ignore",
    "redundant-expr": "def f(x: int) -> int:\n    return x if isinstance(x, int) and x else 0",
    "truthy-bool": "class C: ...\n\nx = C()\nif x:\n    pass",
    "possibly-undefined": "def f(x: int) -> int:\n    if x:\n        y = 1\n    return y",
    "explicit-override": (
        "class A:\n    def f(self) -> None: ...\n\nclass B(A):\n    def f(self) -> None: ..."
    ),
    "unused-awaitable": ("import asyncio\n\nasync def f(x: asyncio.Future[int]) -> None:\n    x"),
    "mutable-override": ("class A:\n    x: float\n\nclass B(A):\n    x: int"),
    "exhaustive-match": (
        "import enum\n\nclass E(enum.Enum):\n    A = 1\n    B = 2\n\n"
        "def f(e: E) -> None:\n    match e:\n        case E.A:\n            pass"
    ),
    "unreachable": "def f(x: int) -> int:\n    return x\n    return 2",
}


@pytest.fixture(scope="module")
def reported(tree: Tree) -> Set[tuple[str, str]]:
    """Which planted module got which error code."""
    planted = [
        str(tree.plant(f"headrace.core.{_name(code)}", text)) for code, text in PLANTS.items()
    ]
    said = tree.run("mypy", "--no-incremental", *planted)
    return set(re.findall(r"(\w+)\.py:\d+: error: .*\[([\w-]+)\]$", said, flags=re.MULTILINE))


@pytest.mark.parametrize("code", PLANTS)
def test_a_planted_error_is_reported(reported: Set[tuple[str, str]], code: str) -> None:
    assert (_name(code), code) in reported


def test_every_extra_check_has_a_plant(tree: Tree) -> None:
    rules = tomllib.loads((tree.root / "pyproject.toml").read_text())["tool"]["mypy"]

    assert rules["strict"]
    assert rules["warn_unreachable"]
    assert set(rules["enable_error_code"]) <= set(PLANTS)


def _name(code: str) -> str:
    return f"planted_{code.replace('-', '_')}"
