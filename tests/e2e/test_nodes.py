"""A training over two workers: it waits for both, arrives where one does, and goes on after one was killed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from typing import Any, Final

import pytest
import pytest_asyncio

from headrace.testkit import infra
from headrace.testkit.client import User
from headrace.testkit.system import System, running
from headrace.testkit.waits import eventually

pytestmark = [
    infra.skipped_without("torch"),
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),  # torch takes its time to begin, twice on one machine
]
SHORT: Final = {"epochs": 3, "channels": 4, "seed": 1}
LONG: Final = {"epochs": 30, "channels": 4, "seed": 2}
SECOND: Final = "gpu-worker@2"
PATIENCE_S: Final = 200.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    """With one worker."""
    settings = {
        "ENGINES": "torch-ddp",
        "GANG_NODES": "2",
        "GANG_PROCESSES": "1",
        "GANG_ADDRESS": "127.0.0.1",
        "LEASE_S": "10",
    }
    async with running("EDA", tmp_path_factory.mktemp("EDA"), kinds=1, **settings) as system:
        yield system


async def with_two(system: System) -> None:
    """A second worker, unless it is there."""
    second = system.processes.get(SECOND)
    if second is None or second.process.returncode is not None:
        await system.start(SECOND)


async def with_one(system: System) -> None:
    """The second worker, if it is there, says goodbye."""
    second = system.processes.get(SECOND)
    if second is not None and second.process.returncode is None:
        second.kill(signal.SIGTERM)
        await second.wait(within=60)


async def submit(user: User, **given: Any) -> Any:
    asked = {"input": given, "model": "digits-cnn-ddp"}
    answer = await user.http.post("/jobs/training", json=asked)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def succeeded(user: User, job: Any) -> Any:
    """What it made, once it has."""

    async def over() -> Any:
        view = await user.get(job)
        assert view["state"] not in {"failed", "dead", "cancelled"}, view["error"]
        return view["state"] == "succeeded"

    await eventually(over, within=PATIENCE_S, every=0.2)
    return (await user.get(job, "/result"))["result"]["model"]


async def attempts_of(user: User, job: Any) -> list[Any]:
    attempts: list[Any] = (await user.get(job, "/timeline"))["attempts"]
    return attempts


async def is_explained(user: User, job: Any, rule: str) -> Any:
    async def said() -> Any:
        explained = await user.get(job, "/explain")
        return explained["why"] if explained["rule"] == rule else None

    return await eventually(said, within=60, every=0.2)


async def test_more_workers_than_a_job_may_have_are_refused_at_the_door(user: User) -> None:
    answer = await user.http.post("/jobs/training", json={"input": {**SHORT, "nodes": 3}})

    assert answer.status_code in {400, 422}
    assert "nodes" in answer.text


async def test_with_one_worker_it_waits_others_run_and_with_two_it_arrives_where_one_does(
    user: User, system: System
) -> None:
    await with_one(system)
    together = await submit(user, **SHORT, nodes=2)
    why = await is_explained(user, together, "few_workers")
    alone = await succeeded(user, await submit(user, **SHORT))
    still = await user.get(together)

    await with_two(system)
    made = await succeeded(user, together)

    assert "2 workers at once" in why
    assert still["state"] == "queued"
    assert made["metrics"] == pytest.approx(alone["metrics"], abs=1e-4)  # floats in another order
    (attempt,) = await attempts_of(user, together)
    assert len(set(attempt["members"])) == 2
    assert attempt["members"][0] == attempt["worker"]


async def test_when_one_worker_is_killed_the_other_stops_and_the_next_attempt_goes_on(
    user: User, system: System
) -> None:
    await with_two(system)
    unbroken = await succeeded(user, await submit(user, **LONG, nodes=2))
    job = await submit(user, **LONG, nodes=2)

    async def is_learning() -> Any:
        return (await user.get(job))["checkpoint"]

    await eventually(is_learning, within=PATIENCE_S, every=0.02)
    system.processes[SECOND].kill(signal.SIGKILL)
    await system.processes[SECOND].wait()
    await eventually(lambda: has_ended(user, job, 1), within=60, every=0.2)
    await is_explained(user, job, "few_workers")
    await with_two(system)
    made = await succeeded(user, job)

    first, *others = await attempts_of(user, job)
    last = others[-1]
    assert (first["resumed_step"], first["outcome"] in {"failed", "lost"}) == (None, True)
    assert last["resumed_step"] >= 1
    assert len({*first["members"], *last["members"]}) == 3, "the one that was killed is replaced"
    assert made["metrics"] == pytest.approx(unbroken["metrics"], abs=1e-5)


async def has_ended(user: User, job: Any, attempt: int) -> bool:
    return any(
        each["attempt"] == attempt and each["ended_at"] for each in await attempts_of(user, job)
    )


async def test_a_cancel_ends_it_on_both(user: User, system: System) -> None:
    await with_two(system)
    job = await submit(user, **{**LONG, "epochs": 1000}, nodes=2)

    async def runs() -> bool:
        return (await user.get(job))["state"] == "running"

    await eventually(runs, within=PATIENCE_S, every=0.1)
    await user.cancel(job)

    async def over() -> bool:
        return (await user.get(job))["state"] == "cancelled"

    await eventually(over, within=60, every=0.1)
    async with asyncio.timeout(PATIENCE_S):  # both are free again
        await succeeded(user, await submit(user, **SHORT, nodes=2))
    (attempt,) = await attempts_of(user, job)
    assert attempt["outcome"] == "cancelled"
