"""`docs/promises.md` names only what there is: tests, faults that held, and settings with their defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from headrace.wiring.settings import Settings

ROOT: Final = Path(__file__).parents[3]
_PAGE: Final = (ROOT / "docs/promises.md").read_text()
PROMISES: Final = dict(re.findall(r"^## (\d+)\. (.*?)(?=^## |\Z)", _PAGE, re.MULTILINE | re.DOTALL))
NOT_BUILT: Final = {"18"}
_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_SETTING: Final = re.compile(r"`([A-Z][A-Z0-9_]+)`(?: \((\d+)( s)?\))?")
_FAULT: Final = re.compile(r"^\| (\d+) \|[^|]*\| (held|failed|not run) \|", re.MULTILINE)


def faults_in(text: str) -> set[str]:
    return {n for run in re.findall(r"faults? ([\d, ]+)", text) for n in re.findall(r"\d+", run)}


def test_there_are_twenty() -> None:
    assert list(PROMISES) == [str(number) for number in range(1, 21)]


@pytest.mark.parametrize("number", PROMISES)
def test_each_says_where_it_ends_and_what_shows_it(number: str) -> None:
    text = PROMISES[number]
    _, _, shown = text.partition("*Shown by:*")

    if number in NOT_BUILT:
        assert "Not built yet." in text
        assert not _TEST.search(text)
    else:
        assert _TEST.search(shown)
        assert "*Limit:*" in text or number == "20"  # the twentieth is nothing but limits


@pytest.mark.parametrize(("path", "name"), sorted(set(_TEST.findall(_PAGE))))
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert re.search(rf"^ *(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


@pytest.mark.parametrize("number", PROMISES)
def test_faults_named_as_shown_held_and_those_named_as_missing_were_not_run(number: str) -> None:
    verdicts = dict(_FAULT.findall((ROOT / "docs/faults.md").read_text()))
    said, _, shown = PROMISES[number].partition("*Shown by:*")

    assert {verdicts.get(each) for each in faults_in(shown)} <= {"held"}
    assert {verdicts.get(each) for each in faults_in(said)} <= {"not run"}


def test_settings_exist_and_their_defaults_are_the_code_s() -> None:
    for name, default, _ in _SETTING.findall(_PAGE):
        assert name.lower() in Settings.model_fields, name
        if default:
            assert Settings.model_fields[name.lower()].default == float(default), name


def test_the_page_is_found_from_the_readme() -> None:
    assert "(docs/promises.md)" in (ROOT / "README.md").read_text()
