"""Webhooks: calls to receivers, in a pool of their own beside everything that jobs wait for.

The pool is the only thing that a slow receiver holds: no transaction is open and no loop of the
dispatcher waits while somebody is called. Any number of dispatchers share the calls of one store.
"""

from __future__ import annotations

import asyncio
from typing import Final

from headrace.core.errors import Unavailable
from headrace.core.ports.receivers import Answer, Receivers
from headrace.core.ports.store import Store
from headrace.core.ports.webhooks import Call, CallState, Queue
from headrace.core.usecases.call_receivers import Outgoing, Room, note_answer, take_calls
from headrace.dispatcher.loops import Wake, loop
from headrace.dispatcher.options import Chance, DispatcherOptions
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import about

LAST_WORDS_S: Final = (
    3.0  # for calls under way when the dispatcher stops; others make the rest again
)

_log = get_logger("dispatcher.calling")


class Caller:
    def __init__(
        self, store: Store, receivers: Receivers, options: DispatcherOptions, chance: Chance
    ) -> None:
        self._store, self._receivers = store, receivers
        self._options, self._chance = options, chance
        self._place: Queue | None = None  # where to go on looking
        self._under_way: dict[asyncio.Task[None], Outgoing] = {}
        self._room = Wake()

    async def serve(self, stop: asyncio.Event) -> None:
        options = self._options
        async with asyncio.TaskGroup() as group:

            async def turn() -> bool:
                return await self._turn(group)

            every, limit = options.calls_every, options.turn_limit
            await loop("calls", turn, self._room, stop, every=every, limit=limit)
            if self._under_way:
                _, late = await asyncio.wait(self._under_way, timeout=LAST_WORDS_S)
                for each in late:
                    each.cancel()

    async def _turn(self, group: asyncio.TaskGroup) -> bool:
        """True: there are queues that it has not looked at."""
        options = self._options
        room = Room.beside(options.calls, self._under_way.values())
        if room.in_all >= options.calls.in_all:
            return False  # woken as soon as one of them ends
        taken = await take_calls(
            self._store,
            room,
            after=self._place,
            lease=options.call_lease,
            new_secret=self._chance.new_secret,
        )
        self._place = taken.place
        for call in taken.dropped:
            _tell(call)
        for outgoing in taken.outgoing:
            task = group.create_task(self._make(outgoing))
            self._under_way[task] = outgoing
            task.add_done_callback(self._ended)
        return taken.place is not None

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._room()

    async def _make(self, outgoing: Outgoing) -> None:
        call = outgoing.call
        answer = await self._post(outgoing)
        metrics.WEBHOOK_CALL.observe(answer.took_s)
        try:
            _tell(
                await note_answer(self._store, outgoing, answer, random=self._chance.random), answer
            )
        except Unavailable as error:
            # It is made once more when its reservation has lapsed; its id says that it is the same.
            _log.warning("webhook.not_noted", call=call.id, error=str(error))

    async def _post(self, outgoing: Outgoing) -> Answer:
        """A driver's mistake over one receiver must end neither the pool nor the dispatcher."""
        try:
            return await self._receivers.post(
                outgoing.url, outgoing.headers, outgoing.call.body.encode()
            )
        except Exception as error:  # noqa: BLE001  # logged, and the call is tried again later
            _log.error("webhook.broke", call=outgoing.call.id, error=repr(error))
            return Answer(None, "it could not be called")


def _tell(call: Call, answer: Answer | None = None) -> None:
    tries = call.log[-1:]
    outcome = "failed" if call.state is CallState.WAITING else call.state.value
    metrics.WEBHOOK_CALLS.labels(outcome=outcome).inc()
    said = {
        "call": call.id,
        "message": call.message,
        "endpoint": call.endpoint,
        "host": call.host,
        "tries": call.tries,
        "status": None if answer is None else answer.status,
        "error": tries[0].error if tries else None,
    }
    facts = {name: value for name, value in said.items() if value is not None}
    with about(job_id=call.job, tenant=call.tenant):
        if call.state is CallState.DELIVERED:
            _log.info("webhook.delivered", **facts)
        else:
            _log.warning(f"webhook.{outcome}", **facts)
