"""`POST /kudos/transfer`: from one user to another, once for an Idempotency-Key."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Header, Request
from starlette.responses import Response

from headrace.api.bodies import fingerprint
from headrace.api.deps import Deps
from headrace.api.dialects.horde.auth import Requester
from headrace.api.dialects.horde.documents import body, errors, routes
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.dialects.horde.forms import read
from headrace.api.dialects.horde.schemas_users import TransferredView, TransferRequest
from headrace.api.dialects.horde.users import amount_of
from headrace.core.errors import NotEnoughKudos, UserNotFound
from headrace.core.ports.upkeep import Question
from headrace.core.ports.users import ANONYMOUS
from headrace.core.usecases.kudos import transfer
from headrace.core.usecases.users import user_for, user_named

router = routes()
_ROUTE: Final = "POST /api/v2/kudos/transfer"


@router.post(
    "/kudos/transfer",
    response_class=Response,
    responses={200: {"model": TransferredView}, **errors(404, 408, 409, 413, 415)},
    openapi_extra=body("TransferRequest"),
)
async def send_kudos(
    request: Request,
    deps: Deps,
    asker: Requester,
    key: Annotated[
        str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)
    ] = None,
) -> Response:
    """Send kudos that you have and do not hold for jobs. The same key sends the same kudos once."""
    asker.must_own()
    asked = await read(request, deps, TransferRequest)
    amount = amount_of(asked.amount, "amount")
    async with deps.store.begin() as tx:
        source = await user_for(tx, asker.tenant, deps.welcome)
        try:
            target = await user_named(tx, asked.username)
        except UserNotFound as error:
            raise HordeError(400, "InvalidTargetUsername", str(error)) from error
    if asker.anonymous or source.id == ANONYMOUS:
        raise _refused("KudosTransferFromAnon", "Anonymous has nothing to send.")
    if target.id == ANONYMOUS:
        raise _refused("KudosTransferToAnon", "Nothing is sent to anonymous.")
    if target.id == source.id:
        raise _refused("KudosTransferToSelf", "Nobody sends kudos to themselves.")
    if amount <= 0:
        raise _refused("NegativeKudosTransfer", "An amount is more than nothing.")
    said = fingerprint(f'{{"to":{target.id},"amount":{amount}}}'.encode())
    question = None if key is None else Question(asker.tenant, _ROUTE, key, said)
    try:
        done = await transfer(
            deps.store, source.id, target.id, amount, question, new_id=deps.new_id
        )
    except NotEnoughKudos as error:
        raise _refused("KudosTransferNotEnough", str(error)) from error
    headers = {"Idempotent-Replayed": "true"} if done.replayed else {}
    return Response(done.answer.body, done.answer.status, headers, media_type="application/json")


def _refused(rc: str, message: str) -> HordeError:
    return HordeError(400, rc, message)
