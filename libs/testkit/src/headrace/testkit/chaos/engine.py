"""An engine that writes down every execution, outside the database, before and after its work."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import msgspec

from headrace.engines.engine import Stopped, TryAgain, Work
from headrace.testkit.chaos.settings import executions_file, slow_s

ENGINE = "headrace.testkit.chaos.engine:LedgerEngine"
LANE = "ledger"
_CRASH_CODE = 43


class LedgerInput(msgspec.Struct, frozen=True):
    key: str  # the client's own name for this job
    words: int = 3
    delay_s: float = 0.02
    fail: Literal["", "transient", "input", "crash", "hang", "deaf"] = ""
    fail_attempts: int = 1  # the first so many
    plain: bool = False  # its result tells nothing of the run that made it


class LedgerEngine:
    """Counts aloud, as slowly as asked, and goes wrong as asked."""

    kind: ClassVar[str] = "ledger"
    models: ClassVar[Sequence[str]] = ("ledger",)
    Input: ClassVar[type[msgspec.Struct]] = LedgerInput
    requires: ClassVar[Sequence[str]] = ()

    def load(self, model: str) -> None:
        """Nothing is heavy here."""

    def run(self, work: Work[LedgerInput]) -> dict[str, Any]:
        given = work.input
        run = f"{os.getpid()}-{time.monotonic_ns()}"
        _write("start", given.key, work.attempt, run)
        try:
            words = [_word(work, number) for number in range(given.words)]
            _dawdle(work)
            _go_wrong(work, run)
        except Stopped:
            _write("stopped", given.key, work.attempt, run)
            raise
        _write("done", given.key, work.attempt, run)
        made = {"text": " ".join(words), "attempt": work.attempt, "key": given.key}
        return made if given.plain else {**made, "run": run}


def _word(work: Work[LedgerInput], number: int) -> str:
    word = f"{work.attempt}.{number}"
    work.token(word if number == 0 else f" {word}")
    _pass_time(work, work.input.delay_s)
    return word


def _dawdle(work: Work[LedgerInput]) -> None:
    _pass_time(work, slow_s())


def _pass_time(work: Work[LedgerInput], seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.02))
        if work.input.fail != "deaf":
            work.check()


def _go_wrong(work: Work[LedgerInput], run: str) -> None:
    if work.attempt > work.input.fail_attempts:
        return
    match work.input.fail:
        case "transient":
            raise TryAgain("busy, as asked")
        case "input":
            from headrace.engines.engine import BadInput

            raise BadInput("fail", "is refused, as asked")
        case "crash":
            _write("crash", work.input.key, work.attempt, run)
            os._exit(_CRASH_CODE)
        case "hang":
            time.sleep(3600)
        case _:
            pass


def _write(event: str, key: str, attempt: int, run: str) -> None:
    """One line, in one write, at the end of the file: also of several processes."""
    fact = {
        "event": event, "key": key, "attempt": attempt, "run": run,
        "pid": os.getpid(), "at": time.time(),
    }  # fmt: skip
    line = msgspec.json.encode(fact) + b"\n"
    descriptor = os.open(executions_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
