"""One bad job, or one bad message, hurts only itself; and what died can be looked at and sent again."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import httpx
import pytest
import pytest_asyncio

from headrace.contracts.topology import Topology
from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(150),
]
ANN = {"apikey": "key-of-operators", "X-Operator": "ann"}
LETTERS = "/admin/dead-letters"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings = {"SLOTS": "echo=2", "ADMIN_KEY": ANN["apikey"]}
    async with running(mode, tmp_path_factory.mktemp(mode), kinds=1, **settings) as system:
        yield system


@asynccontextmanager
async def operating(system: System) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=system.url, headers=ANN, trust_env=False) as http:
        yield http


async def letters(http: httpx.AsyncClient, **query: Any) -> list[Any]:
    answer = await http.get(LETTERS, params=query)
    assert answer.is_success, answer.text
    found: list[Any] = answer.json()["letters"]
    return found


async def test_a_job_that_kills_its_worker_dies_and_its_neighbours_finish(
    user: User, system: System
) -> None:
    poison = await user.echo("one two", fail="crash")
    neighbours = [await user.echo(f"neighbour {number}") for number in range(9)]

    async with asyncio.TaskGroup() as group:
        watched = [group.create_task(user.watch(job)) for job in [poison, *neighbours]]

    ends = [each.result()[-1].type for each in watched]
    assert ends == ["dead"] + ["succeeded"] * 9
    attempts = (await user.get(poison, "/timeline"))["attempts"]
    assert [each["error"]["kind"] for each in attempts] == ["worker_lost"] * 3
    async with operating(system) as http:
        (letter,) = [each for each in await letters(http) if each["job"] == poison["id"]]
    assert letter["source"] == "job"


async def test_jobs_that_died_alike_are_one_group_and_are_replayed_at_a_rate(
    user: User, system: System
) -> None:
    jobs = [await user.echo("a b", fail="internal", fail_attempts=3) for _ in range(3)]
    for job in jobs:
        assert (await user.watch(job))[-1].type == "dead"

    async with operating(system) as http:
        mine = [each for each in await letters(http) if each["job"] in {j["id"] for j in jobs}]
        (cause,) = {each["fingerprint"] for each in mine}
        asked = {"fingerprint": cause, "per_s": 20}
        planned = await http.post(f"{LETTERS}/replay", json=asked)
        assert planned.json()["count"] >= 3

        async def replayed() -> list[Any]:
            done = await letters(http, settled=True, fingerprint=cause)
            return done if len(done) >= 3 else []

        done = await eventually(replayed, within=15)

    assert {each["settled_by"] for each in done} == {"ann"}
    for each in done:
        new = {"id": each["retried_as"]}
        assert (await user.get(new))["retry_of"] == each["job"]
        # By its own count this is the first attempt again: it fails as the old one did.
        assert (await user.watch(new))[-1].type == "dead"


async def headrace(system: System, *arguments: str, key: str) -> Any:
    """What the command says as JSON, as a person runs it beside the system."""
    env = {"PATH": os.environ["PATH"], "HEADRACE_URL": system.url, "HEADRACE_KEY": key}  # noqa: TID251  # the child's
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace.launch", *arguments, "--json"),
        cwd=system.folder,
        env=env | {"HEADRACE_OPERATOR": "ann"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(40):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


async def test_an_operator_finds_and_replays_what_died_from_the_command_line(
    user: User, system: System
) -> None:
    job = await user.echo("a b c", fail="internal", fail_attempts=3)
    assert (await user.watch(job))[-1].type == "dead"
    ann = {"key": ANN["apikey"]}

    listed = await headrace(system, "dead-letters", "list", "--source", "job", **ann)
    (letter,) = [each for each in listed if each["job"] == job["id"]]
    groups = await headrace(system, "dead-letters", **ann)
    shown = await headrace(system, "dead-letters", "show", str(letter["number"]), **ann)
    await headrace(system, "dead-letters", "replay", str(letter["number"]), **ann)

    async def replayed() -> Any:
        async with operating(system) as http:
            return (await http.get(f"{LETTERS}/{letter['number']}")).json()["retried_as"]

    new = {"id": await eventually(replayed, within=15)}
    assert letter["fingerprint"] in {each["fingerprint"] for each in groups}
    assert shown["died"]["input"]["text"] == "a b c"
    assert len(shown["died"]["attempts"]) == 3
    assert (await user.get(new))["retry_of"] == job["id"]


async def test_an_owner_schedules_runs_and_retries_from_the_command_line(
    user: User, system: System
) -> None:
    mine = {"key": system.auth.get("apikey", "")}
    asked = ("schedules", "create", "0 6 * * *", "echo", "each morning")

    schedule = (await headrace(system, *asked, **mine))["id"]
    job = await headrace(system, "schedules", "run-now", schedule, **mine)
    await user.watch(job)
    again = await headrace(system, "retry", job["id"], **mine)
    paused = await headrace(system, "schedules", "pause", schedule, **mine)

    assert (again["retry_of"], again["state"]) == (job["id"], "succeeded")
    assert again["result"]["text"] == "each morning"
    assert paused["paused_at"] is not None


async def test_an_owner_retries_a_job_that_ended(user: User) -> None:
    job = await user.echo("again")
    await user.watch(job)

    answer = await user.http.post(f"/jobs/{job['id']}/retry", headers={"Idempotency-Key": "r"})
    again = await user.http.post(f"/jobs/{job['id']}/retry", headers={"Idempotency-Key": "r"})

    assert answer.status_code == 202
    assert again.json()["id"] == answer.json()["id"]
    assert (await user.watch(answer.json()))[-1].type == "succeeded"


async def test_a_schedule_makes_jobs_by_itself(user: User, system: System) -> None:
    """The one test that waits for a clock: minutes are the finest that cron knows."""
    asked = {"cron": "* * * * *", "job": {"kind": "echo", "input": {"text": "tick"}}}
    schedule = (await user.http.post("/schedules", json=asked)).json()

    async def fired() -> list[Any]:
        shown = await user.http.get(f"/schedules/{schedule['id']}")
        fires: list[Any] = shown.json()["fires"]
        return fires

    fires = await eventually(fired, within=70, every=0.5)

    assert fires[-1]["fire_at"] == schedule["next_at"]
    assert (await user.watch({"id": fires[-1]["job"]}))[-1].type == "succeeded"
    assert (await user.http.delete(f"/schedules/{schedule['id']}")).status_code == 204


POISONS = {
    "unreadable": b"\xff\xfe nonsense",
    "of another version": b'{"kind":"results.v99","worker":"w","results":[]}',
    "oversized": b'{"kind":"results.v1","worker":"' + b"x" * 70_000 + b'","results":[]}',
}


@pytest.mark.parametrize("mode", ["EDA"], indirect=True, scope="module")
@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
async def test_poison_on_any_queue_ends_as_a_dead_letter_and_work_goes_on(
    user: User, system: System, poison: bytes
) -> None:
    """By RabbitMQ alone: the other mode's bus cannot be reached from outside its process."""
    await user.watch(await user.echo("so that every queue is there"))
    topology = Topology(system.env["NAMESPACE"])
    queues = {
        topology.claims,
        topology.heartbeats,
        topology.results,
        f"{topology.namespace}.work.echo",
    }
    async with operating(system) as http:
        # Messages alone: a job of the tests before may die meanwhile, and is a letter too.
        messages = {"source": "message", "limit": 200}
        before = {each["number"] for each in await letters(http, **messages)}
        await publish(system.env["RABBITMQ_URL"], queues, poison)

        async def all_parked() -> list[Any]:
            new = [each for each in await letters(http, **messages) if each["number"] not in before]
            return new if {each["queue"] for each in new} == queues else []

        parked = await eventually(all_parked, within=20)

    assert all(each["size"] == len(poison) and each["reason"] for each in parked)
    assert len(parked) == len(queues)
    assert (await user.watch(await user.echo("still here")))[-1].type == "succeeded"


async def publish(url: str, queues: set[str], body: bytes) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for queue in queues:
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key=queue)
