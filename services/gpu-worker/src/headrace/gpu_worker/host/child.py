"""What runs in the child: an engine in the main thread, and a thread that listens to the worker.

Laws:
1. The child is idle, or busy with one thing; it says `Ended`, `AllEnded`, `Loaded`, `Unloaded` or
   `Failed` when idle again.
2. It dies with its worker: the kernel is asked for that where it can do it, and the listening thread
   ends the process when the worker's side of the socket closes.
3. Signals meant for the worker (a stopped service signals every process) do not end its jobs.
"""

from __future__ import annotations

import faulthandler
import os
import platform
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from headrace.contracts.ids import Lane
from headrace.engines.engine import Engine, Stopped
from headrace.engines.lifeline import die_with
from headrace.engines.registry import decode_input, engine_class
from headrace.gpu_worker.host import wire
from headrace.gpu_worker.host.batch import Batch, encoded
from headrace.gpu_worker.host.errors import explain
from headrace.gpu_worker.host.memory import OwnMemory, give_back
from headrace.gpu_worker.host.work import ChildWork


def main(arguments: Sequence[str]) -> None:
    faulthandler.enable()
    descriptor, parent = (int(each) for each in arguments)
    die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        # A handler that does nothing: an ignored signal would stay ignored in an engine's own children.
        signal.signal(number, lambda *_: None)
    os.set_inheritable(descriptor, False)  # noqa: FBT003  # it takes no keyword
    channel = Channel(socket.socket(fileno=descriptor))
    threading.Thread(target=channel.listen, name="listener", daemon=True).start()
    Child(channel).serve()


class Channel:
    """The socket to the worker: whoever likes sends, one thread listens."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._requests: queue.SimpleQueue[wire.ToChild] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._stopped: dict[int, threading.Event] = {}

    def send(self, message: wire.ToWorker) -> None:
        packed = wire.pack(message)
        with self._sending:
            self._connection.sendall(packed)

    def next_request(self) -> wire.ToChild:
        return self._requests.get()

    def stopped(self, run: int) -> threading.Event:
        """Set once this run is told to stop, which may be before it begins."""
        return self._stopped.setdefault(run, threading.Event())

    def forget(self, run: int) -> None:
        self._stopped.pop(run, None)

    def listen(self) -> None:
        with self._connection.makefile("rb") as stream:
            while head := stream.read(wire.LENGTH.size):
                message = wire.for_child(stream.read(wire.length(head)))
                if isinstance(message, wire.Stop):
                    self.stopped(message.run).set()
                else:
                    self._requests.put(message)
        os._exit(0)  # the worker is gone: whatever runs, runs for nobody


class Child:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._engine: Engine | None = None
        self._process = psutil.Process()
        self._memory = OwnMemory()

    def serve(self) -> None:  # noqa: C901  # a case for each request
        while True:
            match self._channel.next_request():
                case wire.Prepare() as request:
                    self._answer(partial(self._prepare, request))
                case wire.Load() as request:
                    self._answer(partial(self._load, request))
                case wire.Unload() as request:
                    self._answer(partial(self._unload, request))
                case wire.Run() as request:
                    self._channel.send(self._run(request))
                    self._channel.forget(request.run)
                case wire.RunMany() as request:
                    self._channel.send(self._run_many(request))
                    for run in request.runs:
                        self._channel.forget(run.run)
                case wire.Stop():
                    pass  # the listener has seen to it

    def _answer(self, step: Callable[[], wire.ToWorker]) -> None:
        try:
            answer = step()
        except Exception as error:  # noqa: BLE001  # whatever it is, the worker has to hear of it
            answer = wire.Failed(explain(error))
        self._channel.send(answer)

    def _prepare(self, request: wire.Prepare) -> wire.ToWorker:
        if request.protocol != wire.PROTOCOL:
            raise RuntimeError(
                f"the worker speaks protocol {request.protocol} and its child {wire.PROTOCOL}: "
                "they are of different releases; restart the worker"
            )
        self._engine = _find_engine(request)()
        lets_go = hasattr(self._engine, "unload")
        return wire.Ready(wire.PROTOCOL, platform.python_version(), lets_go)

    def _load(self, request: wire.Load) -> wire.ToWorker:
        engine: Any = self._prepared
        before, started = self._memory.held(), time.monotonic()
        if request.path is None:
            engine.load(request.model)
        else:
            engine.load_artefact(request.model, Path(request.path))
        took_s = time.monotonic() - started
        give_back()  # what loading needed on the way is not the model's
        added = self._memory.held().since(before)
        return wire.Loaded(request.model, took_s, self._rss_mb(), added)

    def _unload(self, request: wire.Unload) -> wire.ToWorker:
        engine: Any = self._prepared
        engine.unload(request.model)
        give_back()
        return wire.Unloaded(request.model)

    def _run(self, request: wire.Run) -> wire.Ended:
        try:
            output = self._output(request)
        except Stopped:
            return wire.Ended(request.run)
        except Exception as error:  # noqa: BLE001  # here a job is settled: its kind decides what follows
            return wire.Ended(request.run, error=explain(error), rss_mb=self._rss_mb())
        return wire.Ended(request.run, output=output, rss_mb=self._rss_mb())

    def _output(self, request: wire.Run) -> bytes:
        engine = self._prepared
        given = decode_input(type(engine), request.input)
        stopped = self._channel.stopped(request.run)
        work = ChildWork(request, given, send=self._channel.send, stopped=stopped.is_set)
        output: Any = engine.run(work)
        return encoded(output)

    def _run_many(self, request: wire.RunMany) -> wire.AllEnded:
        batch = Batch(self._prepared, send=self._channel.send, alone=self._run)
        batch.run([(run, self._channel.stopped(run.run)) for run in request.runs])
        return wire.AllEnded(batch.fits)

    @property
    def _prepared(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("the child was not prepared")
        return self._engine

    def _rss_mb(self) -> float:
        return float(self._process.memory_info().rss) / 2**20


def _find_engine(request: wire.Prepare) -> type[Engine]:
    if not request.engine:
        return engine_class(Lane(request.lane), request.settings)
    module, _, name = request.engine.partition(":")
    engine: type[Engine] = getattr(import_module(module), name)
    configure = getattr(engine, "configure", None)
    return engine if configure is None else (configure(request.settings) or engine)
