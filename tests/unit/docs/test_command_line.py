"""`docs/command-line.md` and the runbook name the commands, codes and log lines that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from headrace.launch.cli import app
from headrace.launch.errors import Exit

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = (ROOT / "docs/command-line.md").read_text()
RUNBOOK: Final = (ROOT / "docs/runbook.md").read_text()


def commands() -> set[str]:
    """As they are typed: `submit`, `dead-letters`, `dead-letters replay`, ..."""
    found = set()
    for name in _names(app):
        parts = _names(app[name])
        found |= {name, *(f"{name} {part}" for part in parts)}
    return found


def _names(part: object) -> set[str]:
    return {name for name in part if not name.startswith("-")}  # type: ignore[attr-defined]  # of an App


def test_every_command_is_on_the_page() -> None:
    words = set(re.findall(r"[a-z][a-z-]+", PAGE))

    assert {word for command in commands() for word in command.split()} <= words


def test_every_code_is_on_the_page() -> None:
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(int(code)) for code in Exit]


def test_what_the_documents_tell_to_type_can_be_typed() -> None:
    typed = re.findall(
        r"(?:[`(]|\$ |    )headrace ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", PAGE + RUNBOOK
    )
    known = commands()

    assert len(typed) > 10
    for first, second in typed:
        assert first in known
        if second and any(command.startswith(f"{first} ") for command in known):
            assert f"{first} {second}" in known


def test_log_lines_of_the_runbook_are_in_the_code() -> None:
    code = "".join(path.read_text() for path in ROOT.glob("*/*/src/headrace/**/*.py"))
    events = set(re.findall(r"`([a-z]+\.[a-z]+_?[a-z_]*)[` ]", RUNBOOK))

    assert {event for event in events if f'"{event}"' not in code} == set()
