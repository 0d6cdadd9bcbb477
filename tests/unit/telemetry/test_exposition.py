"""A process without an api has a small door for its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from headrace.core.errors import Misconfigured
from headrace.telemetry import metrics
from headrace.telemetry.exposition import MetricsDoor
from headrace.testkit.background import served

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
async def door() -> AsyncGenerator[httpx.AsyncClient]:
    metrics_door = MetricsDoor("127.0.0.1", 0)
    async with served(metrics_door.serve):
        await metrics_door.bound.wait()
        at = f"http://127.0.0.1:{metrics_door.port}"
        async with httpx.AsyncClient(base_url=at, trust_env=False) as client:
            yield client


async def test_metrics_and_a_sign_of_life_are_all_there_is(door: httpx.AsyncClient) -> None:
    codes = [(await door.get(path)).status_code for path in ("/metrics", "/livez", "/jobs", "/")]

    assert codes == [200, 200, 404, 404]
    assert (await door.post("/metrics")).status_code == 404


async def test_who_asks_for_openmetrics_gets_exemplars(door: httpx.AsyncClient) -> None:
    metrics.QUEUE_WAIT.labels(lane="echo").observe(0.2, {"trace_id": TRACE})

    answer = await door.get("/metrics", headers={"Accept": OPENMETRICS})

    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    traces = {
        sample.exemplar.labels["trace_id"]
        for sample in families["headrace_queue_wait_seconds"].samples
        if sample.exemplar is not None
    }
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert TRACE in traces


async def test_plain_text_comes_without_them(door: httpx.AsyncClient) -> None:
    answer = await door.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert "trace_id" not in answer.text


async def test_nonsense_is_cut_off_and_others_are_served(door: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection(door.base_url.host, door.base_url.port)
    writer.write(b"\x00" * 100_000)
    cut_off = await asyncio.wait_for(reader.read(), 10)
    writer.close()

    assert cut_off == b""
    assert (await door.get("/livez")).text == "ok\n"


async def test_a_port_that_is_taken_is_said_plainly() -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]

    with pytest.raises(Misconfigured, match=f"METRICS_PORT={port}"):
        await MetricsDoor("127.0.0.1", port).serve(asyncio.Event())
    taken.close()
