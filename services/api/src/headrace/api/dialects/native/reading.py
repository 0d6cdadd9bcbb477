"""Jobs as they are: list, record, status, result, timeline."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from headrace.api.addresses import job_id
from headrace.api.deps import ApiDeps, Deps, Tenant
from headrace.api.dialects.native import documents, translate
from headrace.api.dialects.native.arguments import JobInPath
from headrace.api.dialects.native.blobs import linked
from headrace.api.dialects.native.errors import wrong_parameter
from headrace.api.dialects.native.schemas import (
    JobsPage,
    JobView,
    ListQuery,
    OneStatusView,
    ResultView,
    StatusesQuery,
    StatusView,
    TimelineView,
)
from headrace.api.dialects.native.schemas_explain import ExplainView
from headrace.api.dialects.native.schemas_uploads import BlobLinkView
from headrace.api.dialects.native.translate_explain import explain_view
from headrace.api.gateways.watching import find
from headrace.contracts.ids import JobId, TenantId
from headrace.core.blob_names import MAX_INPUT_BLOBS, kept_for
from headrace.core.errors import BlobNotFound, JobNotFound
from headrace.core.job import Job, State
from headrace.core.ports.store import Query as JobQuery
from headrace.core.ports.store import Transaction
from headrace.core.usecases.explain import facts_about

router = APIRouter(tags=["jobs"])
_LINKED_FOR: Final = timedelta(hours=1)


@router.get("/jobs", responses={200: {"model": JobsPage}, **documents.problems(422)})
async def list_jobs(deps: Deps, tenant: Tenant, asked: Annotated[ListQuery, Query()]) -> Response:
    """Jobs, newest first."""
    try:
        query = translate.query(asked)
    except ValueError as error:
        raise wrong_parameter("cursor", "this is no cursor of ours") from error
    async with deps.store.begin() as tx:
        jobs = await tx.page(tenant, query)
    return _json(translate.page(jobs, limit=asked.limit))


@router.get(
    "/jobs/statuses", responses={200: {"model": list[OneStatusView]}, **documents.problems(422)}
)
async def get_statuses(
    deps: Deps, tenant: Tenant, asked: Annotated[StatusesQuery, Query()]
) -> list[OneStatusView]:
    """Where several jobs stand, newest first; what is none of yours is left out."""
    ids = [job_id(each) for each in asked.id]
    async with deps.store.begin() as tx:
        found = await tx.page(tenant, JobQuery(ids=ids, limit=len(ids)))
        ahead = {job.id: await _ahead(tx, job) for job in found}
        now = await tx.now()
    return [translate.one_status_view(job, ahead=ahead[job.id], now=now) for job in found]


@router.get("/jobs/{job}", responses={200: {"model": JobView}, **documents.problems(404)})
async def get_job(deps: Deps, tenant: Tenant, job: JobInPath) -> Response:
    """The whole record."""
    return _json(translate.job_view(await find(deps, tenant, job)))


@router.get("/jobs/{job}/status", responses={200: {"model": StatusView}, **documents.problems(404)})
async def get_status(deps: Deps, tenant: Tenant, job: JobInPath) -> Response:
    """Where it stands, and when it may end."""
    return _json((await _status(deps, tenant, job))[1])


@router.get(
    "/jobs/{job}/result",
    responses={
        200: {"model": ResultView, "description": "It has ended; this is how."},
        202: {
            "model": StatusView,
            "description": "It has not ended yet.",
            "headers": documents.RETRY_HEADER,
        },
        **documents.problems(404),
    },
)
async def get_result(request: Request, deps: Deps, tenant: Tenant, job: JobInPath) -> Response:
    """What came of it, once it has ended, and a link to each blob in it that is good for an hour."""
    found, status = await _status(deps, tenant, job)
    if found.terminal:
        view = translate.result_view(found)
        return _json(view.model_copy(update={"blobs": await _links(request, deps, found)}))
    return _json(status, 202, {"Retry-After": "1"})


@router.get(
    "/jobs/{job}/timeline", responses={200: {"model": TimelineView}, **documents.problems(404)}
)
async def get_timeline(deps: Deps, tenant: Tenant, job: JobInPath) -> Response:
    """Every attempt, and where its time went."""
    async with deps.store.begin() as tx:
        found = await tx.find(tenant, job)
        if found is None:
            raise JobNotFound(job)
        attempts = await tx.attempts(job)
    return _json(translate.timeline_view(found, attempts, traces=deps.trace_url))


@router.get(
    "/jobs/{job}/explain", responses={200: {"model": ExplainView}, **documents.problems(404)}
)
async def explain_job(deps: Deps, tenant: Tenant, job: JobInPath) -> Response:
    """Why it waits: the one rule that holds it back, who could run it, and what would help."""
    return _json(explain_view(await facts_about(deps.store, tenant, job)))


async def _status(deps: ApiDeps, tenant: TenantId, job: JobId) -> tuple[Job, StatusView]:
    async with deps.store.begin() as tx:
        found = await tx.find(tenant, job)
        if found is None:
            raise JobNotFound(job)
        ahead = await _ahead(tx, found)
        now = await tx.now()
    return found, translate.status_view(found, ahead=ahead, now=now)


async def _links(request: Request, deps: ApiDeps, job: Job) -> list[BlobLinkView]:
    """But for what is gone: somebody may have let go of it, or deleted it."""
    links: list[BlobLinkView] = []
    for blob in kept_for(job.output)[:MAX_INPUT_BLOBS]:
        with suppress(BlobNotFound):
            links.append(await linked(request, deps, job.owner, blob, _LINKED_FOR))
    return links


async def _ahead(tx: Transaction, job: Job) -> int | None:
    return await tx.ahead(job) if job.state is State.QUEUED else None


def _json(view: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(view.model_dump_json(), status, headers, media_type="application/json")
