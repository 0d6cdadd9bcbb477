"""Fields that messages gained later: an older build still reads them, and an example of each is kept.

Its golden file is written by hand, as those of `test_golden.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.contracts import messages
from headrace.contracts.ids import BlobId, ClaimId, JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import Message

GOLDEN = Path(__file__).parents[2] / "golden"
JOB, WORKER = JobId("0b6c1f0e-6b1d-4a57-9c2f-0d9a4c1b7a11"), WorkerId("worker-1")
LEFT = BlobId("6f1d2c3b-0d9a-4c1b-9c2f-7a11e0b6c1f0.bin")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

ADDED: dict[str, Message] = {
    "heartbeats.v1.waits": messages.Heartbeats(
        worker=WORKER,
        reply_to="headrace.worker.worker-1",
        sequence=9,
        slots={"torch-ddp": 2},
        heartbeats=[messages.Heartbeat(JOB, 3)],
        vitals=messages.Vitals(
            waits=[
                messages.Waits(
                    JOB,
                    3,
                    "devices",
                    4.5,
                    "for 2 GPUs or processes, of which 1 are free",
                    [messages.Holder(JobId("6f1d2c3b-0d9a-4c1b-9c2f-7a11e0b6c1f0"), 61.2)],
                )
            ]
        ),
    ),
    "takes.v1.more": messages.Takes(
        worker=WORKER,
        reply_to="headrace.worker.api-1",
        takes=[
            messages.Take(
                id=ClaimId("c-3"),
                skill=messages.Skill(kind="video", models=["a"], max_frames=48),
                lease_s=150.0,
                more=[ClaimId("c-4")],
            )
        ],
    ),
    "takes.v1.until": messages.Takes(
        worker=WORKER,
        reply_to="headrace.worker.api-1",
        takes=[
            messages.Take(
                id=ClaimId("c-3"),
                skill=messages.Skill(kind="image", models=["a"]),
                lease_s=150.0,
                until=datetime(2026, 11, 27, 12, 0, 5, tzinfo=UTC),
            )
        ],
    ),
    "taken.v1.more": messages.Taken(
        claim=ClaimId("c-3"),
        more=[
            messages.Grant(
                claim=ClaimId("c-4"),
                job=JOB,
                tenant=TenantId("alice"),
                epoch=1,
                attempt=1,
                lease_s=150.0,
                kind="image",
                model="stable_diffusion",
                input={},
                timeout_s=1200.0,
            )
        ],
    ),
    "results.v1.reply": messages.Results(
        worker=WORKER, results=[], reply_to="headrace.worker.api-1"
    ),
    "heartbeats.v1.lease": messages.Heartbeats(
        worker=WORKER,
        reply_to="headrace.worker.api-1",
        sequence=9,
        slots={"remote.image": 1},
        heartbeats=[],
        lease_s=150.0,
    ),
    "heartbeats.v1.vitals": messages.Heartbeats(
        worker=WORKER,
        reply_to="headrace.worker.worker-1",
        sequence=8,
        slots={"smollm2": 1},
        heartbeats=[],
        vitals=messages.Vitals(
            draining=True,
            memory_bytes=536870912,
            gpus=[
                messages.Gpu(
                    name="NVIDIA H100",
                    utilisation=0.87,
                    memory_used_bytes=1073741824,
                    memory_total_bytes=85899345920,
                )
            ],
            hears={"smollm2": messages.Hearing(free=1, alive_s=2.5)},
            order_s=9.5,
        ),
    ),
    "heartbeats.v1.models": messages.Heartbeats(
        worker=WORKER,
        reply_to="headrace.worker.worker-1",
        sequence=9,
        slots={"sklearn-serve": 2},
        heartbeats=[],
        vitals=messages.Vitals(
            models=[
                messages.WarmModel(
                    lane=Lane("sklearn-serve"),
                    model="digits@3",
                    slots=2,
                    memory_bytes=8388608,
                    load_s=0.25,
                )
            ]
        ),
    ),
    "claims.v1.warm": messages.Claims(
        worker=WORKER,
        reply_to="headrace.worker.worker-1",
        claims=[messages.Claim(id=ClaimId("c-1"), job=JOB, epoch=2, warm=["digits@3"])],
    ),
    "grants.v1.artefact": messages.Grants(
        answers=[
            messages.Grant(
                claim=ClaimId("c-1"),
                job=JOB,
                tenant=TenantId("alice"),
                epoch=3,
                attempt=2,
                lease_s=30.0,
                kind="inference",
                model="digits@3",
                input={"rows": [[0.5]]},
                timeout_s=3600.0,
                artefact=messages.Artefact(
                    tenant=TenantId("alice"),
                    blob=BlobId("6d9e4c1a-0a3b-4f57-8a35-0c3c2b8f4f11.bin"),
                    format="sklearn-npz",
                    sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    bytes=1048576,
                ),
            ),
            messages.Refusal(claim=ClaimId("c-2"), job=JOB, reason="elsewhere"),
        ]
    ),
    "hello.v1.formats": messages.Hello(
        worker=WORKER,
        slots={"sklearn-serve": 2},
        engines=[
            messages.EngineCard(
                lane=Lane("sklearn-serve"),
                kind="inference",
                models=[],
                input_schema={"type": "object"},
                title="scikit-learn",
                formats=["sklearn-npz"],
            )
        ],
    ),
    "results.v1.cold": messages.Results(
        worker=WORKER,
        results=[
            messages.Result(
                job=JOB,
                epoch=3,
                outcome="succeeded",
                output={},
                stages=messages.Stages(load_s=0.5, run_s=2.0, cold=True),
            )
        ],
    ),
    "heartbeats.v1.checkpoint": messages.Heartbeats(
        worker=WORKER,
        reply_to="headrace.worker.worker-1",
        sequence=9,
        slots={"sklearn-train": 1},
        heartbeats=[
            messages.Heartbeat(job=JOB, epoch=3, fraction=0.5, checkpoint=LEFT, checkpoint_step=12)
        ],
    ),
    "grants.v1.checkpoint": messages.Grants(
        answers=[
            messages.Grant(
                claim=ClaimId("c-4"),
                job=JOB,
                tenant=TenantId("alice"),
                epoch=5,
                attempt=3,
                lease_s=30.0,
                kind="training",
                model="digits-mlp",
                input={"epochs": 20},
                timeout_s=3600.0,
                checkpoint=LEFT,
                checkpoint_step=12,
            )
        ]
    ),
    "results.v1.checkpoint": messages.Results(
        worker=WORKER,
        results=[
            messages.Result(
                job=JOB, epoch=3, outcome="released", checkpoint=LEFT, checkpoint_step=12
            )
        ],
    ),
    "orders.v1.drain": messages.Orders(lease_s=30.0, orders=[], sequence=8, drain=True),
}


@pytest.mark.parametrize("name", sorted(ADDED))
def test_what_was_added_is_written_and_read_as_its_golden_file_says(name: str) -> None:
    assert messages.encode(ADDED[name]) == golden("messages", name)
    assert messages.decode(golden("messages", name)) == ADDED[name]


def golden(folder: str, name: str) -> bytes:
    return (GOLDEN / folder / f"{name}.json").read_bytes().rstrip(b"\n")
