"""Heartbeats and the orders that answer them: how a worker keeps its leases, and hears of a cancel."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from headrace.contracts.messages import Heartbeat, Heartbeats, Order, Orders, Vitals, encode
from headrace.core.ports.bus import Parcel, Sent
from headrace.gpu_worker.attempts import Attempt, Attempts, Why
from headrace.gpu_worker.gate import Gate
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.waiting import rings
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger

_REMEMBERED: Final = 16  # heartbeats an order may still answer
_SOONEST_S: Final = 0.05
_log = get_logger("gpu_worker.heartbeats")


class Heartbeater:
    """One message for all running jobs, at least three to a lease, also when idle."""

    def __init__(
        self,
        options: WorkerOptions,
        attempts: Attempts,
        gate: Gate,
        *,
        slots: Callable[[], dict[str, int]],
        vitals: Callable[[float | None], Vitals],
    ) -> None:
        """`vitals` is given how long ago an order last came."""
        self._options = options
        self._attempts = attempts
        self._gate = gate
        self._slots, self._vitals = slots, vitals
        self._ordered_at: float | None = None
        self._lease_s = options.limits.lease_s
        self._sequence = 0
        self._answered = 0
        self._started: OrderedDict[int, float] = OrderedDict()
        self._early = asyncio.Event()

    def soon(self) -> None:
        """Do not wait for the next turn: a lease is in doubt."""
        self._early.set()

    def trust(self, since: float, lease_s: float) -> float:
        """Until when a lease that was asked for at `since` can be relied on."""
        self._lease_s = lease_s
        return since + lease_s - min(self._options.limits.trust_margin_s, lease_s / 3)

    async def beat(self) -> None:
        """Runs until it is cancelled."""
        while True:
            every_s = min(self._lease_s / 3, self._options.limits.heartbeat_s)
            try:
                async with asyncio.timeout(every_s):
                    await self._send()
            except TimeoutError:
                _log.warning("heartbeat.late", within_s=every_s)
            self._early.clear()
            await asyncio.sleep(_SOONEST_S)  # a burst of new jobs shares a heartbeat
            if not await rings(self._early, every_s / 3) and not self._in_doubt():
                await rings(self._early, every_s * 2 / 3)

    def _in_doubt(self) -> bool:
        """A job runs and the last heartbeat has no answer: it may be lost, so the next comes early."""
        return self._answered < self._sequence and any(self._attempts)

    def obey(self, orders: Orders) -> None:
        since = None if orders.sequence is None else self._started.get(orders.sequence)
        self._ordered_at = self._options.monotonic()
        if orders.sequence is not None:
            self._be_told(drain=orders.drain)
        self._answered = max(self._answered, orders.sequence or 0)
        for order in orders.orders:
            attempt = self._attempts.find(order.job, order.epoch)
            if attempt is not None:
                attempt.hear(orders.sequence or 0)
                self._apply(order, attempt, since, orders.lease_s)

    def _be_told(self, *, drain: bool) -> None:
        if drain is not self._gate.draining:
            _log.info("worker.told", drain=drain)
            self._gate.drain(asked=drain)
            self.soon()  # so that whoever asked sees it

    def _apply(self, order: Order, attempt: Attempt, since: float | None, lease_s: float) -> None:
        if order.order != "lost" and since is not None:
            attempt.renew(self.trust(since, lease_s))
        if order.order == "go":
            return
        with attempt.named():
            _log.info("order.heard", order=order.order)
        attempt.end(Why.CANCELLED if order.order == "cancel" else Why.LOST)

    async def _send(self) -> None:
        self._sequence += 1
        self._started[self._sequence] = self._options.monotonic()
        if len(self._started) > _REMEMBERED:
            self._started.popitem(last=False)
        parcel = Parcel(self._options.topology.heartbeats, encode(self._message()))
        (sent,) = await self._options.bus.send([parcel])
        if sent is Sent.KEPT:
            metrics.LOOP_LAST_SUCCESS.labels(loop="heartbeats").set_to_current_time()
        else:
            _log.warning("heartbeat.not_kept", sent=sent.value)

    def _message(self) -> Heartbeats:
        ordered_at = self._ordered_at
        order_s = None if ordered_at is None else self._options.monotonic() - ordered_at
        return Heartbeats(
            worker=self._options.worker,
            reply_to=self._options.mailbox,
            sequence=self._sequence,
            slots=self._slots(),
            heartbeats=[
                _heartbeat(attempt, self._sequence)
                for attempt in self._attempts
                if attempt.why is not Why.LOST
            ],
            vitals=self._vitals(None if order_s is None else round(order_s, 3)),
        )


def _heartbeat(attempt: Attempt, sequence: int) -> Heartbeat:
    grant, kept = attempt.grant, attempt.tell(sequence)
    if kept is None:
        return Heartbeat(grant.job, grant.epoch, attempt.fraction)
    return Heartbeat(grant.job, grant.epoch, attempt.fraction, kept.blob, kept.step)
