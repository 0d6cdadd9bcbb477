"""Batches, a row for each item that has begun, and how many have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from headrace.contracts.ids import BatchId, JobId, TenantId
from headrace.core.batch import Batch, Ended, ItemEnd, NewItem, Pace
from headrace.core.ports.blobs import BlobRef


@dataclass(frozen=True, slots=True)
class Look:
    """A batch, and how many of its jobs workers hold: seen in one moment."""

    batch: Batch
    running: int


@dataclass(frozen=True, slots=True)
class PurgedBatches:
    batches: int
    orphans: Sequence[BlobRef]  # blobs that nobody names any more


class Batches(Protocol):
    """The part of a transaction that keeps batches.

    The count of what has ended is a row apart from the batch: whoever begins items holds the batch, and
    whoever ends jobs holds the count, for the rest of the transaction. So neither waits for the other.
    Locked in this order: jobs, the batch, its count.
    """

    async def insert_batch(self, batch: Batch) -> Batch: ...

    async def look_at_batch(self, tenant: TenantId, batch: BatchId) -> Look | None: ...

    async def lock_batches(self, wanted: Sequence[BatchId]) -> list[Batch]:
        """For changing, by id, so that whoever changes several does not wait in a ring."""

    async def page_batches(
        self, tenant: TenantId | None, *, before: tuple[datetime, BatchId] | None, limit: int
    ) -> list[Look]:
        """Newest first; of everybody if no tenant is named."""

    async def open_batches(self, tenant: TenantId) -> int:
        """How many of this tenant's are not over."""

    async def pace_of_batch(self, batch: BatchId) -> Pace | None:
        """None: no job of it has ended."""

    async def ask_cancel_batch(self, tenant: TenantId, batch: BatchId) -> None:
        """Record the wish (once), unless it is over or not this tenant's."""

    async def take_batch(self, path: str, *, until: datetime) -> Batch | None:
        """The one that has waited longest to begin items: nobody else gets it until then."""

    async def begin_items(self, before: Batch, after: Batch, items: Sequence[NewItem]) -> bool:
        """Keep these items, and how far it is then. Those that have ended are counted.

        False: it is no longer as `before` says, and nothing was written.
        """

    async def end_items(self, ends: Sequence[ItemEnd]) -> None:
        """Count them, just before the commit: within this transaction nobody sees it yet.

        A batch whose last item has ended is over.
        """

    async def ended_items(
        self, batch: BatchId, *, after: int, limit: int, wrong: bool = False
    ) -> list[Ended]:
        """In the order of their ends, behind this number (0 is before the first); or only what went wrong.

        Numbers are given while the count is held: whoever has seen one has seen all before it.
        """

    async def items_to_stop(self, path: str, *, limit: int) -> list[JobId]:
        """Jobs of batches that are being cancelled, which nobody has asked to end yet."""

    async def purge_batches(
        self, *, finished_before: datetime, limit: int, tenant: TenantId | None = None
    ) -> PurgedBatches:
        """Delete batches that are over, all tenants' or one's, with their items, calls and uses of blobs.

        Their jobs can go from then on.
        """
