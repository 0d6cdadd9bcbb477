"""A file system of a test's own, so small that it can be filled."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.testkit.infra import without

_BALLAST: Final = "ballast"
_PIECE: Final = bytes(65_536)


@dataclass(frozen=True, slots=True)
class SmallDisk:
    path: Path

    def fill(self) -> None:
        """To the last byte."""
        with (self.path / _BALLAST).open("ab", buffering=0) as ballast, suppress(OSError):
            while ballast.write(_PIECE) == len(_PIECE):
                pass

    def make_room(self) -> None:
        (self.path / _BALLAST).unlink()


@contextmanager
def small_disk(mib: int) -> Generator[SmallDisk]:
    """In memory, empty, gone afterwards. Where nobody may mount one, the test says so and is skipped,
    and fails with `CI` set.
    """
    place = Path(tempfile.mkdtemp(prefix="headrace-disk-"))
    made = _run("mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0755", "tmpfs", str(place))
    if made.returncode != 0:
        place.rmdir()
        without(f"no file system of {mib} MiB: {made.stderr.decode().strip()}")
    try:
        yield SmallDisk(place)
    finally:
        _run("umount", "--lazy", str(place))
        place.rmdir()


def _run(*command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603  # our own argument list, no shell
        command, check=False, capture_output=True, timeout=10
    )
