"""A request of this door is as many jobs as it has generations; their ids follow from its own.

The id of a request is a capability: with it anybody may read and cancel. What works on a job is told
the job's id only, and no way leads back from that one.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

from headrace.contracts.ids import JobId


def job_ids(request: str, count: int) -> list[JobId]:
    return [job_id(request, place) for place in range(count)]


def job_id(request: str, place: int) -> JobId:
    """Version 4 in form, and as unguessable as the request's, of whose bits it is a digest."""
    digest = hashlib.sha256(b"generation" + UUID(request).bytes + place.to_bytes(2)).digest()
    return JobId(str(UUID(bytes=digest[:16], version=4)))
