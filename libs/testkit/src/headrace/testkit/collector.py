"""A trace collector on loopback: takes OTLP over HTTP, and shows a trace as a waterfall.

`python -m headrace.testkit.collector PORT` collects until Ctrl-C and then prints every trace.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from typing_extensions import override


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    trace: str
    id: str
    parent: str
    service: str
    name: str
    start_ns: int
    end_ns: int
    links: tuple[str, ...]  # trace-span of each
    attributes: Mapping[str, str]
    failed: bool


@dataclass(slots=True)
class Collector:
    port: int
    spans: list[CollectedSpan] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)  # names that were pushed

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def trace(self, trace: str) -> list[CollectedSpan]:
        return sorted(
            (span for span in self.spans if span.trace == trace), key=lambda span: span.start_ns
        )


@contextmanager
def collecting(*, host: str = "127.0.0.1", port: int = 0) -> Generator[Collector]:
    server = _Server((host, port), _Handler)
    collector = server.collector = Collector(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    collector: Collector


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # type: ignore[mutable-override]  # it is made by no other

    def do_POST(self) -> None:  # the base class's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/metrics"):
            self.server.collector.metrics |= _names(ExportMetricsServiceRequest.FromString(body))
        else:
            self.server.collector.spans += _spans(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the spans are what matters."""


def _names(request: ExportMetricsServiceRequest) -> set[str]:
    return {
        metric.name
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def _spans(request: ExportTraceServiceRequest) -> Generator[CollectedSpan]:
    for resource in request.resource_spans:
        names = {each.key: each.value.string_value for each in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield CollectedSpan(
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    service=names.get("service.name", "?"),
                    name=span.name,
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    links=tuple(
                        f"{each.trace_id.hex()}-{each.span_id.hex()}" for each in span.links
                    ),
                    attributes={each.key: _text(each.value) for each in span.attributes},
                    failed=span.status.code == Status.STATUS_CODE_ERROR,
                )


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind))


def waterfall(spans: Iterable[CollectedSpan], *, width: int = 40) -> str:
    """One trace, a line a span, to scale; children under their parents."""
    spans = sorted(spans, key=lambda span: span.start_ns)
    begin, end = spans[0].start_ns, max(span.end_ns for span in spans)
    ids = {span.id for span in spans}
    roots = [span for span in spans if span.parent not in ids]
    lines = [f"trace {spans[0].trace}  {(end - begin) / 1e6:.1f} ms"]
    todo = [(span, 0) for span in reversed(roots)]
    while todo:
        span, depth = todo.pop()
        lines.append(_line(span, depth, begin, max(1, end - begin), width))
        children = [each for each in spans if each.parent == span.id]
        todo += [(each, depth + 1) for each in reversed(children)]
    return "\n".join(lines)


def _line(span: CollectedSpan, depth: int, begin: int, whole: int, width: int) -> str:
    left = (span.start_ns - begin) * width // whole
    long = max(1, (span.end_ns - span.start_ns) * width // whole)
    bar = (" " * left + "█" * long)[:width].ljust(width)
    name = f"{'  ' * depth}{span.name}"
    took = (span.end_ns - span.start_ns) / 1e6
    linked = f"  -> {len(span.links)} link" if span.links else ""
    linked += "  failed" if span.failed else ""
    return f"{span.service:<11} {name:<44.44} |{bar}| {took:9.1f} ms{linked}"


if __name__ == "__main__":
    with collecting(host="0.0.0.0", port=int(sys.argv[1])) as collector:  # noqa: S104  # containers reach it
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            for trace in dict.fromkeys(span.trace for span in collector.spans):
                print(waterfall(collector.trace(trace)), end="\n\n")
