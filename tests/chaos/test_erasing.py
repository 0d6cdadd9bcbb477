"""Whoever dies while something is removed: in the end nothing of it is left anywhere, and the receipt says so."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from headrace.testkit.chaos.points import ERASING
from headrace.testkit.chaos.rig import BUILD
from headrace.testkit.chaos.settings import CRASH_POINT
from headrace.testkit.client import User
from headrace.testkit.system import MODES, Mode, System, running
from headrace.testkit.traces_left import kept_blobs, traces_left
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(700)]
ADMIN: Final = {"apikey": "operators-of-a-test"}
TELLING: Final = {
    "api": ("erase.after_commit", "blob.after_delete"),
    "dispatcher": ("erase.after_commit", "frames.after_discard", "clear.before_commit"),
}
OF_A_TENANT: Final = ("around.before_commit", "around.after_commit", "clear.after_commit")
PIPELINE: Final = '''
"""A text and what was said of it, with a file that nobody opens."""
from headrace.core.pipeline import Given, Of, Pipeline, Plain, Stage

ECHO = {"kind": "echo", "gives": {"text": Plain.TEXT}}
PIPELINE = Pipeline(
    name="pair",
    title="",
    takes={"text": Plain.TEXT, "file": Plain.BLOB},
    stages=(
        Stage(name="one", input={"text": Given("text")}, **ECHO),
        Stage(name="two", input={"text": Of("one", "text")}, **ECHO),
    ),
)
'''
ITEMS: Final = 130  # of a batch: more than go in one step
# What the receipts say: of a job that is over, one that is stopped first, a run and a batch.
TOLD: Final = [
    {"jobs": 1, "streams": 1, "blobs": 2},
    {"jobs": 1, "streams": 1, "blobs": 1},
    {"runs": 1, "jobs": 2, "streams": 2, "blobs": 1},
    {"batches": 1, "items": ITEMS, "jobs": ITEMS, "streams": ITEMS, "blobs": 1},
]

_JOBS: Final = ITEMS + 4
OF_ALL: Final = {
    "batches": 1,
    "items": ITEMS,
    "runs": 1,
    "jobs": _JOBS,
    "streams": _JOBS,
    "blobs": 5,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("role", TELLING)
async def test_a_process_that_dies_while_it_removes_something_forgets_no_piece_of_it(
    mode: Mode, role: str, tmp_path: Path
) -> None:
    await none_is_forgotten(mode, tmp_path, role, TELLING[role])


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("role", ERASING)
async def test_a_process_that_dies_at_any_step_of_removing_forgets_no_piece(
    mode: Mode, role: str, tmp_path: Path
) -> None:
    await none_is_forgotten(mode, tmp_path, role, ERASING[role])


async def none_is_forgotten(mode: Mode, folder: Path, role: str, points: Sequence[str]) -> None:
    async with begun(mode, folder) as (system, user):
        for point in points:
            zebra = f"zebra-{secrets.token_hex(8)}"
            made = await everything_with(user, zebra)
            there = set(await traces_left(system, zebra))
            assert {"jobs", "runs", "run_stages", "batches", "batch_items"} <= there

            await again(system, role, **{CRASH_POINT: point})
            async with asyncio.TaskGroup() as group:
                group.create_task(dies_and_comes_back(system, point, role))
                wishes = [await insisted(user, "DELETE", at) for at in made]
                receipts = [await over(user, f"/deletions/{wish['id']}") for wish in wishes]

            assert [told(each) for each in receipts] == TOLD, point
            assert await traces_left(system, zebra) == [], point
            assert kept_blobs(system) == [], point


@pytest.mark.parametrize("mode", MODES)
async def test_all_that_a_tenant_has_goes_whoever_dies_meanwhile(
    mode: Mode, tmp_path: Path
) -> None:
    async with begun(mode, tmp_path) as (system, user):
        for point in OF_A_TENANT:
            zebra = f"zebra-{secrets.token_hex(8)}"
            await everything_with(user, zebra)

            await again(system, "dispatcher", **{CRASH_POINT: point})
            async with asyncio.TaskGroup() as group:
                group.create_task(dies_and_comes_back(system, point, "dispatcher", "api"))
                wish = await user.http.delete("/admin/tenants/local/data", headers=ADMIN)
                receipt = await over(user, f"/admin/deletions/{wish.json()['id']}", headers=ADMIN)

            assert told(receipt) == OF_ALL, point
            assert await traces_left(system, zebra) == [], point
            assert kept_blobs(system) == [], point


@asynccontextmanager
async def begun(mode: Mode, folder: Path) -> AsyncGenerator[tuple[System, User]]:
    (folder / "pair.py").write_text(PIPELINE)
    settings = {"PYTHONPATH": str(folder), "PIPELINES": "pair", "SLOTS": "echo=4"}
    operated = {"ADMIN_KEY": ADMIN["apikey"], "ALLOW_ANONYMOUS": "true"}
    async with (
        running(mode, folder, kinds=1, module=BUILD, **settings, **operated) as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http,
    ):
        yield system, User(http)


async def everything_with(user: User, zebra: str) -> list[str]:
    """A job, one that goes on, a run and a batch that say this wherever they can; how each is deleted."""
    long = f"{zebra} " * 3_000  # too long for a message: input and result are blobs
    labels = {"of": zebra}
    job = await user.submit("echo", input={"text": long}, key=f"key {zebra}", labels=labels)
    slow = await user.submit("echo", input={"text": long, "delay_s": 0.5}, labels=labels)
    octets = {"content-type": "application/octet-stream"}
    file = (await user.http.post("/blobs", content=zebra.encode(), headers=octets)).json()["blob"]
    asked = {"pipeline": "pair", "input": {"text": zebra, "file": {"blob": file}}}
    run = (await user.http.post("/runs", json=asked)).json()["id"]
    items = [{"input": {"text": zebra}, "custom_id": zebra} for _ in range(ITEMS)]
    lines = {"kind": "echo", "items": items, "labels": labels}
    batch = (await user.http.post("/batches", json=lines)).json()["id"]

    await user.until(slow, "token")
    assert (await user.watch(job))[-1].type == "succeeded"
    for at in (f"/runs/{run}", f"/batches/{batch}"):
        await eventually(partial(ended, user, at), within=60, every=0.1)
    stopped = f"/jobs/{slow['id']}?cancel=1"
    return [f"/jobs/{job['id']}", stopped, f"/runs/{run}", f"/batches/{batch}"]


async def ended(user: User, at: str) -> bool:
    return (await user.http.get(at)).json()["state"] in {"succeeded", "ended"}


async def insisted(user: User, method: str, at: str, **how: Any) -> Any:
    """As a client that asks again when it was cut off, or when nobody was there."""

    async def answered() -> Any:
        try:
            answer = await user.http.request(method, at, **how)
        except httpx.TransportError:
            return None
        return answer.json() if answer.is_success else None

    return await eventually(answered, within=60, every=0.1)


async def over(user: User, at: str, **how: Any) -> Any:
    async def is_done() -> Any:
        found = await insisted(user, "GET", at, **how)
        return found if found["state"] == "done" else None

    return await eventually(is_done, within=90, every=0.1)


def told(receipt: Mapping[str, Any]) -> dict[str, int]:
    wanted = ("batches", "items", "runs", "jobs", "streams", "blobs")
    assert receipt["left"] == 0
    return {name: receipt["removed"][name] for name in wanted if name in receipt["removed"]}


async def dies_and_comes_back(system: System, point: str, role: str, *others: str) -> None:
    """Whoever plays the role dies of the point; others are killed with it, and all come back."""
    name = system.playing(role).name
    assert await system.processes[name].wait(within=90) == -signal.SIGKILL, point
    for each in dict.fromkeys([name, *(system.playing(other).name for other in others)]):
        await again(system, each)


async def again(system: System, who: str, **env: str) -> None:
    """Killed, where it is not dead yet, and started."""
    process = system.processes.get(who) or system.playing(who)
    if process.process.returncode is None:
        process.kill(signal.SIGKILL)
    await process.wait()
    await system.start(process.name, **env)
    await system.ready()
