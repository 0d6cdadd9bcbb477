"""`/admin/users` and `/admin/ledger`: who has kudos, how they came by them, and whether the books are in order."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.auth import HINT_CHARACTERS, ORDINARY, digest_of, new_key
from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.schemas_users import (
    AccountView,
    GrantRequest,
    LedgerView,
    NewUserView,
    PostingView,
    UserAdminView,
    UserPatch,
    UserRequest,
    UsersPage,
)
from headrace.api.operators import Operator, Reader
from headrace.api.problems import invalid
from headrace.contracts.ids import KeyId, TenantId, UserId
from headrace.core.errors import UserNotFound
from headrace.core.kudos import from_kudos, in_kudos
from headrace.core.ports.keys import ApiKey, Scope
from headrace.core.ports.users import Posting, User
from headrace.core.usecases.keys import create_key
from headrace.core.usecases.kudos import grant
from headrace.core.usecases.users import Changes, Welcome, change_user, create_user

router = APIRouter(prefix="/admin", tags=["admin"])
_LATEST: Final = 50  # postings that are shown
_SCOPES: Final = ORDINARY | {Scope.WORKER}
_BODY: Final = (404, 408, 413, 415, 422)
_Form = TypeVar("_Form", bound=BaseModel)

UserInPath: TypeAlias = Annotated[int, Path(ge=0, le=2**53, description="Its number.")]


@router.get("/users", responses={200: {"model": UsersPage}, **documents.problems(404, 422)})
async def list_users(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    after: Annotated[int, Query(ge=-1, le=2**53, description="Numbers behind this one.")] = -1,
) -> UsersPage:
    """By number; 0 is whoever shows no key."""
    async with deps.store.begin() as tx:
        found = await tx.users(after=UserId(after), limit=limit + 1)
    shown = [_view(user) for user in found[:limit]]
    return UsersPage(users=shown, next=shown[-1].id if len(found) > limit else None)


@router.post(
    "/users",
    status_code=201,
    response_class=Response,
    responses={201: {"model": NewUserView}, **documents.problems(*_BODY)},
    openapi_extra=documents.json_body("UserRequest"),
)
async def make_user(request: Request, deps: Deps, who: Operator) -> Response:
    """A new user, and its key, shown this once. Of a tenant that is a user already: one more key."""
    asked = await _read(request, deps, UserRequest)
    secret = new_key()
    async with deps.store.begin() as tx:
        user = await create_user(
            tx,
            asked.alias,
            _welcome(asked, deps.welcome),
            tenant=None if asked.tenant is None else TenantId(asked.tenant),
            new_id=deps.new_id,
            who=who,
        )
        key = ApiKey(
            id=KeyId(deps.new_id()),
            tenant=user.tenant,
            name=user.name.replace("#", "-"),
            scopes=_SCOPES,
            hint=secret[:HINT_CHARACTERS],
        )
        await create_key(tx, key, digest_of(secret), who=who)
    view = NewUserView(**_view(user).model_dump(), key=secret)
    return _json(view, 201, {"Cache-Control": "no-store"})


@router.get(
    "/users/{user}", responses={200: {"model": AccountView}, **documents.problems(404, 422)}
)
async def get_user(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    user: UserInPath,
) -> AccountView:
    """What a user has, and the latest that it came by or spent."""
    async with deps.store.begin() as tx:
        found = await tx.user(UserId(user))
        if found is None:
            raise UserNotFound(str(user))
        postings = await tx.postings(found.id, limit=_LATEST)
    return AccountView(**_view(found).model_dump(), postings=[_posting(each) for each in postings])


@router.patch(
    "/users/{user}",
    response_class=Response,
    responses={200: {"model": UserAdminView}, **documents.problems(409, *_BODY)},
    openapi_extra=documents.json_body("UserPatch"),
)
async def patch_user(request: Request, deps: Deps, who: Operator, user: UserInPath) -> Response:
    """Change what a user is and may. A floor above what it has is refused."""
    asked = await _read(request, deps, UserPatch)
    said: dict[str, Any] = asked.model_dump()
    if asked.floor is not None:
        said["floor"] = _amount(asked.floor, "/floor")
    async with deps.store.begin() as tx:
        changed = await change_user(tx, UserId(user), Changes(**said), who=who)
    deps.roll.forget()  # its workers are trusted as it is
    return _json(_view(changed))


@router.post(
    "/users/{user}/grant",
    response_class=Response,
    responses={200: {"model": UserAdminView}, **documents.problems(409, *_BODY)},
    openapi_extra=documents.json_body("GrantRequest"),
)
async def grant_kudos(request: Request, deps: Deps, who: Operator, user: UserInPath) -> Response:
    """Give kudos, or take them back: down to the floor, and not those that jobs hold."""
    asked = await _read(request, deps, GrantRequest)
    amount = _amount(asked.kudos, "/kudos")
    async with deps.store.begin() as tx:
        await grant(tx, UserId(user), amount, entry=deps.new_id(), who=who)
        (found,) = await tx.accounts([UserId(user)])
    return _json(_view(found))


@router.get("/ledger", responses={200: {"model": LedgerView}, **documents.problems(404, 422)})
async def check_ledger(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
) -> LedgerView:
    """Add up all postings and holds. It reads them all: ask now and then, not often."""
    async with deps.store.begin() as tx:
        return LedgerView(**asdict(await tx.audit_ledger()))


async def _read(request: Request, deps: ApiDeps, form: type[_Form]) -> _Form:
    body = await read_json(request, deps.limits)
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error


def _welcome(asked: UserRequest, usual: Welcome) -> Welcome:
    said: dict[str, Any] = {}
    if asked.concurrency is not None:
        said["concurrency"] = asked.concurrency
    if asked.floor is not None:
        said["floor"] = _amount(asked.floor, "/floor")
    if asked.kudos is not None:
        said["kudos"] = _amount(asked.kudos, "/kudos")
    return replace(usual, **said)


def _amount(kudos: float, pointer: str) -> int:
    try:
        return from_kudos(kudos)
    except ValueError as error:
        raise invalid([{"pointer": pointer, "detail": str(error)}]) from error


def _view(user: User) -> UserAdminView:
    return UserAdminView(
        id=user.id,
        username=user.name,
        tenant=user.tenant,
        concurrency=user.concurrency,
        trusted=user.trusted,
        moderator=user.moderator,
        kudos=in_kudos(user.balance),
        held=in_kudos(user.held),
        floor=None if user.floor is None else in_kudos(user.floor),
        created_at=user.created_at,
    )


def _posting(posting: Posting) -> PostingView:
    return PostingView(
        entry=posting.entry,
        reason=posting.reason,
        counter=posting.counter,
        kudos=in_kudos(posting.amount),
        job=posting.job,
        at=posting.at,
    )


def _json(view: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(view.model_dump_json(), status, headers, media_type="application/json")
