"""One child that the slots of a lane share: what comes within a window runs in one go.

Laws:
1. The window opens with the first that comes. It closes after its time, when the batch is full, and when
   nobody else can come. Those that come while a batch runs are the next one.
2. Who runs together has one model. Who was tried before runs alone: after a child died with a batch,
   whatever killed it kills nobody else's job again.
3. A child is killed for one job's sake only when that did not stop in its time; the others of its batch are
   given back at no cost.
4. A job's time counts from when its batch begins.
5. Batches that had no room stay as small as had; they grow again with those that go well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from headrace.contracts.ids import JobId, Lane
from headrace.contracts.messages import JobError
from headrace.core.ports.blobs import Blob
from headrace.gpu_worker.attempts import Line
from headrace.gpu_worker.host import wire
from headrace.gpu_worker.host.keeper import Hear, Keeper, NotReady, RunEnded, Show, run_ended
from headrace.gpu_worker.host.process import Host, HostLost
from headrace.gpu_worker.host.shelf import Warm, Weights
from headrace.gpu_worker.options import LaneOptions, Limits
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger

_log = get_logger("gpu_worker.batcher")
BATCH_BYTES: Final = 64 * 2**20  # of inputs; they travel to the child in one message
STEADY: Final = 20  # batches in a row that had room, before a larger one is tried
_STOPPED: Final = RunEnded(None, None, {})


class Interrupted(Exception):
    """The child was killed for the sake of another job of the batch."""


@dataclass(eq=False, slots=True)
class Row:
    """A job that waits for its batch, or is in it."""

    weights: Weights
    request: wire.Run
    hear: Hear
    show: Show
    begun: Callable[[], None]
    ids: Mapping[str, str]
    ended: asyncio.Future[RunEnded]  # done by a cancel too: its slot has left
    made: dict[str, Blob] = field(default_factory=dict)
    told: bool = False  # to stop
    over: bool = False  # says the child

    def goes_with(self, first: Row) -> bool:
        alike = self.weights == first.weights
        return self is first or (alike and self.request.attempt == first.request.attempt == 1)

    def end(self, how: RunEnded | Exception) -> None:
        if self.ended.done():
            return
        if isinstance(how, Exception):
            self.ended.set_exception(how)
        else:
            self.ended.set_result(how)


class Batcher:
    """`serve` runs the batches; each slot has a seat, through which it asks."""

    def __init__(
        self,
        lane: LaneOptions,
        limits: Limits,
        changed: Callable[[], None] = lambda: None,
        gpu: str | None = None,
    ) -> None:
        """As a keeper is made."""
        self.keeper = Keeper(lane, limits, changed, gpu)
        self.seats = [Seat(self, first=number == 0) for number in range(lane.slots)]
        self._lane = lane
        self._child = asyncio.Lock()  # who starts the child, or speaks with it
        self._waiting: list[Row] = []  # one for each seat at most
        self._batch: list[Row] = []
        self._host: Host | None = None  # while the batch runs
        self._news = asyncio.Event()
        self._killed = False
        self._runs = 0
        self._most = lane.batch_most
        self._steady = 0

    async def serve(self) -> None:
        """Runs until it is cancelled, when all slots have left."""
        try:
            while True:
                await self._window()
                await self._carry_out()
        finally:
            await self.keeper.close()

    async def ready(self, weights: Weights | None) -> bool:
        """As a keeper's. Where others wait or run, whoever runs them sees to the child, and to models of its own.

        What comes as a file is loaded here, while there is that file.
        """
        in_use = bool(self._waiting or self._batch)
        if in_use and (weights is None or weights.path is None or self.has(weights)):
            return False
        async with self._child:
            return await self.keeper.ready(weights)

    def has(self, weights: Weights) -> bool:
        return any(warm.weights == weights for warm in self.keeper.warm)

    @property
    def line(self) -> Line:
        """Who is before one that waits."""
        busy = [each for each in self._batch if not each.over]
        before = [JobId(each.ids["job_id"]) for each in busy if "job_id" in each.ids]
        if not busy:
            return Line("batch", "for its batch to begin")
        note = f"for the batch before it, of {len(self._batch)}, to end"
        if len(self._batch) >= self._most < self._lane.batch_most:
            return Line("memory", f"{note}: no more jobs at once had room", before)
        return Line("batch", note, before)

    def add(self, row: Row) -> None:
        self._waiting.append(row)
        self._news.set()

    def next_run(self) -> int:
        self._runs += 1
        return self._runs

    def stop(self, row: Row) -> None:
        row.told = True
        if self._host is not None and row in self._batch:
            self._host.ask_to_stop(row.request.run)
            return
        row.end(_STOPPED)
        self._forget(row)

    def kill(self, row: Row) -> None:
        """Unless the child has let go of it. One that holds too much memory was not killed for its sake."""
        if self._host is not None and row in self._batch and not row.over:
            self._killed = row.told or row.ended.cancelled()
            self._host.kill()

    async def give_up(self, row: Row) -> None:
        """Returns once nobody works on it any more."""
        self._forget(row)
        self.kill(row)
        if self._host is not None and row in self._batch and not row.over:
            async with self._child:  # which is held until the child is gone
                pass

    def _forget(self, row: Row) -> None:
        if row in self._waiting:
            self._waiting.remove(row)
            self._news.set()

    async def _window(self) -> None:
        """Returns when somebody waits, and has waited long enough."""
        while not self._waiting:
            await self._something_new()
        try:
            async with asyncio.timeout(self._lane.batch_window_s):
                while self._worth_waiting():
                    await self._something_new()
        except TimeoutError:
            pass

    async def _something_new(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _worth_waiting(self) -> bool:
        if not self._waiting or self._waiting[0].request.attempt > 1:
            return False
        return len(self._waiting) < min(self._most, len(self.seats))

    async def _carry_out(self) -> None:
        self._batch = batch = self._chosen()
        try:
            if batch:
                async with self._child:
                    await self._run(batch)
        except HostLost as lost:
            for row in batch:
                row.end(Interrupted() if self._killed and not row.told else lost)
        except NotReady as error:
            _end_all(batch, error)
        except Exception as error:  # noqa: BLE001  # each slot reports it: a slip must not lose a job
            await self.keeper.close()
            _end_all(batch, error)
        finally:
            self._batch, self._host, self._killed = [], None, False

    def _chosen(self) -> list[Row]:
        if not self._waiting:
            return []
        fitting = [row for row in self._waiting if row.goes_with(self._waiting[0])]
        sizes = accumulate(sum(map(len, row.request.blobs.values())) for row in fitting)
        small = sum(size <= BATCH_BYTES for size in sizes)
        chosen = fitting[: max(1, min(self._most, small))]
        self._waiting = [row for row in self._waiting if row not in chosen]
        return chosen

    async def _run(self, batch: Sequence[Row]) -> None:
        await self.keeper.ready(batch[0].weights)
        rows = {row.request.run: row for row in batch if not row.ended.done()}
        if not rows:
            return
        metrics.BATCH_JOBS.labels(lane=self._lane.lane).observe(len(rows))
        self._host = host = self.keeper.begin()
        host.serves(next(iter(rows.values())).ids if len(rows) == 1 else {})
        for row in rows.values():
            row.begun()
        await host.ask(wire.RunMany([row.request for row in rows.values()]))
        self._learn(len(rows), await _all_ended(host, rows))
        self.keeper.done()
        _end_all(rows.values(), HostLost("said nothing of how this run ended", ""))

    def _learn(self, size: int, fits: int | None) -> None:
        if fits is not None:
            self._most, self._steady = fits, 0
            _log.warning("batch.too_large", lane=self._lane.lane, jobs=size, fits=fits)
        elif size == self._most < self._lane.batch_most:
            self._steady += 1
            if self._steady == STEADY:
                self._most, self._steady = self._most + 1, 0


class Seat:
    """What a slot has in place of a child of its own: the same to ask, and others ask it too."""

    def __init__(self, batcher: Batcher, *, first: bool) -> None:
        self._batcher = batcher
        self._first = first
        self._ids: Mapping[str, str] = {}
        self._weights: Weights | None = None  # that it asked for last
        self._row: Row | None = None

    @property
    def lane(self) -> Lane:
        return self._batcher.keeper.lane

    @property
    def pid(self) -> int | None:
        """There is one child, which one seat tells of."""
        return self._batcher.keeper.pid if self._first else None

    @property
    def memory_bytes(self) -> int:
        return self._batcher.keeper.memory_bytes if self._first else 0

    @property
    def outgrown(self) -> JobError | None:
        return self._batcher.keeper.outgrown

    @property
    def warm(self) -> list[Warm]:
        return self._batcher.keeper.warm

    @property
    def latest(self) -> Weights | None:
        return self._batcher.keeper.latest

    @property
    def line(self) -> Line:
        return self._batcher.line

    def serves(self, ids: Mapping[str, str]) -> None:
        self._ids = ids

    def has(self, weights: Weights) -> bool:
        return self._batcher.has(weights)

    async def ready(self, weights: Weights | None) -> bool:
        """Raises NotReady or HostLost."""
        self._weights = weights
        return await self._batcher.ready(weights)

    async def run(
        self,
        request: Callable[[int], wire.Run],
        hear: Hear,
        show: Show,
        begun: Callable[[], None],
    ) -> RunEnded:
        """With what was made ready. Raises NotReady, HostLost or Interrupted."""
        ended = asyncio.get_running_loop().create_future()
        asked = request(self._batcher.next_run())
        weights = self._weights or Weights(asked.model)
        row = Row(weights, asked, hear, show, begun, self._ids, ended)
        self._row = row  # stays where this is cut short, for `close`
        self._batcher.add(row)
        answer: RunEnded = await ended
        self._row = None
        return answer

    def ask_to_stop(self) -> None:
        if self._row is not None:
            self._batcher.stop(self._row)

    def kill_if_busy(self) -> None:
        if self._row is not None:
            self._batcher.kill(self._row)

    async def close(self) -> None:
        """What it asked for ends; the child stays for the others."""
        row, self._row = self._row, None
        if row is not None:
            await self._batcher.give_up(row)


async def _all_ended(host: Host, rows: Mapping[int, Row]) -> int | None:
    """Hears them until all are over; answers how many at once had room, where all had none."""
    while True:
        match await host.answer():
            case wire.Said() | wire.Checkpointed() as said:
                await rows[said.run].hear(said)
            case wire.Made() as blob:
                row = rows[blob.run]
                row.made[blob.id] = Blob(blob.media_type, blob.data)
                if blob.shown:
                    await row.show(blob)
            case wire.Ended() as ended:
                row = rows[ended.run]
                row.over = True
                row.end(run_ended(ended, row.made))
            case wire.AllEnded() as end:
                return end.fits
            case other:
                raise HostLost(f"said {type(other).__name__} in the middle of a batch", "")


def _end_all(rows: Iterable[Row], how: Exception) -> None:
    for row in rows:
        row.end(how)
