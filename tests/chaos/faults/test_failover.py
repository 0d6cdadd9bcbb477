"""PostgreSQL dies for good, and its standby takes its place, at the same address."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.testkit.chaos.handles import follows, promote
from headrace.testkit.chaos.proxy import Proxy
from headrace.testkit.chaos.rig import House, Rig, rig
from headrace.testkit.own import own_postgres, own_standby
from headrace.testkit.servers import Server

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.full, pytest.mark.timeout(240)]


@dataclass(frozen=True, slots=True)
class Pair:
    """`address` leads to the primary, until somebody fails over; `link` from one to the other."""

    primary: Server
    standby: Server
    address: Proxy
    link: Proxy

    async def fail_over(self) -> None:
        await self.primary.kill()
        self.link.reset_all()
        await promote(self.standby.url)
        self.address.lead_to(self.standby.url)


@asynccontextmanager
async def a_pair(
    house: House, folder: Path, *, synchronously: bool
) -> AsyncGenerator[tuple[Rig, Pair]]:
    async with (
        own_postgres(folder) as primary,
        Proxy(primary.url).serving() as link,
        own_standby(link.url, folder) as standby,
        Proxy(primary.url).serving() as address,
    ):
        await follows(primary.url, synchronously=synchronously)
        async with rig(house.but(postgres=address.url), folder) as here:
            yield here, Pair(primary, standby, address, link)


@pytest.mark.fault(56)
async def test_a_synchronous_standby_has_all_that_was_accepted(
    house: House, tmp_path: Path
) -> None:
    """Synchronous: killed under load, the standby promoted: nothing is lost."""
    async with a_pair(house, tmp_path, synchronously=True) as (here, pair):
        for _ in range(10):
            here.watch(await here.crowd.submit(words=30, delay_s=0.03))
        here.losses += 1
        await pair.fail_over()
        await here.recovers()

        judgement = await here.quiet()

    assert judgement.counts["accepted"] == 11


@pytest.mark.fault(56)
async def test_what_an_asynchronous_standby_never_heard_of_is_found_missing(
    house: House, tmp_path: Path
) -> None:
    """Asynchronous, with the standby behind: what it missed is lost, as promise 20 excepts, and is found missing."""
    async with a_pair(house, tmp_path, synchronously=False) as (here, pair):
        kept = await here.crowd.submit_many(3, words=2)
        await here.drained()
        pair.link.black_hole()
        await here.crowd.submit_many(3, words=2)
        await here.drained()
        await pair.fail_over()
        await here.recovers()
        await here.drained()

        judgement = await here.judged()

    missed = {key for key, job in here.crowd.jobs.items() if job not in kept} - {"k7"}
    lost = {each.split()[2] for each in judgement.broken if each.startswith("1 lost")}
    assert lost == missed == {"k4", "k5", "k6"}
    others = [each for each in judgement.broken if not any(key in each for key in missed)]
    assert others == ["7 sum: 7 jobs were accepted, and 4 have ended"]
