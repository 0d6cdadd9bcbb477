"""`/find_user` and `/users`: who is who, what they have, and who may change it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Path, Query, Request, Security
from fastapi.security import SecurityScopes
from starlette.responses import Response

from headrace.api.auth import HINT_CHARACTERS, ORDINARY, digest_of, new_key, presented
from headrace.api.deps import Deps
from headrace.api.dialects.horde.auth import Asker, Onlooker, asker, with_scopes
from headrace.api.dialects.horde.documents import body, errors, routes
from headrace.api.dialects.horde.errors import HordeError, invalid_key, wrong_payload
from headrace.api.dialects.horde.forms import many_told, read, told
from headrace.api.dialects.horde.schemas_users import (
    RegisteredView,
    RegistrationRequest,
    UserChange,
    UserChangedView,
    UserView,
)
from headrace.api.operators import Named, has_admin_key, name_of
from headrace.contracts.ids import KeyId, UserId
from headrace.core.errors import UserNotFound
from headrace.core.kudos import from_kudos, in_kudos
from headrace.core.ports.keys import ApiKey, Scope
from headrace.core.ports.store import Transaction
from headrace.core.ports.users import User
from headrace.core.usecases.keys import create_key
from headrace.core.usecases.kudos import grant
from headrace.core.usecases.users import (
    Changes,
    change_user,
    create_user,
    user_for,
)

router = routes()
_PAGE: Final = 25
_LAST_PAGE: Final = 1_000_000
_LONGEST_NUMBER: Final = 18
_MOST_WORKERS: Final = 1000
_OF_USERS: Final = ORDINARY | {Scope.WORKER}
_BY_ITSELF: Final = "registration"


async def _finder(request: Request, deps: Deps, needed: SecurityScopes) -> Asker:
    """A key that nobody has is no user here, as in this protocol; no key at all is still an error."""
    if presented(request.headers) is None:
        raise invalid_key()
    try:
        found = await asker(request, deps)
    except HordeError as error:
        if error.rc == "InvalidAPIKey":
            raise HordeError(404, "UserNotFound", "No user has this API key.") from error
        raise
    return with_scopes(found, needed)


Finder: TypeAlias = Annotated[Asker, Security(_finder, scopes=[Scope.READ])]


@dataclass(frozen=True, slots=True)
class _Moderator:
    who: str
    is_operator: bool  # moderators trust and limit; money and moderators are made by operators


async def _moderator(
    request: Request,
    deps: Deps,
    named: Named,
    needed: SecurityScopes,  # noqa: ARG001  # stated for the description; a moderator needs none
) -> _Moderator:
    if has_admin_key(request.headers, deps):
        return _Moderator(named, is_operator=True)
    found = await asker(request, deps)
    if found.caller.may(Scope.ADMIN):
        return _Moderator(name_of(found.caller), is_operator=True)
    async with deps.store.begin() as tx:
        user = await tx.user_of(found.tenant)
    if user is None or not user.moderator or found.shared is not None or found.anonymous:
        raise HordeError(403, "NotModerator", "Only moderators and operators may do that.")
    return _Moderator(user.name, is_operator=False)


Moderator: TypeAlias = Annotated[_Moderator, Security(_moderator, scopes=[Scope.ADMIN])]


async def _user_id(
    user: Annotated[str, Path(alias="user_id", description="Its number.")],
) -> UserId:
    if not (user.isascii() and user.isdigit() and len(user) <= _LONGEST_NUMBER):
        raise UserNotFound(user[:40])
    return UserId(int(user))


UserInPath: TypeAlias = Annotated[UserId, Depends(_user_id)]


@router.get(
    "/find_user", response_class=Response, responses={200: {"model": UserView}, **errors(404)}
)
async def find_user(deps: Deps, finder: Finder) -> Response:
    """Who has the key that you show. Of a shared key: whose it is."""
    async with deps.store.begin() as tx:
        user = await user_for(tx, finder.tenant, deps.welcome)
        whole = finder.shared is None
        return told(await _in_full(tx, user) if whole else _seen(user))


@router.get(
    "/users", response_class=Response, responses={200: {"model": list[UserView]}, **errors()}
)
async def list_users(
    deps: Deps,
    reader: Onlooker,  # noqa: ARG001  # who may be nobody
    page: Annotated[int, Query(ge=1, le=_LAST_PAGE)] = 1,
) -> Response:
    """By number, 25 numbers a page."""
    first = (page - 1) * _PAGE
    async with deps.store.begin() as tx:
        found = await tx.users(after=UserId(first - 1), limit=_PAGE)
    return many_told([_seen(user) for user in found if user.id < first + _PAGE])


@router.get(
    "/users/{user_id}", response_class=Response, responses={200: {"model": UserView}, **errors(404)}
)
async def get_user(deps: Deps, reader: Onlooker, user: UserInPath) -> Response:
    """What it has is told to itself and to moderators."""
    async with deps.store.begin() as tx:
        found = await tx.user(user)
        if found is None:
            raise UserNotFound(str(user))
        asks = None if reader.shared is not None else await tx.user_of(reader.tenant)
        near = asks is not None and (asks.id == found.id or asks.moderator)
        return told(await _in_full(tx, found) if near else _seen(found))


@router.put(
    "/users/{user_id}",
    response_class=Response,
    responses={200: {"model": UserChangedView}, **errors(404, 408, 413, 415)},
    openapi_extra=body("UserChange"),
)
async def put_user(request: Request, deps: Deps, who: Moderator, user: UserInPath) -> Response:
    """Moderators say who is trusted and how much at once; kudos and moderators are made by operators."""
    asked = await read(request, deps, UserChange)
    if not who.is_operator and (asked.kudos is not None or asked.moderator is not None):
        raise HordeError(403, "NotAdmin", "Only operators may do that.")
    changes = Changes(
        concurrency=asked.concurrency, trusted=asked.trusted, moderator=asked.moderator
    )
    kudos = None if asked.kudos is None else amount_of(asked.kudos, "kudos")
    async with deps.store.begin() as tx:
        if kudos is not None:
            await grant(tx, user, kudos, entry=deps.new_id(), who=who.who)
        now = await change_user(tx, user, changes, who=who.who)
    deps.roll.forget()  # its workers are trusted as it is
    view = UserChangedView(
        new_kudos=None if kudos is None else in_kudos(now.balance),
        concurrency=asked.concurrency,
        trusted=asked.trusted,
        moderator=asked.moderator,
    )
    return told(view)


@router.post(
    "/users/register",
    status_code=201,
    response_class=Response,
    responses={201: {"model": RegisteredView}, **errors(408, 413, 415, 429)},
    openapi_extra=body("RegistrationRequest"),
)
async def register(request: Request, deps: Deps) -> Response:
    """A new user, and its key, shown this once; where the operators let users register themselves."""
    if deps.registration is None:
        raise HordeError(403, "RegistrationClosed", "Ask the operators for a key.")
    asked = await read(request, deps, RegistrationRequest)
    wait_s = deps.registration.wait_s(request.client.host if request.client else "")
    if wait_s > 0:
        said = "So many register that you have to wait."
        raise HordeError(
            429, "TooManyRegistrations", said, headers={"Retry-After": str(ceil(wait_s))}
        )
    secret = new_key()
    async with deps.store.begin() as tx:
        user = await create_user(
            tx, asked.username, deps.welcome, new_id=deps.new_id, who=_BY_ITSELF
        )
        key = ApiKey(
            id=KeyId(deps.new_id()),
            tenant=user.tenant,
            name=user.name.replace("#", "-"),
            scopes=_OF_USERS,
            hint=secret[:HINT_CHARACTERS],
        )
        await create_key(tx, key, digest_of(secret), who=_BY_ITSELF)
    view = RegisteredView(id=user.id, username=user.name, api_key=secret)
    return told(view, 201, {"Cache-Control": "no-store"})


def amount_of(kudos: float, field: str) -> int:
    """Raises HordeError."""
    try:
        return from_kudos(kudos)
    except ValueError as error:
        raise wrong_payload({field: str(error)}) from error


def _seen(user: User) -> UserView:
    return UserView(username=user.name, id=user.id, trusted=user.trusted, moderator=user.moderator)


async def _in_full(tx: Transaction, user: User) -> UserView:
    workers = await tx.remote_workers(tenant=user.tenant, limit=_MOST_WORKERS)
    age = timedelta() if user.created_at is None else await tx.now() - user.created_at
    return _seen(user).model_copy(
        update={
            "kudos": in_kudos(user.balance),
            "concurrency": user.concurrency,
            "account_age": int(age.total_seconds()),
            "worker_count": len(workers),
            "worker_ids": [worker.id for worker in workers],
        }
    )
