"""Telling the dispatcher how attempts ended: the one thing a worker says that must arrive."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from headrace.contracts.messages import (
    MAX_MESSAGE_BYTES,
    Grant,
    JobError,
    Result,
    Results,
    encode,
)
from headrace.core.ports.bus import Parcel, Sent
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.waiting import pauses
from headrace.telemetry.logs import get_logger

_log = get_logger("gpu_worker.reports")


class Reports:
    def __init__(self, options: WorkerOptions) -> None:
        self._options = options

    async def deliver(self, result: Result) -> None:
        """Returns once the bus keeps it. Twice is harmless: the epoch it carries is over by then.

        There is no limit but the worker's own end: its slot takes nothing else meanwhile, and a
        broker that cannot take results cannot give jobs either.
        """
        waits = pauses(self._options.random, first_s=0.2, cap_s=self._options.limits.retry_cap_s)
        for wait_s in waits:
            if await self._send(result) is Sent.KEPT:
                return
            await asyncio.sleep(wait_s)

    async def deliver_once(self, result: Result) -> None:
        """One try within the farewell's time, for when there is no time left for a second."""
        try:
            async with asyncio.timeout(self._options.limits.farewell_s):
                await self._send(result)
        except TimeoutError:
            _log.warning("result.given_up")

    async def give_back(self, grant: Grant) -> None:
        """A grant that comes too late to be used."""
        await self.deliver_once(released(grant))

    async def _send(self, result: Result) -> Sent:
        body = self._body(result)
        (sent,) = await self._options.bus.send([Parcel(self._options.topology.results, body)])
        fields = {"epoch": result.epoch, "outcome": result.outcome}
        if sent is Sent.KEPT:
            _log.info("result.sent", **fields)
        else:
            _log.warning("result.not_kept", sent=sent.value, **fields)
        return sent

    def _body(self, result: Result) -> bytes:
        body = encode(Results(worker=self._options.worker, results=[result]))
        if len(body) <= MAX_MESSAGE_BYTES:
            return body
        # An engine's or a client's words can be of any length; they must not end this worker.
        said = f"its report had {len(body)} bytes; the limit is {MAX_MESSAGE_BYTES}"
        error = JobError(result.error.kind if result.error else "internal", said)
        short = replace(result, outcome="failed", output=None, error=error, blobs=[])
        return encode(Results(worker=self._options.worker, results=[short]))


def released(grant: Grant) -> Result:
    return Result(job=grant.job, epoch=grant.epoch, outcome="released")
