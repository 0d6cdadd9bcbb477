"""The whole machine: every rule, what holds after each step, and the end of all that is open."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, run_state_machine_as_test
from typing_extensions import override

from headrace.contracts.ids import TenantId, WorkerId
from headrace.contracts.messages import Result
from headrace.core.job import HELD, State
from headrace.core.usecases.cancel import ask_cancel
from headrace.testkit.deciding import LANE
from headrace.testkit.machine.base import Tally
from headrace.testkit.machine.clients import Clients
from headrace.testkit.machine.promises import (
    Looked,
    has_one_effect,
    is_cared_for,
    is_held_by_one_at_most,
    moved_as_it_may,
)
from headrace.testkit.machine.stage import PATHS, OpenStage
from headrace.testkit.machine.workers import Workers

FAR: Final = timedelta(days=1)
ROUNDS: Final = 40  # to end all that is open; one fills the window, which holds four
SEEN_WITHIN_S: Final = 10.0
DRAINER: Final = WorkerId("drainer")


class Jobs(Clients, Workers):
    """What clients, dispatchers, workers and a bad day do to a store full of jobs."""

    @invariant()
    def every_job_moved_as_it_may_and_is_in_somebody_s_care(self) -> None:
        self.tally.steps += 1
        self.check()

    @initialize(jobs=st.integers(0, 4))
    def some_are_there(self, jobs: int) -> None:
        for _ in range(jobs):
            self.submit(TenantId("a"), 0)

    def check(self) -> None:
        looked = self.do(self._look())
        for job in looked.jobs.values():
            moved_as_it_may(self.seen[job.id], job)
            is_held_by_one_at_most(job, looked.attempts[job.id])
            has_one_effect(job, looked.attempts[job.id])
            is_cared_for(job, looked.outbox.get(job.id))
            ended_now = job.terminal and not self.seen[job.id].terminal
            if ended_now and self.somebody_died:
                self.ends[job.id] = 1  # decided, and perhaps said to nobody
            assert self.ends[job.id] == (1 if job.terminal else 0), "its end is told once"
        self.seen = looked.jobs
        self.somebody_died = False

    async def _look(self) -> Looked:
        async with self.store.begin() as tx:
            jobs = await tx.load(list(self.seen))
            rows = []
            for path in PATHS:
                heads = await tx.waiting(path, LANE, {job.tenant: 1000 for job in jobs.values()})
                sent = await tx.sent_before(path, await tx.now() + FAR, limit=1000)
                rows += [row for some in (*heads.values(), *sent.values()) for row in some]
            attempts = {job: await tx.attempts(job) for job in jobs}
        return Looked(jobs, {row.job: row.epoch for row in rows}, attempts)

    @override
    def teardown(self) -> None:
        try:
            self._drain()
            self._see_every_end()
        finally:
            for watcher in self.watchers:
                self.do(watcher.drop())
            self.do(self.stack.aclose())
            self.runner.close()

    def _drain(self) -> None:
        """Let all go well from here on, but for jobs that wait for tomorrow: these are cancelled."""
        self.hold_the_lane_back_or_let_it_go_on(held=False)
        for job in self.seen.values():
            if job.state is State.SCHEDULED:
                self.do(ask_cancel(self.store, job.tenant, job.id))
        for _ in range(ROUNDS):
            if all(job.terminal for job in self.seen.values()):
                return
            for path in PATHS:
                self._let_all_go_well(path)
        open_jobs = [job for job in self.seen.values() if not job.terminal]
        assert open_jobs == [], "these would never have ended"

    def _let_all_go_well(self, path: str) -> None:
        steps = (
            lambda: self.honour_cancels(path, 100, 0),
            lambda: self.queue_due(path, 100, 0),
            lambda: self.offer_again(path, 0),
            lambda: self.release(path, [], keeps=False, dies=0),
            lambda: self._take_every_offer(path),
            self._finish_what_runs,
        )
        for step in steps:
            step()  # type: ignore[no-untyped-call]  # hypothesis's decorators lose the types
            self.check()

    def _take_every_offer(self, path: str) -> None:
        for _ in range(self.do(self.stage.bus(path).depth(self.stage.work)).ready):
            self.take_an_offer(DRAINER, path, lost=False, dies=0)

    def _finish_what_runs(self) -> None:
        held = [job for job in self.seen.values() if job.state in HELD]
        self.record([Result(job=job.id, epoch=job.epoch, outcome="succeeded") for job in held])

    def _see_every_end(self) -> None:
        for watcher in self.watchers:
            self.do(watcher.see_the_end(SEEN_WITHIN_S))
            watcher.check(self.seen[watcher.job])
            self.tally.happened["streams checked"] += 1
            self.tally.happened["frames checked"] += len(watcher.frames)
            self.tally.happened["resets"] += watcher.resets


def play(open_stage: OpenStage, *, examples: int, steps: int) -> Tally:
    tally = Tally()
    run_state_machine_as_test(
        lambda: Jobs(open_stage, tally),  # type: ignore[arg-type]  # any factory will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            # To shrink a failure takes longer than a test may: it is replayed from the database.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
    return tally
