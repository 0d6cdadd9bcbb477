"""What an owner may do about a job that is there: ask it to end, and try it again."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from headrace.api.arguments import IdempotencyHeader
from headrace.api.deps import Deps, Owner, Submitter
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.arguments import JobInPath
from headrace.api.dialects.native.repeating import answer, answered, question_of
from headrace.api.dialects.native.schemas import JobView
from headrace.api.dialects.native.translate import job_view
from headrace.api.tracing import received_traceparent
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.usecases.cancel import wish_to_cancel
from headrace.core.usecases.retry import retry

router = APIRouter(tags=["jobs"])


@router.post(
    "/jobs/{job}/cancel",
    status_code=202,
    response_class=Response,
    responses={
        200: {
            "model": JobView,
            "description": "It has ended already.",
            "headers": documents.REPLAYED_HEADER,
        },
        202: {
            "model": JobView,
            "description": "It will be stopped; the stream says when it is.",
            "headers": documents.REPLAYED_HEADER,
        },
        **documents.problems(404, 422),
    },
)
async def cancel_job(
    request: Request, deps: Deps, tenant: Owner, job: JobInPath, key: IdempotencyHeader = None
) -> Response:
    """Ask it to end. Asking again changes nothing."""

    async def do(tx: Transaction) -> Answer:
        found = await wish_to_cancel(tx, tenant, job)
        return answer(job_view(found), 200 if found.terminal else 202)

    return await answered(deps, question_of(request, tenant, key), do)


@router.post(
    "/jobs/{job}/retry",
    status_code=202,
    response_class=Response,
    responses={
        202: {
            "model": JobView,
            "description": "The new job; `retry_of` names the old one.",
            "headers": documents.REPLAYED_HEADER,
        },
        **documents.problems(404, 409, 422, 429),
    },
)
async def retry_job(
    request: Request, deps: Deps, caller: Submitter, job: JobInPath, key: IdempotencyHeader = None
) -> Response:
    """Try a job that has ended again: as a new job with the same input, linked to the old one."""
    tenant, trace = caller.tenant, deps.current_traceparent() or received_traceparent()
    await deps.admission.look(deps.store, tenant)
    choose, by = (await deps.steering.current()).path, caller.api_key

    async def do(tx: Transaction) -> Answer:
        deps.admission.refuse_if_full(tenant)
        made = await retry(
            tx, tenant, job, new_id=deps.new_id, trace=trace, api_key=by, choose=choose
        )
        deps.admission.count(tenant)
        return answer(job_view(made), 202)

    return await answered(deps, question_of(request, tenant, key), do)
