"""Tell watchers what was committed. Their view may lag or fail; the store has the truth."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.core.errors import Unavailable
from headrace.core.ports.streams import Batch, Streams
from headrace.telemetry.logs import get_logger

_log = get_logger("dispatcher.announcer")


async def announce(streams: Streams, batches: Sequence[Batch]) -> None:
    if not batches:
        return
    try:
        await streams.append(batches)
    except Unavailable as error:
        # Watchers look into the store when their stream is quiet, so nothing is lost, only late.
        _log.warning("announce.failed", frames=len(batches), error=str(error))
