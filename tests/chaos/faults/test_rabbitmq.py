"""The broker goes, freezes, fills, forgets; and messages are not what they should be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from headrace.contracts.ids import JobId, Lane
from headrace.contracts.messages import Offer, Result, Results
from headrace.testkit.chaos.amqp import NOBODYS_QUEUE, ack_twice, ask_for_a_missing_queue
from headrace.testkit.chaos.engine import LANE
from headrace.testkit.chaos.forger import ZOMBIE, Forger
from headrace.testkit.chaos.handles import disk_alarm, lasting, memory_alarm
from headrace.testkit.chaos.rig import House, Rig, rig
from headrace.testkit.servers import Server
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(200)]
OUTAGE_S = 60.0
# Six leases to an outage. Shorter ones also run out where a test machine is slow.
CALM = {"LEASE_S": "10"}
Alarm: TypeAlias = Callable[[Server], AbstractAsyncContextManager[None]]
NOBODY = JobId("00000000-0000-4000-8000-000000000000")


async def nobody_was_charged(here: Rig) -> None:
    """It was no worker's fault that nobody could hear of it."""
    assert {row.key: row.losses for row in (await here.effects()).jobs if row.losses} == {}


async def busy(here: Rig, jobs: int = 10, **given: Any) -> None:
    for _ in range(jobs):
        here.watch(await here.crowd.submit(**{"words": 10, "delay_s": 0.03, **given}))


@pytest.mark.full
@pytest.mark.parametrize(
    "how",
    [
        pytest.param("restart", marks=pytest.mark.fault(24)),
        pytest.param("kill", marks=pytest.mark.fault(25)),
    ],
)
async def test_a_broker_that_ends_and_comes_back(how: str, house: House, tmp_path: Path) -> None:
    """Once by SIGTERM, once by SIGKILL, with jobs queued and running."""
    async with rig(house, tmp_path) as here:
        await busy(here, 12, words=60)
        here.losses += 1
        if how == "restart":
            await here.servers["rabbitmq"].restart()
        else:
            await here.servers["rabbitmq"].kill()
            await here.servers["rabbitmq"].start()
        await here.recovers()
        await busy(here, 3)

        await here.quiet()


@pytest.mark.full
@pytest.mark.timeout(420)  # a thousand jobs take their time
async def test_fault_26_jobs_arrive_while_the_broker_is_down(house: House, tmp_path: Path) -> None:
    """1,000 jobs in a minute without a broker; scaled from 10 min."""
    async with rig(house, tmp_path) as here:
        here.rabbitmq.turn(refuse=True)
        here.rabbitmq.reset_all()
        async with asyncio.TaskGroup() as group:
            group.create_task(lasting(OUTAGE_S))
            for _ in range(10):
                group.create_task(here.crowd.submit_many(100, words=1, delay_s=0.0))
        here.rabbitmq.heal()
        await here.recovers()
        await here.drained(within=240)

        await here.quiet()


@pytest.mark.full
async def test_fault_27_a_broker_that_freezes(house: House, tmp_path: Path) -> None:
    """SIGSTOP for 60 s, with work before and meanwhile; no job is charged a loss."""
    async with rig(house, tmp_path, env=CALM) as here:
        await busy(here, 6, words=60)
        here.losses += 1
        await here.servers["rabbitmq"].pause()
        try:
            await busy(here, 4)
            await lasting(OUTAGE_S)
        finally:
            await here.servers["rabbitmq"].resume()
        await here.recovers()

        await here.quiet()
        await nobody_was_charged(here)


@pytest.mark.full
@pytest.mark.parametrize(
    "alarm",
    [
        pytest.param(memory_alarm, marks=pytest.mark.fault(28), id="memory"),
        pytest.param(disk_alarm, marks=pytest.mark.fault(29), id="disk"),
    ],
)
async def test_a_broker_that_takes_nothing(alarm: Alarm, house: House, tmp_path: Path) -> None:
    """60 s, with jobs running and arriving; no job is charged a loss."""
    async with rig(house, tmp_path, env=CALM) as here:
        await busy(here, 6, words=60)
        here.losses += 1
        async with alarm(here.servers["rabbitmq"]):
            await busy(here, 4)
            await lasting(OUTAGE_S)
        await here.recovers()

        await here.quiet()
        await nobody_was_charged(here)


@pytest.mark.full
async def test_fault_31_connections_closed_again_and_again(house: House, tmp_path: Path) -> None:
    """All of them by the broker, every 2 s for 2 min."""
    async with rig(house, tmp_path) as here:
        here.losses += 60
        async with asyncio.TaskGroup() as group:
            group.create_task(busy(here, 20, words=40))
            for _ in range(60):
                await lasting(2)
                await here.broker.close_connections()
        await here.recovers()

        await here.quiet()


@pytest.mark.full
async def test_fault_32_a_channel_closed_for_a_mistake(house: House, tmp_path: Path) -> None:
    """Four acks sent twice on their way (406), and four questions for a queue that nobody made (404)."""
    async with rig(house, tmp_path) as here:
        here.losses += 4
        async with asyncio.TaskGroup() as group:
            group.create_task(busy(here, 16, words=30))
            for mistake in 4 * (ack_twice, ask_for_a_missing_queue):
                here.rabbitmq.turn(edit=mistake)
                await eventually(lambda: here.rabbitmq.switches.edit is None, within=20)
                await lasting(0.5)
        await here.recovers()

        await here.quiet()

    said = "".join(log.read_text() for log in (house.rabbitmq.home / "log").glob("*.log"))
    assert "precondition_failed: unknown delivery tag" in said
    assert f"not_found: no queue '{NOBODYS_QUEUE}'" in said


@pytest.mark.full
async def test_fault_33_queues_deleted_under_their_consumers(house: House, tmp_path: Path) -> None:
    """Each of the four, while 12 jobs are about."""
    async with rig(house, tmp_path) as here:
        here.losses += 2
        async with asyncio.TaskGroup() as group:
            group.create_task(busy(here, 12, words=40))
            for queue in (f"work.{LANE}", "claims", "results", "heartbeats"):
                await lasting(0.7)
                await here.broker.delete(f"{here.namespace}.{queue}")
        await here.recovers()

        await here.quiet()


@pytest.mark.full
async def test_fault_34_a_result_that_cannot_be_routed(house: House, tmp_path: Path) -> None:
    """The results queue is gone, with nobody there to make it again, when the result is sent."""
    async with rig(house, tmp_path) as here:
        await here.crowd.submit(words=30, delay_s=0.03)
        await here.started()
        here.pause("dispatcher")
        await here.broker.delete(f"{here.namespace}.results")
        await eventually(lambda: '"result.not_kept"' in here.system.logs(), within=10)
        here.resume("dispatcher")

        judgement = await here.quiet()

    assert judgement.counts["executions"] == 1


@pytest.mark.full
async def test_fault_35_a_queue_with_other_properties(house: House, tmp_path: Path) -> None:
    """A classic results queue is there before the dispatcher: it leaves, saying why."""
    async with rig(house, tmp_path) as here:
        await here.end("dispatcher")
        await here.end("gpu-worker")
        await here.broker.delete(f"{here.namespace}.results")
        await here.broker.declare_classic(f"{here.namespace}.results")

        dispatcher = await here.start("dispatcher")

        assert await dispatcher.wait(within=30) != 0
        assert f"{here.namespace}.results" in dispatcher.log.read_text().splitlines()[-1]


@pytest.mark.full
async def test_fault_36_half_open_connections(house: House, tmp_path: Path) -> None:
    """Nothing comes back from the broker for 60 s, and nobody is told; scaled from 5 min."""
    async with rig(house, tmp_path) as here:
        await busy(here, 6, words=60)
        here.losses += 1
        here.rabbitmq.turn(hold_down=True)
        await busy(here, 3)
        await lasting(OUTAGE_S)
        here.rabbitmq.heal()
        await here.recovers()

        await here.quiet()


async def test_fault_37_everything_is_delivered_three_times(house: House, tmp_path: Path) -> None:
    """Two more copies of the offer and of the result of each of 8 jobs."""
    async with rig(house, tmp_path) as here:
        forger = Forger(here)
        for _ in range(8):
            job = await here.crowd.submit(words=4)
            here.watch(job)
            await forger.offer(job, 0, copies=2)
        await here.drained()
        for key, job in here.crowd.jobs.items():
            for _ in range(2):
                await forger.late_result(job, 1, key)

        judgement = await here.quiet()

    assert judgement.counts["executions"] == 8


@pytest.mark.full
async def test_fault_38_a_result_that_comes_too_late(house: House, tmp_path: Path) -> None:
    """The first attempt's success arrives while the second runs, and again after it."""
    async with rig(house, tmp_path) as here:
        job = await here.crowd.submit(words=40, delay_s=0.05)
        await here.started()
        here.losses += 1
        await here.replace("gpu-worker")
        await here.started(2)
        await Forger(here).late_result(job, 1, "k1")
        await here.drained()
        await Forger(here).late_result(job, 1, "k1")

        await here.quiet()


@pytest.mark.fault(39, 40)
async def test_messages_that_nobody_can_read(house: House, tmp_path: Path) -> None:
    """Six kinds of nonsense into each queue are parked; an unknown job is nobody's; work goes on."""
    async with rig(house, tmp_path) as here:
        forger = Forger(here)
        nonsense = (b"", b"{", b"[]", b'{"kind":"offer.v9"}', b'{"kind":"results.v1"}', b"\xff\xfe")
        for queue in (
            forger.topology.claims,
            forger.topology.results,
            forger.topology.heartbeats,
            forger.topology.work(Lane(LANE)),
        ):
            await forger.send(queue, *nonsense)
            here.dead_letters += len(nonsense)
        await forger.say(forger.topology.work(Lane(LANE)), Offer(NOBODY, 0, Lane(LANE)))
        await forger.say(forger.topology.results, Results(ZOMBIE, [Result(NOBODY, 1, "succeeded")]))
        await busy(here, 5)

        judgement = await here.quiet()

    assert judgement.counts["succeeded"] == 5


@pytest.mark.full
async def test_fault_41_a_message_too_large_for_any_queue(house: House, tmp_path: Path) -> None:
    """An input of 17 MiB is refused with 413, or kept as a blob; nothing so large is sent."""
    async with rig(house, tmp_path) as here:
        answer = await here.crowd.ask_once({"key": "x" * (17 * 2**20)})

        await here.quiet()

    assert answer.status_code == 413


async def test_fault_42_a_poison_job_beside_good_ones(house: House, tmp_path: Path) -> None:
    """It kills its engine's process each time and ends dead; the nine others run once each."""
    async with rig(house, tmp_path, env={"RETRY_LOSSES": "3"}) as here:
        await here.crowd.submit(fail="crash", fail_attempts=99)
        await busy(here, 9)
        await here.drained()
        judgement = await here.judged(losses=2)

    assert judgement.broken == []
    assert (judgement.counts["dead"], judgement.counts["succeeded"]) == (1, 9)
    assert judgement.counts["executions"] == 3 + 9


@pytest.mark.full
async def test_fault_43_no_dead_letter_queue(house: House, tmp_path: Path) -> None:
    """It is deleted and nonsense comes: that is kept where it lay, and work goes on."""
    async with rig(house, tmp_path) as here:
        forger = Forger(here)
        await here.broker.delete(forger.topology.dead)
        await forger.send(forger.topology.results, b"{")
        await busy(here, 5)
        await here.drained()

        async def kept() -> bool:
            depths = await here.broker.depths()
            return depths[forger.topology.results] + depths.get(forger.topology.dead, 0) == 1

        await eventually(kept, within=15, every=0.5)
        judgement = await here.judged(settle_s=0.0)

    assert judgement.counts["succeeded"] == 5
    assert [each for each in judgement.broken if "messages in" not in each] == []
