"""What routes of this door take from the address and the headers, checked on the way in."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Header, Path

from headrace.api.addresses import job_id
from headrace.contracts.ids import JobId

_WAIT: Final = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:[,;]|$)", re.IGNORECASE)


async def _job_id(
    job: Annotated[str, Path(json_schema_extra={"format": "uuid"}, description="The job's id.")],
) -> JobId:
    return job_id(job)


JobInPath: TypeAlias = Annotated[JobId, Depends(_job_id)]


async def _preferred_wait(
    prefer: Annotated[
        str | None, Header(description="`wait=N`: answer within N seconds (at most 30).")
    ] = None,
) -> float:
    match = _WAIT.search(prefer or "")
    return 0.0 if match is None else float(match[1])


PreferredWait: TypeAlias = Annotated[float, Depends(_preferred_wait)]
