"""One slot: receives an offer, claims it, performs the attempt, reports, and receives again.

The offer is acknowledged when its claim is answered, before the work begins, and the slot does not
consume while it works: no broker timeout, restart or reconnect can make a job run twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec.structs import asdict
from opentelemetry.trace import Span, SpanKind

from headrace.contracts.messages import (
    MAX_MESSAGE_BYTES,
    Grant,
    JobError,
    Offer,
    Refusal,
    Result,
    decode,
)
from headrace.core.consume import next_or_stop
from headrace.core.errors import Unavailable
from headrace.core.ports.bus import TENANT_HEADER, Deliveries, Delivery
from headrace.gpu_worker.artefacts import Artefacts
from headrace.gpu_worker.attempts import Attempt, Attempts, Why
from headrace.gpu_worker.calls import Called, Calls, meeting_place
from headrace.gpu_worker.claims import Answered, claim
from headrace.gpu_worker.devices import Devices, NotEnough
from headrace.gpu_worker.gate import Gate
from headrace.gpu_worker.heartbeats import Heartbeater
from headrace.gpu_worker.host.batcher import Seat
from headrace.gpu_worker.host.keeper import Keeper, NotReady
from headrace.gpu_worker.host.process import HostLost
from headrace.gpu_worker.host.shelf import Warm, Weights
from headrace.gpu_worker.options import LaneOptions, WorkerOptions
from headrace.gpu_worker.perform import Performance
from headrace.gpu_worker.post import Post
from headrace.gpu_worker.reports import Reports, released
from headrace.gpu_worker.starts import Starts
from headrace.gpu_worker.waiting import pauses, rings, until
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import about, fail, span, tell, traceparent

_TOLD_WARM: Final = 100  # models, the latest ones: a message has an end
_log = get_logger("gpu_worker.slot")


@dataclass(frozen=True, slots=True)
class Desk:
    """What all slots of a worker share."""

    options: WorkerOptions
    attempts: Attempts
    post: Post
    reports: Reports
    heartbeater: Heartbeater
    news: asyncio.Event  # a slot became ready, or stopped being so
    gate: Gate
    artefacts: Artefacts
    devices: Devices
    starts: Starts
    calls: Calls


class Slot:
    def __init__(
        self, lane: LaneOptions, desk: Desk, keeper: Keeper | Seat, gpu: str | None = None
    ) -> None:
        """`gpu`: the one that its engine may use; empty: none, None: nobody chose."""
        self.lane = lane
        self.gpu = gpu
        self.ready = False
        self._desk = desk
        self._options = desk.options
        self._keeper = keeper
        self._at_start = None if lane.preload is None else Weights(lane.preload)
        self._pauses = self._new_pauses()
        self.busy = False
        self._deliveries: Deliveries | None = None
        self._heard_at: float | None = None  # while it waits for an offer

    @property
    def pid(self) -> int | None:
        """Of its engine's process; None while there is none."""
        return self._keeper.pid

    @property
    def memory_bytes(self) -> int:
        """Of its engine's process and what that has started."""
        return self._keeper.memory_bytes

    @property
    def warm(self) -> list[Warm]:
        """Its models that are loaded; what was used last is last."""
        return self._keeper.warm

    @property
    def silent_s(self) -> float | None:
        """Since its consumer was known to be alive, or should have begun; None: it wants no offer."""
        if self._heard_at is None:
            return None
        now, alive_s = self._options.monotonic(), None
        if self._deliveries is not None:
            alive_s = self._deliveries.alive_s
        if alive_s is not None:
            self._heard_at = max(self._heard_at, now - alive_s)
        return now - self._heard_at

    async def serve(self, stop: asyncio.Event) -> None:
        try:
            while not stop.is_set():
                await until(stop, self._desk.gate.opened())
                if not await until(stop, self._prepared()) or not await self._turn(stop):
                    await rings(stop, next(self._pauses))
        finally:
            self.ready = False
            await self._keeper.close()

    async def _prepared(self) -> bool:
        """Warm before it takes work: no job waits for a broken engine, or is blamed for it."""
        try:
            if self.pid is None:
                async with self._desk.starts.turn():
                    await self._make_ready()
            else:
                await self._make_ready()
        except (NotReady, HostLost) as error:
            _log.error("slot.not_ready", lane=self.lane.lane, error=str(error))
            self._be_ready(ready=False)
            return False
        self._be_ready(ready=True)
        return True

    async def _make_ready(self) -> None:
        await self._keeper.ready(None if self.warm else self._keeper.latest or self._at_start)

    def _be_ready(self, *, ready: bool) -> None:
        if ready is not self.ready:
            self.ready = ready
            self._desk.news.set()

    async def _turn(self, stop: asyncio.Event) -> bool:
        """One offer, from its arrival to its result; False asks for a pause before the next."""
        if (called := self._desk.calls.next(self.lane.lane)) is not None:
            await self._come(called, stop)
            return True
        queue = self._options.topology.work(self.lane.lane)
        try:
            async with AsyncExitStack() as door:
                receiving = self._options.bus.receive(queue, prefetch=1)
                delivery = await self._next(await door.enter_async_context(receiving))
                return delivery is None or await self._take(delivery, door, stop)
        except Unavailable as error:
            _log.warning("slot.cannot_receive", lane=self.lane.lane, error=str(error))
            return False

    async def _next(self, deliveries: Deliveries) -> Delivery | None:
        """None: the gate was closed. What fails meanwhile leaves no trace of having been heard."""
        self._deliveries = deliveries
        if self._heard_at is None:
            self._heard_at = self._options.monotonic()
        try:
            waiting = next_or_stop(deliveries, self._desk.gate.closed)
            # What comes at the very moment of a call is not settled, so it goes back to its queue.
            delivery = await until(self._bell, waiting) if self._comes else await waiting
        finally:
            _ = self.silent_s  # the last that is known of this receiver
            self._deliveries = None
        self._heard_at = None
        return delivery

    @property
    def _comes(self) -> bool:
        """Its lane's jobs may want several workers, and others can reach this one."""
        return self.lane.gang and self._options.at is not None

    @property
    def _bell(self) -> asyncio.Event:
        return self._desk.calls.bell(self.lane.lane)

    async def _come(self, called: Called, stop: asyncio.Event) -> None:
        """Its devices first: who is granted a part has all that it needs, so no gang waits for another's."""
        offer = called.offer
        with (
            self._desk.calls.answering(called),
            self._about(offer, called.headers) as current,
        ):
            started = self._options.monotonic()
            async with AsyncExitStack() as held:
                devices = await self._given(offer, held)
                if devices is None:
                    return
                with meeting_place(self._options.at or "") as at:
                    answered = await self._ask(offer, self._desk.gate.closed, at)
                if answered is None or isinstance(answered.answer, Refusal):
                    _log.info("gang.not_together", reason=_reason(answered))
                    return
                await self._work_on(answered.answer, answered, started, (stop, current), devices)

    async def _given(self, offer: Offer, held: AsyncExitStack) -> list[str] | None:
        """What it wants of each worker; None: it does not get it in time."""
        taking = held.enter_async_context(self._desk.devices.taken(offer.gpus))
        try:
            async with asyncio.timeout(self._options.limits.gather_s):
                return await until(self._desk.gate.closed, taking)
        except (TimeoutError, NotEnough) as error:
            _log.info("gang.no_devices", wanted=offer.gpus, error=str(error) or "in time")
            return None

    async def _take(self, delivery: Delivery, door: AsyncExitStack, stop: asyncio.Event) -> bool:
        offer = _read(delivery)
        if offer is None:
            await delivery.bury("not an offer that this build can read")
            return True
        with self._about(offer, delivery.headers) as current:
            started = self._options.monotonic()
            answered = await self._ask(offer, stop)
            await (delivery.requeue() if answered is None else delivery.ack())
            await door.aclose()  # nothing more is delivered here while the slot works
            if answered is None:
                return False
            self._pauses = self._new_pauses()
            if isinstance(answered.answer, Refusal):
                _log.info("claim.refused", reason=answered.answer.reason)
                if answered.answer.reason == "elsewhere":
                    await rings(stop, self._aside_s())
                return True
            await self._work_on(answered.answer, answered, started, (stop, current))
        return True

    @contextmanager
    def _about(self, offer: Offer, headers: Mapping[str, str]) -> Iterator[Span]:
        """What is said meanwhile is said of this job."""
        parent = headers.get("traceparent")
        ids = {"job_id": offer.job, "worker": self._options.worker, "lane": self.lane.lane}
        if tenant := headers.get(TENANT_HEADER):
            ids["tenant"] = tenant
        with (
            span("job.attempt", parent=parent, kind=SpanKind.CONSUMER) as current,
            about(**ids),
        ):
            yield current

    async def _work_on(
        self,
        grant: Grant,
        answered: Answered,
        started: float,
        during: tuple[asyncio.Event, Span],
        devices: list[str] | None = None,
    ) -> None:
        """`during`: until when, and within which span."""
        attempt = self._begin(grant, answered, started)
        attempt.devices = devices
        self.busy = True
        try:
            with about(tenant=attempt.grant.tenant, attempt=attempt.grant.attempt):
                await self._carry_out(attempt, *during)
        finally:
            self.busy = False

    async def _ask(
        self, offer: Offer, stop: asyncio.Event, at: str | None = None
    ) -> Answered | None:
        trace = traceparent()
        with span("job.claim"):
            return await claim(
                offer,
                trace=trace,
                warm=[each.weights.model for each in self.warm[-_TOLD_WARM:]],
                post=self._desk.post,
                options=self._options,
                stop=stop,
                at=at,
            )

    def _begin(self, grant: Grant, answered: Answered, started: float) -> Attempt:
        heartbeater = self._desk.heartbeater
        attempt = Attempt(
            grant,
            trusted_until=heartbeater.trust(answered.sent_at, grant.lease_s),
            claim_s=self._options.monotonic() - started,
        )
        self._desk.attempts.add(attempt)
        if (
            answered.copies > 1
        ):  # which copy won is not known, so the lease may be older than it looks
            heartbeater.soon()
        return attempt

    async def _carry_out(self, attempt: Attempt, stop: asyncio.Event, current: Span) -> None:
        result: Result | None = released(attempt.grant)  # what is true if this is cut short
        tell("job.started", attributes={"headrace.attempt": attempt.grant.attempt})
        try:
            if not stop.is_set():
                result = await self._performed(attempt)
            _conclude(result, current)
            if result is not None:
                await self._desk.reports.deliver(result)
        except asyncio.CancelledError:
            await self._keeper.close()
            if result is not None and attempt.why is not Why.LOST:
                await self._desk.reports.deliver_once(result)
            raise
        finally:
            self._desk.attempts.remove(attempt)

    async def _performed(self, attempt: Attempt) -> Result | None:
        grant = attempt.grant
        try:
            return await Performance(
                attempt,
                self._keeper,
                self._desk.artefacts,
                self._options,
                tell=self._desk.heartbeater.soon,
                devices=self._desk.devices if self.lane.gang else None,
            ).result()
        except Exception as error:  # noqa: BLE001  # here a job is settled: a slip of ours must not lose it
            _log.error("attempt.broke", exc_info=error)
            await self._keeper.close()
            said = JobError("internal", f"the worker failed: {type(error).__name__}")
            return Result(grant.job, grant.epoch, "failed", error=said)

    def _aside_s(self) -> float:
        """It is offered again: so long for whoever has its model loaded to take it."""
        return self._options.limits.aside_s * (0.5 + self._options.random.random() / 2)

    def _new_pauses(self) -> Iterator[float]:
        limits = self._options.limits
        return pauses(self._options.random, first_s=0.5, cap_s=limits.retry_cap_s)


def _read(delivery: Delivery) -> Offer | None:
    if len(delivery.body) > MAX_MESSAGE_BYTES:
        return None
    try:
        message = decode(delivery.body)
    except msgspec.DecodeError:
        return None
    return message if isinstance(message, Offer) else None


def _reason(answered: Answered | None) -> str:
    answer = None if answered is None else answered.answer
    return answer.reason if isinstance(answer, Refusal) else "no answer"


def _conclude(result: Result | None, current: Span) -> None:
    if result is None:
        _log.info("attempt.lost")
        return
    current.set_attribute("headrace.outcome", result.outcome)
    stages = {
        name: value if isinstance(value, bool) else round(value, 4)
        for name, value in asdict(result.stages).items()
    }
    if result.error is None:
        _log.info("attempt.ended", outcome=result.outcome, **stages)
    else:
        fail(current, result.error.message)
        kind, message = result.error.kind, result.error.message
        _log.warning(
            "attempt.ended", outcome=result.outcome, error_kind=kind, error=message, **stages
        )
