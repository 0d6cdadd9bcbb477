"""The demo with its real models: from nothing to a text and a picture, and where the time went."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e


async def test_the_demo_tells_its_story_to_a_pipe(tmp_path: Path) -> None:
    picture = tmp_path / "rocket.png"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace.launch", "demo", "--out", str(picture)),
        cwd=tmp_path,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(50):
        out, err = (each.decode() for each in await process.communicate())

    assert (process.returncode, err) == (0, ""), out
    assert "\x1b" not in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    for part in ("smollm2-135m-instruct is loaded", "emoji-flow is loaded", "tokens/s", "steps/s"):
        assert part in out
    for stage in ("queue", "claim", "load", "run", "store", "record"):
        assert len(re.findall(rf"^  {stage} ", out, re.MULTILINE)) >= 2
    assert re.search(r"all +[\d.]+ s process start to first token", out)
    assert "left with exit code 0" in out
