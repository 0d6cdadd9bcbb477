"""What routes of every door take from the address and the headers, checked on the way in."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends, Header, Query

from headrace.api.addresses import position
from headrace.contracts.ids import Position


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

Ticket: TypeAlias = Annotated[
    str | None, Query(max_length=100, description="Of `POST /tickets`, instead of a key.")
]
