"""What is too large for a message: a job's inputs come from the blobs, its outputs go there.

An input names a blob as `{"blob": id}`, at any depth. An output names what its engine handed over in
the same way. An output whose JSON is over `MAX_INLINE_BYTES` is stored whole, as a blob of its own, and
the result is then `{"output_blob": id}`; an input that was too large comes as `{"input_blob": id}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from headrace.contracts.ids import BlobId, TenantId
from headrace.contracts.messages import MAX_INLINE_BYTES, OUTPUT_BLOB, Grant, JobError
from headrace.core.blob_names import MAX_INPUT_BLOBS, blob_ids, kept_for
from headrace.core.errors import BlobNotFound, TooLarge, Unavailable
from headrace.core.ports.blobs import Blob
from headrace.gpu_worker.host import wire
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.waiting import pauses
from headrace.telemetry.logs import get_logger

MAX_OUTPUT_BLOBS: Final = 512  # their names travel in the result
MAX_INPUT_BYTES: Final = 128 * 2**20
AT_ONCE_S: Final = 3.0  # meanwhile the engine waits, and hears no order to stop
_log = get_logger("gpu_worker.payloads")

T = TypeVar("T")


class PayloadFailed(Exception):
    """A payload could not be fetched or stored; says what that means for the job."""

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Given:
    """What an engine gets."""

    input: dict[str, Any]
    blobs: dict[str, bytes]
    left_behind: wire.LeftBehind | None  # by an earlier attempt


@dataclass(frozen=True, slots=True)
class Stored:
    output: dict[str, Any]
    inside: list[BlobId]  # the blobs that are named in an output that is a blob itself


class Payloads:
    def __init__(self, options: WorkerOptions) -> None:
        self._options = options

    async def fetch(self, grant: Grant) -> Given:
        """The input, all blobs that it names, and what is there to go on from. Raises PayloadFailed."""
        async with self._in_time("fetch its inputs"):
            whole = await self._whole(grant.tenant, grant.input)
            blobs = await self._blobs(grant.tenant, whole)
            return Given(whole, blobs, await self._left_behind(grant))

    async def _left_behind(self, grant: Grant) -> wire.LeftBehind | None:
        if grant.checkpoint is None or grant.checkpoint_step is None:
            return None
        try:
            data = await self._read(grant.tenant, grant.checkpoint)
        except BlobNotFound:  # from the beginning is better than not at all
            _log.warning("checkpoint.gone", step=grant.checkpoint_step)
            return None
        return wire.LeftBehind(grant.checkpoint_step, data)

    async def _whole(self, tenant: TenantId, value: dict[str, Any]) -> dict[str, Any]:
        match value:
            case {"input_blob": str(blob), **rest} if not rest:
                encoded = await self._get(tenant, BlobId(blob))
                return msgspec.json.decode(encoded, type=dict[str, Any])
            case _:
                return value

    async def _blobs(self, tenant: TenantId, value: dict[str, Any]) -> dict[str, bytes]:
        wanted = dict.fromkeys(blob_ids(value))
        if len(wanted) > MAX_INPUT_BLOBS:
            raise _bad_input(f"names {len(wanted)} blobs; the limit is {MAX_INPUT_BLOBS}")
        fetched: dict[str, bytes] = {}
        for blob in wanted:
            fetched[blob] = await self._get(tenant, BlobId(blob))
            if sum(map(len, fetched.values())) > MAX_INPUT_BYTES:
                raise _bad_input(f"its blobs are over {MAX_INPUT_BYTES} bytes together")
        return fetched

    async def keep_at_once(self, tenant: TenantId, blob: Blob) -> BlobId | None:
        """None: it could not be kept soon enough for the engine to wait for it."""
        try:
            async with asyncio.timeout(AT_ONCE_S):
                return await self._options.blobs.put(tenant, blob)
        except (TooLarge, Unavailable, TimeoutError) as error:
            _log.warning("segment.not_shown", error=str(error) or "took too long")
            return None

    async def store(
        self,
        tenant: TenantId,
        output: dict[str, Any],
        made: Mapping[str, Blob],
        kept: Mapping[str, BlobId],
    ) -> Stored:
        """The output as the dispatcher gets it; `kept`: what was stored before. Raises PayloadFailed."""
        wanted = dict.fromkeys(blob_ids(output))
        if len(wanted) > MAX_OUTPUT_BLOBS:
            why = f"the output names {len(wanted)} blobs; the limit is {MAX_OUTPUT_BLOBS}"
            raise PayloadFailed(JobError("internal", why))
        async with self._in_time("store its output"):
            new = [blob for blob in wanted if blob in made and blob not in kept]
            names = {**kept, **{blob: await self._put(tenant, made[blob]) for blob in new}}
            output = renamed(output, names)
            encoded = msgspec.json.encode(output)
            if len(encoded) <= MAX_INLINE_BYTES:
                return Stored(output, [])
            whole = await self._put(tenant, Blob("application/json", encoded))
            return Stored({OUTPUT_BLOB: whole}, kept_for(output))

    async def _get(self, tenant: TenantId, blob: BlobId) -> bytes:
        try:
            return await self._read(tenant, blob)
        except BlobNotFound as error:
            raise _bad_input(str(error)) from error

    async def _read(self, tenant: TenantId, blob: BlobId) -> bytes:
        return (await self._kept_trying(lambda: self._options.blobs.get(tenant, blob))).data

    async def _put(self, tenant: TenantId, blob: Blob) -> BlobId:
        try:
            return await self._kept_trying(lambda: self._options.blobs.put(tenant, blob))
        except TooLarge as error:
            raise PayloadFailed(JobError("internal", f"the output: {error}")) from error

    async def _kept_trying(self, call: Callable[[], Awaitable[T]]) -> T:
        """Until it is available; whoever calls has set a limit."""
        waits = pauses(self._options.random, first_s=0.2, cap_s=self._options.limits.retry_cap_s)
        while True:
            try:
                return await call()
            except Unavailable as error:
                _log.warning("blobs.unavailable", error=str(error))
            await asyncio.sleep(next(waits))

    @asynccontextmanager
    async def _in_time(self, what: str) -> AsyncGenerator[None]:
        limit_s = self._options.limits.blobs_s
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError as error:
            message = f"could not {what} within {limit_s:g} s"
            raise PayloadFailed(JobError("transient", message)) from error


def renamed(value: Any, names: Mapping[str, BlobId]) -> Any:
    """The same JSON value, with blobs called by their new names."""
    match value:
        case {"blob": str(blob), **rest} if not rest:
            return {"blob": names.get(blob, blob)}
        case dict():
            return {key: renamed(item, names) for key, item in value.items()}
        case list():
            return [renamed(item, names) for item in value]
        case _:
            return value


def _bad_input(why: str) -> PayloadFailed:
    return PayloadFailed(JobError("input", f"the input: {why}"))
