"""A file is written beside its place, made durable and then renamed: it is there whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
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
from headrace.contracts.ids import BlobId, TenantId, UploadId
from headrace.core.errors import BlobNotFound, TooLarge, Unavailable
from headrace.core.ports.blobs import Blob, BlobPage, BlobRef, Blobs, Facts

T = TypeVar("T")

MAX_BYTES: Final = 32 * 1024 * 1024
ANSWER_WITHIN_S: Final = 30.0  # a network volume may hang; the thread then ends on its own
HASHED_A_SECOND: Final = 20 * 1024 * 1024  # bytes, at least
UNFINISHED: Final = ".unfinished-"
UPLOADED: Final = ".upload-"  # what came of one so far
DIGEST: Final = ".sha256-"  # of the blob beside it
DIGEST_CHARACTERS: Final = 64


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
    async def facts(self, tenant: TenantId, blob: BlobId) -> Facts:
        kind = media_type(blob)
        if kind is None:
            raise BlobNotFound(blob)
        found = await _in_thread(partial(_facts, self._root / folder(tenant) / blob))
        if found is None:
            raise BlobNotFound(blob)
        return Facts(kind, *found)

    @override
    async def read(self, tenant: TenantId, blob: BlobId, *, start: int, length: int) -> bytes:
        if media_type(blob) is None:
            raise BlobNotFound(blob)
        found = await _in_thread(partial(_read, self._root / folder(tenant) / blob, start, length))
        if found is None:
            raise BlobNotFound(blob)
        return found

    @override
    async def append(self, tenant: TenantId, upload: UploadId, data: bytes, *, at: int) -> None:
        if not await _in_thread(partial(_append, self._pieces(tenant, upload), data, at)):
            raise BlobNotFound(upload)

    @override
    async def join(self, tenant: TenantId, upload: UploadId, blob: BlobId, *, size: int) -> None:
        pieces, path = self._pieces(tenant, upload), self._root / folder(tenant) / blob
        within_s = ANSWER_WITHIN_S + size / HASHED_A_SECOND
        if not await _in_thread(partial(_join, pieces, path, size), within_s):
            raise BlobNotFound(upload)

    @override
    async def abandon(self, tenant: TenantId, upload: UploadId) -> None:
        await _in_thread(partial(self._pieces(tenant, upload).unlink, missing_ok=True))

    @override
    def new_name(self, media_type: str) -> BlobId:
        return new_name(self._new_id(), media_type)

    def _pieces(self, tenant: TenantId, upload: UploadId) -> Path:
        return self._root / folder(tenant) / f"{UPLOADED}{UUID(upload)}"

    @override
    async def delete(self, tenant: TenantId, blob: BlobId) -> None:
        if media_type(blob) is None:
            return
        await _in_thread(partial(_remove, self._root / folder(tenant) / blob))

    @override
    async def page(self, *, after: str, limit: int, of: TenantId | None = None) -> BlobPage:
        folders = None if of is None else [folder(of)]
        return await _in_thread(partial(_page, self._root, after, limit, folders))

    @override
    async def ping(self) -> None:
        await _in_thread(partial(_writable, self._root))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _note_digest(path, hashlib.sha256(data).hexdigest())
    _write_whole(path, data)


def _write_whole(path: Path, data: bytes) -> None:
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


def _note_digest(path: Path, digest: str) -> None:
    """Before the blob is there. Not forced to the disk: what a power failure leaves of it is told apart."""
    _digest_of(path).write_text(digest)


def _digest_of(path: Path) -> Path:
    return path.with_name(f"{DIGEST}{path.name}")


def _read(path: Path, start: int = 0, length: int = -1) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)
    except FileNotFoundError:
        return None


def _facts(path: Path) -> tuple[int, str | None] | None:
    digest = (_read(_digest_of(path)) or b"").decode()
    try:
        return path.stat().st_size, digest if len(digest) == DIGEST_CHARACTERS else None
    except FileNotFoundError:
        return None


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _digest_of(path).unlink(missing_ok=True)


def _append(path: Path, data: bytes, at: int) -> bool:
    """False: bytes before it are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        if file.seek(0, os.SEEK_END) < at:
            return False
        file.truncate(at)
        file.seek(at)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _make_durable(path.parent)
    return True


def _join(pieces: Path, path: Path, size: int) -> bool:
    """False: it is not whole, and was not made a blob before either."""
    try:
        with pieces.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            whole = file.tell() == size
    except FileNotFoundError:
        return path.exists()
    if whole:
        _note_digest(path, digest)
        pieces.replace(path)
        _make_durable(path.parent)
    return whole


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


async def _in_thread(work: Callable[[], T], within_s: float = ANSWER_WITHIN_S) -> T:
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.to_thread(work)
    except (OSError, TimeoutError) as error:
        raise Unavailable("the blob directory", str(error) or "no answer in time") from error
