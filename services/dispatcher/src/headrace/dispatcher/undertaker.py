"""Dead letters: parked as rows as they come, and replayed when an operator has asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headrace.core.consume import Report, consume_dead
from headrace.core.letters import letter_from
from headrace.core.ports.bus import Bus, Delivery
from headrace.core.ports.store import Store
from headrace.core.usecases.bury import bury
from headrace.core.usecases.replay import replay_due
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.options import DispatcherOptions
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger

_log = get_logger("dispatcher.undertaker")


class Undertaker:
    def __init__(
        self,
        store: Store,
        bus: Bus,
        options: DispatcherOptions,
        attendance: Attendance,
        new_id: Callable[[], str],
    ) -> None:
        self._store, self._bus, self._options = store, bus, options
        self._attendance, self._new_id = attendance, new_id

    async def listen(self, queue: str, stop: asyncio.Event, report: Report) -> None:
        await consume_dead(self._bus, queue, self._park, stop, report=report)

    async def _park(self, delivery: Delivery) -> None:
        """Idempotent by (message, reason): what is delivered twice is one row."""
        letter = letter_from(delivery.headers, delivery.body, path=self._options.path)
        if await bury(self._store, [letter]):
            metrics.DEAD_LETTERS.labels(source=letter.source.value).inc()
            _log.error("message.dead", queue=letter.queue, reason=letter.title, size=letter.size)

    async def replay(self) -> bool:
        """True: more are due. The store said when each is: that is what keeps the rate."""
        full = [await self._replay_on(path) for path in self._attendance.paths]
        return any(full)

    async def _replay_on(self, path: str) -> bool:
        done = await replay_due(
            self._store,
            self._bus,
            path=path,
            limit=self._options.batch,
            new_id=self._new_id,
            basis=self._options.basis,
        )
        if done.jobs or done.messages:
            _log.info("dead_letters.replayed", jobs=done.jobs, messages=done.messages)
        return done.full
