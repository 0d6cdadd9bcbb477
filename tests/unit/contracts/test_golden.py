"""Every message and frame has a golden file: what is on the wire changes only on purpose.

A new one gets an example below and a file written by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from headrace.contracts import frames, messages
from headrace.contracts.frames import Frame, decode_frame, encode_frame, frame_type
from headrace.contracts.ids import BlobId, ClaimId, JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import JobError, Message
from headrace.contracts.producing import End

GOLDEN = Path(__file__).parents[2] / "golden"
JOB, WORKER = JobId("0b6c1f0e-6b1d-4a57-9c2f-0d9a4c1b7a11"), WorkerId("worker-1")
LEFT = BlobId("6f1d2c3b-0d9a-4c1b-9c2f-7a11e0b6c1f0.bin")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

MESSAGES: dict[str, Message] = {
    "offer.v1": messages.Offer(job=JOB, epoch=2, lane=Lane("smollm2")),
    "claims.v1": messages.Claims(
        worker=WORKER,
        reply_to="headrace.worker.worker-1",
        claims=[messages.Claim(id=ClaimId("c-1"), job=JOB, epoch=2, trace=TRACE)],
    ),
    "grants.v1": messages.Grants(
        answers=[
            messages.Grant(
                claim=ClaimId("c-1"),
                job=JOB,
                tenant=TenantId("alice"),
                epoch=3,
                attempt=2,
                lease_s=30.0,
                kind="text",
                model="smollm2-135m-instruct",
                input={"prompt": "Why is the sky blue?"},
                timeout_s=3600.0,
                trace=TRACE,
                previous=TRACE,
            ),
            messages.Refusal(claim=ClaimId("c-2"), job=JOB, reason="taken"),
        ]
    ),
    "heartbeats.v1": messages.Heartbeats(
        worker=WORKER,
        reply_to="headrace.worker.worker-1",
        sequence=7,
        slots={"smollm2": 1},
        heartbeats=[messages.Heartbeat(job=JOB, epoch=3, fraction=0.5)],
    ),
    "orders.v1": messages.Orders(
        lease_s=30.0, orders=[messages.Order(job=JOB, epoch=3, order="cancel")], sequence=7
    ),
    "hello.v1": messages.Hello(
        worker=WORKER,
        slots={"smollm2": 1},
        engines=[
            messages.EngineCard(
                lane=Lane("smollm2"),
                kind="text",
                models=["smollm2-135m-instruct"],
                input_schema={"type": "object"},
                title="SmolLM2",
            )
        ],
    ),
    "goodbye.v1": messages.Goodbye(worker=WORKER),
    "results.v1": messages.Results(
        worker=WORKER,
        results=[
            messages.Result(
                job=JOB,
                epoch=3,
                outcome="succeeded",
                output={"text": "Rayleigh scattering."},
                stages=messages.Stages(claim_s=0.01, load_s=0.5, run_s=2.0, store_s=0.02),
            ),
            messages.Result(
                job=JOB,
                epoch=3,
                outcome="failed",
                error=messages.JobError(kind="input", message="too long", field="prompt"),
            ),
        ],
    ),
    "recorded.v1": messages.Recorded(
        moved=[messages.ResultOf(job=JOB, epoch=3)], stale=[messages.ResultOf(job=JOB, epoch=2)]
    ),
    "takes.v1": messages.Takes(
        worker=WORKER,
        reply_to="headrace.worker.api-1",
        takes=[
            messages.Take(
                id=ClaimId("c-3"),
                skill=messages.Skill(
                    kind="image",
                    models=["stable_diffusion"],
                    nsfw=True,
                    max_pixels=1048576,
                    blacklist=["word"],
                    first=[TenantId("alice")],
                ),
                lease_s=150.0,
                wait_s=28.5,
                name="drawer",
                slots=2,
                trace=TRACE,
            )
        ],
    ),
    "taken.v1": messages.Taken(
        claim=ClaimId("c-3"),
        grant=messages.Grant(
            claim=ClaimId("c-3"),
            job=JOB,
            tenant=TenantId("alice"),
            epoch=1,
            attempt=1,
            lease_s=150.0,
            kind="image",
            model="stable_diffusion",
            input={"prompt": "a red fox"},
            timeout_s=1200.0,
        ),
        model="stable_diffusion",
        skipped={"nsfw": 2},
    ),
}

# The same messages with what a later build may add to them.
FRAMES: dict[str, Frame] = {
    "queued": frames.Queued(position=3, eta_s=12.5),
    "started": frames.Started(worker="worker-1", attempt=1),
    "attempt": frames.Attempt(attempt=2, reason="worker lost", retry_in_s=4.0),
    "progress": frames.Progress(fraction=0.5, step=12, steps=24, stage="draw", note="halfway"),
    "token": frames.Token(text=" blue"),
    "preview": frames.Preview(image="data:image/png;base64,AA==", step=12),
    "segment": frames.Segment(blob="blob-1.webm", media_type="video/webm", duration_s=1.0),
    "log": frames.Log(line="loaded"),
    "metric": frames.Metric(name="tokens_per_s", value=31.5, step=1),
    "reset": frames.Reset(snapshot={"state": "running"}),
    "cancelling": frames.Cancelling(),
    "succeeded": frames.Succeeded(result={"text": "done"}),
    "failed": frames.Failed(error={"kind": "input", "message": "too long"}),
    "cancelled": frames.Cancelled(),
    "dead": frames.Dead(error={"kind": "worker_lost", "message": "3 times"}),
}


ENDS: dict[str, End] = {
    "succeeded": End("succeeded", output={"text": "blue"}),
    "failed": End("failed", error=JobError(kind="internal", message="it broke")),
    "cancelled": End("cancelled"),
}


def golden(folder: str, name: str) -> bytes:
    return (GOLDEN / folder / f"{name}.json").read_bytes().rstrip(b"\n")


def test_every_message_has_an_example() -> None:
    tags = {each.__struct_config__.tag for each in get_args(Message)}

    assert tags == set(MESSAGES)


def test_every_frame_has_an_example() -> None:
    tags = {each.__struct_config__.tag for each in get_args(Frame)}

    assert tags == set(FRAMES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_is_written_as_its_golden_file_says(name: str) -> None:
    assert messages.encode(MESSAGES[name]) == golden("messages", name)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_is_read_from_its_golden_file(name: str) -> None:
    assert messages.decode(golden("messages", name)) == MESSAGES[name]


def test_a_worker_that_never_heard_of_draining_reads_its_orders_as_ever() -> None:
    class OldOrders(msgspec.Struct, frozen=True, tag_field="kind", tag="orders.v1"):
        lease_s: float
        orders: list[messages.Order]
        sequence: int | None = None

    read = msgspec.json.decode(golden("messages", "orders.v1.drain"), type=OldOrders)

    assert (read.lease_s, read.orders, read.sequence) == (30.0, [], 8)


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_a_frame_is_written_and_read_as_its_golden_file_says(name: str) -> None:
    assert encode_frame(FRAMES[name]) == golden("frames", name)
    assert decode_frame(golden("frames", name)) == FRAMES[name]
    assert frame_type(FRAMES[name]) == name


@pytest.mark.parametrize("name", sorted(ENDS))
def test_a_producers_end_is_written_and_read_as_its_golden_file_says(name: str) -> None:
    body = golden("producers", name)

    assert msgspec.json.encode(ENDS[name]) == body
    assert msgspec.json.decode(body.replace(b"{", b'{"later":[1],', 1), type=End) == ENDS[name]


def test_an_unknown_field_is_ignored_so_that_versions_can_meet() -> None:
    body = golden("messages", "offer.v1").replace(b"{", b'{"later":[1],', 1)

    assert messages.decode(body) == MESSAGES["offer.v1"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"kind":"offer.v9"}', b'{"kind":"offer.v1"}']
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        messages.decode(body)
