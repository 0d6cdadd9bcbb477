"""A receiver's story: it is called, it can verify who calls, and no process that dies keeps that from it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from standardwebhooks.webhooks import Webhook as Reference

from headrace.testkit.client import User
from headrace.testkit.receivers import Received, Receiver, a_receiver, answers, hangs
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
SECONDS_OF_A_RESERVATION = 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    async with running(
        mode,
        tmp_path_factory.mktemp(mode),
        SLOTS="echo=2",
        WEBHOOK_HTTP="true",
        WEBHOOK_NETWORKS="127.0.0.0/8",
    ) as system:
        yield system


async def asked(system: System, method: str, path: str, **given: Any) -> Any:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http:
        answer = await http.request(method, path, **given)
        return answer.raise_for_status().json()


def about(receiver: Receiver, job: dict[str, Any]) -> list[Received]:
    return [each for each in receiver.received if job["id"].encode() in each.body]


async def test_who_is_named_by_a_job_is_called_and_can_verify_it(
    system: System, user: User
) -> None:
    secret = (await asked(system, "GET", "/webhooks/jobs/secret"))["secret"]
    async with a_receiver() as receiver:
        hook = {"url": receiver.url, "events": ["job.started", "job.succeeded"]}
        job = await user.submit(input={"text": "one two"}, webhook=hook)
        await eventually(lambda: len(about(receiver, job)) == 2, within=20)

    said = [Reference(secret).verify(each.body, each.headers) for each in about(receiver, job)]
    by_type = {each["type"]: each["data"] for each in said}
    assert set(by_type) == {"job.started", "job.succeeded"}
    assert by_type["job.succeeded"]["result"] == {"text": "one two", "words": 2}
    shown = await user.get(job)
    shown.pop("input")
    assert by_type["job.succeeded"] == shown


async def test_an_endpoint_is_called_about_every_job_and_the_log_says_so(
    system: System, user: User
) -> None:
    async with a_receiver() as receiver:
        made = await asked(system, "POST", "/webhooks", json={"url": receiver.url})
        jobs = [await user.echo("one") for _ in range(3)]
        await eventually(lambda: all(about(receiver, job) for job in jobs), within=20)

        async def delivered() -> bool:
            query = {"webhook": made["id"], "state": "delivered"}
            found = await asked(system, "GET", "/webhooks/deliveries", params=query)
            return len(found["deliveries"]) == 3

        await eventually(delivered, within=10)
        await asked(system, "PATCH", f"/webhooks/{made['id']}", json={"enabled": False})
    for each in receiver.received:
        Reference(made["secret"]).verify(each.body, each.headers)


async def test_a_dispatcher_killed_in_the_middle_of_a_call_takes_no_call_with_it(
    system: System, user: User
) -> None:
    """The job's end is committed and its call is under way, unanswered, when the process dies."""
    async with a_receiver(hangs) as receiver:
        job = await user.submit(input={"text": "one"}, webhook=receiver.url)
        await eventually(lambda: len(about(receiver, job)) == 1, within=20)
        dying = system.playing("dispatcher")
        dying.kill()
        await dying.wait()
        receiver.behave = answers(204)
        await system.start(dying.name)
        await system.ready()
        within = SECONDS_OF_A_RESERVATION + 20
        await eventually(lambda: len(about(receiver, job)) == 2, within=within, every=0.2)

        async def delivered() -> bool:
            found = await asked(system, "GET", "/webhooks/deliveries", params={"job": job["id"]})
            return [each["state"] for each in found["deliveries"]] == ["delivered"]

        await eventually(delivered, within=10)

    first, second = about(receiver, job)
    secret = (await asked(system, "GET", "/webhooks/jobs/secret"))["secret"]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    Reference(secret).verify(second.body, second.headers)
