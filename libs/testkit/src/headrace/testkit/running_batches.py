"""Batches in a store, step by step: handed in, begun, and their jobs ended as a test has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from headrace.contracts.ids import TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.batch import BATCH_LABEL, ITEM_LABEL, Batch, Ended
from headrace.core.errors import InvalidInput
from headrace.core.job import Job
from headrace.core.ports.batches import Look
from headrace.core.ports.blobs import Blob
from headrace.core.ports.queries import Query
from headrace.core.ports.store import Store
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.batches import BatchRequest, create_batch
from headrace.core.usecases.expand import Expanded, Expansion, Sources, expand
from headrace.testkit.builders import a_job_id
from headrace.testkit.deciding import PATH
from headrace.testkit.memory_blobs import MemoryBlobs

TENANT: Final = TenantId("tenant")
GOOD: Final = b'{"input": {"text": "a"}}'
BAD: Final = b"no JSON"


def unless_refused(card: EngineCard, given: Mapping[str, Any]) -> None:
    """Fits, unless it says of itself that it does not."""
    if "bad" in given:
        raise InvalidInput("/bad", "says so itself")


def expansion(**fields: Any) -> Expansion:
    usual: dict[str, Any] = {"check": unless_refused, "admission": Admission(Caps())}
    return Expansion(**{**usual, **fields})


def an_item(**fields: Any) -> bytes:
    return msgspec.json.encode({"input": {"text": "a"}, **fields})


async def hand_in(store: Store, blobs: MemoryBlobs, lines: Sequence[bytes], **fields: Any) -> Batch:
    source = await blobs.put(TENANT, Blob("application/jsonl", b"\n".join(lines)))
    usual = {"tenant": TENANT, "kind": "echo", "source": source, "total": len(lines)}
    async with store.begin() as tx:
        request = BatchRequest(**{**usual, **fields})
        return await create_batch(tx, request, path=lambda _: PATH, new_id=a_job_id)


async def turn(
    store: Store, blobs: MemoryBlobs, how: Expansion | None = None, *, limit: int = 100
) -> Expanded | None:
    return await expand(store, Sources(blobs), how or expansion(), path=PATH, limit=limit)


async def look(store: Store, batch: Batch) -> Look:
    async with store.begin() as tx:
        found = await tx.look_at_batch(batch.tenant, batch.id)
    assert found is not None
    return found


async def results(store: Store, batch: Batch) -> list[Ended]:
    async with store.begin() as tx:
        return await tx.ended_items(batch.id, after=0, limit=1000)


async def jobs_of(store: Store, batch: Batch) -> list[Job]:
    """Of a batch, in the order of its items."""
    async with store.begin() as tx:
        found = await tx.page(TENANT, Query(label=(BATCH_LABEL, batch.id), limit=1000))
    return sorted(found, key=lambda job: int(job.spec.labels[ITEM_LABEL]))
