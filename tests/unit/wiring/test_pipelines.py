"""Pipelines are found where they are named, and refused at the start in words that help."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.core.errors import Misconfigured
from headrace.wiring.pipelines import load_pipelines

GOOD = """
from headrace.core.pipeline import Pipeline, Plain, Stage

ONE = Pipeline(
    name="one",
    title="",
    takes={},
    stages=(Stage(name="a", kind="echo", input={}, gives={"text": Plain.TEXT}),),
)
"""
RING = """
from headrace.core.pipeline import Of, Pipeline, Plain, Stage

PIPELINE = Pipeline(
    name="ring",
    title="",
    takes={},
    stages=(
        Stage(name="a", kind="echo", input={"text": Of("a", "text")}, gives={"text": Plain.TEXT}),
    ),
)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_one_ships() -> None:
    assert "illustrate" in load_pipelines()


def test_one_of_ones_own_is_found_by_its_place(folder: Path) -> None:
    (folder / "good_pipelines.py").write_text(GOOD)

    assert load_pipelines(["good_pipelines:ONE"])["one"].stages[0].kind == "echo"


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        (RING, "ring_pipeline", "stage 'a': waits for itself"),
        ("PIPELINE = 7", "seven_pipeline", "is no Pipeline but a int"),
        ("1 / 0", "broken_pipeline", "cannot be imported: ZeroDivisionError"),
        ("", "no_pipeline:GONE", "cannot be imported: AttributeError"),
        (GOOD.replace('"one"', '"illustrate"'), "twin_pipeline:ONE", "and so does another"),
    ],
    ids=["ring", "number", "broken", "gone", "twin"],
)
def test_one_that_cannot_work_is_refused_at_the_start(
    folder: Path, text: str, place: str, why: str
) -> None:
    (folder / f"{place.partition(':')[0]}.py").write_text(text)

    with pytest.raises(Misconfigured, match=why):
        load_pipelines([place])
