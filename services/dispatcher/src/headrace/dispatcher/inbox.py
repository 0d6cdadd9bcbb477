"""What workers say, answered: claims, heartbeats and results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from random import Random

from opentelemetry.trace import SpanKind

from headrace.contracts.ids import Lane
from headrace.contracts.messages import (
    Claims,
    Goodbye,
    Grants,
    Heartbeats,
    Hello,
    Message,
    Recorded,
    ResultOf,
    Results,
    Takes,
    encode,
)
from headrace.core.errors import BadMessage
from headrace.core.ports.bus import Delivery, Parcel
from headrace.core.usecases.checkpoint import keep_checkpoints
from headrace.core.usecases.claim import claim
from headrace.core.usecases.heartbeat import heartbeat
from headrace.core.usecases.placement import Placement
from headrace.core.usecases.purge import delete_blobs
from headrace.core.usecases.record import Recorded as Outcome
from headrace.core.usecases.record import record
from headrace.dispatcher.announcer import announce
from headrace.dispatcher.counting import count_claimed, count_recorded
from headrace.dispatcher.gathering import Gatherer
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.dispatcher.taking import Taker
from headrace.dispatcher.telling import tell_claimed, tell_ended
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import span

_log = get_logger("dispatcher.inbox")


class Inbox:
    def __init__(
        self,
        ports: Ports,
        options: DispatcherOptions,
        random: Random,
        room: Callable[[], None],
        taker: Taker,
        gatherer: Gatherer,
    ) -> None:
        self._store, self._bus, self._streams = ports.store, ports.bus, ports.streams
        self._blobs = ports.blobs
        self._options, self._random = options, random
        self._room, self._taker, self._gatherer = room, taker, gatherer
        self._placement = (
            Placement(options.path, options.monotonic) if options.prefers_warm else None
        )

    async def claims(self, message: Message, delivery: Delivery) -> None:
        """Idempotent by claim id: a message that comes twice gets the same grants."""
        if isinstance(message, Takes):
            if await self._taker.hear(message, again=delivery.redelivered):
                self._room()
            return
        if not isinstance(message, Claims):
            raise BadMessage(f"{type(message).__name__} does not belong among claims")
        with span("job.claim", parent=delivery.headers.get("traceparent"), kind=SpanKind.CONSUMER):
            for each in message.claims:
                if each.at is not None:
                    await self._gatherer.hear(message.worker, message.reply_to, each)
            alone = [each for each in message.claims if each.at is None]
            if not alone:
                return
            claimed = await claim(
                self._store,
                message.worker,
                alone,
                lease=self._options.lease,
                placement=self._placement,
            )
            self._room()
            # Before the grant leaves: the worker's frames must find the epoch opened.
            await announce(self._streams, claimed.announcements)
            # One by one: two inputs that each fit into a message may not fit into one together.
            answers = [encode(Grants([answer])) for answer in claimed.answers]
            await self._bus.send([Parcel(message.reply_to, answer) for answer in answers])
            count_claimed(claimed)
            tell_claimed(message.worker, claimed)

    async def heartbeats(self, message: Message, delivery: Delivery) -> None:
        """Renewals are guarded by worker and epoch; one that comes twice renews twice."""
        match message:
            case Heartbeats():
                options = self._options
                let_go = await keep_checkpoints(self._store, message.heartbeats)
                orders = await heartbeat(
                    self._store, message, path=options.path, lease=options.lease
                )
                await self._bus.send([Parcel(message.reply_to, encode(orders))])
                await delete_blobs(self._blobs, let_go)
            case Hello():
                await self._hello(message)
            case Goodbye():
                async with self._store.begin() as tx:
                    await tx.forget_worker(message.worker)
                    await tx.quit_gangs(message.worker)
                _log.info("worker.left", worker=message.worker)
            case _:
                raise BadMessage(f"{type(message).__name__} does not belong among heartbeats")

    async def _hello(self, hello: Hello) -> None:
        async with self._store.begin() as tx:
            await tx.announce_engines(hello.engines)
            slots = {Lane(lane): n for lane, n in hello.slots.items()}
            await tx.see_worker(hello.worker, slots, path=self._options.path)
        _log.info("worker.joined", worker=hello.worker, slots=hello.slots)
        self._room()

    async def results(self, message: Message, delivery: Delivery) -> None:
        await self.heap_of_results([(message, delivery)])

    async def heap_of_results(self, heap: Sequence[tuple[Message, Delivery]]) -> None:
        """In one transaction, in which jobs of one batch are counted once.

        Idempotent by (job, epoch): what comes twice, or too late, is stale and changes nothing.
        """
        messages = [_results(message) for message, _ in heap]
        with ExitStack() as spans:  # one in the trace of each
            for _, delivery in heap:
                parent = delivery.headers.get("traceparent")
                spans.enter_context(span("job.record", parent=parent, kind=SpanKind.CONSUMER))
            results = [result for message in messages for result in message.results]
            recorded = await record(
                self._store, results, policy=self._options.retry, random=self._random
            )
            self._room()
            await announce(self._streams, recorded.announcements)
            await self._gatherer.hint(recorded.hints)
            await self._bus.send(
                [
                    Parcel(message.reply_to, encode(_told(message, recorded)))
                    for message in messages
                    if message.reply_to is not None
                ]
            )
            count_recorded(results, recorded)
            for message in messages:
                tell_ended(message, recorded)
            await delete_blobs(self._blobs, recorded.let_go)


def _results(message: Message) -> Results:
    if not isinstance(message, Results):
        raise BadMessage(f"{type(message).__name__} does not belong among results")
    return message


def _told(message: Results, recorded: Outcome) -> Recorded:
    stale = {id(result) for result in recorded.stale}
    named = [(id(each) in stale, ResultOf(each.job, each.epoch)) for each in message.results]
    return Recorded(
        moved=[each for is_stale, each in named if not is_stale],
        stale=[each for is_stale, each in named if is_stale],
    )
