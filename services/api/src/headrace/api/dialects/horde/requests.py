"""A request of this door is as many jobs as it has generations; their ids follow from its own.

The id of a request is a capability: with it anybody may read and cancel. What works on a job is told
the job's id only, and no way leads back from that one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from typing import Final
from uuid import UUID

from headrace.contracts.ids import JobId
from headrace.core.errors import JobNotFound
from headrace.core.job import Job
from headrace.core.ports.store import Query, Transaction

REQUEST: Final = "request"  # labels of its jobs: its id,
COUNT: Final = "count"  # how many there are,
INLINE: Final = "inline"  # and 'true' where pictures are told in the body itself
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


def request_id(text: str) -> str:
    """As we write it; dashes are optional. Raises JobNotFound: what is none is nobody's."""
    if _UUID.fullmatch(text) is None:
        raise JobNotFound(text[:64])
    return str(UUID(text))


def job_id(request: str, place: int) -> JobId:
    """Version 4 in form, and as unguessable as the request's, of whose bits it is a digest."""
    digest = hashlib.sha256(b"generation" + UUID(request).bytes + place.to_bytes(2)).digest()
    return JobId(str(UUID(bytes=digest[:16], version=4)))


def job_ids(request: str, count: int) -> list[JobId]:
    return [job_id(request, place) for place in range(count)]


def labels(request: str, count: int, *, inline: bool = False) -> dict[str, str]:
    return {REQUEST: request, COUNT: str(count), **({INLINE: "true"} if inline else {})}


async def jobs_of(tx: Transaction, request: str, kinds: Collection[str]) -> list[Job]:
    """In order, whoever asks. Raises JobNotFound, also for a request of another kind."""
    first = await tx.anybodys(job_id(request, 0))
    if first is None or first.spec.kind not in kinds or first.spec.labels.get(REQUEST) != request:
        raise JobNotFound(request)
    ids = job_ids(request, int(first.spec.labels[COUNT]))
    if len(ids) == 1:
        return [first]
    found = {job.id: job for job in await tx.page(first.tenant, Query(ids=ids, limit=len(ids)))}
    return [found[each] for each in ids if each in found]
