"""What only a real Redis can do to a stream: cut its readers, forget everything, freeze, go away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from secrets import token_hex

import pytest
from redis.asyncio import Redis

from headrace.adapters.streams.redis.streams import RedisStreams, open_redis_streams
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position
from headrace.core.errors import Unavailable
from headrace.core.job import State
from headrace.core.ports.streams import Batch
from headrace.core.usecases.watch import watch
from headrace.testkit.builders import a_job
from headrace.testkit.infra import Server, own_redis
from headrace.testkit.waits import eventually
from headrace.testkit.watching import Record

pytestmark = pytest.mark.real

TOKENS = 3_000
SPELL = 50  # so many are said around each cut
QUIET_S = 0.2
TICK_S = 0.2
LIMIT_S = 45.0
AT_ONCE_S = 0.5  # milliseconds, on a machine that may be busy


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server]:
    async with own_redis(tmp_path) as server:
        yield server


@pytest.fixture
async def streams(server: Server) -> AsyncGenerator[RedisStreams]:
    async with open_redis_streams(server.url, tick_s=TICK_S) as streams:
        yield streams


@pytest.fixture
async def admin(server: Server) -> AsyncGenerator[Redis]:
    async with Redis.from_url(server.url) as admin:
        yield admin


@pytest.fixture
def job() -> JobId:
    return JobId(f"job-{token_hex(6)}")


def tokens(job: JobId, first_seq: int, count: int = 1) -> Batch:
    frames = [("token", b'{"type":"token","text":"%d"}' % n) for n in range(count)]
    return Batch(job, 1, frames, first_seq)


def the_end(job: JobId) -> Batch:
    return Batch(job, 2, [("cancelled", b'{"type":"cancelled"}')], 1)


def queued(job: JobId) -> Batch:
    return Batch(job, 0, [("queued", b'{"type":"queued"}')], 1)


async def watched(streams: RedisStreams, job: JobId, told: list[Entry]) -> None:
    """Follow `job` to its end, adding to `told`; the store says that it runs, all the while."""
    record = Record(a_job(id=job, state=State.RUNNING))
    entries: AsyncGenerator[Sequence[Entry]] = watch(streams, record, job, quiet_s=QUIET_S)
    async with asyncio.timeout(LIMIT_S), aclosing(entries):
        async for batch in entries:
            told += batch


async def taken(streams: RedisStreams, batch: Batch) -> bool:
    """As a writer does: what was not taken is said again."""
    try:
        await streams.append([batch])
    except Unavailable:
        return False
    return True


async def cut_subscribers(admin: Redis) -> int:
    return int(await admin.client_kill_filter(_type="pubsub", skipme=False))


def breaks(told: list[Entry]) -> list[tuple[str, str]]:
    """Neighbours of which the second is neither the next frame nor a reset."""
    pairs = pairwise([START, *(entry.position for entry in told)])
    return [
        (str(before), str(entry.position))
        for (before, _), entry in zip(pairs, told, strict=True)
        if entry.type != "reset" and not _next(before, entry.position)
    ]


def _stands_at(told: list[Entry], seq: int) -> bool:
    return told[-1].position.seq == seq


def _next(before: Position, position: Position) -> bool:
    return position in (Position(before.epoch, before.seq + 1), Position(before.epoch + 1, 1))


async def test_every_frame_comes_once_and_in_order_while_subscribers_are_cut(
    streams: RedisStreams, admin: Redis, job: JobId
) -> None:
    told: list[Entry] = []
    random = Random(7)
    cut = 0
    await streams.append([queued(job)])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watched(streams, job, told))
        for first in range(1, TOKENS, SPELL):
            at = random.randrange(SPELL)
            for seq in range(first, first + SPELL):
                await streams.append([tokens(job, seq)])
                if seq == first + at:
                    cut += await cut_subscribers(admin)
            # Let it come back, or every further cut finds nobody.
            await eventually(partial(_stands_at, told, first + SPELL - 1), every=0.005)
        await streams.append([the_end(job)])

    assert cut > TOKENS / SPELL / 2
    assert [entry.type for entry in told].count("reset") == 0
    assert len(told) == TOKENS + 2
    assert breaks(told) == []


async def test_a_subscriber_that_was_cut_is_told_to_look_and_hears_again(
    streams: RedisStreams, admin: Redis, job: JobId
) -> None:
    async with streams.follow(job) as subscription:
        await cut_subscribers(admin)
        told = await subscription.next(LIMIT_S)
        await streams.append([tokens(job, 1)])
        heard = await subscription.next(LIMIT_S)

    assert list(told) == []
    assert [str(entry.position) for entry in heard] == ["1-1"]


async def test_a_wiped_redis_is_a_reset_and_not_a_hole(
    streams: RedisStreams, admin: Redis, job: JobId
) -> None:
    told: list[Entry] = []
    await streams.append([queued(job), tokens(job, 1, 100)])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watched(streams, job, told))
        await eventually(lambda: len(told) == 101)
        await admin.flushall()
        await eventually(lambda: told[-1].type == "reset")
        await streams.append([tokens(job, 101, 10)])
        await eventually(lambda: told[-1].position == Position(1, 110))
        await streams.append([the_end(job)])

    assert breaks(told) == []
    assert told[-1].type == "cancelled"


async def test_a_redis_that_was_killed_and_came_back_empty_is_followed_again(
    server: Server, streams: RedisStreams, job: JobId
) -> None:
    told: list[Entry] = []
    await streams.append([queued(job), tokens(job, 1, 10)])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watched(streams, job, told))
        await eventually(lambda: len(told) == 11)
        await server.kill()
        await server.start()
        await eventually(lambda: taken(streams, tokens(job, 15, 5)))
        await eventually(lambda: told[-1].position == Position(1, 19), within=LIMIT_S)
        await streams.append([the_end(job)])

    assert breaks(told) == []
    assert any(entry.type == "reset" for entry in told)


async def test_a_frozen_redis_is_left_and_found_again(
    server: Server, streams: RedisStreams, job: JobId
) -> None:
    told: list[Entry] = []
    await streams.append([queued(job)])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watched(streams, job, told))
        await eventually(lambda: len(told) == 1)
        await server.pause()
        with pytest.raises(Unavailable):
            await streams.append([tokens(job, 1)])
        await server.resume()
        # It may have been taken all the same: sending it again is how a writer goes on.
        await streams.append([tokens(job, 1, 3), the_end(job)])

    assert [str(entry.position) for entry in told] == ["0-1", "1-1", "1-2", "1-3", "2-1"]


async def test_a_frozen_redis_holds_up_one_who_looks_for_it_and_nobody_else(
    server: Server, streams: RedisStreams, job: JobId
) -> None:
    await server.pause()
    for _ in range(2):  # the connection that goes silent, and one that is never greeted
        with pytest.raises(Unavailable):
            await streams.append([tokens(job, 1)])

    async with asyncio.timeout(20):  # two seconds each would be more
        for _ in range(20):
            with pytest.raises(Unavailable):
                await streams.append([tokens(job, 1)])
    await server.resume()

    await eventually(lambda: taken(streams, tokens(job, 1)), within=LIMIT_S)


async def test_a_frozen_subscription_is_rebuilt_on_its_own(
    server: Server, streams: RedisStreams, job: JobId
) -> None:
    async with streams.follow(job) as subscription:
        await server.pause()
        live = streams._live
        assert live._wire is not None
        await asyncio.wait_for(live._wire.lost.wait(), LIMIT_S)
        await server.resume()

        told = await subscription.next(LIMIT_S)

    assert list(told) == []


async def test_a_redis_that_is_down_is_unavailable_at_once(
    server: Server, streams: RedisStreams, job: JobId
) -> None:
    await server.kill()
    started = time.monotonic()

    for call in (streams.append([tokens(job, 1)]), streams.read(job, START, limit=1)):
        with pytest.raises(Unavailable):
            await call
    with pytest.raises(Unavailable):
        await streams.ping()
    with pytest.raises(Unavailable):
        async with streams.follow(job):
            pass

    assert time.monotonic() - started < 4 * AT_ONCE_S


async def test_a_password_in_the_url_opens_both_connections(
    server: Server, admin: Redis, job: JobId
) -> None:
    await admin.config_set("requirepass", "open sesame")
    right = server.url.replace("redis://", "redis://:open%20sesame@")
    wrong = server.url.replace("redis://", "redis://:wrong@")

    async with open_redis_streams(right) as streams, streams.follow(job) as subscription:
        await streams.append([tokens(job, 1)])
        heard = await subscription.next(LIMIT_S)
    async with open_redis_streams(wrong) as streams:
        with pytest.raises(Unavailable):
            async with streams.follow(job):
                pass

    assert [str(entry.position) for entry in heard] == ["1-1"]


async def test_a_connection_whose_first_command_is_refused_is_closed(
    server: Server, admin: Redis, job: JobId
) -> None:
    await admin.execute_command("ACL SETUSER writer on >sesame ~* &* +@all -script")

    async def none_left() -> bool:
        return "writer" not in {each["user"] for each in await admin.client_list()}

    url = server.url.replace("redis://", "redis://writer:sesame@")
    async with open_redis_streams(url, tick_s=TICK_S) as streams:
        for _ in range(5):
            with pytest.raises(Unavailable, match="NOPERM"):
                await streams.append([tokens(job, 1)])

        await eventually(none_left, within=20)


async def test_a_script_that_redis_forgot_is_brought_again(
    streams: RedisStreams, admin: Redis, job: JobId
) -> None:
    await streams.append([queued(job), tokens(job, 1)])

    await admin.script_flush()
    await streams.append([tokens(job, 2), tokens(job, 3)])

    page = await streams.read(job, Position(1, 1), limit=10)
    assert [str(entry.position) for entry in page.entries] == ["1-2", "1-3"]


async def test_a_message_that_is_not_ours_sends_the_watcher_to_the_log(
    streams: RedisStreams, admin: Redis, job: JobId
) -> None:
    async with streams.follow(job) as subscription:
        await admin.publish(f"headrace:{{{job}}}:live", b"\xff no frame")

        assert list(await subscription.next(LIMIT_S)) == []
