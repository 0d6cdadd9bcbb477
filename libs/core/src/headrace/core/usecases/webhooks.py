"""What an owner does about webhooks: make, change and delete endpoints, turn their keys, send again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from headrace.contracts.ids import CallId, EndpointId, TenantId
from headrace.core.errors import CallNotFound, EndpointNotFound, NobodyToCall, TooManyEndpoints
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.store import Transaction
from headrace.core.ports.webhooks import OF_JOBS, Call, CallState, Endpoint, Signing
from headrace.core.webhook_retry import why_nobody

MOST_ENDPOINTS: Final = 20  # of one tenant: each is a call for every event
OLD_KEY_GOOD_FOR: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """None: as it is."""

    url: str | None = None
    events: tuple[str, ...] | None = None
    note: str | None = None
    enabled: bool | None = None


async def create_endpoint(
    tx: Transaction, endpoint: Endpoint, new_secret: Callable[[], str]
) -> Endpoint:
    """Raises TooManyEndpoints. Two at once may both be the last."""
    others = await tx.endpoints(endpoint.tenant, before=None, limit=MOST_ENDPOINTS)
    if len(others) >= MOST_ENDPOINTS:
        raise TooManyEndpoints(MOST_ENDPOINTS)
    made = await tx.insert_endpoint(endpoint)
    await tx.signing(made.tenant, made.id, new_secret)
    return made


async def find_endpoint(tx: Transaction, tenant: TenantId, endpoint: EndpointId) -> Endpoint:
    """Raises EndpointNotFound."""
    found = await tx.endpoint(tenant, endpoint)
    if found is None:
        raise EndpointNotFound(endpoint)
    return found


async def change_endpoint(
    tx: Transaction, tenant: TenantId, endpoint: EndpointId, wish: Wish
) -> Endpoint:
    """Enabling it forgets that it failed. Raises EndpointNotFound."""
    found = await find_endpoint(tx, tenant, endpoint)
    changed = replace(
        found,
        url=found.url if wish.url is None else wish.url,
        events=found.events if wish.events is None else wish.events,
        note=found.note if wish.note is None else wish.note,
    )
    if wish.enabled is True:
        changed = replace(changed, failing_since=None, disabled_at=None, disabled_why=None)
    elif wish.enabled is False and found.disabled_at is None:
        changed = replace(changed, disabled_at=await tx.now(), disabled_why="asked")
    await tx.save_endpoint(changed)
    return changed


async def delete_endpoint(tx: Transaction, tenant: TenantId, endpoint: EndpointId) -> None:
    """Its calls stay in the log. Raises EndpointNotFound."""
    if not await tx.delete_endpoint(tenant, endpoint):
        raise EndpointNotFound(endpoint)


async def signing_of(
    tx: Transaction, tenant: TenantId, endpoint: EndpointId, new_secret: Callable[[], str]
) -> Signing:
    """`OF_JOBS` has one as soon as anybody asks. Raises EndpointNotFound."""
    if endpoint != OF_JOBS:
        await find_endpoint(tx, tenant, endpoint)
    return await tx.signing(tenant, endpoint, new_secret)


async def turn_key(
    tx: Transaction, tenant: TenantId, endpoint: EndpointId, new_secret: Callable[[], str]
) -> Signing:
    """A new secret; the one before it signs beside it for a day. Raises EndpointNotFound.

    Of two who turn it at once, the second is told what the first has made.
    """
    known = await signing_of(tx, tenant, endpoint, new_secret)
    until = await tx.now() + OLD_KEY_GOOD_FOR
    await tx.save_signing(tenant, endpoint, Signing(new_secret(), known.secret, until))
    return await tx.signing(tenant, endpoint, new_secret)


async def find_call(tx: Transaction, tenant: TenantId | None, call: CallId) -> Call:
    """Raises CallNotFound."""
    found = await tx.call(tenant, call)
    if found is None:
        raise CallNotFound(call)
    return found


async def redeliver(
    tx: Transaction, tenant: TenantId | None, call: CallId, *, who: str | None = None
) -> Call:
    """Send it once more, now, and go on from there as if it were new. `who`: an operator, for the audit.

    One that waits comes forward; one that is under way may arrive twice, which its id tells.
    Raises CallNotFound, NobodyToCall.
    """
    found = await find_call(tx, tenant, call)
    endpoints = await tx.known_endpoints([] if found.endpoint is None else [found.endpoint])
    endpoint = endpoints.get(found.endpoint) if found.endpoint is not None else None
    if (why := why_nobody(found, endpoint)) is not None:
        raise NobodyToCall(call, why)
    again = replace(
        found, state=CallState.WAITING, tries=0, next_at=await tx.now(), settled_at=None
    )
    await tx.save_call(found, again)
    if who is not None:
        await tx.audit([Deed(who, "webhook.redeliver", call, {"tenant": found.tenant})])
    return again
