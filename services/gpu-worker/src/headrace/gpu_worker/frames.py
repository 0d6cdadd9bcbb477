"""Writing one attempt's frames to its stream: in batches, and numbered.

Laws:
1. The dispatcher opens the epoch with frame 1; the worker's own are numbered from 2, by the worker,
   so that a batch sent twice is kept once.
2. The buffer is bounded. Streams that are slow slow the engine down; while they are away the oldest
   frames go instead, and the numbers they had stay empty, so that readers see a gap and not a silent loss.
3. A stale epoch means that the job is somebody else's: the writer falls silent for good.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from opentelemetry.trace import Span

from headrace.core.errors import Unavailable
from headrace.core.job import Verdict
from headrace.core.ports.streams import Batch
from headrace.gpu_worker.attempts import Attempt, Why
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.waiting import pauses, rings
from headrace.telemetry import metrics
from headrace.telemetry.exemplars import exemplar
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import span

FIRST_SEQ: Final = 2
WINDOW_S: Final = 0.02
BATCH_FRAMES: Final = 64
BATCH_BYTES: Final = 65_536
BUFFER_FRAMES: Final = 4_096
BUFFER_BYTES: Final = 8 * 2**20
MAX_FRAME_BYTES: Final = 65_536  # a picture of 36,000 bytes as a data: URL fits with room
_log = get_logger("gpu_worker.frames")


@dataclass(frozen=True, slots=True)
class _Numbered:
    seq: int
    type: str
    data: bytes
    said_at: float


class FrameWriter:
    """`say` never waits; `pump` does the sending, in a task of the attempt's."""

    def __init__(self, attempt: Attempt, options: WorkerOptions) -> None:
        self._attempt = attempt
        self._options = options
        self._buffer: deque[_Numbered] = deque()
        self._bytes = 0
        self._next_seq = FIRST_SEQ
        self._closed = asyncio.Event()
        self._news = asyncio.Event()
        self._drained = asyncio.Event()
        self._full = asyncio.Event()  # a whole batch waits: no reason to let the window pass
        self._settled = asyncio.Event()
        self._failing = False
        self.dropped = 0
        self._kept = 0

    async def room(self) -> None:
        """Wait for a buffer that fills although the streams answer; an outage holds nobody up."""
        if len(self._buffer) >= BUFFER_FRAMES // 2 and not self._failing:
            self._settled.clear()
            await rings(self._settled, self._options.limits.append_s)

    def say(self, type_: str, data: bytes) -> None:
        if self._closed.is_set() or self._attempt.doubtful or not self._attempt.speaks:
            return
        if len(data) > MAX_FRAME_BYTES:
            self.dropped += 1
            return
        self._buffer.append(_Numbered(self._next_seq, type_, data, self._options.monotonic()))
        self._next_seq += 1
        self._bytes += len(data)
        while len(self._buffer) > BUFFER_FRAMES or self._bytes > BUFFER_BYTES:
            self._forget_first()
            self.dropped += 1
        self._news.set()
        if len(self._buffer) >= BATCH_FRAMES or self._bytes >= BATCH_BYTES:
            self._full.set()

    async def finish(self, within_s: float) -> None:
        """Send what is left; what could not be sent in time is given up."""
        self._closed.set()
        self._news.set()
        self._full.set()
        if not await rings(self._drained, within_s):
            self.dropped += len(self._buffer)
        if self.dropped:
            metrics.FRAMES_DROPPED.inc(self.dropped)
            _log.warning("frames.dropped", frames=self.dropped)

    async def pump(self) -> None:
        """Runs until all is sent after `finish`, or until it is cancelled."""
        with span("job.stream") as current:
            try:
                await self._pump(current)
            finally:
                current.set_attributes(
                    {"headrace.frames": self._kept, "headrace.dropped": self.dropped}
                )

    async def _pump(self, current: Span) -> None:
        tries = self._tries()
        while True:
            await self._news.wait()
            batch = self._first_batch()
            if not batch and self._closed.is_set():
                self._drained.set()
                return
            if not batch:
                self._news.clear()
                continue
            self._failing = not await self._append(batch)
            self._settled.set()
            if self._failing:
                await asyncio.sleep(next(tries))
            else:
                tries = self._tries()
                if self._kept == 0:
                    current.add_event("first frame")
                self._sent(batch)
                await self._let_some_gather()

    def _first_batch(self) -> list[_Numbered]:
        batch: list[_Numbered] = []
        size = 0
        for frame in self._buffer:
            size += len(frame.data)
            if len(batch) == BATCH_FRAMES or (batch and size > BATCH_BYTES):
                break
            batch.append(frame)
        return batch

    async def _append(self, frames: list[_Numbered]) -> bool:
        """Whether this batch is settled, in either way."""
        grant = self._attempt.grant
        batch = Batch(
            grant.job, grant.epoch, [(f.type, f.data) for f in frames], first_seq=frames[0].seq
        )
        try:
            async with asyncio.timeout(self._options.limits.append_s):
                (verdict,) = await self._options.streams.append([batch])
        except (Unavailable, TimeoutError) as error:
            _log.warning("frames.not_sent", error=str(error) or "took too long")
            return False
        if verdict is Verdict.STALE:
            _log.info("frames.stale", epoch=grant.epoch)
            self._attempt.end(Why.LOST)
            self._buffer.clear()
            self._bytes = 0
        return True

    def _sent(self, batch: list[_Numbered]) -> None:
        metrics.STREAM_LAG.observe(self._options.monotonic() - batch[0].said_at, exemplar())
        self._kept += len(batch)
        last = batch[-1].seq
        while self._buffer and self._buffer[0].seq <= last:
            self._forget_first()

    async def _let_some_gather(self) -> None:
        """The first frame after a silence leaves at once, those that follow share a batch."""
        if len(self._buffer) < BATCH_FRAMES and not self._closed.is_set():
            self._full.clear()
            await rings(self._full, WINDOW_S)

    def _forget_first(self) -> None:
        self._bytes -= len(self._buffer.popleft().data)

    def _tries(self) -> Iterator[float]:
        return pauses(self._options.random, first_s=0.1, cap_s=2.0)
