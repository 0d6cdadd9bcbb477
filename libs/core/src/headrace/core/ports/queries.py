"""Which jobs somebody wants to see: a tenant its own, an operator anybody's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from headrace.contracts.ids import JobId, Lane, TenantId, WorkerId
from headrace.core.job import Job, State

Cursor: TypeAlias = tuple[datetime, JobId]
"""A place among jobs in order of creation: what comes next is older than this row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which jobs to list; None does not filter. Newest first."""

    ids: Sequence[JobId] | None = None
    state: State | None = None
    kind: str | None = None
    model: str | None = None
    label: tuple[str, str] | None = None
    conversation: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    before: Cursor | None = None  # keyset: older than this row
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Search(Query):
    """Which jobs of all tenants."""

    tenant: TenantId | None = None
    path: str | None = None
    lane: Lane | None = None
    worker: WorkerId | None = None  # one of its attempts was this worker's
    error: str | None = None  # a part of what its error says, in whatever case
    states: Sequence[State] | None = None  # any of these


@dataclass(frozen=True, slots=True)
class Found:
    """One page. With `next` there may be more, also where this page has few or none."""

    jobs: list[Job]
    next: Cursor | None
