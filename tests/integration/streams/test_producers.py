"""Producers on a real Redis: what they say arrives, once, whoever kills, cuts or replaces them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

import msgspec
import pytest

from headrace.adapters.streams.redis.producers import RedisProducers, open_redis_producers
from headrace.adapters.streams.redis.streams import RedisStreams, open_redis_streams
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position
from headrace.core.job import Verdict
from headrace.core.ports.producers import Seen
from headrace.core.ports.streams import Batch
from headrace.streams import (
    Log,
    Options,
    Progress,
    StreamOver,
    StreamsUnavailable,
    produce,
    produce_async,
)
from headrace.testkit.infra import Server, own_redis
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]
SOON = Options(lease_s=1.0, patience_s=20.0)
DYING = """
import os, sys
from headrace.streams import Options, produce
with produce(sys.argv[1], options=Options(lease_s=1)) as stream:
    stream.append("one")
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server]:
    async with own_redis(tmp_path) as server:
        yield server


@pytest.fixture
async def streams(server: Server) -> AsyncGenerator[RedisStreams]:
    async with open_redis_streams(server.url) as streams:
        yield streams


@pytest.fixture
async def producers(server: Server) -> AsyncGenerator[RedisProducers]:
    async with open_redis_producers(server.url) as producers:
        yield producers


@pytest.fixture
def task() -> JobId:
    return JobId(str(uuid4()))


async def log_of(streams: RedisStreams, task: JobId) -> list[tuple[str, str]]:
    """Position and type of every frame."""
    page = await streams.read(task, START, limit=5000)
    return [(str(entry.position), entry.type) for entry in page.entries]


async def text_of(streams: RedisStreams, task: JobId) -> str:
    page = await streams.read(task, START, limit=5000)
    tokens = [msgspec.json.decode(each.data) for each in page.entries if each.type == "token"]
    return "".join(each["text"] for each in tokens)


async def seen(producers: RedisProducers, task: JobId) -> Seen:
    return (await producers.look([task]))[task]


def in_threads(url: str, task: str, *chunks: str | Log | Progress, options: Options = SOON) -> None:
    with produce(task, url=url, options=options) as stream:
        for chunk in chunks:
            stream.append(chunk)


async def in_asyncio(
    url: str, task: str, *chunks: str | Log | Progress, options: Options = SOON
) -> None:
    async with produce_async(task, url=url, options=options) as stream:
        for chunk in chunks:
            await stream.append(chunk)


async def from_a_thread(*arguments: Any, **named: Any) -> None:
    await asyncio.to_thread(in_threads, *arguments, **named)


BOTH = pytest.mark.parametrize("say", [from_a_thread, in_asyncio])


@BOTH
async def test_what_is_said_is_a_log_as_a_worker_writes_it(
    server: Server, streams: RedisStreams, producers: RedisProducers, task: JobId, say: Any
) -> None:
    await say(server.url, task, "one ", Progress(fraction=0.5), "two", Log("done"))

    assert await log_of(streams, task) == [
        ("0-1", "queued"),
        ("1-1", "started"),
        ("1-2", "token"),
        ("1-3", "progress"),
        ("1-4", "token"),
        ("1-5", "log"),
    ]
    end = (await seen(producers, task)).end
    assert end is not None
    assert (end.outcome, end.output) == ("succeeded", {"text": "one two"})


@BOTH
async def test_thousands_of_chunks_come_once_and_in_order(
    server: Server, streams: RedisStreams, task: JobId, say: Any
) -> None:
    chunks = [f"{number} " for number in range(3000)]

    await say(server.url, task, *chunks)

    assert await text_of(streams, task) == "".join(chunks)


@BOTH
async def test_live_watchers_hear_what_the_log_has(
    server: Server, streams: RedisStreams, task: JobId, say: Any
) -> None:
    heard: list[Entry] = []
    async with streams.follow(task) as live:
        await say(server.url, task, "one ", "two")
        while len(heard) < 4:
            batch = await live.next(20)
            assert batch
            heard += batch

    assert [(str(each.position), each.type) for each in heard] == await log_of(streams, task)


@BOTH
async def test_nothing_is_lost_or_said_twice_while_redis_is_cut_off(
    server: Server, streams: RedisStreams, task: JobId, say: Any
) -> None:
    await server.pause()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(say(server.url, task, *[f"{number} " for number in range(500)]))
        await asyncio.sleep(0)
        tasks.create_task(resume_after_a_timeout(server))

    assert await text_of(streams, task) == "".join(f"{number} " for number in range(500))


async def resume_after_a_timeout(server: Server) -> None:
    """Longer than a call waits for its answer, so that calls are sent again."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await eventually(lambda: loop.time() > began + 3, within=30)
    await server.resume()


@BOTH
async def test_redis_that_stays_away_is_an_error_in_bounded_time(
    server: Server, task: JobId, say: Any
) -> None:
    await server.kill()

    with pytest.raises(StreamsUnavailable):
        async with asyncio.timeout(30):
            await say(server.url, task, "one", options=Options(patience_s=0.5))


@BOTH
async def test_a_block_that_raises_says_so_and_lets_it_pass(
    server: Server, producers: RedisProducers, task: JobId, say: Any
) -> None:
    with pytest.raises(ValueError, match="at most"):
        await say(server.url, task, "one", "x" * 100_000)

    end = (await seen(producers, task)).end
    assert end is not None
    assert end.outcome == "failed"
    assert end.error is not None
    assert "at most" in end.error.message


async def be_replaced(url: str, task: JobId) -> None:
    """By a second producer, while the first one has more to say."""
    async with produce_async(task, url=url, options=SOON) as first:
        await first.append("old ")
        async with produce_async(task, url=url, options=SOON) as second:
            await second.append("new")
            await eventually(lambda: first._line.failure, within=20)
        await first.append("late")


async def test_a_second_producer_takes_over_and_the_first_one_learns_it(
    server: Server, streams: RedisStreams, task: JobId
) -> None:
    with pytest.raises(StreamOver):
        await be_replaced(server.url, task)

    log = await log_of(streams, task)
    assert ("2-1", "started") in log
    assert [at for at, kind in log if kind == "token"][-1].startswith("2-")


@BOTH
async def test_what_has_ended_cannot_be_opened_again(
    server: Server, streams: RedisStreams, producers: RedisProducers, task: JobId, say: Any
) -> None:
    await say(server.url, task, "one")
    before = await log_of(streams, task)

    with pytest.raises(StreamOver):
        await say(server.url, task, "two")

    assert await log_of(streams, task) == before


async def test_a_log_with_a_terminal_frame_cannot_be_opened(
    server: Server, streams: RedisStreams, task: JobId
) -> None:
    ended = Batch(task, 0, [("cancelled", b'{"type":"cancelled"}')], 1)
    assert await streams.append([ended]) == [Verdict.APPLIED]

    with pytest.raises(StreamOver):
        await in_asyncio(server.url, task, "one")


async def test_a_producer_that_is_told_to_stop_ends_as_cancelled(
    server: Server, producers: RedisProducers, task: JobId
) -> None:
    async with asyncio.timeout(30), produce_async(task, url=server.url, options=SOON) as stream:
        await producers.stop([task])
        await eventually(lambda: stream.stop_asked, within=20)
        await stream.append("never said")

    end = (await seen(producers, task)).end
    assert end is not None
    assert end.outcome == "cancelled"


async def test_a_process_that_is_killed_is_not_alive_for_long_and_can_be_closed(
    server: Server, producers: RedisProducers, task: JobId
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DYING, task),
        env={"PATH": os.defpath, "REDIS_URL": server.url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"begun\n"
    assert (await seen(producers, task)).alive
    assert not await producers.close(task, 1, if_silent=True)
    process.kill()
    await process.wait()

    await eventually(silent(producers, task), within=30)

    assert not await producers.close(task, 0), "somebody opened it in a later epoch"
    assert await producers.close(task, 1, if_silent=True)
    with pytest.raises(StreamOver):
        await in_asyncio(server.url, task, "too late")


def silent(producers: RedisProducers, task: JobId) -> Callable[[], Any]:
    async def look() -> bool:
        return not (await seen(producers, task)).alive

    return look


async def test_what_redis_forgets_of_a_producer_is_written_again(
    server: Server, streams: RedisStreams, producers: RedisProducers, task: JobId
) -> None:
    async with produce_async(task, url=server.url, options=SOON) as stream:
        await stream.append("one ")
        await server.restart()
        await eventually(known(producers, task), within=30)
        await stream.append("two")

    end = (await seen(producers, task)).end
    assert end is not None
    assert end.output == {"text": "one two"}
    page = await streams.read(task, Position(1, 2), limit=10)
    assert [each.type for each in page.entries][-1:] == ["token"]


def known(producers: RedisProducers, task: JobId) -> Callable[[], Any]:
    async def look() -> bool:
        return task in await producers.look([task])

    return look


async def test_who_has_no_producer_is_not_among_those_that_are_seen(
    producers: RedisProducers, task: JobId
) -> None:
    await producers.stop([task])

    assert await producers.look([task]) == {}
    assert await producers.look([]) == {}
    assert await producers.close(task, 0)
