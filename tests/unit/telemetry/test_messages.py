"""What is sent and received has the spans that OpenTelemetry's conventions for messaging ask for."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import REGISTRY

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.contracts.ids import Lane, WorkerId
from headrace.contracts.topology import Topology
from headrace.core.ports.bus import Parcel, Sent
from headrace.telemetry.bus import Place, TracedBus
from headrace.telemetry.tracing import span, trace_id, traceparent

TOPOLOGY = Topology("ours")
WORK = TOPOLOGY.work(Lane("echo"))
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def a_bus() -> TracedBus:
    return TracedBus(InProcessBus(TOPOLOGY), Place("rabbitmq", TOPOLOGY))


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = (each for each in spans.get_finished_spans() if each.name == name)
    return found


def ids(of: ReadableSpan) -> tuple[int, int]:
    assert of.context is not None
    return of.context.trace_id, of.context.span_id


async def test_a_message_is_sent_and_received_in_one_trace(spans: InMemorySpanExporter) -> None:
    bus = a_bus()
    await bus.declare([WORK])

    await bus.send([Parcel(WORK, b"{}", {"traceparent": PARENT})])
    async with bus.receive(WORK, prefetch=1) as deliveries:
        delivery = await anext(deliveries)
        with span("handled", parent=delivery.headers["traceparent"]):
            await delivery.ack()

    sent, received = named(spans, f"send {WORK}"), named(spans, f"receive {WORK}")
    handled = named(spans, "handled")
    assert (sent.kind, received.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert sent.parent is not None
    assert f"{sent.parent.span_id:016x}" == PARENT.split("-")[2]
    assert received.parent is not None
    assert received.parent.span_id == ids(sent)[1]
    assert handled.parent is not None
    assert handled.parent.span_id == ids(received)[1]
    assert len({ids(each)[0] for each in (sent, received, handled)}) == 1


async def test_both_ends_name_the_message_the_queue_and_the_system(
    spans: InMemorySpanExporter,
) -> None:
    bus = a_bus()
    await bus.declare([WORK])

    await bus.send([Parcel(WORK, b"{}", {"traceparent": PARENT})])
    async with bus.receive(WORK, prefetch=1) as deliveries:
        await (await anext(deliveries)).ack()

    sent = dict(named(spans, f"send {WORK}").attributes or {})
    received = dict(named(spans, f"receive {WORK}").attributes or {})
    for attributes, operation in ((sent, "send"), (received, "receive")):
        assert attributes["messaging.system"] == "rabbitmq"
        assert attributes["messaging.operation.name"] == operation
        assert attributes["messaging.operation.type"] == operation
        assert attributes["messaging.destination.name"] == WORK
        assert attributes["messaging.rabbitmq.destination.routing_key"] == WORK
    assert sent["messaging.message.body.size"] == 2
    assert sent["messaging.message.id"] == received["messaging.message.id"] != ""
    assert received["headrace.settled"] == "ack"


async def test_mailboxes_share_one_name(spans: InMemorySpanExporter) -> None:
    bus = a_bus()
    box = TOPOLOGY.mailbox(WorkerId("host-1-ab12"))

    async with bus.mailbox(box) as letters:
        await bus.send([Parcel(box, b"{}", {"traceparent": PARENT})])
        await (await anext(letters)).ack()

    attributes = named(spans, "send ours.worker.*").attributes or {}
    assert attributes["messaging.destination.temporary"] is True
    assert attributes["messaging.destination.name"] == box


async def test_a_message_of_no_trace_has_no_spans(spans: InMemorySpanExporter) -> None:
    bus = a_bus()
    await bus.declare([TOPOLOGY.heartbeats])

    await bus.send([Parcel(TOPOLOGY.heartbeats, b"{}")])
    async with bus.receive(TOPOLOGY.heartbeats, prefetch=1) as deliveries:
        delivery = await anext(deliveries)
        await delivery.ack()

    assert spans.get_finished_spans() == ()
    assert "traceparent" not in delivery.headers


async def test_what_was_not_kept_is_red_and_counted(spans: InMemorySpanExporter) -> None:
    counted = {"queue": "work", "outcome": "unroutable"}
    before = REGISTRY.get_sample_value("headrace_bus_sent_total", counted) or 0
    bus = a_bus()

    answers = await bus.send([Parcel(WORK, b"{}", {"traceparent": PARENT})])

    assert answers == [Sent.UNROUTABLE]
    assert named(spans, f"send {WORK}").status.status_code is StatusCode.ERROR
    assert REGISTRY.get_sample_value("headrace_bus_sent_total", counted) == before + 1


async def test_a_delivery_that_nobody_settled_still_shows(spans: InMemorySpanExporter) -> None:
    bus = a_bus()
    await bus.declare([WORK])
    await bus.send([Parcel(WORK, b"{}", {"traceparent": PARENT})])

    async with bus.receive(WORK, prefetch=1) as deliveries:
        await anext(deliveries)

    attributes = named(spans, f"receive {WORK}").attributes or {}
    assert attributes["headrace.settled"] == "not settled"


async def test_what_is_sent_within_a_span_belongs_to_its_trace(spans: InMemorySpanExporter) -> None:
    bus = a_bus()
    await bus.declare([WORK])

    with span("work"):
        mine = trace_id(traceparent())
        await bus.send([Parcel(WORK, b"{}")])

    assert f"{ids(named(spans, f'send {WORK}'))[0]:032x}" == mine
