"""What only a cluster can do to a stream: move its slot under it, lose the node that has it, or have half a map."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from secrets import token_hex

import pytest

from headrace.adapters.streams.redis.streams import RedisStreams, open_redis_streams
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position
from headrace.contracts.logs import log_key
from headrace.core.errors import Unavailable
from headrace.core.job import State, Verdict
from headrace.core.ports.streams import Batch
from headrace.core.usecases.watch import watch
from headrace.testkit.builders import a_job
from headrace.testkit.infra import RedisCluster, Server, own_redis_cluster
from headrace.testkit.redis_cluster import ask
from headrace.testkit.waits import eventually
from headrace.testkit.watching import Record

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

QUIET_S = 0.2
TICK_S = 0.2
LIMIT_S = 90.0
AHEAD = 20  # so many tokens may be said that nobody was shown yet


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[RedisCluster]:
    async with own_redis_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def doubled(tmp_path: Path) -> AsyncGenerator[RedisCluster]:
    async with own_redis_cluster(tmp_path, replicas=True) as cluster:
        yield cluster


@pytest.fixture
def job() -> JobId:
    return JobId(f"job-{token_hex(6)}")


def key(job: JobId) -> str:
    return log_key("headrace", job)


def queued(job: JobId) -> Batch:
    return Batch(job, 0, [("queued", b'{"type":"queued"}')], 1)


def token(job: JobId, seq: int) -> Batch:
    return Batch(job, 1, [("token", b'{"type":"token","text":"%d "}' % seq)], seq)


def the_end(job: JobId) -> Batch:
    return Batch(job, 2, [("cancelled", b'{"type":"cancelled"}')], 1)


async def watched(streams: RedisStreams, job: JobId, told: list[Entry], quiet_s: float) -> None:
    """Follow `job` to its end, adding to `told`; the store says that it runs, all the while."""
    record = Record(a_job(id=job, state=State.RUNNING))
    entries: AsyncGenerator[Sequence[Entry]] = watch(streams, record, job, quiet_s=quiet_s)
    async with asyncio.timeout(LIMIT_S), aclosing(entries):
        async for batch in entries:
            told += batch


async def taken(streams: RedisStreams, batch: Batch) -> bool:
    """As a writer does: what was not taken is said again."""
    try:
        return await streams.append([batch]) == [Verdict.APPLIED]
    except Unavailable:
        return False


class Writer:
    """Says one numbered token after the other, a few ahead of who reads them; repeats what was not taken."""

    def __init__(self, streams: RedisStreams, job: JobId, told: list[Entry]) -> None:
        self._streams, self._job, self._told = streams, job, told
        self.said = 0
        self._enough = asyncio.Event()

    async def write(self) -> None:
        while not self._enough.is_set():
            await eventually(self._takes_next, within=LIMIT_S, every=0.005)
            self.said += 1
        await eventually(lambda: taken(self._streams, the_end(self._job)), within=LIMIT_S)

    async def _takes_next(self) -> bool:
        if self.said > self._told[-1].position.seq + AHEAD:
            return False
        return await taken(self._streams, token(self._job, self.said + 1))

    async def goes_on(self, by: int = 30) -> None:
        goal = self.said + by
        await eventually(lambda: self._told[-1].position.seq >= goal, within=LIMIT_S)

    def end(self) -> None:
        self._enough.set()


@asynccontextmanager
async def a_watched_job(
    url: str, job: JobId, *, quiet_s: float = QUIET_S
) -> AsyncGenerator[tuple[Writer, list[Entry]]]:
    """One process writes and another shows; both end with the body."""
    told: list[Entry] = []
    async with (
        open_redis_streams(url, tick_s=TICK_S) as here,
        open_redis_streams(url, tick_s=TICK_S) as there,
    ):
        await here.append([queued(job)])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watched(there, job, told, quiet_s))
            await eventually(lambda: told)
            writer = Writer(here, job, told)
            tasks.create_task(writer.write())
            await writer.goes_on()
            yield writer, told
            writer.end()


def breaks(told: list[Entry]) -> list[tuple[str, str]]:
    """Neighbours of which the second is neither the next frame nor a reset."""
    pairs = pairwise([START, *(entry.position for entry in told)])
    return [
        (str(before), str(entry.position))
        for (before, _), entry in zip(pairs, told, strict=True)
        if entry.type != "reset" and not _next(before, entry.position)
    ]


def _next(before: Position, position: Position) -> bool:
    return position in (Position(before.epoch, before.seq + 1), Position(before.epoch + 1, 1))


def resets(told: list[Entry]) -> int:
    return [entry.type for entry in told].count("reset")


async def moved(cluster: RedisCluster, job: JobId) -> None:
    to = await cluster.another(key(job))
    await cluster.begin_move(key(job), to)
    await cluster.carry_keys(key(job), to)
    await cluster.end_move(key(job), to)


async def test_tokens_come_once_and_in_order_while_their_slot_moves(
    cluster: RedisCluster, job: JobId
) -> None:
    async with a_watched_job(cluster.url, job) as (writer, told):
        for _ in range(3):
            to = await cluster.another(key(job))
            await cluster.begin_move(key(job), to)
            await writer.goes_on()
            await cluster.carry_keys(key(job), to)
            await writer.goes_on()
            await cluster.end_move(key(job), to)
            await writer.goes_on()

    assert (breaks(told), resets(told)) == ([], 0)
    assert len(told) == writer.said + 2


async def test_a_subscription_goes_with_its_slot(cluster: RedisCluster, job: JobId) -> None:
    async with open_redis_streams(cluster.url) as streams, streams.follow(job) as subscription:
        for seq in range(1, 4):
            await moved(cluster, job)
            told = await subscription.next(LIMIT_S)
            await streams.append([token(job, seq)])
            heard = await subscription.next(LIMIT_S)

            assert list(told) == [], "it is told to look at the log"
            assert [str(entry.position) for entry in heard] == [f"1-{seq}"]


async def test_who_comes_with_an_old_map_hears_all_the_same(
    cluster: RedisCluster, job: JobId
) -> None:
    async with open_redis_streams(cluster.url) as streams:
        await streams.append([queued(job)])
        await moved(cluster, job)

        async with streams.follow(job) as subscription:
            await streams.append([token(job, 1)])
            heard = await subscription.next(LIMIT_S)

    assert [str(entry.position) for entry in heard] == ["1-1"]


async def test_a_replica_takes_over_from_a_master_that_is_killed(
    doubled: RedisCluster, job: JobId, figures: list[str]
) -> None:
    # Silence alone would not send anybody to the log in time: the subscription has to come along.
    async with a_watched_job(doubled.url, job, quiet_s=LIMIT_S) as (writer, told):
        loop, before = asyncio.get_running_loop(), writer.said
        owner = await doubled.owner(key(job))
        await owner.kill()
        killed_at = loop.time()
        await writer.goes_on()
        figures.append(
            f"a master was killed: its job went on after {loop.time() - killed_at:.1f} s,"
            f" {writer.said - before} tokens later, with {resets(told)} resets"
        )

    assert breaks(told) == []
    assert (await doubled.owner(key(job))).url != owner.url


async def test_a_frozen_master_is_left_for_the_replica_that_takes_over(
    doubled: RedisCluster, job: JobId
) -> None:
    async with a_watched_job(doubled.url, job, quiet_s=LIMIT_S) as (writer, told):
        owner = await doubled.owner(key(job))
        await owner.pause()
        try:
            await writer.goes_on()
        finally:
            await owner.resume()
        await writer.goes_on()

    assert breaks(told) == []


async def test_a_node_that_comes_back_empty_is_a_reset_and_not_a_hole(
    cluster: RedisCluster, job: JobId
) -> None:
    async with a_watched_job(cluster.url, job) as (writer, told):
        owner = await cluster.owner(key(job))
        await owner.kill()
        await owner.start()
        await writer.goes_on()

    assert breaks(told) == []
    assert resets(told) > 0
    assert told[-1].type == "cancelled"


async def test_subscribers_that_are_cut_miss_nothing(cluster: RedisCluster, job: JobId) -> None:
    cut = 0
    async with a_watched_job(cluster.url, job) as (writer, told):
        for _ in range(10):
            owner = await cluster.owner(key(job))
            cut += await ask(owner, "CLIENT KILL TYPE pubsub")
            await writer.goes_on(10)

    assert cut >= 5
    assert (breaks(told), resets(told)) == ([], 0)


async def test_other_slots_are_served_while_one_node_is_down(
    cluster: RedisCluster, job: JobId
) -> None:
    async with open_redis_streams(cluster.url, tick_s=TICK_S) as streams:
        await streams.ping()
        owner = await cluster.owner(key(job))
        elsewhere = await job_of_another_node(cluster, owner)
        await owner.kill()

        with pytest.raises(Unavailable):
            await streams.append([queued(job), queued(elsewhere)])

        page = await streams.read(elsewhere, START, limit=10)
        assert [entry.type for entry in page.entries] == ["queued"], "what could be said was said"
        async with streams.follow(elsewhere) as subscription:
            await streams.append([token(elsewhere, 1)])
            assert len(await subscription.next(LIMIT_S)) == 1


async def job_of_another_node(cluster: RedisCluster, node: Server) -> JobId:
    while True:
        job = JobId(f"job-{token_hex(6)}")
        if (await cluster.owner(key(job))).url != node.url:
            return job


async def test_a_node_that_is_down_is_said_with_the_slots_it_had(
    cluster: RedisCluster, job: JobId
) -> None:
    async with open_redis_streams(cluster.url) as streams:
        await streams.ping()
        owner = await cluster.owner(key(job))
        await owner.kill()

        address = owner.url.removeprefix("redis://").removesuffix("/0")
        with pytest.raises(Unavailable, match=rf"{address}, which has 546\d of 16384 slots: "):
            await streams.ping()

        await owner.start()
        await eventually(lambda: answers(streams), within=LIMIT_S)


async def answers(streams: RedisStreams) -> bool:
    try:
        await streams.ping()
    except Unavailable:
        return False
    return True


async def test_slots_that_nobody_has_are_named(cluster: RedisCluster) -> None:
    async with open_redis_streams(cluster.url) as streams:
        for master in cluster.masters:
            await ask(master, "CLUSTER DELSLOTSRANGE", 100, 200, 9000, 9000)

        with pytest.raises(Unavailable, match="no node of the cluster has these slots: 100-200, 9"):
            await streams.ping()


async def test_many_who_find_the_map_wrong_ask_for_it_once(cluster: RedisCluster) -> None:
    async with open_redis_streams(cluster.url) as streams:
        await streams.ping()
        jobs = [JobId(f"job-{token_hex(6)}") for _ in range(200)]
        asked = await maps_given(cluster)
        streams._lines.slots.doubt()
        streams._lines.slots._again_at = 0.0  # as if the last map were not a moment old

        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                tasks.create_task(streams.append([queued(job)]))

        assert 1 <= await maps_given(cluster) - asked <= 3, "a few nodes, by one of them"


async def maps_given(cluster: RedisCluster) -> int:
    told: list[bytes] = [await ask(each, "INFO", "commandstats") for each in cluster.masters]
    lines = [line for each in told for line in each.splitlines() if b"cluster|slots" in line]
    return sum(int(line.split(b"calls=")[1].split(b",")[0]) for line in lines)


async def test_a_script_that_a_node_forgot_is_brought_again(
    cluster: RedisCluster, job: JobId
) -> None:
    async with open_redis_streams(cluster.url) as streams:
        await streams.append([queued(job)])
        await ask(await cluster.owner(key(job)), "SCRIPT FLUSH")

        await streams.append([token(job, 1), token(job, 2)])

        page = await streams.read(job, START, limit=10)
        assert [str(entry.position) for entry in page.entries] == ["0-1", "1-1", "1-2"]


async def test_a_database_other_than_the_first_is_refused_in_words(cluster: RedisCluster) -> None:
    async with open_redis_streams(cluster.url.removesuffix("0") + "1") as streams:
        with pytest.raises(Unavailable, match="SELECT is not allowed in cluster mode"):
            await streams.ping()


async def test_one_of_the_nodes_that_the_url_names_is_enough(cluster: RedisCluster) -> None:
    first, *others = [server.url.removesuffix("/0") for server in cluster.masters]
    elsewhere = await job_of_another_node(cluster, cluster.masters[0])
    await cluster.masters[0].kill()
    survivor = others[0].removeprefix("redis://")

    async with open_redis_streams(f"{first},{survivor}/0") as streams:
        await streams.append([queued(elsewhere)])
        async with streams.follow(elsewhere) as subscription:
            await streams.append([token(elsewhere, 1)])
            assert len(await subscription.next(LIMIT_S)) == 1


async def test_a_password_in_the_url_opens_every_node(cluster: RedisCluster) -> None:
    for server in cluster.masters:
        await ask(server, "CONFIG SET requirepass sesame")
    url = cluster.url.replace("redis://", "redis://:sesame@")
    jobs = [JobId(f"job-{token_hex(6)}") for _ in range(20)]

    async with open_redis_streams(url) as streams:
        await streams.append([queued(job) for job in jobs])
        for job in jobs:
            async with streams.follow(job) as subscription:
                await streams.append([token(job, 1)])
                assert len(await subscription.next(LIMIT_S)) == 1
