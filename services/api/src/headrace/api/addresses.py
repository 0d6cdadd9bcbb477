"""Ids and positions as clients write them, checked before anything else sees them."""

from __future__ import annotations

import re
from typing import Final

from headrace.api.problems import bad_position
from headrace.contracts.ids import START, JobId, Position
from headrace.core.errors import JobNotFound

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def job_id(text: str) -> JobId:
    """Raises JobNotFound: what is no id of ours belongs to no job."""
    found = uuid_or_none(text)
    if found is None:
        raise JobNotFound(text[:64])
    return JobId(found)


def uuid_or_none(text: str) -> str | None:
    lowered = text.lower()
    return None if _UUID.fullmatch(lowered) is None else lowered


def position(text: str | None) -> Position:
    """Nothing is the start. Raises Refused."""
    if not text:
        return START
    try:
        return Position.parse(text)
    except ValueError as error:
        raise bad_position(str(error)) from error
