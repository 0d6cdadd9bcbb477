"""One trace and one thread of log lines lead from the request to the worker's last stage."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from headrace.testkit.client import User
from headrace.testkit.collector import CollectedSpan, Collector, collecting, waterfall
from headrace.testkit.system import Mode, System, free_port, running
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
    stages = {
        "job.wait",
        "job.claim",
        "job.started",
        "job.load",
        "job.run",
        "job.stream",
        "job.store",
    }
    assert stages <= set(by_name)
    assert {"store transaction", "stream started", "stream succeeded"} <= set(by_name)
    if system.mode == "EDA":
        assert {span.service for span in spans} == {"api", "dispatcher", "gpu-worker"}


async def test_one_request_has_one_server_span(user: User, collector: Collector) -> None:
    job = await user.echo("one")
    await user.watch(job)

    spans = await spans_of(collector, job)

    (root,) = (span for span in spans if span.name == "POST /jobs")
    assert root.attributes["http.route"] == "/jobs"
    assert [span.name for span in spans if span.parent == root.parent] == ["POST /jobs"]


async def test_every_message_is_sent_and_received_under_one_name(
    user: User, collector: Collector, system: System
) -> None:
    job = await user.echo("one two")
    await user.watch(job)

    spans = await spans_of(collector, job)

    for queue in ("work.echo", "claims", "results"):
        sent = next(
            span for span in spans if span.name.startswith("send ") and span.name.endswith(queue)
        )
        received = next(span for span in spans if span.parent == sent.id)
        assert received.name == sent.name.replace("send ", "receive ")
        said = {
            sent.attributes["messaging.message.id"],
            received.attributes["messaging.message.id"],
        }
        assert len(said) == 1
        expected = "rabbitmq" if system.mode == "EDA" else "headrace"
        assert sent.attributes["messaging.system"] == expected
        assert sent.attributes["messaging.operation.type"] == "send"
        assert received.attributes["messaging.operation.type"] == "receive"


async def test_a_retry_is_in_the_same_trace_and_linked_to_the_attempt_before_it(
    user: User, collector: Collector
) -> None:
    job = await user.echo("one two", fail="transient", fail_attempts=1)
    await user.watch(job)

    spans = await spans_of(collector, job, runs=2)

    print(waterfall(spans))
    first, _ = (span for span in spans if span.name == "job.attempt")
    _, again = (span for span in spans if span.name == "job.run")
    assert first.failed
    assert f"{first.trace}-{first.id}" in again.links


async def test_a_ticket_is_in_no_trace(user: User, collector: Collector) -> None:
    job = await user.echo("one")
    await user.watch(job)
    ticket = (await user.http.post("/tickets")).json()["ticket"]
    async with user.http.stream("GET", f"/jobs/{job['id']}/events?ticket={ticket}") as answer:
        trace = answer.headers["X-Trace-Id"]

    def told() -> list[CollectedSpan]:
        return collector.trace(trace)

    spans = await eventually(told, within=15)
    assert not any(ticket in value for span in spans for value in span.attributes.values())


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


async def test_every_line_about_a_job_names_it_its_tenant_and_its_trace(
    user: User, system: System
) -> None:
    for given in ({}, {"fail": "transient", "fail_attempts": 1}, {"fail": "internal"}):
        await user.watch(await user.echo("one", **given))

    lines = [json.loads(line) for line in system.logs().splitlines()]

    about_a_job = [
        line
        for line in lines
        if line["event"].partition(".")[0] in {"job", "attempt", "claim", "result"}
    ]
    assert len(about_a_job) > 10
    for line in about_a_job:
        assert {"job_id", "tenant", "trace_id"} <= line.keys(), line


async def test_metrics_are_pushed_to_the_collector(collector: Collector, system: System) -> None:
    def pushed() -> bool:
        wanted = {
            "headrace_queue_wait_seconds",
            "headrace_http_request_seconds",
            "headrace_workers",
        }
        return wanted <= collector.metrics

    await eventually(pushed, within=40)


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


async def test_a_worker_killed_in_the_middle_of_a_job_is_in_its_trace(
    mode: Mode, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp(f"{mode}-killed")
    async with (
        running(mode, folder, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False) as http,
    ):
        user = User(http)
        job = await user.echo("a b c d e f g h", delay_s=0.4)
        await user.until(job, "token")

        def started() -> list[CollectedSpan]:
            return [s for s in collector.trace(job["trace_id"]) if s.name == "job.started"]

        (seen_alive,) = await eventually(started, within=15)
        worker = system.playing("gpu-worker")
        worker.kill()
        await worker.wait()
        await system.start(worker.name)
        await system.ready()
        await user.watch(job)
        spans = await spans_of_killed(collector, job)

    print(waterfall(spans))
    first, second = (span for span in spans if span.name == "job.started")
    (lost,) = (span for span in spans if span.name == "job.lost")
    assert first.id == seen_alive.id, "it was told before the kill"
    assert lost.parent == first.parent, "under the attempt that never ended"
    assert lost.failed
    assert second.parent != first.parent
    (run,) = (span for span in spans if span.name == "job.run")
    assert f"{first.trace}-{first.parent}" in run.links


async def spans_of_killed(collector: Collector, job: Any) -> list[CollectedSpan]:
    async def whole() -> list[CollectedSpan]:
        spans = collector.trace(job["trace_id"])
        names = [span.name for span in spans]
        assert {"job.lost", "job.record", "job.run"} <= set(names), names
        assert names.count("job.started") == 2, names
        return spans

    return await eventually(whole, within=20)


async def test_each_process_tells_its_metrics_on_a_port_of_its_own(
    mode: Mode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp(f"{mode}-ports")
    async with running(mode, folder) as system, httpx.AsyncClient(trust_env=False) as http:
        user = User(httpx.AsyncClient(base_url=system.url, trust_env=False))
        name = "all" if mode == "MONOLITH" else "dispatcher"
        port = str(free_port())
        system.processes[name].kill(signal.SIGTERM)
        await system.processes[name].wait()
        await system.start(name, METRICS_PORT=port)
        await system.ready()
        await user.watch(await user.echo("one"))

        told = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        alive = await http.get(f"http://127.0.0.1:{port}/livez")
        await user.http.aclose()

    assert 'headrace_queue_wait_seconds_count{lane="echo"} 1.0' in told
    assert 'headrace_jobs_ended_total{state="succeeded"} 1.0' in told
    assert alive.text == "ok\n"
