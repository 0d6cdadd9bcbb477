"""`POST /jobs`, `/jobs/training`, `/jobs/inference`: take a job in, and wait for it if asked to."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from headrace.api.arguments import IdempotencyHeader
from headrace.api.auth import Caller
from headrace.api.bodies import fingerprint, read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps, Submitter
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.arguments import PreferredWait
from headrace.api.dialects.native.schemas import (
    InferenceRequest,
    JobRequest,
    JobView,
    TrainingRequest,
)
from headrace.api.dialects.native.translate import job_view, submission
from headrace.api.gateways.race import race
from headrace.api.gateways.watching import find, frames
from headrace.api.tracing import received_traceparent
from headrace.core.errors import NotHere
from headrace.core.inputs import check_input
from headrace.core.job import Job
from headrace.core.models import TRAINING
from headrace.core.ports.store import IdempotencyKey
from headrace.core.usecases.submit import Submission, Submitted, submit

router = APIRouter(tags=["jobs"])
_RESPONSES = {
    200: {
        "model": JobView,
        "description": "It ended while you waited (`Prefer: wait`).",
        "headers": documents.JOB_HEADERS,
    },
    202: {
        "model": JobView,
        "description": "Accepted and kept.",
        "headers": documents.JOB_HEADERS,
    },
    **documents.problems(408, 413, 415, 422, 429),
}


@router.post(
    "/jobs",
    status_code=202,
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra=documents.json_body("JobRequest"),
)
async def submit_job(
    request: Request,
    deps: Deps,
    caller: Submitter,
    key: IdempotencyHeader = None,
    wait: PreferredWait = 0,
) -> Response:
    """Submit a job of any kind."""
    asked, body = await _read(request, deps)
    return await _take_in(deps, _submission(deps, caller, asked, _key(key, body)), wait)


@router.post(
    "/jobs/inference",
    status_code=202,
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra=documents.json_body("InferenceRequest"),
)
async def submit_inference(
    request: Request,
    deps: Deps,
    caller: Submitter,
    key: IdempotencyHeader = None,
    wait: PreferredWait = 0,
) -> Response:
    """Submit a job of any kind but training; where none is named, of the kind `inference`."""
    asked, body = await _read(request, deps, InferenceRequest)
    if asked.kind == TRAINING:
        raise NotHere(asked.kind, await _inference_kinds(deps), "/jobs/training")
    return await _take_in(deps, _submission(deps, caller, asked, _key(key, body)), wait)


@router.post(
    "/jobs/training",
    status_code=202,
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra=documents.json_body("TrainingRequest"),
)
async def submit_training(
    request: Request,
    deps: Deps,
    caller: Submitter,
    key: IdempotencyHeader = None,
    wait: PreferredWait = 0,
) -> Response:
    """Submit a job of the kind `training`."""
    asked, body = await _read(request, deps, TrainingRequest)
    return await _take_in(deps, _submission(deps, caller, asked, _key(key, body)), wait)


async def _read(
    request: Request, deps: ApiDeps, schema: type[JobRequest] = JobRequest
) -> tuple[JobRequest, bytes]:
    body = await read_json(request, deps.limits)
    try:
        return schema.model_validate_json(body), body
    except ValidationError as error:
        raise wrong_body(error) from error


def _key(key: str | None, body: bytes) -> IdempotencyKey | None:
    return None if key is None else IdempotencyKey(key, fingerprint(body))


def _submission(
    deps: ApiDeps, caller: Caller, asked: JobRequest, key: IdempotencyKey | None
) -> Submission:
    trace = deps.current_traceparent() or received_traceparent()
    return submission(asked, caller=caller, key=key, trace=trace, reach=deps.reach)


async def _inference_kinds(deps: ApiDeps) -> list[str]:
    async with deps.store.begin() as tx:
        return sorted({card.kind for card in await tx.catalog()} - {TRAINING})


async def _take_in(deps: ApiDeps, request: Submission, wait_s: float) -> Response:
    submitted = await submit(
        deps.store,
        deps.blobs,
        request,
        path=(await deps.steering.current()).path(request.tenant, request.kind),
        new_id=deps.new_id,
        check=check_input,
        admission=deps.admission,
        shadowed=deps.steering.shadowed,
    )
    deps.on_submitted(submitted)
    wait_s = min(wait_s, deps.limits.wait_s)
    job = await _wait_for(deps, submitted.job, wait_s) if wait_s > 0 else submitted.job
    view = job_view(job)
    status = 200 if wait_s > 0 and job.terminal else 202
    headers = _headers(submitted, view, wait_s)
    return Response(view.model_dump_json(), status, headers, media_type="application/json")


def _headers(submitted: Submitted, view: JobView, wait_s: float) -> dict[str, str]:
    headers = {"Location": view.links.self}
    if submitted.replayed:
        headers["Idempotent-Replayed"] = "true"
    if wait_s > 0:
        headers["Preference-Applied"] = f"wait={wait_s:g}"
    return headers


async def _wait_for(deps: ApiDeps, job: Job, within_s: float) -> Job:
    """The job as it is at its end, or after `within_s`, or when this server stops."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await race(_until_it_ends(deps, job), deps.stopping.wait())
    return await find(deps, job.tenant, job.id)


async def _until_it_ends(deps: ApiDeps, job: Job) -> None:
    async with aclosing(frames(deps, job)) as batches:
        async for _ in batches:
            pass
