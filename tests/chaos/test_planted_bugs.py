"""The checker is checked: each bug, planted in a build of its own, must turn the judgement red."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from headrace.testkit.chaos.forger import Forger, a_ledger_job
from headrace.testkit.chaos.plants import PLANTS
from headrace.testkit.chaos.rig import LEASE_S, House, Rig, rig
from headrace.testkit.chaos.settings import CRASH_POINT, PLANT
from headrace.testkit.system import MODES, Mode
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(120)]


async def some_jobs(here: Rig) -> None:
    for _ in range(3):
        here.watch(await here.crowd.submit(words=4))
    await here.drained()


async def a_second_of_work(here: Rig) -> None:
    await here.crowd.submit(words=30, delay_s=0.05)
    await here.drained()


async def a_job_that_dies(here: Rig) -> None:
    await here.crowd.submit(fail="transient", fail_attempts=99)
    await here.drained()


async def retries(here: Rig) -> None:
    for _ in range(8):
        here.watch(await here.crowd.submit(fail="transient"))
    await here.drained()


async def twins(here: Rig) -> None:
    await here.crowd.submit_at_once(copies=8)
    await here.drained()


async def a_long_job(here: Rig) -> None:
    await here.crowd.submit(words=300, delay_s=0.03)
    await here.started(2)


async def a_cancelled_job(here: Rig) -> None:
    job = await here.crowd.submit(words=200, delay_s=0.03)
    await here.started()
    await here.crowd.cancel(job)
    await here.drained()


async def a_watcher_in_the_middle(here: Rig) -> None:
    job = await here.crowd.submit(words=100, delay_s=0.02)
    await here.started()
    here.watch(job)
    await here.drained()


async def a_worker_that_dies_before_it_claims(here: Rig) -> None:
    await here.replace("gpu-worker", **{CRASH_POINT: "claims.before_send"})
    await here.crowd.submit()
    await here.system.processes["gpu-worker"].wait(within=30)
    await here.start("gpu-worker")
    await stuck(here)


async def a_dispatcher_that_dies_before_it_sends(here: Rig) -> None:
    await here.replace("dispatcher", **{CRASH_POINT: "mark.after_commit"})
    await here.crowd.submit()
    await here.system.processes["dispatcher"].wait(within=30)
    await here.start("dispatcher")
    await stuck(here)


async def a_result_without_a_queue(here: Rig) -> None:
    await here.crowd.submit(words=30, delay_s=0.03)
    await here.started()
    here.pause("dispatcher")
    await here.broker.delete(f"{here.namespace}.results")
    await eventually(lambda: '"result.' in here.system.logs(), within=10)
    here.resume("dispatcher")
    await here.answered_or_run_again()


async def a_transaction_that_commits_late(here: Rig) -> None:
    new = a_ledger_job("late", "local")
    here.ledger.write("intent", key="late")
    async with Forger(here).store() as store, store.begin() as tx:
        await tx.insert([new])
        await here.crowd.submit()
        await here.drained()
    here.ledger.write("accepted", key="late", job=new.job.id)
    await stuck(here)


async def a_late_result(here: Rig) -> None:
    job, key = await second_attempt(here)
    await Forger(here).late_result(job, 1, key)
    await here.drained()


async def old_frames(here: Rig) -> None:
    job, _ = await second_attempt(here)
    here.watch(job)
    unfenced = "no_epoch_check_on_tokens" in here.system.env.get(PLANT, "")
    await Forger(here).old_frames(job, 1, unfenced=unfenced)
    await here.drained()


async def second_attempt(here: Rig) -> tuple[str, str]:
    """A job whose first worker died, and that runs again now."""
    job = await here.crowd.submit(words=40, delay_s=0.05)
    await here.started()
    here.losses += 1
    await here.replace("gpu-worker")
    await here.started(2)
    return job, next(key for key, each in here.crowd.jobs.items() if each == job)


async def stuck(here: Rig, *, within: float = 4) -> None:
    """Long enough for what is not lost to end, and for what is lost not to."""
    try:
        await here.drained(within=within)
    except AssertionError:
        return


async def a_mode_that_is_switched_off(here: Rig) -> None:
    await here.crowd.submit_many(5)
    here.losses = 1
    for name in here.system.roles:
        await here.end(name)
    await here.start("all", EXECUTION_MODE="MONOLITH")
    here.broker_left = True
    await stuck(here, within=8 * LEASE_S)


@dataclass(frozen=True)
class Case:
    plants: str
    scenario: Callable[[Rig], Awaitable[None]]
    rule: str  # how the sentence begins that must be there
    innocent: str = ""  # the plants under which the same scenario is clean
    modes: Sequence[Mode] = ("EDA",)


CASES: Final = {
    "publish before commit": Case("announce_before_commit", some_jobs, "10 early"),
    "ack before claim": Case(
        "ack_before_claim,no_second_offer", a_worker_that_dies_before_it_claims, "1 lost"
    ),
    "mark sent before confirm": Case(
        "mark_sent_before_confirm,no_second_offer",
        a_dispatcher_that_dies_before_it_sends,
        "1 lost",
    ),
    "drop on_return_raises": Case("returned_is_kept", a_result_without_a_queue, "6 executions"),
    "no epoch check on result": Case("no_epoch_check_on_result", a_late_result, "5 effect"),
    "no epoch check on tokens": Case("no_epoch_check_on_tokens", old_frames, "8 stream"),
    "cursor instead of SKIP LOCKED": Case(
        "cursor_instead_of_rows", a_transaction_that_commits_late, "1 lost"
    ),
    "replay before subscribe": Case(
        "replay_before_subscribe,no_look_at_the_log",
        a_watcher_in_the_middle,
        "8 stream",
        modes=MODES,
    ),
    "no dedupe": Case("no_dedupe", twins, "4 duplicate", modes=MODES),
    "retry without jitter": Case("retry_without_jitter", retries, "retries", modes=MODES),
    "lease by a process's own clock": Case(
        "lease_by_own_clock", a_long_job, "6 executions", modes=MODES
    ),
    "a dead job without a letter": Case("dead_jobs_leave_no_letter", a_job_that_dies, "7 dead"),
    "usage that is not told": Case("usage_is_not_told", a_second_of_work, "9 usage"),
    "cancel by hint alone": Case(
        "heartbeats_do_not_cancel,hints_are_lost",
        a_cancelled_job,
        "7 cancel",
        innocent="hints_are_lost",
        modes=MODES,
    ),
    "leave a deserted path alone": Case(
        "nobody_is_taken_for_gone", a_mode_that_is_switched_off, "1 lost"
    ),
}
# What is not in MONOLITH here needs a broker or a cache that outlives the process, or a store that lets
# somebody look, or write, while a transaction is open: its SQLite lets in one at a time.
IN_THE_OTHER_MODE: Final = [name for name, case in CASES.items() if "MONOLITH" in case.modes]


@pytest.mark.parametrize(
    ("bug", "mode"),
    [
        *((name, "EDA") for name in CASES),
        *(pytest.param(name, "MONOLITH", marks=pytest.mark.full) for name in IN_THE_OTHER_MODE),
    ],
)
async def test_a_planted_bug_is_found(bug: str, mode: Mode, house: House, tmp_path: Path) -> None:
    case = CASES[bug]
    async with rig(house, tmp_path, mode=mode, env={PLANT: case.plants}) as here:
        async with asyncio.timeout(60):
            await case.scenario(here)
        judgement = await here.judged(settle_s=1.0, cancel_s=4.0)

    assert any(sentence.startswith(case.rule) for sentence in judgement.broken), judgement


@pytest.mark.full
@pytest.mark.parametrize(
    "bug", [name for name in CASES if name != "lease by a process's own clock"]
)
async def test_without_the_bug_the_same_scenario_is_clean(
    bug: str, house: House, tmp_path: Path
) -> None:
    case = CASES[bug]
    async with rig(house, tmp_path, env={PLANT: case.innocent}) as here:
        here.losses = 1  # a killed worker, in some of them
        await case.scenario(here)
        judgement = await here.quiet(cancel_s=4.0)

    assert judgement.broken == []


def test_every_plant_is_used() -> None:
    used = {name for case in CASES.values() for name in case.plants.split(",")}

    assert used | {"tomorrow"} == PLANTS.keys(), "that one is for test_versions.py"
