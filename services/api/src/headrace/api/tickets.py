"""Tickets: a key's right to watch, good once and for a moment, for clients that cannot send the key.

EventSource and WebSocket take an address and nothing else, and addresses end up in logs, so what
stands in one must be worthless by then. A ticket lets its holder read, never change.
"""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from headrace.api.auth import unauthorized
from headrace.api.deps import ApiDeps
from headrace.api.problems import Problem, Refused
from headrace.contracts.ids import JobId, TenantId


class Holder(msgspec.Struct, frozen=True):
    """Whose ticket it is; with a job, it is good for that one alone."""

    tenant: TenantId
    job: JobId | None = None

    def must_fit(self, job: JobId) -> None:
        if self.job is not None and self.job != job:
            raise Refused(_NOT_THIS_JOB)


async def issue(deps: ApiDeps, holder: Holder) -> str:
    ticket = secrets.token_urlsafe(32)
    note = msgspec.json.encode(holder)
    await deps.tickets.keep(_digest(ticket), note, for_s=deps.limits.ticket_s)
    return ticket


async def redeem(deps: ApiDeps, ticket: str) -> Holder:
    """Raises Refused when nobody has it: it is wrong, too old, or was used."""
    note = await deps.tickets.take(_digest(ticket))
    if note is None:
        raise Refused(unauthorized("This ticket is unknown, expired or used: ask for another."))
    return msgspec.json.decode(note, type=Holder)


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


_NOT_THIS_JOB = Problem(403, "wrong-ticket", "This ticket is for another job", "Ask for another.")
