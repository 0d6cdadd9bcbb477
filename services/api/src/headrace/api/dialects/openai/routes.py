"""The routes of this door, as OpenAI's clients call them."""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.arguments import IdempotencyHeader
from headrace.api.auth import Caller
from headrace.api.bodies import read_json
from headrace.api.deps import ApiDeps, Deps, Submitter, Tenant
from headrace.api.described import json_body
from headrace.api.dialects.openai import answering, asking, errors, streaming, telling, views
from headrace.api.dialects.openai.answering import Begun, Call
from headrace.api.dialects.openai.schemas import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
)
from headrace.contracts.ids import BlobId, TenantId
from headrace.core.job import Job
from headrace.core.usecases.model_looks import Runnable, what_can_be_run

router = APIRouter(prefix=errors.DOOR, tags=["openai"])
_KINDS: Final = (asking.TEXT, asking.EMBEDDING, asking.IMAGE)
_Asked = TypeVar("_Asked", ChatRequest, CompletionRequest, EmbeddingRequest, ImageRequest)
_LINKS_LAST: Final = timedelta(hours=1)
_EVENT: Final = {  # one of the stream
    "type": "object",
    "properties": {"data": {"type": "string", "description": "A chunk as JSON, or [DONE]."}},
    "required": ["data"],
}
_ERROR: Final = {"model": views.OpenAiErrorView}
_SAID: Final = {
    400: "It cannot be read, or asks for what is not there: `param` says where.",
    401: "No key, or a wrong one.",
    403: "This key may not do that.",
    404: "There is no such model.",
    408: "The body came too slowly.",
    409: "Somebody asked the job to end.",
    413: "The body is too large.",
    415: "The body has the wrong media type.",
    422: "This `Idempotency-Key` belongs to another request.",
    429: "As many of your jobs wait as may; try again after `Retry-After` seconds.",
    500: "It broke on our side.",
    503: "Something does not answer, or too much waits; try again after `Retry-After` seconds.",
    504: "It took too long.",
}
_JOB: Final = {
    errors.JOB_HEADER: {
        "description": "The jobs behind this answer, by id: `/jobs/ID/events` shows each of them.",
        "schema": {"type": "string"},
    }
}


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": _SAID[status], **_ERROR} for status in statuses}


def _answers(view: type[BaseModel], *, streams: bool = False) -> dict[int | str, dict[str, Any]]:
    content = {"text/event-stream": {"schema": _EVENT}} if streams else {}
    answer = {"model": view, "description": "The answer.", "headers": _JOB, "content": content}
    return {200: answer, **_refusals(*_SAID)}


@router.post(
    "/chat/completions",
    response_class=Response,
    responses=_answers(views.ChatView, streams=True),
    openapi_extra=json_body("ChatRequest"),
)
async def chat(
    request: Request, deps: Deps, caller: Submitter, key: IdempotencyHeader = None
) -> Response:
    """Answer a conversation, at once or in pieces."""
    asked, call = await _read(request, deps, caller, key, asking.TEXT, ChatRequest)
    card = await answering.card_of(deps, call)
    wanted = asking.chat(asked, card, seed=secrets.randbelow(asking.SEEDS))
    begun = await answering.begin(deps, call, card, wanted)
    if asked.stream:
        counted = asked.stream_options is not None and asked.stream_options.include_usage
        return streaming.streamed(deps, begun, chat=True, counted=counted, a_prompt=len(begun.jobs))
    made = await answering.outputs(deps, request.receive, begun)
    return _json(telling.chat_view(begun.jobs, made), begun)


@router.post(
    "/completions",
    response_class=Response,
    responses=_answers(views.CompletionView, streams=True),
    openapi_extra=json_body("CompletionRequest"),
)
async def complete(
    request: Request, deps: Deps, caller: Submitter, key: IdempotencyHeader = None
) -> Response:
    """Go on from a prompt, with nothing put around it."""
    asked, call = await _read(request, deps, caller, key, asking.TEXT, CompletionRequest)
    card = await answering.card_of(deps, call)
    wanted = asking.completion(asked, card, seed=secrets.randbelow(asking.SEEDS))
    begun = await answering.begin(deps, call, card, wanted)
    a_prompt = asked.n or 1
    if asked.stream:
        counted = asked.stream_options is not None and asked.stream_options.include_usage
        return streaming.streamed(deps, begun, chat=False, counted=counted, a_prompt=a_prompt)
    made = await answering.outputs(deps, request.receive, begun)
    return _json(telling.completion_view(begun.jobs, made, a_prompt=a_prompt), begun)


@router.post(
    "/embeddings",
    response_class=Response,
    responses=_answers(views.EmbeddingsView),
    openapi_extra=json_body("EmbeddingRequest"),
)
async def embed(
    request: Request, deps: Deps, caller: Submitter, key: IdempotencyHeader = None
) -> Response:
    """Turn texts into vectors."""
    asked, call = await _read(request, deps, caller, key, asking.EMBEDDING, EmbeddingRequest)
    card = await answering.card_of(deps, call)
    begun = await answering.begin(deps, call, card, asking.embedding(asked, card))
    made = await answering.outputs(deps, request.receive, begun)
    as_base64 = asked.encoding_format == "base64"
    return _json(telling.embeddings_view(begun.jobs, made, as_base64=as_base64), begun)


@router.post(
    "/images/generations",
    response_class=Response,
    responses=_answers(views.PicturesView),
    openapi_extra=json_body("ImageRequest"),
)
async def draw(
    request: Request, deps: Deps, caller: Submitter, key: IdempotencyHeader = None
) -> Response:
    """Draw pictures from a prompt."""
    asked, call = await _read(request, deps, caller, key, asking.IMAGE, ImageRequest)
    card = await answering.card_of(deps, call)
    begun = await answering.begin(deps, call, card, asking.image(asked, card))
    made = await answering.outputs(deps, request.receive, begun)
    blobs = [
        (job, BlobId(blob))
        for job, output in zip(begun.jobs, made, strict=True)
        for blob in telling.pictures_of(output)
    ]
    if asked.response_format == "b64_json":
        data = [await _bytes_of(deps, job, blob) for job, blob in blobs]
    else:
        data = await _links_to(deps, str(request.base_url), blobs)
    return _json(views.PicturesView(created=telling.created(begun.jobs), data=data), begun)


@router.get(
    "/models",
    response_class=Response,
    responses={200: {"model": views.ModelList}, **_refusals(400, 401, 403, 500, 503)},
)
async def list_models(deps: Deps, tenant: Tenant) -> Response:
    """What can be asked here."""
    known = await _models(deps, tenant)
    return _json(views.ModelList(data=[known[name] for name in sorted(known)]))


@router.get(
    "/models/{model:path}",
    response_class=Response,
    responses={200: {"model": views.OneModel}, **_refusals(400, 401, 403, 404, 500, 503)},
)
async def get_model(
    deps: Deps,
    tenant: Tenant,
    model: Annotated[str, Path(description="The model's name, which may have slashes.")],
) -> Response:
    """One of them."""
    known = await _models(deps, tenant)
    if model not in known:
        raise errors.no_such_model(model, list(known))
    return _json(known[model])


async def _read(  # what a call is made of
    request: Request,
    deps: ApiDeps,
    caller: Caller,
    key: str | None,
    kind: str,
    schema: type[_Asked],
) -> tuple[_Asked, Call]:
    body = await read_json(request, deps.limits)
    try:
        asked = schema.model_validate_json(body)
    except ValidationError as error:
        raise errors.wrong_body(error) from error
    call = Call(
        caller,
        kind,
        asked.model,
        asked.on_disconnect,
        request.url.path,
        body,
        key,
        asked.user or None,
    )
    return asked, call


async def _models(deps: ApiDeps, tenant: TenantId) -> dict[str, views.OneModel]:
    async with deps.store.begin() as tx:
        found = await what_can_be_run(tx, tenant)
    return {each.model: _model(each) for each in found if each.card.kind in _KINDS}


def _model(found: Runnable) -> views.OneModel:
    return views.OneModel(id=found.model, created=0, owned_by="headrace", kind=found.card.kind)


async def _bytes_of(deps: ApiDeps, job: Job, blob: BlobId) -> views.Picture:
    found = await deps.blobs.get(job.owner, blob)
    return views.Picture(b64_json=base64.b64encode(found.data).decode())


async def _links_to(
    deps: ApiDeps, here: str, blobs: list[tuple[Job, BlobId]]
) -> list[views.Picture]:
    at = deps.public_url or here
    return [
        views.Picture(url=await deps.signed.link(at, job.owner, blob, "GET", within=_LINKS_LAST))
        for job, blob in blobs
    ]


def _json(view: BaseModel, begun: Begun | None = None) -> Response:
    body = view.model_dump_json(exclude_none=isinstance(view, views.PicturesView))
    headers = {} if begun is None else begun.headers
    return Response(body, headers=headers, media_type="application/json")
