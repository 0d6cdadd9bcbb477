"""A file is written beside its place, made durable and then renamed: it is there whole or not at all."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Final, Literal, TypeVar
from uuid import UUID, uuid4  # noqa: TID251  # the default of the id factory that is taken

from typing_extensions import override

from headrace.adapters.blobs.names import folder, media_type, new_name, tenant_of
from headrace.contracts.ids import BlobId, TenantId
from headrace.core.errors import BlobNotFound, TooLarge, Unavailable
from headrace.core.ports.blobs import Blob, BlobPage, BlobRef, Blobs

T = TypeVar("T")

MAX_BYTES: Final = 32 * 1024 * 1024
ANSWER_WITHIN_S: Final = 30.0  # a network volume may hang; the thread then ends on its own
UNFINISHED: Final = ".unfinished-"


@asynccontextmanager
async def open_file_blobs(
    root: Path | str, *, max_bytes: int = MAX_BYTES, new_id: Callable[[], UUID] = uuid4
) -> AsyncGenerator[FileBlobs]:
    blobs = FileBlobs(Path(root), max_bytes=max_bytes, new_id=new_id)
    await blobs.ping()
    yield blobs


class FileBlobs(Blobs):
    def __init__(self, root: Path, *, max_bytes: int, new_id: Callable[[], UUID]) -> None:
        self._root, self._max_bytes, self._new_id = root, max_bytes, new_id

    @override
    async def put(self, tenant: TenantId, blob: Blob) -> BlobId:
        if len(blob.data) > self._max_bytes:
            raise TooLarge("the blob", len(blob.data), self._max_bytes)
        name = new_name(self._new_id(), blob.media_type)
        await _in_thread(partial(_write, self._root / folder(tenant) / name, blob.data))
        return name

    @override
    async def put_as(self, tenant: TenantId, blob: BlobId, data: bytes) -> None:
        if media_type(blob) is None:
            raise BlobNotFound(blob)
        if len(data) > self._max_bytes:
            raise TooLarge("the blob", len(data), self._max_bytes)
        await _in_thread(partial(_write, self._root / folder(tenant) / blob, data))

    @override
    async def link(
        self, tenant: TenantId, blob: BlobId, method: Literal["GET", "PUT"], *, within: timedelta
    ) -> str | None:
        return None

    @override
    async def get(self, tenant: TenantId, blob: BlobId) -> Blob:
        kind = media_type(blob)
        if kind is None:
            raise BlobNotFound(blob)
        data = await _in_thread(partial(_read, self._root / folder(tenant) / blob))
        if data is None:
            raise BlobNotFound(blob)
        return Blob(kind, data)

    @override
    async def read(self, tenant: TenantId, blob: BlobId, start: int, length: int) -> bytes:
        if media_type(blob) is None:
            raise BlobNotFound(blob)
        path = self._root / folder(tenant) / blob
        data = await _in_thread(partial(_read_range, path, start, length))
        if data is None:
            raise BlobNotFound(blob)
        return data

    @override
    async def delete(self, tenant: TenantId, blob: BlobId) -> None:
        if media_type(blob) is None:
            return
        path = self._root / folder(tenant) / blob
        await _in_thread(partial(path.unlink, missing_ok=True))

    @override
    async def page(self, *, after: str, limit: int, of: TenantId | None = None) -> BlobPage:
        folders = None if of is None else [folder(of)]
        return await _in_thread(partial(_page, self._root, after, limit, folders))

    @override
    async def ping(self) -> None:
        await _in_thread(partial(_writable, self._root))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(prefix=UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    _make_durable(path.parent)
    _make_durable(path.parent.parent)  # the tenant's folder may be new


def _make_durable(folder: Path) -> None:
    """A name in a folder survives a power failure only once the folder itself is written."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _read_range(path: Path, start: int, length: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)
    except FileNotFoundError:
        return None


def _page(root: Path, after: str, limit: int, folders: list[str] | None) -> BlobPage:
    """Places are `<folder>/<blob>`. A folder's names are all read for each page of it."""
    first = f"{after.partition('/')[0]}/"
    now = time.time()  # noqa: TID251  # beside what the file system says
    found: list[tuple[str, float]] = []
    for tenant in sorted(f"{name}/" for name in folders or _names(root)):
        if tenant < first:
            continue
        places = (f"{tenant}{name}" for name in _names(root / tenant) if media_type(BlobId(name)))
        for place in nsmallest(limit - len(found), (each for each in places if each > after)):
            age_s = _age_s(root / place, now)
            if age_s is not None:
                found.append((place, age_s))
        if len(found) >= limit:
            break
    refs = [(_ref(place), age_s) for place, age_s in found]
    return BlobPage(refs, found[-1][0] if len(found) >= limit else None)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  # names, not paths: there may be many
    except (FileNotFoundError, NotADirectoryError):
        return []


def _age_s(path: Path, now: float) -> float | None:
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return None


def _ref(place: str) -> BlobRef:
    folder, _, name = place.partition("/")
    return BlobRef(tenant_of(folder), BlobId(name))


def _writable(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    if not os.access(root, os.W_OK | os.X_OK):
        raise PermissionError(f"{root} cannot be written")


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await asyncio.to_thread(work)
    except (OSError, TimeoutError) as error:
        raise Unavailable("the blob directory", str(error) or "no answer in time") from error
