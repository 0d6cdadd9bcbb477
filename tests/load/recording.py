"""Rows from every Locust process, in one file beside the process that leads them."""

from __future__ import annotations

import re
from pathlib import Path
from time import monotonic, process_time
from typing import Any, Final

import gevent
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from headrace.testkit.load.figures import CPU, LATE
from headrace.testkit.load.rows import Accepted, Ended, Gauge, Happened, Measured, Row, lines, now

WRITE_EVERY_S: Final = 0.5
LOOK_EVERY_S: Final = 0.1
_ROWS: Final = "headrace_rows"  # their place in a worker's report


class Recorder:
    """Of one process. A worker's rows travel with its reports; the others' go into the file."""

    def __init__(self, environment: Environment, file: Path) -> None:
        self._environment, self._file = environment, file
        self._rows: list[Row] = []

    def listen(self) -> None:
        mine = self._environment.events
        mine.request.add_listener(self._requested)
        mine.report_to_master.add_listener(self._report)
        mine.worker_report.add_listener(self._reported)
        if not isinstance(self._environment.runner, WorkerRunner):
            mine.quit.add_listener(lambda **_: self._write())
            gevent.spawn(self._write_on)
        if not isinstance(self._environment.runner, MasterRunner):
            gevent.spawn(self._watch_itself)

    def measured(self, name: str, ms: float, error: str = "") -> None:
        """Also for Locust's own statistics."""
        self._environment.events.request.fire(
            request_type="JOB",
            name=name,
            response_time=ms,
            response_length=0,
            exception=AssertionError(error) if error else None,
            context={},
        )

    def noted(self, name: str, ms: float) -> None:
        """Too many of them for Locust's statistics."""
        self._rows.append(Measured(now(), name, ms))

    def accepted(self, job: str, tenant: str) -> None:
        self._rows.append(Accepted(now(), job, tenant))

    def ended(self, job: str, state: str) -> None:
        self._rows.append(Ended(now(), job, state))

    def happened(self, what: str) -> None:
        self._rows.append(Happened(now(), what))

    def _requested(
        self, name: str, response_time: float, exception: Exception | None = None, **_: Any
    ) -> None:
        error = "" if exception is None else _in_short(exception)
        self._rows.append(Measured(now(), name, response_time, error))

    def _report(self, client_id: str, data: dict[str, Any]) -> None:
        data[_ROWS], self._rows = lines(self._rows), []

    def _reported(self, client_id: str, data: dict[str, Any]) -> None:
        self._append(data.get(_ROWS, []))

    def _write_on(self) -> None:
        while True:
            gevent.sleep(WRITE_EVERY_S)
            self._write()

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        self._append(lines(rows))

    def _append(self, text: list[str]) -> None:
        if text:
            with self._file.open("a") as file:
                file.write("\n".join(text) + "\n")

    def _watch_itself(self) -> None:
        """How late this process wakes up, and how much of a core it uses: it may be what is slow."""
        while True:
            began, used = monotonic(), process_time()
            latest = 0.0
            while (since := monotonic() - began) < 1.0:
                due = monotonic() + LOOK_EVERY_S
                gevent.sleep(LOOK_EVERY_S)
                latest = max(latest, monotonic() - due)
            self._rows += [
                Gauge(now(), LATE, 1000 * latest),
                Gauge(now(), CPU, 100 * (process_time() - used) / since),
            ]


def _in_short(error: Exception) -> str:
    """Without the address, so that the same is said the same way each time."""
    if code := re.search(r"code=(\d+)", f"{error}"):
        return f"HTTP {code[1]}"
    return f"{error}"[:300] or type(error).__name__


def recorder_of(environment: Environment) -> Recorder:
    recorder: Recorder = vars(environment)["recorder"]
    return recorder


def _begin(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    assert options is not None
    recorder = Recorder(environment, Path(options.rows))
    vars(environment)["recorder"] = recorder
    recorder.listen()


events.init.add_listener(_begin)
