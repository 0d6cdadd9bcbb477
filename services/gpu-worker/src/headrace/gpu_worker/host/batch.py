"""Several jobs in one go, in the child: each has its own end; what went wrong for all is tried in halves.

The laws are in `headrace.engines.batches`; here they are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from headrace.contracts.frames import Token, frame_type
from headrace.contracts.messages import JobError
from headrace.engines.batches import BatchEngine
from headrace.engines.engine import Engine, Stopped
from headrace.engines.registry import decode_input
from headrace.gpu_worker.host.errors import explain
from headrace.gpu_worker.host.wire import Ended, Made, Run, Said, ToWorker
from headrace.gpu_worker.host.work import ChildWork

Send: TypeAlias = Callable[[ToWorker], None]
_TOKEN: Final = frame_type(Token(""))
_UNANSWERED: Final = JobError("internal", "run_many ended without an answer for it")
_CUT_SHORT: Final = JobError("transient", "another job of its batch stopped, and ended it for all")


class Batch:
    """One request to run many. `alone` runs a single one, as it would run by itself."""

    def __init__(self, engine: Engine, *, send: Send, alone: Callable[[Run], Ended]) -> None:
        if not isinstance(engine, BatchEngine):
            raise TypeError(f"{type(engine).__name__} has no run_many")
        self._engine = engine
        self._send, self._alone = send, alone
        self.fits: int | None = None  # so many had room, where all had none

    def run(self, requests: Iterable[tuple[Run, threading.Event]]) -> None:
        rows = []
        for request, stopped in requests:
            try:
                given = decode_input(type(self._engine), request.input)
            except Exception as error:  # noqa: BLE001  # here a job is settled
                self._send(Ended(request.run, error=explain(error)))
            else:
                rows.append(_Row(request, given, self._send, stopped))
        self._carry_out(rows)

    def _carry_out(self, rows: Sequence[_Row]) -> None:
        rows = [row for row in rows if row.wanted()]
        if len(rows) < 2:  # noqa: PLR2004  # nobody to share with
            for row in rows:
                row.end(self._alone(row.request))
            return
        why = self._together(rows)
        half = (len(rows) + 1) // 2
        if why is not None and why.kind == "resource":
            self.fits = half
        left = _silent(rows, why or _UNANSWERED)
        for some in (left[:half], left[half:]):
            self._carry_out(some)

    def _together(self, rows: Sequence[_Row]) -> JobError | None:
        """What went wrong for those that are not over then. Whose it is shows in the halves."""
        try:
            for which, answer in self._engine.run_many([row.work for row in rows]):
                rows[which].answer(answer)
        except Stopped:  # it let one end all
            return _CUT_SHORT
        except Exception as error:  # noqa: BLE001  # here jobs are settled
            return explain(error)
        return None


class _Row:
    """One of the jobs. Once it is over nothing more is said of it."""

    def __init__(self, request: Run, given: Any, send: Send, stopped: threading.Event) -> None:
        self.request = request
        self.work = ChildWork(request, given, send=self._hand_on, stopped=self._shall_end)
        self.over = False
        self.has_written = False
        self._send, self._stopped = send, stopped

    def wanted(self) -> bool:
        return not self.over and not self._shall_end()

    def answer(self, answer: dict[str, Any] | Exception) -> None:
        run = self.request.run
        try:
            output = encoded(answer)
        except Exception as error:  # noqa: BLE001  # here a job is settled
            said = answer if isinstance(answer, Exception) else error
            self.end(Ended(run, error=explain(said)))
        else:
            self.end(Ended(run, output=output))

    def end(self, ended: Ended) -> None:
        if not self.over:
            self.over = True
            self._send(ended)

    def _shall_end(self) -> bool:
        if self._stopped.is_set():
            self.end(Ended(self.request.run))
        return self._stopped.is_set()

    def _hand_on(self, message: ToWorker) -> None:
        if isinstance(message, Said):
            self.has_written |= message.frame == _TOKEN
        elif isinstance(message, Made):
            self.has_written |= message.shown
        if not self.over:
            self._send(message)


def _silent(rows: Sequence[_Row], why: JobError) -> list[_Row]:
    """Those that can run again: nobody has read anything of them."""
    for row in rows:
        if row.has_written:
            row.end(Ended(row.request.run, error=why))
    return [row for row in rows if not row.over]


def encoded(output: Any) -> bytes:
    if not isinstance(output, dict):
        raise TypeError(f"an engine returns a dict, not {type(output).__name__}")
    return msgspec.json.encode(output)
