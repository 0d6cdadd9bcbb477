"""What all rules share: the stage, the jobs as last seen, and how a step is done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from typing_extensions import override

from headrace.contracts.frames import TERMINAL_TYPES
from headrace.contracts.ids import JobId, TenantId, WorkerId
from headrace.contracts.messages import Claim, Grant
from headrace.core.errors import Unavailable
from headrace.core.job import Job
from headrace.core.ports.streams import Batch
from headrace.core.usecases.choose import Turns
from headrace.testkit.deciding import told
from headrace.testkit.machine.stage import DISTRIBUTED, PATHS, OpenStage
from headrace.testkit.machine.watchers import Watcher

STEP_WITHIN_S: Final = 20.0
# A process dies as it begins its first or second transaction, or with all of it done and nothing said.
DIES_SILENT: Final = 3
T = TypeVar("T")

tenants = st.sampled_from([TenantId("a"), TenantId("b"), TenantId("c")])
workers = st.sampled_from([WorkerId("one"), WorkerId("two")])
paths = st.sampled_from(PATHS)
which = st.integers(0, 7)
seldom = st.sampled_from([False, False, False, True])
deaths = st.sampled_from([0, 0, 0, 0, 1, 2, DIES_SILENT])


@dataclass(slots=True)
class Tally:
    """What was played, over all examples; for the report."""

    examples: int = 0
    steps: int = 0
    happened: Counter[str] = field(default_factory=Counter)

    @override
    def __str__(self) -> str:
        seen = ", ".join(f"{n} {name}" for name, n in sorted(self.happened.items()))
        return f"{self.examples} examples, {self.steps} steps; {seen}"


@dataclass(slots=True)
class Held:
    """An attempt in a worker's hands, whether or not it still has the right to it."""

    worker: WorkerId
    grant: Grant
    next_seq: int = 2


class Base(RuleBasedStateMachine):
    """A rule may always be drawn, except by what clients did: the rest is not the same twice.

    Ids and the store's clock differ when hypothesis plays an example again, and so may who gets what.
    """

    def __init__(self, open_stage: OpenStage, tally: Tally) -> None:
        super().__init__()
        self.tally = tally
        tally.examples += 1
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.stage = self.do(self.stack.enter_async_context(open_stage()))
        self.store = self.stage.store
        self.mode = DISTRIBUTED
        self.turns, self.numbers = Turns(), count(1)
        self.seen: dict[JobId, Job] = {}
        self.keys: dict[tuple[TenantId, str], tuple[str, JobId]] = {}
        self.claims: list[Claim] = []  # as sent; any may be sent again
        self.held: list[Held] = []
        self.asleep: set[WorkerId] = set()
        self.ends: Counter[JobId] = Counter()
        self.somebody_died = False
        self.watchers: list[Watcher] = []

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(STEP_WITHIN_S):
                return await what

        return self.runner.run(bounded())

    def do_or_die(self, what: Coroutine[Any, Any, T], dies: int) -> T | None:
        """None: the process died on the way, with all that it had in memory."""
        if 0 < dies < DIES_SILENT:
            self.store.break_at(self.store.begun + dies)
        try:
            return self.do(what)
        except Unavailable:
            self.somebody_died = True
            self.tally.happened["deaths"] += 1
            return None
        finally:
            self.store.mend()

    def say(self, batches: Sequence[Batch], dies: int = 0) -> None:
        self.do(self.announced(batches, silent=dies == DIES_SILENT))

    async def announced(self, batches: Sequence[Batch], *, silent: bool = False) -> None:
        self.ends.update(job for job, _, frame in told(batches) if frame in TERMINAL_TYPES)
        if silent:
            self.tally.happened["announcements lost"] += len(batches)
        else:
            await self.stage.streams.append(batches)

    def some_job(self, place: int) -> Job:
        return list(self.seen.values())[place % len(self.seen)]
