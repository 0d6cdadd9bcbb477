"""Dead letters made from what died: a message that a queue parked, or a job that used up its attempts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from headrace.contracts.ids import JobId
from headrace.contracts.messages import MAX_MESSAGE_BYTES
from headrace.core.fingerprint import cause, fingerprint
from headrace.core.job import Job, State
from headrace.core.ports.bus import MESSAGE_HEADER, ORIGIN_HEADER, REASON_HEADER
from headrace.core.ports.dead_letters import LONGEST_REASON, DeadLetter, Source
from headrace.core.storable import storable

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NOTES: Final = frozenset({ORIGIN_HEADER, REASON_HEADER, MESSAGE_HEADER})
_HEADERS_KEPT: Final = 32
_LONGEST_HEADER: Final = 1024


def letters_of(jobs: Sequence[Job]) -> list[DeadLetter]:
    """One for each of these jobs that is dead. Of a shadow its comparison tells."""
    return [_of_job(job) for job in jobs if job.state is State.DEAD and job.shadow_of is None]


def _of_job(job: Job) -> DeadLetter:
    error = job.error or {}
    kind, message = str(error.get("kind", "internal")), str(error.get("message", ""))
    title = f"{kind}: {cause(message)}"
    return DeadLetter(
        source=Source.JOB,
        message=job.id,
        reason=f"dead: {message}"[:LONGEST_REASON],
        fingerprint=fingerprint(Source.JOB, job.spec.kind, title),
        title=title,
        path=job.path,
        queue=job.lane,
        tenant=job.tenant,
        job=job.id,
    )


def letter_from(headers: Mapping[str, str], body: bytes, *, path: str) -> DeadLetter:
    """A parked message, as it is: its body may be anything."""
    kept: dict[str, str] = storable(_bounded(headers))
    reason = storable(headers.get(REASON_HEADER, "")) or "unknown"
    queue = storable(headers.get(ORIGIN_HEADER, "")) or "unknown"
    title = cause(reason)
    return DeadLetter(
        source=Source.MESSAGE,
        message=_id(headers, body),
        reason=reason[:LONGEST_REASON],
        fingerprint=fingerprint(Source.MESSAGE, queue, title),
        title=title,
        path=path,
        queue=queue[:255],
        job=_job_in(body),
        headers=kept,
        body=body[:MAX_MESSAGE_BYTES],
        size=len(body),
    )


def _bounded(headers: Mapping[str, str]) -> dict[str, str]:
    own = [(name, value) for name, value in headers.items() if name not in _NOTES]
    return {name[:255]: value[:_LONGEST_HEADER] for name, value in own[:_HEADERS_KEPT]}


def _id(headers: Mapping[str, str], body: bytes) -> str:
    """The same however often it is delivered. A foreign message may have no id: then what it says."""
    if known := headers.get(MESSAGE_HEADER):
        return str(storable(known[:255]))
    said = repr(sorted(headers.items())).encode() + body
    return f"sha256:{hashlib.sha256(said).hexdigest()}"


def _job_in(body: bytes) -> JobId | None:
    """The job that an offer, a result or their like is about, where that can still be read."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    match found:
        case {"job": job} | {"results": [{"job": job}]}:
            pass
        case _:
            return None
    return JobId(job) if isinstance(job, str) and _UUID.fullmatch(job) else None
