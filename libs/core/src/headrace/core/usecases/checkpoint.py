"""Keep what running attempts leave behind, and let go of what that replaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headrace.contracts.messages import Heartbeat, Result
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.checkpoints import LeftBehind
from headrace.core.ports.store import Store


async def keep_checkpoints(store: Store, beats: Iterable[Heartbeat]) -> list[BlobRef]:
    """Before the orders that answer these heartbeats; answers the blobs to delete after them.

    Idempotent by (epoch, step): what comes again, or late, changes nothing.
    """
    told = list(left_behind(beats))
    if not told:
        return []
    async with store.begin() as tx:
        return await tx.keep_checkpoints(told)


def left_behind(said: Iterable[Heartbeat | Result]) -> Iterator[LeftBehind]:
    for each in said:
        if each.checkpoint is not None and each.checkpoint_step is not None:
            yield LeftBehind(each.job, each.epoch, each.checkpoint, each.checkpoint_step)
