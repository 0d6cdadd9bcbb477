"""When the demo cannot go on, it says why, with the last words of its child, and leaves nothing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from headrace.launch.demo import SETTINGS, demo
from headrace.launch.errors import Exit
from headrace.launch.process import ChildFailed, child


async def test_a_demo_that_fails_shows_the_last_lines(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=120, record=True)

    code = await demo(console, out=tmp_path / "a.png", settings={**SETTINGS, "ENGINES": "nonesuch"})

    said = console.export_text()
    assert code is Exit.FAILED
    assert "✗ Headrace left with code 2 before it listened." in said
    assert "headrace: ENGINES names nonesuch" in said.partition("The last it said:")[2]


async def test_a_picture_that_cannot_be_kept_is_refused_first(bare: Any, tmp_path: Path) -> None:
    ran = await bare("demo", "--out", str(tmp_path / "nowhere" / "rocket.png"))

    assert (ran.code, ran.out) == (2, "")
    assert "there is no folder" in ran.err


async def test_a_child_that_takes_too_long_is_not_left_behind(tmp_path: Path) -> None:
    async with child(tmp_path, {"PORT": "0", "ENGINES": "echo", "LOG_FORMAT": "json"}) as running:
        listening = "api.listening"
        await running.until("it listens", lambda: listening in running.events, within_s=30)
        with pytest.raises(ChildFailed, match=r"longer than 0\.1 s until the moon rises"):
            await running.until("the moon rises", lambda: False, within_s=0.1)

    assert await running.stop() == 0
