"""An engine that does several jobs in one go and goes wrong as their inputs say."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from headrace.engines.batches import Answer, goes_on
from headrace.engines.engine import BadInput, OutOfMemory, Work

ENGINE = "headrace.testkit.play_together:TogetherEngine"
ROOM = 2  # for so many heavy ones at once
_TICK_S = 0.01
_TICKS = {"slow": 50, "endless": 10**9}


class TogetherInput(msgspec.Struct, frozen=True):
    act: Literal[
        "say", "slow", "endless", "bad", "poison", "crash", "hang", "heavy", "too heavy", "mute",
        "write and break",
    ] = "say"  # fmt: skip
    images: list[dict[str, str]] = []


class TogetherEngine:
    """Says with how many it ran."""

    kind: ClassVar[str] = "together"
    models: ClassVar[Sequence[str]] = ("calm", "other", "broken")
    Input: ClassVar[type[msgspec.Struct]] = TogetherInput
    requires: ClassVar[Sequence[str]] = ()
    batch_most: ClassVar[int] = 4
    batch_window_s: ClassVar[float] = 0.2

    def load(self, model: str) -> None:
        if model == "broken":
            raise FileNotFoundError("no weights here")

    def run(self, work: Work[TogetherInput]) -> dict[str, Any]:
        _go_wrong([work])
        for _ in range(_TICKS.get(work.input.act, 1)):
            work.check()
            time.sleep(_TICK_S)
        return _told(work, 1)

    def run_many(self, works: Sequence[Work[TogetherInput]]) -> Iterable[Answer]:
        _go_wrong(works)
        left, ticks = dict(enumerate(works)), 0
        while left:
            left = {which: work for which, work in left.items() if goes_on(work)}
            for which, work in list(left.items()):
                if work.input.act == "mute":
                    return
                if work.input.act == "bad":
                    yield which, BadInput("act", "is bad")
                    del left[which]
                elif ticks >= _TICKS.get(work.input.act, 1):
                    yield which, _told(work, len(works))
                    del left[which]
            ticks += 1
            time.sleep(_TICK_S)


def _go_wrong(works: Sequence[Work[TogetherInput]]) -> None:
    acts = [work.input.act for work in works]
    for work in works:
        work.progress(0.1)
        if work.input.act == "write and break":
            work.token("once ")
    if "crash" in acts:
        os._exit(42)
    if "hang" in acts:
        time.sleep(3600)
    if "too heavy" in acts or acts.count("heavy") > ROOM:
        raise OutOfMemory("there is no room for these")
    if "poison" in acts or "write and break" in acts:
        raise RuntimeError("something snapped")


def _told(work: Work[TogetherInput], together: int) -> dict[str, Any]:
    work.token("done")
    copies = [work.blob(work.read(image)[::-1], "image/png") for image in work.input.images]
    return {
        "together": together,
        "pid": os.getpid(),
        "model": work.model,
        "copies": [copy.as_output() for copy in copies],
    }
