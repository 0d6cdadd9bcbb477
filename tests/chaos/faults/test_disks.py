"""Disks that are really full: on a file system of the server's own, to the last byte."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from headrace.testkit.chaos.handles import lasting, supervised
from headrace.testkit.chaos.rig import House, Rig, rig
from headrace.testkit.own import own_postgres, own_rabbitmq
from headrace.testkit.servers import Server
from headrace.testkit.small_disk import small_disk
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(300)]


async def busy(here: Rig, jobs: int) -> None:
    for _ in range(jobs):
        here.watch(await here.crowd.submit(words=10, delay_s=0.03))


def said(server: Server, words: str) -> bool:
    logs = [server.home / "server.log", *(server.home / "log").glob("*.log")]
    return any(words in log.read_text(errors="replace") for log in logs)


@pytest.mark.full
async def test_fault_30_the_brokers_disk_is_full(house: House, tmp_path: Path) -> None:
    """Not a byte is left for 20 s, of which its log dies; with room again, it is restarted."""
    with small_disk(64) as disk:
        async with (
            own_rabbitmq(tmp_path, data=disk.path) as broker,
            rig(house.but(rabbitmq=broker.url), tmp_path) as here,
        ):
            await busy(here, 4)
            here.losses += 1
            disk.fill()
            await busy(here, 6)
            await eventually(lambda: said(broker, "enospc"), within=30)
            await lasting(20)
            disk.make_room()
            await broker.restart()  # its queues do not come back by themselves, room or no room
            await here.recovers()

            judgement = await here.quiet()

    assert judgement.counts["accepted"] == 11


@pytest.mark.full
async def test_fault_60_the_databases_disk_is_full(house: House, tmp_path: Path) -> None:
    """Not a byte is left for 20 s; it panics, and a supervisor starts it until it stays."""
    with small_disk(96) as disk:
        async with (
            own_postgres(tmp_path, data=disk.path) as database,
            rig(house.but(postgres=database.url), tmp_path) as here,
        ):
            await busy(here, 4)
            here.losses += 1
            disk.fill()
            async with supervised(database), asyncio.TaskGroup() as group:
                group.create_task(busy(here, 20))
                await eventually(lambda: said(database, "No space left"), within=60)
                await lasting(20)
                disk.make_room()
                await here.recovers()

            judgement = await here.quiet()

    assert judgement.counts["accepted"] == 25
