"""The protocol's own client, in an environment of its own: nothing here depends on that package."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

SDK: Final = "horde-sdk==0.18.0"  # the newest for this Python


async def run_client(python: Path, script: Path, url: str, home: Path) -> tuple[int | None, str]:
    """Its exit code, and what it said. It refuses every field that it does not know."""
    client = await asyncio.create_subprocess_exec(
        *(str(python), str(script)),
        env=environment(url, home),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await client.communicate()
    return client.returncode, said.decode()


def environment(url: str, home: Path) -> dict[str, str]:
    """For a process with that client; under test it refuses every field that it does not know."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TESTS_ONGOING": "1"}
    return {**env, "AI_HORDE_URL": f"{url}/api/"}
