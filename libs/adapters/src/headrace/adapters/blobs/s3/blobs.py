"""Objects called `<prefix>/<tenant>/<blob>` in one bucket.

By obstore's blocking calls in threads: processes that had used its asyncio calls were seen to abort
at exit, now and then (obstore 0.12.1).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4  # noqa: TID251  # the default of the id factory that is taken

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store
from typing_extensions import override

from headrace.adapters.blobs.names import UNKNOWN_TYPE, folder, media_type, new_name, tenant_of
from headrace.contracts.ids import BlobId, TenantId, UploadId
from headrace.core.errors import BlobNotFound, Misconfigured, TooLarge, Unavailable
from headrace.core.ports.blobs import Blob, BlobPage, BlobRef, Blobs, Facts

if TYPE_CHECKING:
    from obstore.store import S3Config  # it exists in the stubs alone

T = TypeVar("T")

MAX_BYTES: Final = 32 * 1024 * 1024
CONNECT_WITHIN_S: Final = 2
ANSWER_WITHIN_S: Final = 30
JOINED_A_SECOND: Final = 10 * 1024 * 1024  # bytes, at least
DIGEST: Final = "sha256"  # the object's own attribute
REGION: Final = "us-east-1"  # what a server of one's own expects


@asynccontextmanager
async def open_s3_blobs(  # noqa: PLR0913  # what it takes to reach a bucket
    url: str,
    *,
    endpoint: str | None = None,
    access_key: str = "",
    secret_key: str = "",
    region: str = REGION,
    max_bytes: int = MAX_BYTES,
    new_id: Callable[[], UUID] = uuid4,
) -> AsyncGenerator[S3Blobs]:
    """`url` is `s3://bucket/prefix`. Without keys the machine's own credentials are used.

    Opens without asking: a process starts also while the bucket is away.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise Misconfigured(f"{url!r} names no bucket.", "Write s3://bucket or s3://bucket/prefix.")
    store = S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        region=region,
        client_options={
            "allow_http": True,
            "connect_timeout": timedelta(seconds=CONNECT_WITHIN_S),
            "timeout": timedelta(seconds=ANSWER_WITHIN_S),
        },
        # Who calls decides whether it is worth another try.
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=ANSWER_WITHIN_S)},
        config=_given(endpoint, access_key, secret_key),
    )
    yield S3Blobs(store, max_bytes=max_bytes, new_id=new_id)


def _given(endpoint: str | None, access_key: str, secret_key: str) -> S3Config:
    """What is not given must be absent: obstore then looks around the machine for it."""
    config: S3Config = {}
    if endpoint:
        config["endpoint"] = endpoint
    if access_key:
        config["access_key_id"] = access_key
        config["secret_access_key"] = secret_key
    return config


class S3Blobs(Blobs):
    def __init__(self, store: S3Store, *, max_bytes: int, new_id: Callable[[], UUID]) -> None:
        self._store, self._max_bytes, self._new_id = store, max_bytes, new_id

    @override
    async def put(self, tenant: TenantId, blob: Blob) -> BlobId:
        if len(blob.data) > self._max_bytes:
            raise TooLarge("the blob", len(blob.data), self._max_bytes)
        name = new_name(self._new_id(), blob.media_type)
        kind = media_type(name) or blob.media_type
        await _in_thread(partial(self._write, _path(tenant, name), blob.data, kind))
        return name

    @override
    async def put_as(self, tenant: TenantId, blob: BlobId, data: bytes) -> None:
        kind = media_type(blob)
        if kind is None:
            raise BlobNotFound(blob)
        if len(data) > self._max_bytes:
            raise TooLarge("the blob", len(data), self._max_bytes)
        await _in_thread(partial(self._write, _path(tenant, blob), data, kind))

    @override
    async def link(
        self, tenant: TenantId, blob: BlobId, method: Literal["GET", "PUT"], *, within: timedelta
    ) -> str | None:
        """Signed by the server's own key. What is put there may be of any size and type."""
        path = _path(tenant, blob)
        return await _in_thread(partial(obstore.sign, self._store, method, path, within))

    @override
    async def get(self, tenant: TenantId, blob: BlobId) -> Blob:
        kind = media_type(blob)
        if kind is None:
            raise BlobNotFound(blob)
        data = await _in_thread(partial(self._read, _path(tenant, blob)))
        if data is None:
            raise BlobNotFound(blob)
        return Blob(kind, data)

    @override
    async def facts(self, tenant: TenantId, blob: BlobId) -> Facts:
        kind = media_type(blob)
        if kind is None:
            raise BlobNotFound(blob)
        found = await _in_thread(partial(self._facts, _path(tenant, blob)))
        if found is None:
            raise BlobNotFound(blob)
        return Facts(kind, *found)

    @override
    async def read(self, tenant: TenantId, blob: BlobId, *, start: int, length: int) -> bytes:
        if media_type(blob) is None:
            raise BlobNotFound(blob)
        path = _path(tenant, blob)
        found = await _in_thread(partial(self._read_range, path, start, length))
        if found is None:
            raise BlobNotFound(blob)
        return found

    @override
    async def append(self, tenant: TenantId, upload: UploadId, data: bytes, *, at: int) -> None:
        """An object for each piece: a part of S3's own multipart uploads has at least 5 MiB."""
        path = f"{_pieces(tenant, upload)}/{at:020}"
        await _in_thread(partial(self._write, path, data, UNKNOWN_TYPE))

    @override
    async def join(self, tenant: TenantId, upload: UploadId, blob: BlobId, *, size: int) -> None:
        """Read once where it may be held as a blob is that comes at once.

        What is larger is read twice. The digest is an attribute, which S3 takes with the first byte of an
        upload, and to add it afterwards means to copy the whole object, which a server does up to 5 GiB
        and obstore cannot ask for. So there is a pass for the digest, and one to write; both hold a piece.
        """
        pieces, path = _pieces(tenant, upload), _path(tenant, blob)
        within_s = ANSWER_WITHIN_S + size / JOINED_A_SECOND
        kind = media_type(blob) or UNKNOWN_TYPE
        if not await _in_thread(partial(self._join, pieces, path, size, kind), within_s):
            raise BlobNotFound(upload)

    @override
    async def abandon(self, tenant: TenantId, upload: UploadId) -> None:
        await _in_thread(partial(self._abandon, _pieces(tenant, upload)))

    @override
    def new_name(self, media_type: str) -> BlobId:
        return new_name(self._new_id(), media_type)

    @override
    async def delete(self, tenant: TenantId, blob: BlobId) -> None:
        if media_type(blob) is not None:
            await _in_thread(partial(self._remove, _path(tenant, blob)))

    @override
    async def page(self, *, after: str, limit: int, of: TenantId | None = None) -> BlobPage:
        within = None if of is None else folder(of)
        return await _in_thread(partial(self._page, after, limit, within))

    @override
    async def ping(self) -> None:
        """Lists a folder that no tenant has: it tells a missing bucket from an empty one."""
        await _in_thread(partial(obstore.list_with_delimiter, self._store, prefix="~"))

    def _facts(self, path: str) -> tuple[int, str | None] | None:
        try:
            found = obstore.get(self._store, path, options={"head": True})
        except (NotFoundError, FileNotFoundError):
            return None
        return found.meta["size"], found.attributes.get(DIGEST)

    def _join(self, pieces: str, path: str, size: int, kind: str) -> bool:
        """False: it is not whole, and was not made a blob before either."""
        found = self._in_order(pieces)
        if sum(length for _, length in found) != size:
            return (self._facts(path) or (None,))[0] == size
        names = [piece for piece, _ in found]
        if size <= self._max_bytes:
            self._write(path, b"".join(self._read(piece) or b"" for piece in names), kind)
        else:
            self._join_large(names, path, kind)
        self._abandon(pieces)
        return True

    def _join_large(self, pieces: Sequence[str], path: str, kind: str) -> None:
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(self._read(piece) or b"")
        attributes = {"Content-Type": kind, DIGEST: digest.hexdigest()}
        with obstore.open_writer(self._store, path, attributes=attributes) as whole:
            for piece in pieces:
                whole.write(self._read(piece) or b"")

    def _in_order(self, pieces: str) -> list[tuple[str, int]]:
        """Each where the one before it ends; what somebody left behind elsewhere is not among them."""
        listed = [each for page in obstore.list(self._store, pieces) for each in page]
        there = {int(each["path"].rpartition("/")[2]): each for each in listed}
        found: list[tuple[str, int]] = []
        at = 0
        while (piece := there.pop(at, None)) is not None:
            found.append((piece["path"], piece["size"]))
            at += piece["size"]
        return found

    def _abandon(self, pieces: str) -> None:
        for page in obstore.list(self._store, pieces):
            for each in page:
                self._remove(each["path"])

    def _write(self, path: str, data: bytes, kind: str) -> None:
        attributes = {"Content-Type": kind, DIGEST: hashlib.sha256(data).hexdigest()}
        obstore.put(self._store, path, data, attributes=attributes, use_multipart=False)

    def _read(self, path: str) -> bytes | None:
        try:
            return bytes(obstore.get(self._store, path).bytes())
        except (NotFoundError, FileNotFoundError):
            return None

    def _read_range(self, path: str, start: int, length: int) -> bytes | None:
        try:
            return bytes(obstore.get_range(self._store, path, start=start, length=length))
        except (NotFoundError, FileNotFoundError):
            return None
        except BaseError:
            # A server refuses a range that begins behind the end; that is not its trouble.
            if start >= obstore.head(self._store, path)["size"]:
                return b""
            raise

    def _remove(self, path: str) -> None:
        with suppress(NotFoundError, FileNotFoundError):
            obstore.delete(self._store, path)

    def _page(self, after: str, limit: int, within: str | None) -> BlobPage:
        pages = obstore.list(self._store, within, offset=after or None, chunk_size=limit)
        found = next(iter(pages), [])
        now = datetime.now(UTC)  # noqa: TID251  # beside what the server says
        refs = [
            (ref, (now - each["last_modified"]).total_seconds())
            for each in found
            if (ref := _ref(each["path"])) is not None
        ]
        return BlobPage(refs, found[-1]["path"] if len(found) >= limit else None)


def _ref(path: str) -> BlobRef | None:
    """None: it is not ours."""
    folder, _, name = path.partition("/")
    return BlobRef(tenant_of(folder), BlobId(name)) if media_type(BlobId(name)) else None


def _pieces(tenant: TenantId, upload: UploadId) -> str:
    return f"{folder(tenant)}/uploads/{UUID(upload)}"


def _path(tenant: TenantId, blob: BlobId) -> str:
    return f"{folder(tenant)}/{blob}"


async def _in_thread(work: Callable[[], T], within_s: float = ANSWER_WITHIN_S) -> T:
    try:
        async with asyncio.timeout(within_s + CONNECT_WITHIN_S):
            return await asyncio.to_thread(work)
    except (BaseError, OSError, TimeoutError) as error:
        first_line = str(error).partition("\n")[0]
        raise Unavailable("the bucket", first_line or "no answer in time") from error
