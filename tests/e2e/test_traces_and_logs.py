"""One trace and one thread of log lines lead from the request to the worker's last stage."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from headrace.testkit.client import User
from headrace.testkit.collector import CollectedSpan, Collector, collecting, waterfall
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def collector() -> Generator[Collector]:
    with collecting() as collector:
        yield collector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    mode: Mode, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[System]:
    folder = tmp_path_factory.mktemp(mode)
    async with running(mode, folder, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as system:
        yield system


async def spans_of(collector: Collector, job: Any, *, runs: int = 1) -> list[CollectedSpan]:
    async def whole() -> list[CollectedSpan]:
        spans = collector.trace(job["trace_id"])
        names = [span.name for span in spans]
        assert names.count("job.run") == runs, names
        assert names.count("job.record") == runs, names
        assert "POST /jobs" in names, names
        return spans

    return await eventually(whole, within=15)


async def test_one_trace_joins_request_queue_and_worker(
    user: User, collector: Collector, system: System
) -> None:
    job = await user.echo("one two", delay_s=0.05)
    await user.watch(job)

    spans = await spans_of(collector, job)

    print(waterfall(spans))
    by_name = {span.name: span for span in spans}
    ids = {span.id for span in spans}
    assert sum(span.parent not in ids for span in spans) == 1, "one root: the request"
    assert {"job.claim", "job.load", "job.store"} <= set(by_name)
    assert any(name.startswith("send ") and ".work." in name for name in by_name)
    if system.mode == "EDA":
        assert {span.service for span in spans} == {"api", "dispatcher", "gpu-worker"}


async def test_a_retry_is_linked_to_the_attempt_before_it(user: User, collector: Collector) -> None:
    job = await user.echo("one two", fail="transient", fail_attempts=1)
    await user.watch(job)

    spans = await spans_of(collector, job, runs=2)

    first, _ = (span for span in spans if span.name == "job.attempt")
    _, again = (span for span in spans if span.name == "job.run")
    assert f"{first.trace}-{first.id}" in again.links


async def test_a_trace_begun_by_the_caller_goes_on(user: User, collector: Collector) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}

    answer = await user.http.post(
        "/jobs", json={"kind": "echo", "input": {"text": "a"}}, headers=headers
    )

    assert answer.json()["trace_id"] == trace
    assert answer.headers["X-Trace-Id"] == trace


async def test_every_service_logs_the_job_under_its_trace(user: User, system: System) -> None:
    job = await user.echo("one two")
    await user.watch(job)

    lines = [json.loads(line) for line in system.logs().splitlines()]

    of_job = [line for line in lines if line.get("trace_id") == job["trace_id"]]
    events = {line["event"] for line in of_job}
    assert {"job.submitted", "job.granted", "attempt.ended", "job.attempt_ended"} <= events
    assert {line["job_id"] for line in of_job if "job_id" in line} == {job["id"]}


async def test_a_collector_that_is_down_is_in_nobodys_way(
    mode: Mode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp(f"{mode}-dark")
    async with (
        running(mode, folder, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False) as http,
    ):
        user = User(http)
        seen = await user.watch(await user.echo("still works"))

    assert seen[-1].type == "succeeded"
