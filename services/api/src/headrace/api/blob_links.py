"""Links to blobs that need no key: signed, for one blob, good for a while.

They go where no header can be sent: into an <img>, a chat, a download manager. A link is no secret of
its tenant's key; whoever has it may read that blob until it expires, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Annotated, Final, TypeAlias

from fastapi import Query, Request, Security
from fastapi.security import SecurityScopes

from headrace.api.auth import unauthorized
from headrace.api.deps import ApiDeps, Deps
from headrace.api.problems import Refused
from headrace.contracts.ids import BlobId, TenantId
from headrace.core.ports.keys import Scope

GOOD_FOR: Final = timedelta(hours=1)
_DIGEST_BYTES: Final = hashlib.sha256().digest_size
_LONGEST: Final = 400  # characters; a tenant's name is far shorter

Link: TypeAlias = Annotated[
    str | None,
    Query(max_length=_LONGEST, description="Of a signed link to this blob, instead of a key."),
]


def path_to(tenant: TenantId, blob: BlobId, key: bytes, *, now: datetime) -> str:
    """Of the store's clock, as is the time at which it is looked at."""
    said = f"{int((now + GOOD_FOR).timestamp())}:{tenant}".encode()
    token = base64.urlsafe_b64encode(_digest(key, blob, said) + said).decode().rstrip("=")
    return f"/blobs/{blob}?link={token}"


def opened(blob: str, token: str, key: bytes, *, now: datetime) -> TenantId:
    """Whose blob it is. Raises Refused."""
    try:
        signed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        digest, said = signed[:_DIGEST_BYTES], signed[_DIGEST_BYTES:]
        genuine = hmac.compare_digest(digest, _digest(key, blob, said))
        until, _, tenant = said.decode().partition(":") if genuine else ("0", "", "")
    except (binascii.Error, ValueError) as error:
        raise _refusal() from error
    if int(until) <= now.timestamp():
        raise _refusal()
    return TenantId(tenant)


def _digest(key: bytes, blob: str, said: bytes) -> bytes:
    return hmac.digest(key, blob.encode() + b"\0" + said, "sha256")


def _refusal() -> Refused:
    return Refused(unauthorized("This link is wrong, or has expired: ask for another."))


async def _reader(
    request: Request, deps: Deps, needed: SecurityScopes, link: Link = None
) -> TenantId:
    if link is not None:
        return await _by_link(deps, str(request.path_params["blob"]), link)
    caller = await deps.auth.admit(request.headers)
    for scope in needed.scopes:
        caller.must_have(Scope(scope))
    return caller.tenant


async def _by_link(deps: ApiDeps, blob: str, link: str) -> TenantId:
    async with deps.store.begin() as tx:
        now = await tx.now()
    return opened(blob, link, deps.link_key, now=now)


BlobReader: TypeAlias = Annotated[TenantId, Security(_reader, scopes=[Scope.READ])]
