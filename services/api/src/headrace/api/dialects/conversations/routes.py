"""The routes of this door: say something, hear the answer as it comes, read what was said."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.addresses import job_id
from headrace.api.arguments import IdempotencyHeader, ResumeFrom
from headrace.api.bodies import fingerprint, read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps, Owner, Submitter, Tenant
from headrace.api.described import json_body, problems
from headrace.api.dialects.conversations import errors, translate
from headrace.api.dialects.conversations.chunks import chunked
from headrace.api.dialects.conversations.schemas import (
    MessageRequest,
    MessagesView,
    StoppedView,
    TaskView,
)
from headrace.api.dialects.conversations.translate import Turn
from headrace.api.gateways.events import open_events
from headrace.api.gateways.watching import find
from headrace.api.payloads import whole
from headrace.api.tickets import Viewer
from headrace.api.tracing import received_traceparent
from headrace.contracts.ids import JobId, TenantId
from headrace.contracts.messages import INPUT_BLOB, OUTPUT_BLOB
from headrace.core.errors import InvalidInput
from headrace.core.inputs import check_input
from headrace.core.job import Job
from headrace.core.ports.store import IdempotencyKey
from headrace.core.ports.store import Query as JobQuery
from headrace.core.usecases.cancel import ask_cancel
from headrace.core.usecases.submit import submit

router = APIRouter(tags=["conversations"])
TURNS_A_PAGE: Final = 50

Conversation: TypeAlias = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Any name of yours; the first message makes it.",
    ),
]


async def _task(
    task_id: Annotated[
        str, Path(json_schema_extra={"format": "uuid"}, description="The task's id.")
    ],
) -> JobId:
    return job_id(task_id)


Task: TypeAlias = Annotated[JobId, Depends(_task)]

_CHUNKS: Final[dict[str, Any]] = {
    "description": (
        "The chunks so far, then those to come; ends after `complete`, `failed` or `cancelled`. Each event "
        "has a position as `id`, to come back with, and JSON (schema `ChunkView`) as `data`."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.post(
    "/conversations/{conversation}/messages",
    status_code=202,
    response_class=Response,
    responses={
        202: {"model": TaskView, "description": "Kept; its answer is on its way."},
        **problems(408, 413, 415, 422, 429),
    },
    openapi_extra=json_body("MessageRequest"),
)
async def say(
    request: Request,
    deps: Deps,
    caller: Submitter,
    conversation: Conversation,
    key: IdempotencyHeader = None,
) -> Response:
    """Say something, and get an answer: what was said before in this conversation goes with it."""
    body = await read_json(request, deps.limits)
    try:
        asked = MessageRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error
    if asked.producer == "outside" and not deps.outside:
        raise errors.nobody_outside()
    remembered = translate.turns_of(conversation, limit=translate.REMEMBERED_TURNS, ended=True)
    wanted = translate.submission(
        asked,
        caller=caller,
        conversation=conversation,
        before=await _turns(deps, caller.tenant, remembered),
        key=None if key is None else _key(key, conversation, body),
        trace=deps.current_traceparent() or received_traceparent(),
    )
    try:
        submitted = await submit(
            deps.store,
            deps.blobs,
            wanted,
            path=(await deps.steering.current()).path(caller.tenant, wanted.kind),
            new_id=deps.new_id,
            check=check_input,
            admission=deps.admission,
            shadowed=deps.steering.shadowed,
        )
    except InvalidInput as error:
        raise errors.in_its_place(error) from error
    deps.on_submitted(submitted)
    view = translate.task_view(submitted.job, conversation)
    headers = {"Location": view.links.stream}
    if submitted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return _json(view, 202, headers)


@router.get(
    "/conversations/{conversation}/messages",
    response_class=Response,
    responses={200: {"model": MessagesView}, **problems(404, 422)},
)
async def get_messages(
    deps: Deps,
    tenant: Tenant,
    conversation: Conversation,
    before: Annotated[str | None, Query(description="The `before` of a later page.")] = None,
) -> Response:
    """What was said, the latest page of it unless told otherwise."""
    older = None if before is None else await find(deps, tenant, job_id(before))
    wanted = translate.turns_of(conversation, before=older, limit=TURNS_A_PAGE + 1, ended=False)
    turns = await _turns(deps, tenant, wanted)
    if not turns and before is None:
        raise errors.no_conversation(conversation)
    page = turns[-TURNS_A_PAGE:]
    said = [message for turn in page for message in translate.message_views(turn)]
    earlier = page[0].job.id if len(turns) > len(page) else None
    return _json(MessagesView(messages=said, before=earlier))


@router.get(
    "/stream/{task_id}",
    response_class=Response,
    responses={
        200: _CHUNKS,
        204: {"description": "You have the last chunk already: do not reconnect."},
        **problems(403, 404),
    },
)
async def get_stream(deps: Deps, task: Task, after: ResumeFrom, viewer: Viewer) -> Response:
    """Chunks as they come, as Server-Sent Events; who comes late gets all of them."""
    return await open_events(deps, viewer, task, after=after, shown=chunked(after))


@router.post(
    "/stream/{task_id}/stop",
    status_code=202,
    response_class=Response,
    responses={
        200: {"model": StoppedView, "description": "It has ended already."},
        202: {
            "model": StoppedView,
            "description": "It will be stopped; the stream says when it is.",
        },
        **problems(404),
    },
)
async def stop(deps: Deps, tenant: Owner, task: Task) -> Response:
    """Ask the answer to end, by any replica. Asking again changes nothing."""
    job = await ask_cancel(deps.store, tenant, task)
    view = StoppedView(task_id=job.id, state=job.state.value)
    return _json(view, 200 if job.terminal else 202)


def _key(key: str, conversation: str, body: bytes) -> IdempotencyKey:
    return IdempotencyKey(
        key, hashlib.sha256(f"{conversation}\0{fingerprint(body)}".encode()).hexdigest()
    )


async def _turns(deps: ApiDeps, tenant: TenantId, wanted: JobQuery) -> list[Turn]:
    """Oldest first."""
    async with deps.store.begin() as tx:
        jobs = await tx.page(tenant, wanted)
    return [await _read(deps, job) for job in reversed(jobs)]


async def _read(deps: ApiDeps, job: Job) -> Turn:
    """A blob that is gone leaves a turn that cannot be shown."""
    given = await whole(deps.blobs, job.tenant, job.spec.input, INPUT_BLOB)
    made = None
    if job.output is not None:
        made = await whole(deps.blobs, job.tenant, job.output, OUTPUT_BLOB)
    return Turn(job, given, made)


def _json(view: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(view.model_dump_json(), status, headers, media_type="application/json")
