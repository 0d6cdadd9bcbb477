"""Producers outside, on a cluster: what they say arrives once, also while their slot moves or its node dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

import msgspec
import pytest

from headrace.adapters.streams.redis.producers import RedisProducers, open_redis_producers
from headrace.adapters.streams.redis.streams import RedisStreams, open_redis_streams
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position
from headrace.contracts.logs import log_key
from headrace.core.errors import Unavailable
from headrace.streams import Options, Progress, produce, produce_async
from headrace.testkit.infra import RedisCluster, own_redis_cluster
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]
SOON = Options(lease_s=5.0, patience_s=30.0)
TOKENS = 2000
LIMIT_S = 60.0


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[RedisCluster]:
    async with own_redis_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def doubled(tmp_path: Path) -> AsyncGenerator[RedisCluster]:
    async with own_redis_cluster(tmp_path, replicas=True) as cluster:
        yield cluster


def a_task() -> JobId:
    return JobId(str(uuid4()))


def key(task: JobId) -> str:
    return log_key("headrace", task)


def in_threads(url: str, task: str, *chunks: str | Progress) -> None:
    with produce(task, url=url, options=SOON) as stream:
        for chunk in chunks:
            stream.append(chunk)


async def in_asyncio(url: str, task: str, *chunks: str | Progress) -> None:
    async with produce_async(task, url=url, options=SOON) as stream:
        for chunk in chunks:
            await stream.append(chunk)


async def from_a_thread(*arguments: Any) -> None:
    await asyncio.to_thread(in_threads, *arguments)


BOTH = pytest.mark.parametrize("say", [from_a_thread, in_asyncio])


async def entries_of(streams: RedisStreams, task: JobId) -> list[Entry]:
    return list((await streams.read(task, START, limit=2 * TOKENS)).entries)


def text_of(entries: list[Entry]) -> str:
    tokens = [msgspec.json.decode(each.data) for each in entries if each.type == "token"]
    return "".join(each["text"] for each in tokens)


async def ended_well(producers: RedisProducers, task: JobId) -> bool:
    try:
        end = (await producers.look([task]))[task].end
    except Unavailable:  # who looks for the first time since a node died finds it dead
        return False
    return end is not None and end.outcome == "succeeded"


async def there(streams: RedisStreams) -> bool:
    try:
        await streams.ping()
    except Unavailable:
        return False
    return True


@BOTH
async def test_tasks_on_every_node_are_written_heard_and_looked_at(
    redis_cluster_url: str, say: Any
) -> None:
    tasks = [a_task() for _ in range(12)]
    async with (
        open_redis_streams(redis_cluster_url) as streams,
        open_redis_producers(redis_cluster_url) as producers,
    ):
        for task in tasks:
            heard: list[Entry] = []
            async with streams.follow(task) as live:
                await say(redis_cluster_url, task, "one ", Progress(fraction=0.5), "two")
                while len(heard) < 5:
                    batch = await live.next(20)
                    assert batch
                    heard += batch
            assert heard == await entries_of(streams, task)

        seen = await producers.look([*tasks, a_task()])
        assert {task for task in seen if await ended_well(producers, task)} == set(tasks)
        await producers.stop(tasks)
        assert all(each.told_to_stop for each in (await producers.look(tasks)).values())
        assert [await producers.close(task, 1) for task in tasks] == [True] * len(tasks)


@BOTH
async def test_chunks_come_once_and_in_order_while_their_slot_moves(
    cluster: RedisCluster, say: Any
) -> None:
    task, chunks = a_task(), [f"{number} " for number in range(TOKENS)]
    async with (
        open_redis_streams(cluster.url) as streams,
        open_redis_producers(cluster.url) as producers,
        asyncio.TaskGroup() as tasks,
    ):
        saying = tasks.create_task(say(cluster.url, task, *chunks))
        await eventually(lambda: entries_of(streams, task), within=LIMIT_S)
        for _ in range(3):
            to = await cluster.another(key(task))
            await cluster.begin_move(key(task), to)
            await cluster.carry_keys(key(task), to)
            await cluster.end_move(key(task), to)
        await saying

        assert text_of(await entries_of(streams, task)) == "".join(chunks)
        assert await ended_well(producers, task)


@BOTH
async def test_a_producer_outlives_the_node_that_had_its_stream(
    doubled: RedisCluster, say: Any
) -> None:
    task, chunks = a_task(), [f"{number} " for number in range(10 * TOKENS)]
    async with (
        open_redis_streams(doubled.url, maxlen=10**6) as streams,
        open_redis_producers(doubled.url) as producers,
        asyncio.TaskGroup() as tasks,
    ):
        saying = tasks.create_task(say(doubled.url, task, *chunks))
        await eventually(lambda: entries_of(streams, task), within=LIMIT_S)
        await (await doubled.owner(key(task))).kill()
        assert not saying.done(), "else it had said everything before"
        await saying

        await eventually(lambda: ended_well(producers, task), within=LIMIT_S)
        await eventually(lambda: there(streams), within=LIMIT_S)
        last = (await streams.read(task, Position(1, 10 * TOKENS), limit=10)).entries
        assert text_of(list(last)) == chunks[-1]
