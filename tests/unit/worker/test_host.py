"""The child process itself: what it survives, and what it does not outlive."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack

import psutil
import pytest

from headrace.contracts.ids import Lane
from headrace.engines.registry import card
from headrace.gpu_worker.host import wire
from headrace.gpu_worker.host.keeper import Keeper, NotReady
from headrace.gpu_worker.host.process import Host, HostLost
from headrace.gpu_worker.host.shelf import Weights
from headrace.gpu_worker.options import LaneOptions, Limits
from headrace.testkit.play import ENGINE, PlayEngine
from headrace.testkit.waits import eventually

LANE = LaneOptions(card=card(Lane("play"), PlayEngine), engine=ENGINE)
LIMITS = Limits(spawn_s=10)
PARENT = """
import asyncio
from headrace.gpu_worker.host.process import Host

async def main():
    host = await Host.spawn("play")
    print(host.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def unshown(_: wire.Made) -> None:
    """It makes nothing that would be shown."""


async def unheard(_: wire.Said | wire.Checkpointed) -> None:
    pass


def a_run(number: int, **given: object) -> wire.Run:
    return wire.Run(number, "calm", 1, given, {})


async def prepared(stack: AsyncExitStack) -> Host:
    host = await Host.spawn("play")
    stack.push_async_callback(host.close)
    await host.ask(wire.Prepare(wire.PROTOCOL, "play", ENGINE, {}))
    assert isinstance(await host.answer(), wire.Ready)
    return host


async def test_a_child_dies_with_its_worker() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())

    parent.kill()
    await parent.wait()

    await eventually(lambda: not psutil.pid_exists(child))


async def test_a_child_leaves_when_the_socket_closes() -> None:
    async with AsyncExitStack() as stack:
        host = await prepared(stack)

        host._writer.close()

        await eventually(lambda: not host.alive)


async def test_signals_for_the_service_do_not_end_a_job() -> None:
    async with AsyncExitStack() as stack:
        host = await prepared(stack)

        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(host.pid, number)
        await host.ask(a_run(1, act="say"))
        answers = [await host.answer() for _ in range(3)]

    assert isinstance(answers[-1], wire.Ended)
    assert answers[-1].output is not None


async def test_a_stop_for_an_earlier_run_does_not_end_this_one() -> None:
    async with AsyncExitStack() as stack:
        host = await prepared(stack)

        host.ask_to_stop(1)
        await host.ask(a_run(2, act="say"))
        answers = [await host.answer() for _ in range(3)]

    assert isinstance(answers[-1], wire.Ended)
    assert answers[-1].output is not None


async def test_a_child_of_another_release_says_so() -> None:
    async with AsyncExitStack() as stack:
        host = await Host.spawn("play")
        stack.push_async_callback(host.close)

        await host.ask(wire.Prepare(wire.PROTOCOL + 1, "play", ENGINE, {}))
        answer = await host.answer()

    assert isinstance(answer, wire.Failed)
    assert "of different releases" in answer.error.message


async def test_a_child_that_is_gone_is_an_answer_not_a_hang() -> None:
    async with AsyncExitStack() as stack:
        host = await prepared(stack)

        host.kill()

        with pytest.raises(HostLost, match="was killed by SIGKILL"):
            await host.answer()


async def test_an_engine_that_cannot_be_imported_is_reported() -> None:
    missing = LaneOptions(card=LANE.card, engine="headrace.testkit.play:NoEngine")
    keeper = Keeper(missing, LIMITS)

    with pytest.raises(NotReady, match="NoEngine"):
        await keeper.ready(None)

    await keeper.close()


async def test_an_engine_is_found_by_the_entry_point_of_its_lane() -> None:
    keeper = Keeper(LaneOptions(card=LANE.card, engine=""), LIMITS)

    with pytest.raises(NotReady, match="engine 'play' is not installed"):
        await keeper.ready(None)

    await keeper.close()


async def test_a_child_that_did_not_say_it_is_idle_is_replaced() -> None:
    keeper = Keeper(LANE, LIMITS)
    await keeper.ready(Weights("calm"))
    first = keeper._host
    assert first is not None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await keeper.run(lambda run: a_run(run, act="wait"), unheard, unshown)

    await keeper.ready(Weights("calm"))

    assert keeper._host is not first
    assert not first.alive
    await keeper.close()


async def test_a_child_that_died_while_idle_is_replaced_unseen() -> None:
    keeper = Keeper(LANE, LIMITS)
    await keeper.ready(Weights("calm"))
    assert keeper._host is not None
    keeper._host.kill()
    await keeper._host._output.exited.wait()

    await keeper.ready(Weights("calm"))
    ended = await keeper.run(lambda run: a_run(run, act="say"), unheard, unshown)

    assert ended.output is not None
    await keeper.close()
