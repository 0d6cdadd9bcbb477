"""One of two api processes is asked to leave: its watchers go on with the other, and miss nothing."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import pytest

from headrace.testkit.chaos.clients import Crowd
from headrace.testkit.chaos.rig import House, rig
from headrace.testkit.chaos.rounds import Rounds
from headrace.testkit.client import Seen
from headrace.testkit.system import free_port
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.real]

JOBS: Final = 2
# So many clients starve this process, and what they watch is not to lose its lease for it.
CALM: Final = {"LEASE_S": "30", "SLOTS": f"ledger={JOBS}"}


@pytest.mark.parametrize(
    ("streams", "words"),
    [
        pytest.param(50, 40, marks=pytest.mark.timeout(180)),
        pytest.param(500, 100, marks=[pytest.mark.full, pytest.mark.timeout(300)]),
    ],
)
async def test_every_stream_of_an_api_that_leaves_ends_with_the_full_text(
    house: House, tmp_path: Path, figures: list[str], streams: int, words: int
) -> None:
    """SIGTERM to one of two, once every stream has begun; who connects is sent to both in turn."""
    port = free_port()
    async with rig(house, tmp_path, env=CALM) as here:
        leaving, staying = f"http://127.0.0.1:{port}", here.system.url
        await here.start("api@2", PORT=str(port))
        async with here.crowd_at(leaving, "second") as crowd:
            jobs = await crowd.submit_many(JOBS, words=words, delay_s=0.4)
        begun: set[int] = set()
        rounds = Rounds([leaving, staying])
        async with (
            httpx.AsyncClient(base_url=staying, transport=rounds, timeout=20) as http,
            asyncio.TaskGroup() as watching,
        ):
            users = Crowd(http, here.ledger, here.random)
            for number in range(streams):
                job = jobs[number % JOBS]
                watching.create_task(users.watch(job, heard=notes_a_word(begun, number)))
            await eventually(lambda: len(begun) == streams, within=60)
            there, here_before = rounds.streams[leaving], rounds.streams[staying]
            asked = time.monotonic()
            left = await here.end("api@2", signal.SIGTERM)
            took_s = time.monotonic() - asked
        judgement = await here.quiet()

    over = rounds.streams[staying] - here_before
    figures.append(
        f"{streams} streams on two apis, SIGTERM to one: it exits {left.process.returncode} after"
        f" {took_s:.1f} s, {there} streams were there, {over} came over,"
        f" {judgement.counts['resets']} resets"
    )
    assert left.process.returncode == 0
    assert over >= there > 0
    assert judgement.counts["transcripts"] == streams
    assert judgement.counts["frames"] == streams * (words + 3)  # queued, started, the end
    assert judgement.counts["resets"] == 0


def notes_a_word(begun: set[int], number: int) -> Callable[[Seen], None]:
    def note(seen: Seen) -> None:
        if seen.type == "token":
            begun.add(number)

    return note
