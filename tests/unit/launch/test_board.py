"""All jobs of late at once: what a terminal shows, what a pipe is told, over a socket that breaks."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from headrace.contracts import frames
from headrace.contracts.frames import Frame, Succeeded, Token
from headrace.contracts.ids import Position
from headrace.launch.board import Board, Row
from headrace.launch.client import Client
from headrace.launch.errors import Refused
from headrace.launch.many import Followed
from headrace.testkit.waits import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
STARTED = frames.Started(worker="w1", attempt=1)


def record(job: str, state: str = "queued", **more: Any) -> dict[str, Any]:
    return {
        "id": job,
        "kind": "echo",
        "state": state,
        "progress": None,
        "input": {"text": "say it"},
        "created_at": "2026-01-01T00:00:00+00:00",
        "finished_at": None,
        **more,
    }


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_row_tells_its_place_then_how_far_it_is_and_how_fast() -> None:
    clock = Clock()
    board = Board(monotonic=clock)
    board.show([record("a")])
    board.place([{"id": "a", "queue_position": 7}])
    waiting = board.rows["a"].in_words()

    board.see("a", Position(1, 1), STARTED)
    for step in range(1, 5):
        clock.now = step * 1.0
        said = frames.Progress(fraction=step / 10, step=step, steps=10, stage="drawing")
        board.see("a", Position(1, step + 1), said)

    assert waiting == "queued, 7 ahead"
    assert board.rows["a"].in_words() == "drawing 4/10"
    assert board.rows["a"].numbers() == "1.0 steps/s · about 5 s left"


async def test_an_end_is_an_end_whoever_tells_it_first() -> None:
    by_stream = Row(record("a", "running"))
    by_stream.see(Position(1, 1), STARTED, 0.0)
    by_stream.see(Position(2, 1), Succeeded({}), 0.0)
    by_record = Row(record("a", "succeeded", finished_at="2026-01-01T00:00:02+00:00"))
    by_record.see(Position(1, 1), STARTED, 0.0)

    assert by_stream.state == by_record.state == "succeeded"
    assert by_record.in_words() == "succeeded in 2.00 s"


async def test_a_pipe_is_told_of_each_state_and_quarter_once() -> None:
    told: list[str] = []
    board = Board(changed=lambda row: told.append(row.in_words()), monotonic=Clock())
    board.show([record("a")])
    board.show([record("a")])
    board.see("a", Position(1, 1), STARTED)
    for seq, fraction in enumerate((0.1, 0.2, 0.3, 0.4), 2):
        board.see("a", Position(1, seq), frames.Progress(fraction=fraction))
    board.see("a", Position(2, 1), Succeeded({}))

    assert told == ["queued", "running", "running 30%", "succeeded"]


class Heard:
    """What a follower of many jobs was told."""

    def __init__(self) -> None:
        self.said: dict[str, list[tuple[Position, Frame]]] = {}
        self.gaps: list[str] = []

    def see(self, job: str, position: Position, frame: Frame) -> None:
        self.said.setdefault(job, []).append((position, frame))

    def text(self, job: str) -> str:
        return "".join(each.text for _, each in self.said[job] if isinstance(each, Token))

    def ended(self, jobs: list[str]) -> bool:
        return all(isinstance(self.said.get(job, [(0, 0)])[-1][1], Succeeded) for job in jobs)


async def test_many_jobs_are_followed_at_once_and_whole_over_a_socket_that_breaks(
    client: Client, cut: Any
) -> None:
    cutter, url = cut
    asked = [{"text": f"word-{number}", "repeat": 20} for number in range(4)]
    jobs = [(await client.submit({"kind": "echo", "input": each}))["id"] for each in asked]
    heard = Heard()
    followed = Followed(url, "key-of-red", see=heard.see, on_gap=heard.gaps.append)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(followed.run())
        followed.want(jobs)
        await eventually(lambda: heard.ended(jobs), within=30)
        running.cancel()

    for number, job in enumerate(jobs):
        positions = [position for position, _ in heard.said[job]]
        assert positions == sorted(set(positions))
        assert heard.text(job) == " ".join([f"word-{number}"] * 20)
    assert cutter.connections > 1
    assert heard.gaps


async def test_a_wrong_key_ends_it(system: Any) -> None:
    followed = Followed(system.url, "nobody's", see=Heard().see, on_gap=lambda _: None)

    with pytest.RaisesGroup(pytest.RaisesExc(Refused)):
        async with asyncio.timeout(10):
            await followed.run()


async def test_watch_without_a_job_lists_them_until_ctrl_c(command: Any, client: Client) -> None:
    await client.submit({"kind": "echo", "input": {"text": "on the board"}})
    process = await command.start("watch")
    async with asyncio.timeout(30):
        line = await process.stdout.readuntil(b"on the board")
    process.send_signal(signal.SIGINT)

    await process.communicate()

    assert process.returncode == 0
    assert b"\x1b" not in line
