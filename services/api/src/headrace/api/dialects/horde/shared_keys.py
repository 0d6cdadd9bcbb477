"""`/sharedkeys`: a user gives keys away, each for so much and so long.

The id of a shared key in this protocol is the key. We keep its digest: so it is told once, and the
address that names it is what shows that somebody has it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias

from fastapi import Depends, Path, Request
from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.auth import HINT_CHARACTERS, digest_of
from headrace.api.deps import Deps
from headrace.api.dialects.horde.auth import Asker, Requester
from headrace.api.dialects.horde.documents import body, errors, routes
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.dialects.horde.forms import read, told
from headrace.api.dialects.horde.schemas_users import (
    UNLIMITED,
    DoneView,
    SharedKeyTerms,
    SharedKeyView,
)
from headrace.contracts.ids import KeyId
from headrace.core.errors import SharedKeyNotFound
from headrace.core.kudos import KUDO, in_kudos
from headrace.core.ports.store import Transaction
from headrace.core.ports.users import SharedKey, User
from headrace.core.usecases.shared_keys import change_shared, revoke_shared, share
from headrace.core.usecases.users import user_for

router = routes()
_LIMITS: Final = ("max_image_pixels", "max_image_steps", "max_text_tokens")


async def _key(
    key: Annotated[
        str,
        Path(
            alias="sharedkey_id",
            description="The key itself.",
            json_schema_extra={"format": "uuid"},
        ),
    ],
) -> str:
    """As it was told, to be found by its digest."""
    found = uuid_or_none(key)
    if found is None:
        raise SharedKeyNotFound
    return found


KeyInPath: TypeAlias = Annotated[str, Depends(_key)]


@router.put(
    "/sharedkeys",
    response_class=Response,
    responses={200: {"model": SharedKeyView}, **errors(408, 413, 415)},
    openapi_extra=body("SharedKeyTerms"),
)
async def make_shared_key(request: Request, deps: Deps, asker: Requester) -> Response:
    """A new shared key, shown this once."""
    _must_be_a_user(asker)
    asked = await read(request, deps, SharedKeyTerms)
    secret = deps.new_id()  # unguessable, and 36 characters as the protocol wants them
    async with deps.store.begin() as tx:
        owner = await user_for(tx, asker.tenant, deps.welcome)
        new = SharedKey(id=KeyId(deps.new_id()), owner=owner.id, name="")
        terms = _with(new, asked, await tx.now())
        made = await share(tx, owner, terms, digest_of(secret), hint=secret[:HINT_CHARACTERS])
    return told(_view(secret, made, owner), headers={"Cache-Control": "no-store"})


@router.get(
    "/sharedkeys/{sharedkey_id}",
    response_class=Response,
    responses={200: {"model": SharedKeyView}, **errors(404)},
)
async def get_shared_key(deps: Deps, key: KeyInPath) -> Response:
    """For whoever has the key: its terms, and what is left of it."""
    async with deps.store.begin() as tx:
        found = await _found(tx, key)
        owner = await tx.user(found.owner)
    if owner is None:
        raise SharedKeyNotFound
    return told(_view(key, found, owner))


@router.patch(
    "/sharedkeys/{sharedkey_id}",
    response_class=Response,
    responses={200: {"model": SharedKeyView}, **errors(404, 408, 413, 415)},
    openapi_extra=body("SharedKeyTerms"),
)
async def change_shared_key(
    request: Request, deps: Deps, asker: Requester, key: KeyInPath
) -> Response:
    """What is left out stays as it is."""
    _must_be_a_user(asker)
    asked = await read(request, deps, SharedKeyTerms)
    async with deps.store.begin() as tx:
        owner = await user_for(tx, asker.tenant, deps.welcome)
        terms = _with(await _found(tx, key), asked, await tx.now())
        changed = await change_shared(tx, owner, terms)
    return told(_view(key, changed, owner))


@router.delete(
    "/sharedkeys/{sharedkey_id}",
    response_class=Response,
    responses={200: {"model": DoneView}, **errors(404)},
)
async def delete_shared_key(deps: Deps, asker: Requester, key: KeyInPath) -> Response:
    """It is good for nothing from now on, everywhere within a second or two."""
    _must_be_a_user(asker)
    async with deps.store.begin() as tx:
        owner = await user_for(tx, asker.tenant, deps.welcome)
        await revoke_shared(tx, owner, (await _found(tx, key)).id)
    return told(DoneView(message="OK"))


def _must_be_a_user(asker: Asker) -> None:
    asker.must_own()
    if asker.anonymous:
        raise HordeError(403, "AnonForbidden", "Anonymous has no keys to give away.")


async def _found(tx: Transaction, key: str) -> SharedKey:
    """Raises SharedKeyNotFound."""
    digest = digest_of(key)
    live = (await tx.live_keys([digest])).get(digest)
    found = None if live is None else await tx.shared_key(live.id)
    if found is None:
        raise SharedKeyNotFound
    return found


def _with(key: SharedKey, asked: SharedKeyTerms, now: datetime) -> SharedKey:
    limits: dict[str, Any] = {
        name: None if given == UNLIMITED else given
        for name in _LIMITS
        if (given := getattr(asked, name)) is not None
    }
    changed = replace(key, **limits)
    if asked.name is not None:
        changed = replace(changed, name=asked.name)
    if asked.kudos is not None:
        # What it may yet use, as the protocol counts: besides what it has used.
        left = None if asked.kudos == UNLIMITED else asked.kudos * KUDO + key.used
        changed = replace(changed, kudos=left)
    if asked.expiry is not None:
        never = asked.expiry == UNLIMITED
        changed = replace(changed, expires_at=None if never else now + timedelta(days=asked.expiry))
    return changed


def _view(secret: str, key: SharedKey, owner: User) -> SharedKeyView:
    limits = {name: UNLIMITED if (of := getattr(key, name)) is None else of for name in _LIMITS}
    return SharedKeyView(
        id=secret,
        username=owner.name,
        name=key.name,
        kudos=UNLIMITED if key.left is None else in_kudos(key.left),
        utilized=in_kudos(key.used),
        expiry=None if key.expires_at is None else key.expires_at.isoformat(),
        **limits,
    )
