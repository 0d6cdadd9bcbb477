"""An engine that does what its input says, for the tests of what surrounds engines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from headrace.engines.engine import BadInput, OutOfMemory, Stopped, TryAgain, Work

ENGINE = "headrace.testkit.play:PlayEngine"
CRASH_CODE = 42
Act = Literal[
    "say", "wait", "hang", "crash", "abort", "copy", "large", "print", "preview",
    "bad input", "busy", "out of memory", "device out of memory", "broken", "not a dict",
    "deaf", "pid", "flood", "half", "leave behind", "stand still", "segment",
    "grow", "devices", "part", "second crashes",
]  # fmt: skip


class PlayInput(msgspec.Struct, frozen=True):
    act: Act = "say"
    text: str = "hello"
    times: int = 1
    gpus: int = 1
    images: list[dict[str, str]] = []


class PlayEngine:
    """Does what it is told."""

    kind: ClassVar[str] = "play"
    models: ClassVar[Sequence[str]] = ("calm", "other", "hanging", "broken", "crashing")
    Input: ClassVar[type[msgspec.Struct]] = PlayInput
    requires: ClassVar[Sequence[str]] = ()

    def load(self, model: str) -> None:
        if model == "hanging":
            time.sleep(3600)
        if model == "broken":
            raise FileNotFoundError("no weights here")
        if model == "crashing":
            os._exit(CRASH_CODE)

    def run(self, work: Work[PlayInput]) -> dict[str, Any]:
        act = _ACTS.get(work.input.act)
        if act is None:
            raise _ERRORS[work.input.act]
        return act(work)


class OutOfMemoryError(RuntimeError):
    """Called as torch calls it."""


_ERRORS: dict[str, Exception] = {
    "bad input": BadInput("text", "is not to our liking"),
    "busy": TryAgain("come back later"),
    "out of memory": OutOfMemory("too large for here"),
    "device out of memory": OutOfMemoryError("tried to allocate 2 GiB"),
    "broken": RuntimeError("something snapped"),
}


def _say(work: Work[PlayInput]) -> dict[str, Any]:
    for turn in range(work.input.times):
        work.token(work.input.text)
        work.progress(step=turn + 1, steps=work.input.times)
    return {"text": work.input.text, "attempt": work.attempt, "model": work.model}


def _wait(work: Work[PlayInput]) -> dict[str, Any]:
    work.token("waiting")
    while True:
        work.check()
        time.sleep(0.01)


def _deaf(work: Work[PlayInput]) -> dict[str, Any]:
    """Is told to stop, and finishes all the same."""
    work.token("waiting")
    try:
        _wait(work)
    except Stopped:
        return {"finished": True}
    return {}


def _hang(work: Work[PlayInput]) -> dict[str, Any]:
    work.token("hanging")
    time.sleep(3600)
    return {}


def _crash(work: Work[PlayInput]) -> dict[str, Any]:
    work.token("crashing")
    sys.stderr.write("the last words\n")
    sys.stderr.flush()
    os._exit(CRASH_CODE)


def _abort(_: Work[PlayInput]) -> dict[str, Any]:
    os.abort()


def _copy(work: Work[PlayInput]) -> dict[str, Any]:
    copies = _copies(work)
    work.blob(b"made but not used", "image/png")
    return {"nested": [{"copies": copies}]}


def _copies(work: Work[PlayInput]) -> list[dict[str, str]]:
    return [
        work.blob(work.read(image)[::-1], "image/png").as_output() for image in work.input.images
    ]


def _large(work: Work[PlayInput]) -> dict[str, Any]:
    return {"text": "x" * 100_000, "copies": _copies(work)}


def _print(work: Work[PlayInput]) -> dict[str, Any]:
    sys.stdout.write(f"{work.input.text}\n")
    sys.stdout.flush()
    return {}


def _preview(work: Work[PlayInput]) -> dict[str, Any]:
    work.preview(b"\x89PNG small")
    work.preview(b"\x89PNG" + bytes(40_000))
    return {}


def _part(work: Work[PlayInput]) -> dict[str, Any]:
    work.token("my part")
    part = None if work.part is None else msgspec.structs.asdict(work.part)
    return {"part": part, "devices": list(work.devices)}


def _not_a_dict(_: Work[PlayInput]) -> Any:
    return ["a", "list"]


def _pid(_: Work[PlayInput]) -> dict[str, Any]:
    return {"pid": os.getpid(), "parent": os.getppid()}


def _flood(work: Work[PlayInput]) -> dict[str, Any]:
    for number in range(work.input.times):
        work.token(f"{number} ")
    return {}


def _segment(work: Work[PlayInput]) -> dict[str, Any]:
    piece = work.segment(b"a piece", "video/webm", duration_s=1.0)
    return {"pieces": [piece.as_output()], "whole": work.blob(b"all", "video/webm").as_output()}


def _half(work: Work[PlayInput]) -> dict[str, Any]:
    work.progress(0.5)
    return _wait(work)


def _leave_behind(work: Work[PlayInput]) -> dict[str, Any]:
    """Goes on for so many steps; then does what its text says."""
    before = work.resume()
    begun = 0 if before is None else before.step
    for step in range(begun + 1, begun + work.input.times + 1):
        work.checkpoint(f"after {step}".encode(), step=step)
    work.token("left behind")
    if (end := work.input.text) in _ERRORS:
        raise _ERRORS[end]
    if end in _ACTS:
        return _ACTS[end](work)
    return {"found": None if before is None else before.data.decode(), "begun": begun}


def _stand_still(work: Work[PlayInput]) -> dict[str, Any]:
    for _ in range(2):
        work.checkpoint(b"", step=1)
    return {}


def _grow(work: Work[PlayInput]) -> dict[str, Any]:
    """By two MiB at a time, until somebody puts an end to it."""
    held = []
    while True:
        work.check()
        held.append(b"x" * 2**21)
        time.sleep(0.002)


_ACTS: dict[str, Callable[[Work[PlayInput]], dict[str, Any]]] = {
    "say": _say,
    "wait": _wait,
    "deaf": _deaf,
    "hang": _hang,
    "crash": _crash,
    "abort": _abort,
    "copy": _copy,
    "large": _large,
    "print": _print,
    "preview": _preview,
    "not a dict": _not_a_dict,
    "pid": _pid,
    "flood": _flood,
    "half": _half,
    "devices": lambda work: {"devices": list(work.devices)},
    "part": _part,
    "second crashes": lambda work: _crash(work) if work.part and work.part.rank else _wait(work),
    "leave behind": _leave_behind,
    "stand still": _stand_still,
    "grow": _grow,
    "segment": _segment,
}
