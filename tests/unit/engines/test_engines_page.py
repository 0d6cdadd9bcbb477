"""docs/engines.md says the truth: its example is installed, found, described and run."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import FunctionType

import pytest

from headrace.contracts.ids import Lane
from headrace.engines.registry import available, card
from headrace.testkit.packages import files_of, install
from headrace.testkit.work import sent, work_for

PAGE = Path(__file__).parents[3] / "docs" / "engines.md"
PRIMES = Lane("primes")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The page's files, installed as a package."""
    found = files_of(PAGE)
    install(tmp_path, found, monkeypatch)
    return found


def test_the_example_runs_through_the_registry(files: dict[str, str]) -> None:
    engine = available()[PRIMES]
    work = work_for(engine, {"count": 3})

    output = sent(engine().run(work))

    assert output == {"primes": [2, 3, 5]}
    assert card(PRIMES, engine).title == "Finds prime numbers."
    assert card(PRIMES, engine).input_schema["properties"]["count"]["maximum"] == 10_000


def test_the_examples_own_tests_pass(files: dict[str, str]) -> None:
    module = importlib.import_module("test_primes")
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]

    assert len(tests) == 3
    for test in tests:
        assert isinstance(test, FunctionType)
        test()


def test_the_example_is_as_short_as_the_page_says(files: dict[str, str]) -> None:
    lines = [line for line in files["primes.py"].splitlines() if line.strip()]

    assert len(lines) <= 20


def test_every_lane_is_on_the_page() -> None:
    page = PAGE.read_text()

    for lane, engine in available().items():
        assert f"| `{lane}` | `{engine.kind}` |" in page
        first = f"`{engine.models[0]}`" if engine.models else "registered ones"
        assert first in page or "image-model.md" in page
