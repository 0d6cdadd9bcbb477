"""Calls to run a job together with other workers: heard by the mailbox, answered by the next free slot.

Laws:
1. One slot of a worker answers for a job, however often the worker is called: members are workers.
2. A call that no slot answers in time is forgotten. Where it still counts it comes again.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from headrace.contracts.ids import JobId, Lane
from headrace.contracts.messages import Offer

_AT_MOST: Final = 16  # of a lane


@dataclass(frozen=True, slots=True)
class Called:
    offer: Offer
    headers: Mapping[str, str]
    until: float  # on the monotonic clock


class Calls:
    def __init__(self, monotonic: Callable[[], float], counts_s: float) -> None:
        self._monotonic, self._counts_s = monotonic, counts_s
        self._waiting: dict[Lane, OrderedDict[JobId, Called]] = {}
        self._bells: dict[Lane, asyncio.Event] = {}
        self._answered: set[JobId] = set()

    def hear(self, offer: Offer, headers: Mapping[str, str]) -> None:
        if offer.job in self._answered:
            return
        waiting = self._waiting.setdefault(offer.lane, OrderedDict())
        waiting[offer.job] = Called(offer, headers, self._monotonic() + self._counts_s)
        if len(waiting) > _AT_MOST:
            waiting.popitem(last=False)
        self.bell(offer.lane).set()

    def bell(self, lane: Lane) -> asyncio.Event:
        """Set while a call may wait."""
        return self._bells.setdefault(lane, asyncio.Event())

    def next(self, lane: Lane) -> Called | None:
        waiting = self._waiting.get(lane, OrderedDict())
        while waiting:
            _, called = waiting.popitem(last=False)
            if called.until > self._monotonic() and called.offer.job not in self._answered:
                return called
        self.bell(lane).clear()
        return None

    @contextmanager
    def answering(self, called: Called) -> Iterator[None]:
        """From now on until its part is over."""
        job = called.offer.job
        self._answered.add(job)
        try:
            yield
        finally:
            self._answered.discard(job)


@contextmanager
def meeting_place(host: str) -> Iterator[str]:
    """HOST:PORT where nobody else listens meanwhile. It is free once this is over, for who meets there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as held:
        held.bind(("", 0))
        port = held.getsockname()[1]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
