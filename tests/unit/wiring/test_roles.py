"""Roles start together and stop one after another; what fails is told when the others have drained."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable
from dataclasses import dataclass, field

import pytest

from headrace.core.errors import Unavailable
from headrace.testkit.background import served
from headrace.testkit.waits import eventually
from headrace.wiring.roles import STUCK, run, stop_on_signals

GRACE_S = 5.0


@dataclass
class Scripted:
    """A role that says what becomes of it, and does as it is told."""

    name: str
    said: list[str]
    fails: Exception | None = None  # when `begin` is set
    leaves: bool = False  # when `begin` is set
    stuck: bool = False  # does not hear `stop`
    fails_at_the_end: Exception | None = None
    begin: asyncio.Event = field(default_factory=asyncio.Event)
    drain: asyncio.Event | None = None  # what it waits for after `stop`

    async def serve(self, stop: asyncio.Event) -> None:
        self.said.append(f"{self.name} serves")
        try:
            await self._serve(stop)
        except asyncio.CancelledError:
            self.said.append(f"{self.name} is cut off")
            raise
        self.said.append(f"{self.name} is done")

    async def _serve(self, stop: asyncio.Event) -> None:
        if self.fails is not None or self.leaves:
            await self.begin.wait()
        if self.fails is not None:
            raise self.fails
        if self.leaves:
            return
        await (asyncio.Event() if self.stuck else stop).wait()
        self.said.append(f"{self.name} stops")
        if self.drain is not None:
            await self.drain.wait()
        if self.fails_at_the_end is not None:
            raise self.fails_at_the_end


@pytest.fixture
def said() -> list[str]:
    return []


async def served_by(said: list[str], *names: str) -> None:
    await eventually(lambda: said == [f"{name} serves" for name in names])


async def started(said: list[str], *roles: Scripted) -> None:
    """Wait for the start, and forget it."""
    await served_by(said, *(role.name for role in roles))
    said.clear()


async def test_all_serve_until_they_are_told_to_stop(said: list[str]) -> None:
    roles = [Scripted("first", said), Scripted("last", said)]

    async with served(lambda stop: run(roles, stop, grace_s=GRACE_S)) as serving:
        await served_by(said, "first", "last")
        assert not serving.task.done()
        serving.stop.set()
        await serving.ended()


async def test_they_stop_the_last_first_and_one_after_another(said: list[str]) -> None:
    drain = asyncio.Event()
    roles = [Scripted("first", said), Scripted("middle", said), Scripted("last", said, drain=drain)]

    async with served(lambda stop: run(roles, stop, grace_s=GRACE_S)) as serving:
        await started(said, *roles)
        serving.stop.set()
        await eventually(lambda: said == ["last stops"])
        drain.set()
        await serving.ended()

    assert said == [
        *("last stops", "last is done"),
        *("middle stops", "middle is done"),
        *("first stops", "first is done"),
    ]


async def test_a_role_that_does_not_stop_is_cut_off_after_its_grace(said: list[str]) -> None:
    roles = [Scripted("first", said), Scripted("stuck", said, stuck=True)]

    async with served(lambda stop: run(roles, stop, grace_s=0.02)) as serving:
        await started(said, *roles)
        serving.stop.set()
        await serving.ended(within=2)

    assert said == ["stuck is cut off", "first stops", "first is done"]


async def test_each_has_its_own_grace(said: list[str]) -> None:
    roles = [Scripted(name, said, stuck=True) for name in ("one", "two", "three")]
    loop = asyncio.get_running_loop()

    async with served(lambda stop: run(roles, stop, grace_s=0.05)) as serving:
        await started(said, *roles)
        begun = loop.time()
        serving.stop.set()
        await serving.ended(within=5)

    assert loop.time() - begun >= 3 * 0.05 - 0.01
    assert said == ["three is cut off", "two is cut off", "one is cut off"]


async def test_a_role_that_fails_lets_the_others_drain_and_is_told_then(said: list[str]) -> None:
    broken = Scripted("broken", said, fails=Unavailable("it", "broke"))
    roles = [Scripted("first", said), broken, Scripted("last", said)]
    stop = asyncio.Event()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(_caught(run(roles, stop, grace_s=GRACE_S)))
        await started(said, *roles)
        broken.begin.set()

    assert said == ["last stops", "last is done", "first stops", "first is done"]
    assert task.result() is broken.fails


async def test_a_role_that_leaves_by_itself_takes_the_others_with_it(said: list[str]) -> None:
    leaving = Scripted("leaving", said, leaves=True)
    roles = [leaving, Scripted("last", said)]

    async with served(lambda stop: run(roles, stop, grace_s=GRACE_S)) as serving:
        await started(said, *roles)
        leaving.begin.set()
        await serving.ended()

    assert said == ["leaving is done", "last stops", "last is done"]


async def test_a_failure_at_the_end_is_told_too(said: list[str]) -> None:
    late = Scripted("late", said, fails_at_the_end=ValueError("at the end"))
    stop = asyncio.Event()
    stop.set()

    error = await _caught(run([Scripted("first", said), late], stop, grace_s=GRACE_S))

    assert error is late.fails_at_the_end
    assert said[-1] == "first is done"


async def test_without_a_role_there_is_nothing_to_fail() -> None:
    stop = asyncio.Event()
    stop.set()

    await run([], stop, grace_s=GRACE_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops(number: signal.Signals, said: list[str]) -> None:
    stop = asyncio.Event()

    async with asyncio.timeout(5), stop_on_signals(stop):
        os.kill(os.getpid(), number)
        await run([Scripted("only", said)], stop, grace_s=GRACE_S)

    assert said == ["only serves", "only stops", "only is done"]


async def test_a_second_signal_cuts_everybody_off(said: list[str]) -> None:
    draining = Scripted("draining", said, drain=asyncio.Event())
    stop = asyncio.Event()

    async def process() -> None:
        async with stop_on_signals(stop):
            await run([draining], stop, grace_s=60)

    task = asyncio.ensure_future(process())  # noqa: TID251  # it is cancelled from within
    await eventually(lambda: said == ["draining serves"])
    os.kill(os.getpid(), signal.SIGTERM)
    await eventually(lambda: said[-1] == "draining stops")
    os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await task
    assert said[-1] == "draining is cut off"


STUBBORN = """
import asyncio, sys
from headrace.wiring.roles import STUCK, run, stop_on_signals

class Stubborn:
    name = "stubborn"
    async def serve(self, stop):
        print("serves", flush=True)
        await stop.wait()
        print("is told", flush=True)
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

class Polite:
    name = "polite"
    async def serve(self, stop):
        await stop.wait()
        print("polite is done", flush=True)

async def main():
    stop = asyncio.Event()
    async with stop_on_signals(stop):
        await run([Polite(), Stubborn()], stop, grace_s=float(sys.argv[1]), last_s=0.2)

asyncio.run(main())
"""


@pytest.mark.parametrize(("grace_s", "signals"), [(0.1, 1), (60, 2)], ids=["late", "told twice"])
async def test_a_role_that_does_not_let_go_does_not_hold_the_process(
    grace_s: float, signals: int
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STUBBORN, str(grace_s)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"serves\n"
        process.send_signal(signal.SIGTERM)
        assert await process.stdout.readline() == b"is told\n"
        if signals > 1:
            process.send_signal(signal.SIGTERM)
        said, _ = await process.communicate()

    assert process.returncode == STUCK
    assert b"role.stuck" in said
    assert b"['stubborn']" in said
    assert (b"polite is done" in said) == (signals == 1)


async def test_afterwards_signals_are_the_process_s_own_again() -> None:
    async with stop_on_signals(asyncio.Event()):
        pass

    loop = asyncio.get_running_loop()
    assert not loop.remove_signal_handler(signal.SIGTERM)


async def _caught(running: Awaitable[None]) -> Exception | None:
    try:
        await running
    except Exception as error:  # noqa: BLE001  # whatever it is, the test looks at it
        return error
    return None
