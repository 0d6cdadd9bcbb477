"""`/admin/dead-letters` and `/admin/audit`: what died, what to do about it, and who did what."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.arguments import IdempotencyHeader
from headrace.api.bodies import has_body, read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.repeating import OPERATORS, answer, answered, question_of
from headrace.api.dialects.native.schemas_letters import (
    AuditPage,
    DeadJobView,
    DeedView,
    DiscardRequest,
    GroupsView,
    GroupView,
    LetterDetail,
    LetterFilter,
    LettersPage,
    LettersQuery,
    LetterView,
    RehearsalView,
    RehearsedView,
    ReplayOneRequest,
    ReplayRequest,
    SettledView,
)
from headrace.api.dialects.native.translate import attempt_views
from headrace.api.operators import Operator, Reader
from headrace.api.tracing import received_traceparent, trace_id
from headrace.contracts.ids import TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.errors import LetterSettled, UnknownModel
from headrace.core.inputs import check_input
from headrace.core.job import Job
from headrace.core.ports.dead_letters import DeadLetter, LetterQuery, Parked, Source
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.usecases import settle
from headrace.core.usecases.pick import engine_of
from headrace.core.usecases.rehearse import (
    Makers,
    Mended,
    Rehearsal,
    mend,
    rehearse,
    rehearse_all,
    replay_mended,
)

_Asked = TypeVar("_Asked", bound=BaseModel)
Number = Annotated[int, Path(ge=1, le=2**62)]

router = APIRouter(prefix="/admin", tags=["admin"])


@router.get(
    "/dead-letters/groups",
    response_class=Response,
    responses={200: {"model": GroupsView}, **documents.problems(403, 404, 422)},
)
async def list_groups(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """What died and is not settled, by cause; the latest first."""
    async with deps.store.begin() as tx:
        groups = await tx.letter_groups(limit=limit)
    views = [GroupView.model_validate(each, from_attributes=True) for each in groups]
    return _json(GroupsView(groups=views))


@router.get(
    "/dead-letters",
    response_class=Response,
    responses={200: {"model": LettersPage}, **documents.problems(403, 404, 422)},
)
async def list_letters(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    asked: Annotated[LettersQuery, Query()],
) -> Response:
    """Dead letters, newest first."""
    query = _query(asked, settled=asked.settled, before=asked.before, limit=asked.limit + 1)
    async with deps.store.begin() as tx:
        found = await tx.letters(query)
    shown = found[: asked.limit]
    more = shown[-1].number if len(found) > asked.limit else None
    return _json(LettersPage(letters=[LetterView(**_fields(each)) for each in shown], next=more))


@router.get(
    "/dead-letters/{number}",
    response_class=Response,
    responses={200: {"model": LetterDetail}, **documents.problems(403, 404, 422)},
)
async def get_letter(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    number: Number,
) -> Response:
    """One dead letter, with what it says; of a job, also its input and its attempts."""
    async with deps.store.begin() as tx:
        found = await settle.find_letter(tx, number)
        died = await _dead_job(tx, found.letter)
    return _json(_detail(found, died))


@router.post(
    "/dead-letters/{number}/replay",
    status_code=202,
    response_class=Response,
    responses={
        200: {"model": RehearsalView, "description": "What it would do, of a `dry_run`."},
        202: {
            "model": LetterView,
            "description": "It will be replayed at once; with an `input`, it has been.",
            "headers": documents.REPLAYED_HEADER,
        },
        **documents.problems(403, 404, 408, 409, 413, 415, 422),
    },
    openapi_extra=documents.json_body("ReplayOneRequest", required=False),
)
async def replay_letter(
    request: Request, deps: Deps, who: Operator, number: Number, key: IdempotencyHeader = None
) -> Response:
    """Replay one: a dead job as a new job, with another `input` if one is given; a message to its queue."""
    asked, body = ReplayOneRequest(), b"null"
    if has_body(request):
        asked, body = await _read(request, deps, ReplayOneRequest)
    if asked.dry_run:
        would = await rehearse(deps.store, deps.blobs, number, asked.input, check_input)
        return _json(_rehearsal(would))
    mended = await _mended(deps, number, asked.input)
    makers = Makers(
        new_id=deps.new_id,
        trace=deps.current_traceparent() or received_traceparent(),
        choose=(await deps.steering.current()).path,
    )

    async def do(tx: Transaction) -> Answer:
        if isinstance(mended, LetterSettled):
            raise mended
        if mended is None:
            done = await settle.replay_letter(tx, number, who=who)
        else:
            done = await replay_mended(tx, number, mended, who=who, makers=makers)
        return answer(LetterView(**_fields(done)), 202)

    return await answered(deps, question_of(request, OPERATORS, key, body), do)


@router.post(
    "/dead-letters/{number}/discard",
    response_class=Response,
    responses={
        200: {"model": LetterView, "headers": documents.REPLAYED_HEADER},
        **documents.problems(403, 404, 409, 422),
    },
)
async def discard_letter(
    request: Request, deps: Deps, who: Operator, number: Number, key: IdempotencyHeader = None
) -> Response:
    """Settle one without replaying it. Its row stays."""

    async def do(tx: Transaction) -> Answer:
        return answer(LetterView(**_fields(await settle.discard_letter(tx, number, who=who))))

    return await answered(deps, question_of(request, OPERATORS, key), do)


@router.post(
    "/dead-letters/replay",
    status_code=202,
    response_class=Response,
    responses={
        200: {"model": RehearsedView, "description": "What it would do, of a `dry_run`."},
        202: {
            "model": SettledView,
            "description": "They will be replayed, one after another.",
            "headers": documents.REPLAYED_HEADER,
        },
        **documents.problems(403, 404, 408, 413, 415, 422),
    },
    openapi_extra=documents.json_body("ReplayRequest"),
)
async def replay_letters(
    request: Request, deps: Deps, who: Operator, key: IdempotencyHeader = None
) -> Response:
    """Replay all that a filter finds, oldest first, at no more than a rate."""
    asked, body = await _read(request, deps, ReplayRequest)
    if asked.dry_run:
        return _json(_rehearsed(*await rehearse_all(deps.store, _query(asked), check_input)))

    async def do(tx: Transaction) -> Answer:
        done = await settle.replay_letters(tx, _query(asked), per_s=asked.per_s, who=who)
        return answer(SettledView(count=done.count, more=done.more, until=done.until), 202)

    return await answered(deps, question_of(request, OPERATORS, key, body), do)


@router.post(
    "/dead-letters/discard",
    response_class=Response,
    responses={
        200: {"model": SettledView, "headers": documents.REPLAYED_HEADER},
        **documents.problems(403, 404, 408, 413, 415, 422),
    },
    openapi_extra=documents.json_body("DiscardRequest"),
)
async def discard_letters(
    request: Request, deps: Deps, who: Operator, key: IdempotencyHeader = None
) -> Response:
    """Settle all that a filter finds, without replaying them."""
    asked, body = await _read(request, deps, DiscardRequest)

    async def do(tx: Transaction) -> Answer:
        done = await settle.discard_letters(tx, _query(asked), who=who)
        return answer(SettledView(count=done.count, more=done.more))

    return await answered(deps, question_of(request, OPERATORS, key, body), do)


@router.get(
    "/audit",
    response_class=Response,
    responses={200: {"model": AuditPage}, **documents.problems(403, 404, 422)},
)
async def list_audit(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """What operators did, newest first."""
    async with deps.store.begin() as tx:
        found = await tx.audited(before=before, limit=limit + 1)
    deeds = [
        DeedView(
            number=each.number,
            at=each.at,
            who=each.deed.who,
            action=each.deed.action,
            subject=each.deed.subject,
            detail=dict(each.deed.detail),
        )
        for each in found[:limit]
    ]
    return _json(AuditPage(audit=deeds, next=deeds[-1].number if len(found) > limit else None))


async def _mended(
    deps: ApiDeps, number: int, given: dict[str, Any] | None
) -> Mended | LetterSettled | None:
    """That it is settled is told later: it may be by this very request, asked for the second time."""
    if given is None:
        return None
    try:
        return await mend(deps.store, deps.blobs, number, given, check_input)
    except LetterSettled as error:
        return error


async def _read(request: Request, deps: ApiDeps, form: type[_Asked]) -> tuple[_Asked, bytes]:
    body = await read_json(request, deps.limits)
    try:
        return form.model_validate_json(body), body
    except ValidationError as error:
        raise wrong_body(error) from error


def _query(asked: LetterFilter, **more: Any) -> LetterQuery:
    return LetterQuery(
        fingerprint=asked.fingerprint,
        source=asked.source,
        queue=asked.queue,
        tenant=None if asked.tenant is None else TenantId(asked.tenant),
        **more,
    )


def _fields(parked: Parked) -> dict[str, Any]:
    letter = parked.letter
    return {
        "number": parked.number,
        "source": letter.source,
        "fingerprint": letter.fingerprint,
        "reason": letter.reason,
        "queue": letter.queue,
        "tenant": letter.tenant,
        "job": letter.job,
        "size": letter.size,
        "parked_at": parked.parked_at,
        "replay_at": parked.replay_at,
        "settled": parked.settled,
        "settled_at": parked.settled_at,
        "settled_by": parked.settled_by,
        "retried_as": parked.retried_as,
    }


async def _dead_job(tx: Transaction, letter: DeadLetter) -> DeadJobView | None:
    if letter.source is not Source.JOB or letter.tenant is None or letter.job is None:
        return None
    job = await tx.find(letter.tenant, letter.job)
    if job is None:
        return None
    return DeadJobView(
        kind=job.spec.kind,
        model=job.spec.model,
        input=dict(job.spec.input),
        input_schema=_schema_for(job, await tx.catalog()),
        trace_id=None if job.trace is None else trace_id(job.trace),
        attempts=attempt_views(job, await tx.attempts(job.id)),
    )


def _schema_for(job: Job, catalog: Sequence[EngineCard]) -> dict[str, Any] | None:
    try:
        return engine_of(catalog, job).input_schema
    except UnknownModel:
        return None


def _detail(parked: Parked, died: DeadJobView | None) -> LetterDetail:
    letter, readable = parked.letter, _readable(parked.letter.body)
    return LetterDetail(
        **_fields(parked),
        message=letter.message,
        headers=dict(letter.headers),
        encoding="base64" if readable is None else "utf-8",
        body=base64.b64encode(letter.body).decode() if readable is None else readable,
        whole=letter.whole,
        died=died,
    )


def _readable(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _rehearsed(found: list[Rehearsal], more: bool) -> RehearsedView:  # noqa: FBT001  # as it comes
    """Of what would go well only how many, of the rest each."""
    doubtful = [each for each in found if each.why is not None]
    return RehearsedView(
        count=sum(each.would != "nothing" for each in found),
        more=more,
        unfit=sum(each.fits is False for each in found),
        doubtful=[_rehearsal(each) for each in doubtful],
    )


def _rehearsal(would: Rehearsal) -> RehearsalView:
    """Its pointer as a refusal's would be, into what is sent."""
    told = asdict(would)
    if would.pointer is not None:
        told["pointer"] = f"/input{would.pointer}"
    return RehearsalView(**told)


def _json(view: BaseModel) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
