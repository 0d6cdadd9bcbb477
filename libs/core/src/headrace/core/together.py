"""Ask for many who ask at once: who comes while a question is under way shares the next.

A thousand clients that connect again after a restart cost a handful of transactions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from headrace.core.errors import Unavailable

MOST: Final = 500  # things in one question

Thing = TypeVar("Thing")
Known = TypeVar("Known")


@dataclass(slots=True, eq=False)
class _Question(Generic[Thing, Known]):
    asked: set[Thing] = field(default_factory=set)
    found: Mapping[Thing, Known] | None = None
    failed: Unavailable | None = None


class Together(Generic[Thing, Known]):
    """One question at a time. Each begins after all who share it asked, so none hears old news."""

    def __init__(self, answer: Callable[[Set[Thing]], Awaitable[Mapping[Thing, Known]]]) -> None:
        self._answer = answer
        self._turn = asyncio.Lock()
        self._open = _Question[Thing, Known]()  # whom nobody has begun to answer yet

    async def ask(self, thing: Thing) -> Known | None:
        """None: the answer knows of none. Raises Unavailable, to all who share the question."""
        question = self._open
        question.asked.add(thing)
        if len(question.asked) >= MOST:
            self._open = _Question()
        async with self._turn:
            if question.failed is not None:
                raise Unavailable(question.failed.what, question.failed.why)
            if question.found is None:
                # The first of them, or its successor if that one was cancelled.
                question.found = await self._answered(question)
        return question.found.get(thing)

    async def _answered(self, question: _Question[Thing, Known]) -> Mapping[Thing, Known]:
        if question is self._open:
            self._open = _Question()
        try:
            return await self._answer(question.asked)
        except Unavailable as error:
            question.failed = error
            raise
