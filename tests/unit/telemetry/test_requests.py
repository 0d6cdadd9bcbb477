"""A request is one SERVER span, in the trace that it brings, under its route, and without its query."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from headrace.api.instrumenting import Spans, Watched

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    scope["route"] = SimpleNamespace(path="/jobs/{job}")
    status = 503 if scope["path"].endswith("/away") else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def asked(path: str) -> None:
    transport = httpx.ASGITransport(Spans(Watched(_answer)))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as client:
        await client.get(path, headers=CALLER)


async def test_it_is_named_by_its_route_in_the_callers_trace(spans: InMemorySpanExporter) -> None:
    await asked("/jobs/a?ticket=secret")

    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("GET /jobs/{job}", SpanKind.SERVER)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.attributes is not None
    assert span.attributes["http.route"] == "/jobs/{job}"
    assert span.attributes["http.response.status_code"] == 200
    assert "secret" not in span.to_json()


@pytest.mark.parametrize(
    ("path", "status"), [("/jobs/a", StatusCode.UNSET), ("/jobs/away", StatusCode.ERROR)]
)
async def test_it_is_red_where_we_are_to_blame(
    spans: InMemorySpanExporter, path: str, status: StatusCode
) -> None:
    await asked(path)

    (span,) = spans.get_finished_spans()
    assert span.status.status_code == status


async def test_probes_leave_none(spans: InMemorySpanExporter) -> None:
    await asked("/livez")

    assert spans.get_finished_spans() == ()
