"""A deterministic engine for tests, demonstrations and first steps: no model, no weights.

It does what real engines do (tokens, progress, steps, a log line, a metric) as slowly as asked, and
goes wrong in every way that a job can go wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from headrace.engines.engine import BadInput, OutOfMemory, TryAgain, Work

_LOOK_S: Final = 0.02  # how late it may notice that it shall stop
_HANG_S: Final = 3600.0
CRASH_CODE: Final = 70  # the exit code of `fail: crash`, so that a test knows it when it sees it
_ERRORS: Final[dict[str, Exception]] = {
    "input": BadInput("text", "is refused, as asked"),
    "transient": TryAgain("busy, as asked"),
    "resource": OutOfMemory("out of memory, as asked"),
    "internal": RuntimeError("broken, as asked"),
}


class EchoInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, msgspec.Meta(max_length=100_000)]
    repeat: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    steps: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0  # taken before the first word
    delay_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0  # after each step and each word
    fail: Literal["", "input", "transient", "resource", "internal", "crash", "hang"] = ""
    fail_attempts: Annotated[int, msgspec.Meta(ge=0)] | None = None  # the first so many; None: all


class EchoEngine:
    """Says back what it is told."""

    kind: ClassVar[str] = "echo"
    models: ClassVar[Sequence[str]] = ("echo",)
    Input: ClassVar[type[msgspec.Struct]] = EchoInput
    requires: ClassVar[Sequence[str]] = ()

    def load(self, model: str) -> None:
        """Nothing is heavy here."""

    def run(self, work: Work[EchoInput]) -> dict[str, Any]:
        given = work.input
        words = (given.text.split() or [""]) * given.repeat
        total = given.steps + len(words)
        work.log(f"{len(words)} words to say")

        for step in range(1, given.steps + 1):
            work.progress(step / total, step=step, steps=given.steps, stage="steps")
            _rest(work, given.delay_s)
        for said, word in enumerate(words):
            if said == len(words) // 2:
                _go_wrong(given, work.attempt)
            work.token(word if said == 0 else f" {word}")
            work.progress((given.steps + said + 1) / total, stage="words")
            _rest(work, given.delay_s)

        work.metric("words", len(words))
        return {"text": " ".join(words), "words": len(words)}


def _go_wrong(given: EchoInput, attempt: int) -> None:
    if given.fail_attempts is not None and attempt > given.fail_attempts:
        return
    match given.fail:
        case "crash":
            os._exit(CRASH_CODE)
        case "hang":
            time.sleep(_HANG_S)  # without a look: only a kill ends it
        case "":
            pass
        case error:
            raise _ERRORS[error]


def _rest(work: Work[EchoInput], duration_s: float) -> None:
    work.check()
    until = time.monotonic() + duration_s
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_S))
        work.check()
