"""Tickets: a key's right to watch, good once and for a moment, for clients that cannot send the key.

EventSource and WebSocket take an address and nothing else, and addresses end up in logs, so what
stands in one must be worthless by then. A ticket lets its holder read, never change.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from typing import Annotated, TypeAlias

import msgspec
from fastapi import Request, Security
from fastapi.security import SecurityScopes

from headrace.api.arguments import Ticket
from headrace.api.auth import Caller, unauthorized
from headrace.api.deps import ApiDeps, Deps
from headrace.api.problems import Problem, Refused
from headrace.contracts.ids import JobId, TenantId
from headrace.core.ports.keys import Scope


class Holder(msgspec.Struct, frozen=True):
    """Who watches, by a key or by its ticket; with a job, it is good for that one alone."""

    tenant: TenantId
    job: JobId | None = None
    digest: str = ""  # of the key behind it, if the store keeps that: it may be revoked
    by_ticket: bool = False
    may_submit: bool = False
    until: float | None = None  # of a token behind it

    def must_fit(self, job: JobId) -> None:
        if self.job is not None and self.job != job:
            raise Refused(_NOT_THIS_JOB)


def holder_of(caller: Caller, needed: Iterable[str]) -> Holder:
    """Of a key that has these scopes. Raises Refused."""
    for scope in needed:
        caller.must_have(Scope(scope))
    may_submit = caller.may(Scope.SUBMIT)
    return Holder(caller.tenant, digest=caller.digest, may_submit=may_submit, until=caller.until)


async def issue(deps: ApiDeps, caller: Caller, job: JobId | None) -> str:
    ticket = secrets.token_urlsafe(32)
    note = msgspec.json.encode(Holder(caller.tenant, job, caller.digest, until=caller.until))
    await deps.tickets.keep(_digest(ticket), note, for_s=deps.limits.ticket_s)
    return ticket


async def redeem(deps: ApiDeps, ticket: str) -> Holder:
    """Raises Refused when nobody has it: it is wrong, too old, or was used, or its key was revoked."""
    note = await deps.tickets.take(_digest(ticket))
    if note is None:
        raise Refused(unauthorized("This ticket is unknown, expired or used: ask for another."))
    holder = msgspec.json.decode(note, type=Holder)
    await must_be_good(deps, holder)
    return msgspec.structs.replace(holder, by_ticket=True, may_submit=False)


async def must_be_good(deps: ApiDeps, holder: Holder) -> None:
    """Still. Raises Refused."""
    if not await deps.auth.still_good(holder.digest, holder.until):
        raise Refused(unauthorized("What was shown for this was revoked, or has expired."))


async def _viewer(
    request: Request, deps: Deps, needed: SecurityScopes, ticket: Ticket = None
) -> Holder:
    if ticket is not None:
        return await redeem(deps, ticket)
    return holder_of(await deps.auth.admit(request.headers), needed.scopes)


Viewer: TypeAlias = Annotated[Holder, Security(_viewer, scopes=[Scope.READ])]


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


_NOT_THIS_JOB = Problem(403, "wrong-ticket", "This ticket is for another job", "Ask for another.")
