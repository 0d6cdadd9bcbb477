"""Pythons of somebody else's: a client that we serve and do not depend on, as its users install it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

WITHIN_S: Final = 120.0  # an installation, or a story that a client tells


async def python_with(package: str, folder: Path) -> Path:
    """An interpreter in a new environment that has this package and nothing of ours."""
    uv = str(Path(sys.executable).with_name("uv"))
    python = folder / "bin" / "python"
    await ran(uv, "venv", "--quiet", "--clear", str(folder))
    await ran(uv, "pip", "install", "--quiet", "--python", str(python), package)
    return python


async def ran(*command: str) -> str:
    """What it wrote; fails with what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(WITHIN_S):
        said, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return said.decode()
