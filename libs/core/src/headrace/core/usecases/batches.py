"""What a client does about batches: hand one in, look at it, read what has ended, end the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from headrace.contracts.ids import BatchId, BlobId, JobId, KeyId, TenantId
from headrace.core.batch import MOST_AT_A_TIME, MOST_ITEMS, Batch, left_for
from headrace.core.errors_bulk import BatchNotFound, EmptyBatch, TooManyBatches, TooManyItems
from headrace.core.ports.batches import Look
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.upkeep import BlobUse
from headrace.core.usecases.pick import pick


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """What is asked of all its items, which are the lines of a blob that is there."""

    tenant: TenantId
    kind: str
    model: str | None = None
    source: BlobId
    total: int
    priority: int = 0
    timeout_s: float = 3600.0
    labels: dict[str, str] = field(default_factory=dict)
    api_key: KeyId | None = None
    trace: str | None = None


async def create_batch(
    tx: Transaction, asked: BatchRequest, *, path: Callable[[str], str], new_id: Callable[[], str]
) -> Batch:
    """Raises UnknownModel, EmptyBatch, TooManyItems, TooManyBatches. What is wrong with an item is not known here."""
    if asked.total == 0:
        raise EmptyBatch
    if asked.total > MOST_ITEMS:
        raise TooManyItems(asked.total, MOST_ITEMS)
    if await tx.open_batches(asked.tenant) >= MOST_AT_A_TIME:
        raise TooManyBatches(MOST_AT_A_TIME)
    await pick(tx, await tx.catalog(), asked.tenant, asked.kind, asked.model)
    batch = Batch(
        id=BatchId(new_id()),
        tenant=asked.tenant,
        path=path(asked.kind),
        kind=asked.kind,
        model=asked.model,
        source=asked.source,
        total=asked.total,
        priority=asked.priority,
        timeout_s=asked.timeout_s,
        labels=asked.labels,
        api_key=asked.api_key,
        trace=asked.trace,
    )
    await tx.use_blobs([BlobUse(batch.tenant, batch.source, batch.id)])
    return await tx.insert_batch(batch)


@dataclass(frozen=True, slots=True)
class Standing:
    look: Look
    left: timedelta | None  # if it goes on as it went of late; None: nobody can say


async def find_batch(tx: Transaction, tenant: TenantId, batch: BatchId) -> Standing:
    """Raises BatchNotFound."""
    look = await tx.look_at_batch(tenant, batch)
    if look is None:
        raise BatchNotFound(batch)
    pace = None if look.batch.over else await tx.pace_of_batch(batch)
    return Standing(look, left_for(look.batch, pace, await tx.now()))


async def cancel_batch(tx: Transaction, tenant: TenantId, batch: BatchId) -> Standing:
    """Begin nothing more, and stop what runs; asking again changes nothing. Raises BatchNotFound."""
    await tx.ask_cancel_batch(tenant, batch)
    return await find_batch(tx, tenant, batch)


async def stop_batches(store: Store, *, path: str, limit: int) -> list[JobId]:
    """Ask to end the jobs of batches that are being cancelled; they. The wishes are honoured as anybody's are."""
    async with store.begin() as tx:
        jobs = await tx.items_to_stop(path, limit=limit)
        return await tx.wish_all(jobs) if jobs else []
