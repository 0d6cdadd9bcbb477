"""The artefacts of registered models on this machine's disk: downloaded once, checked, kept while there is room.

Laws:
1. A file is called by its SHA-256, and has that name only once it was checked.
2. Who downloads holds the lock of the unfinished file, who uses a finished one shares its lock; the kernel
   releases both with the process. So what was cut off goes on where it stopped, by whoever asks next, in
   this worker or in another that has the same folder.
3. What somebody holds is not deleted. A model that is loaded needs its file no more.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Final, Literal, TypeAlias

from headrace.contracts.messages import Artefact, JobError
from headrace.core.errors import BlobNotFound, Unavailable
from headrace.gpu_worker.attempts import Line
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.payloads import PayloadFailed
from headrace.gpu_worker.waiting import pauses
from headrace.telemetry.logs import get_logger

Kind: TypeAlias = Literal["internal", "resource", "transient"]
CHUNK: Final = 8 * 2**20  # what a broken connection costs at most
UNFINISHED: Final = ".part"
_MIB: Final = 2**20
_LOOK_AGAIN_S: Final = 0.1  # while somebody else downloads
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_log = get_logger("gpu_worker.artefacts")


class Artefacts:
    """One for all slots of a worker."""

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._folder = options.models.absolute()
        self._come: dict[str, int] = {}  # how much is there of those that we download, by checksum

    def place(self, artefact: Artefact) -> Path:
        return self._folder / artefact.sha256

    def line(self, artefact: Artefact) -> Line:
        """For whoever waits for it."""
        total = artefact.bytes / _MIB
        if (come := self._come.get(artefact.sha256)) is None:
            return Line(
                "download", f"for {total:.1f} MiB of weights, which somebody else downloads"
            )
        return Line(
            "download", f"for {total:.1f} MiB of weights, of which {come / _MIB:.1f} are here"
        )

    async def fetch(self, artefact: Artefact) -> Kept:
        """Its file, checked, and not deleted until that is closed. Raises PayloadFailed."""
        if not _SHA256.fullmatch(artefact.sha256):
            raise _failed("internal", artefact, f"{artefact.sha256!r} is no SHA-256")
        async with self._in_time(artefact):
            while (kept := await asyncio.to_thread(_open_kept, self.place(artefact))) is None:
                await self._bring(artefact)
            return kept

    async def _bring(self, artefact: Artefact) -> None:
        part = await asyncio.to_thread(_open_part, self.place(artefact))
        if part is None:
            await asyncio.sleep(_LOOK_AGAIN_S)
            return
        with part:
            try:
                resumed = await self._download(artefact, part)
            finally:
                self._come.pop(artefact.sha256, None)
            if await asyncio.to_thread(_finish, part, artefact, self.place(artefact)):
                _log.info("artefact.kept", sha256=artefact.sha256, bytes=artefact.bytes)
            elif not resumed:  # else what was there before was bad, and it is begun anew
                why = f"its bytes are not the {artefact.bytes} that were registered"
                raise _failed("internal", artefact, f"{why}, with SHA-256 {artefact.sha256}")

    async def _download(self, artefact: Artefact, part: BufferedRandom) -> bool:
        """To its end, whatever it is; whether a part of it was there before."""
        self._come[artefact.sha256] = at = began_at = part.seek(0, os.SEEK_END)
        await asyncio.to_thread(self._make_room, artefact, max(0, artefact.bytes - at))
        _log.info("artefact.downloading", sha256=artefact.sha256, bytes=artefact.bytes, at=at)
        while at < artefact.bytes:
            data = await self._read(artefact, at, min(CHUNK, artefact.bytes - at))
            if not data:
                break
            await asyncio.to_thread(_append, part, data)
            self._come[artefact.sha256] = at = at + len(data)
        return began_at > 0

    async def _read(self, artefact: Artefact, start: int, length: int) -> bytes:
        """Until it is available; whoever calls has set a limit."""
        waits = pauses(self._options.random, first_s=0.2, cap_s=self._options.limits.retry_cap_s)
        while True:
            try:
                return await self._options.blobs.read(
                    artefact.tenant, artefact.blob, start=start, length=length
                )
            except BlobNotFound as error:
                raise _failed("internal", artefact, "its blob is gone") from error
            except Unavailable as error:
                _log.warning("artefact.unavailable", at=start, error=str(error))
            await asyncio.sleep(next(waits))

    def _make_room(self, artefact: Artefact, need: int) -> None:
        """Delete what was used longest ago, unless somebody holds it. Raises PayloadFailed."""
        files = sorted(_files(self._folder))
        excess = sum(size for _, size, _ in files) + need - self._options.models_mib * _MIB
        for _, size, path in files:
            if excess <= 0:
                return
            if _delete(path):
                excess -= size
                _log.info("artefact.deleted", file=path.name, bytes=size)
        if excess > 0:
            room = f"the {self._options.models_mib} MiB for artefacts on this worker"
            raise _failed(
                "resource", artefact, f"its {artefact.bytes} bytes do not fit into {room}"
            )

    @asynccontextmanager
    async def _in_time(self, artefact: Artefact) -> AsyncGenerator[None]:
        limit_s = self._options.limits.artefact_s
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError as error:
            why = f"it could not be downloaded within {limit_s:g} s"
            raise _failed("transient", artefact, why) from error
        except OSError as error:
            kind: Kind = "resource" if error.errno in _FULL else "internal"
            raise _failed(
                kind, artefact, f"this worker cannot keep it: {error.strerror}"
            ) from error


class Kept:
    """A finished artefact that is in use: until it is closed nobody deletes it."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self.path = path
        self._file = file

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _open_kept(path: Path) -> Kept | None:
    """None: it is not there, or is about to be deleted."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    if not _lock(file, path, fcntl.LOCK_SH):
        file.close()
        return None
    os.utime(path)  # it was used now
    return Kept(path, file)


def _open_part(path: Path) -> BufferedRandom | None:
    """What there is of it, at its end, for us alone to go on with. None: somebody does already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(UNFINISHED)
    file = part.open("a+b")
    if _lock(file, part, fcntl.LOCK_EX):
        if not path.exists():
            return file
        part.unlink()  # it was finished meanwhile
    file.close()
    return None


def _lock(file: BufferedReader | BufferedRandom, path: Path, how: int) -> bool:
    """False: somebody holds it otherwise, or `path` is another file by now."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _append(part: BufferedRandom, data: bytes) -> None:
    part.write(data)
    part.flush()  # where it stopped is what is on the disk


def _finish(part: BufferedRandom, artefact: Artefact, path: Path) -> bool:
    """Give it its name if it is what it should be; else nothing of it is left."""
    part.seek(0)
    digest = hashlib.file_digest(part, "sha256").hexdigest()
    if (part.tell(), digest) != (artefact.bytes, artefact.sha256):
        part.truncate(0)
        return False
    os.fsync(part.fileno())
    path.with_suffix(UNFINISHED).replace(path)
    return True


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each was used last, and its size."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            told = path.stat()
            yield told.st_mtime, told.st_size, path


def _delete(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open("rb") as file:
        if _lock(file, path, fcntl.LOCK_EX):
            path.unlink()
            return True
    return False


def _failed(kind: Kind, artefact: Artefact, why: str) -> PayloadFailed:
    return PayloadFailed(JobError(kind, f"the artefact {artefact.blob}: {why}"))
