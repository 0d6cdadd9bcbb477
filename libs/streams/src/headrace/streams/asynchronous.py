"""The producer for asyncio: a task beside the block writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

from headrace.contracts.frames import Frame
from headrace.contracts.producing import End
from headrace.streams import settings
from headrace.streams.calling import AsyncCaller
from headrace.streams.errors import ProducerError, Stopped, StreamsUnavailable
from headrace.streams.line import Line, failed_with
from headrace.streams.options import Options
from headrace.streams.producer import own_line

_USUAL: Final = Options()


@asynccontextmanager
async def produce_async(
    task_id: str,
    *,
    url: str | None = None,
    namespace: str | None = None,
    options: Options = _USUAL,
) -> AsyncGenerator[AsyncProducer]:
    """As `produce`, for asyncio. A block that is cancelled leaves a stream that has failed."""
    line = own_line(task_id, namespace, options)
    async with aclosing(AsyncCaller(settings.redis_url(url))) as caller:
        producer = AsyncProducer(line, caller, options)
        await producer._begin()  # noqa: SLF001  # one thing in two halves: this function and its class
        async with producer._ending():  # noqa: SLF001
            yield producer


class AsyncProducer:
    """One task's stream, open for as long as its block lasts. For one event loop."""

    def __init__(self, line: Line, caller: AsyncCaller, options: Options) -> None:
        self._line, self._caller, self._options = line, caller, options
        self._put = asyncio.Event()
        self._moved = asyncio.Event()
        self.output: dict[str, Any] | None = None  # None: {"text": all that was appended}

    async def append(self, chunk: str | Frame) -> None:
        """As `Producer.append`; it also lets others run."""
        await asyncio.sleep(0)
        await self._wait_for_room()
        self._line.put(chunk)
        self._put.set()

    @property
    def stop_asked(self) -> bool:
        """For work that runs long without a chunk; `append` raises Stopped."""
        return self._line.stop_asked

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(2 * self._options.patience_s):
                while not self._line.has_room and self._line.failure is None:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise StreamsUnavailable("Redis takes nothing") from None

    async def _begin(self) -> None:
        while not self._line.open:
            await self._step()
            self._raise_failure()

    @asynccontextmanager
    async def _ending(self) -> AsyncGenerator[None]:
        # Entered by hand: the block's own exceptions pass as they are, where a TaskGroup would wrap them.
        tasks = asyncio.TaskGroup()
        await tasks.__aenter__()
        writing = tasks.create_task(self._write())
        try:
            yield
        except Stopped:
            await self._finish(End("cancelled"), writing)
        except ProducerError:
            raise
        except BaseException as error:
            await self._try_finish(failed_with(error), writing)
            raise
        else:
            await self._finish(End("succeeded", output=self._output()), writing)
        finally:
            writing.cancel()
            await tasks.__aexit__(None, None, None)

    def _output(self) -> dict[str, Any]:
        return {"text": self._line.text} if self.output is None else self.output

    async def _try_finish(self, end: End, writing: asyncio.Task[None]) -> None:
        """The block's own exception matters more than a stream that cannot be told of it."""
        try:
            await self._finish(end, writing)
        except ProducerError:
            return

    async def _finish(self, end: End, writing: asyncio.Task[None]) -> None:
        try:
            self._line.end(end)
        finally:
            await self._said(writing)
        self._raise_failure()

    async def _said(self, writing: asyncio.Task[None]) -> None:
        self._put.set()
        done, _ = await asyncio.wait([writing], timeout=2 * self._options.patience_s)
        if not done:
            raise StreamsUnavailable("Redis did not take the end of the stream")

    def _raise_failure(self) -> None:
        if self._line.failure is not None:
            raise self._line.failure

    async def _write(self) -> None:
        while self._line.failure is None and not self._line.ended:
            if (wait_s := self._line.wait_s()) > 0:
                await self._woken(wait_s)
            else:
                await self._step()

    async def _woken(self, within_s: float) -> None:
        """A chunk is not sent at once: others may follow it within the moment that it waits."""
        self._put.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._put.wait()
        except TimeoutError:
            return

    async def _step(self) -> None:
        call = self._line.next_call()
        if call is None:
            return
        reply = await self._caller.answer(call)
        if isinstance(reply, Exception):
            await asyncio.sleep(self._line.trouble(str(reply) or type(reply).__name__))
        else:
            self._line.answered(reply)
        self._moved.set()
