"""The producer for code that blocks: a thread beside it writes, so that `append` seldom waits."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from os import getpid
from random import Random, SystemRandom
from typing import Any, Final

from headrace.contracts.frames import Frame
from headrace.contracts.producing import End
from headrace.streams import settings
from headrace.streams.calling import Caller
from headrace.streams.errors import ProducerError, Stopped, StreamsUnavailable
from headrace.streams.line import Line, failed_with
from headrace.streams.options import ANSWER_WITHIN_S, Options

_USUAL: Final = Options()


@contextmanager
def produce(
    task_id: str,
    *,
    url: str | None = None,
    namespace: str | None = None,
    options: Options = _USUAL,
) -> Generator[Producer]:
    """Open the stream of a task and end it on leaving.

    `url` and `namespace` are REDIS_URL and NAMESPACE of the environment unless given. The block may raise: the
    stream has failed then, and the exception goes on. `Stopped` ends it as cancelled and goes no further.
    Raises StreamOver or StreamsUnavailable, on entering as well as on leaving.
    """
    line = own_line(task_id, namespace, options)
    caller = Caller(settings.redis_url(url))
    producer = Producer(line, caller, options)
    try:
        producer._begin()  # noqa: SLF001  # one thing in two halves: this function and its class
        with producer._ending():  # noqa: SLF001
            yield producer
    finally:
        caller.close()


class Producer:
    """One task's stream, open for as long as its block lasts. Any thread may append."""

    def __init__(self, line: Line, caller: Caller, options: Options) -> None:
        self._line, self._caller, self._options = line, caller, options
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write, name="headrace-streams", daemon=True)
        self._leaving = False
        self.output: dict[str, Any] | None = None  # None: {"text": all that was appended}

    def append(self, chunk: str | Frame) -> None:
        """A piece of text, or Progress, Preview, Log, Metric.

        Raises Stopped when somebody wants this task to end, StreamOver, StreamsUnavailable, or
        ValueError for what is too large. Waits only while Redis is away and much waits for it.
        """
        with self._changed:
            self._wait_for_room()
            self._line.put(chunk)
            self._changed.notify_all()

    @property
    def stop_asked(self) -> bool:
        """For work that runs long without a chunk; `append` raises Stopped."""
        return self._line.stop_asked

    def _wait_for_room(self) -> None:
        def may_go_on() -> bool:
            return self._line.has_room or self._line.failure is not None

        if not self._changed.wait_for(may_go_on, timeout=2 * self._options.patience_s):
            raise StreamsUnavailable("Redis takes nothing")

    def _begin(self) -> None:
        while not self._line.open:
            with self._changed:
                self._step()
                self._raise_failure()
        self._thread.start()

    @contextmanager
    def _ending(self) -> Generator[None]:
        try:
            yield
        except Stopped:
            self._finish(End("cancelled"))
        except ProducerError:
            self._leave()
            raise
        except BaseException as error:
            self._try_finish(failed_with(error))
            raise
        else:
            self._finish(End("succeeded", output=self._output()))

    def _output(self) -> dict[str, Any]:
        return {"text": self._line.text} if self.output is None else self.output

    def _try_finish(self, end: End) -> None:
        """The block's own exception matters more than a stream that cannot be told of it."""
        try:
            self._finish(end)
        except ProducerError:
            return

    def _finish(self, end: End) -> None:
        try:
            with self._changed:
                self._line.end(end)
        finally:
            self._leave()
        self._raise_failure()

    def _leave(self) -> None:
        with self._changed:
            self._leaving = True
            self._changed.notify_all()
        # It ends by itself: with the last word, or when its patience is over.
        self._thread.join(timeout=2 * self._options.patience_s + ANSWER_WITHIN_S)
        if self._thread.is_alive():
            raise StreamsUnavailable("Redis did not take the end of the stream")

    def _raise_failure(self) -> None:
        if self._line.failure is not None:
            raise self._line.failure

    def _write(self) -> None:
        with self._changed:
            while self._line.failure is None and not self._line.ended:
                if self._leaving and self._line.wait_s() > 0:
                    return  # without a last word
                if (wait_s := self._line.wait_s()) > 0:
                    self._changed.wait(wait_s)
                else:
                    self._step()

    def _step(self) -> None:
        """One call and its answer; the lock is let go meanwhile."""
        call = self._line.next_call()
        if call is None:
            return
        self._changed.release()
        try:
            reply = self._caller.answer(call)
        finally:
            self._changed.acquire()
        if isinstance(reply, Exception):
            self._changed.wait(self._line.trouble(str(reply) or type(reply).__name__))
        else:
            self._line.answered(reply)
        self._changed.notify_all()


def own_line(task_id: str, namespace: str | None, options: Options) -> Line:
    """Of this machine and process, by name for people."""
    return Line(
        task_id,
        namespace=settings.namespace(namespace),
        name=f"{socket.gethostname()}:{getpid()}",
        options=options,
        clock=time.monotonic,
        random=_random,
    )


_random: Final[Random] = SystemRandom()
