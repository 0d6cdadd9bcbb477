"""Answer a request once per idempotency key, and repeat that answer for as long as the key is kept.

The answer is written in the transaction of what it tells of: both are kept, or neither. A twin that
comes meanwhile waits for the first to commit, and hears its answer. A refusal is not remembered:
nothing was done, and asking again is safe.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from headrace.core.errors import IdempotencyConflict
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.upkeep import Answer, Different, Question, Unasked


@dataclass(frozen=True, slots=True)
class Told:
    answer: Answer
    replayed: bool


async def once(
    store: Store, question: Question | None, do: Callable[[Transaction], Awaitable[Answer]]
) -> Told:
    """Do it in one transaction, unless this question was answered. Raises IdempotencyConflict."""
    async with store.begin() as tx:
        if question is None:
            return Told(await do(tx), replayed=False)
        match await tx.recall(question):
            case Unasked():
                answer = await do(tx)
                await tx.remember(question, answer)
                return Told(answer, replayed=False)
            case Answer() as known:
                return Told(known, replayed=True)
            case Different():
                raise IdempotencyConflict(question.key)
