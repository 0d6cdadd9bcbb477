"""What routes of this door take from the address and the headers, checked on the way in."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Header, Path, Query

from headrace.api.addresses import job_id, position
from headrace.contracts.ids import JobId, Position

_WAIT: Final = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:[,;]|$)", re.IGNORECASE)


async def _job_id(
    job: Annotated[str, Path(json_schema_extra={"format": "uuid"}, description="The job's id.")],
) -> JobId:
    return job_id(job)


JobInPath: TypeAlias = Annotated[JobId, Depends(_job_id)]


async def _resume_from(
    last_event_id: Annotated[
        str | None, Header(description="Resume after this position; wins over `after`.")
    ] = None,
    after: Annotated[str | None, Query(description="Resume after this position.")] = None,
) -> Position:
    return position(after if last_event_id is None else last_event_id)


ResumeFrom: TypeAlias = Annotated[Position, Depends(_resume_from)]

IdempotencyHeader: TypeAlias = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key never makes a second job: the first one is answered again.",
    ),
]


async def _preferred_wait(
    prefer: Annotated[
        str | None, Header(description="`wait=N`: answer within N seconds (at most 30).")
    ] = None,
) -> float:
    match = _WAIT.search(prefer or "")
    return 0.0 if match is None else float(match[1])


PreferredWait: TypeAlias = Annotated[float, Depends(_preferred_wait)]
