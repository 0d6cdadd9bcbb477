"""Idempotency keys on routes that change something: the first answer is repeated, word for word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from headrace.api.bodies import fingerprint
from headrace.api.deps import ApiDeps
from headrace.contracts.ids import TenantId
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer, Question
from headrace.core.usecases.once import Told, once

OPERATORS = TenantId("(operators)")  # whose idempotency keys theirs are: no tenant has this name
_NO_CONTENT = 204


async def answered(
    deps: ApiDeps, question: Question | None, do: Callable[[Transaction], Awaitable[Answer]]
) -> Response:
    """Do it once for this key, in one transaction with the answer to repeat."""
    told = await once(deps.store, question, do)
    headers = replayed_header(told)
    if told.answer.status == _NO_CONTENT:
        return Response(status_code=_NO_CONTENT, headers=headers)
    return Response(told.answer.body, told.answer.status, headers, media_type="application/json")


def replayed_header(told: Told) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if told.replayed else {}


def question_of(
    request: Request, tenant: TenantId, key: str | None, body: bytes = b"null"
) -> Question | None:
    """A key belongs to one tenant, one method and one address."""
    if key is None:
        return None
    return Question(tenant, f"{request.method} {request.url.path}", key, fingerprint(body))


def answer(view: BaseModel, status: int = 200) -> Answer:
    return Answer(status, view.model_dump_json(), getattr(view, "id", None))


NOTHING = Answer(_NO_CONTENT, "")
