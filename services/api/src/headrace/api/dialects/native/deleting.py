"""Delete on request: a job, a run, a batch, jobs by label or age, and for operators all that a tenant has."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.arguments import IdempotencyHeader
from headrace.api.auth import Caller
from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps, Submitter, Tenant
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.admin import TenantInPath
from headrace.api.dialects.native.arguments import JobInPath
from headrace.api.dialects.native.batches import BatchInPath
from headrace.api.dialects.native.repeating import answer, answered, question_of
from headrace.api.dialects.native.runs import RunInPath
from headrace.api.dialects.native.schemas_deletions import DeletionRequest, DeletionView
from headrace.api.operators import Operator, Reader
from headrace.contracts.ids import DeletionId, TenantId
from headrace.core.errors import Unavailable
from headrace.core.errors_bulk import DeletionNotFound
from headrace.core.ports.deletions import Deletion, Sweep
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.usecases import erase

router = APIRouter()
_WITHIN_S: Final = 5.0  # then the dispatcher goes on
_TURNS: Final = 20
_DELETED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": DeletionView, "description": "Nothing of it is left."},
    202: {"model": DeletionView, "description": "A dispatcher goes on; look at the deletion."},
}


async def _cancel_first(
    cancel: Annotated[  # noqa: FBT002  # FastAPI passes it by its name
        bool, Query(description="If it has not ended: cancel it first, and delete it then.")
    ] = False,
) -> bool:
    return cancel


CancelFirst = Annotated[bool, Depends(_cancel_first)]


@router.delete(
    "/jobs/{job}",
    tags=["jobs"],
    response_class=Response,
    responses={**_DELETED, **documents.problems(404, 409, 422, 429)},
)
async def delete_job(
    deps: Deps, caller: Submitter, job: JobInPath, cancel: CancelFirst
) -> Response:
    """Remove it with its input, result, frames and blobs. Again answers the same receipt."""
    async with deps.store.begin() as tx:
        wish = await erase.delete_job(tx, _asking(deps, caller), job, cancel=cancel)
    return await _receipt(deps, wish)


@router.delete(
    "/runs/{run}",
    tags=["runs"],
    response_class=Response,
    responses={**_DELETED, **documents.problems(404, 409, 422, 429)},
)
async def delete_run(
    deps: Deps, caller: Submitter, run: RunInPath, cancel: CancelFirst
) -> Response:
    """Remove it with every job that it made. Again answers the same receipt."""
    async with deps.store.begin() as tx:
        wish = await erase.delete_run(tx, _asking(deps, caller), run, cancel=cancel)
    return await _receipt(deps, wish)


@router.delete(
    "/batches/{batch}",
    tags=["batches"],
    response_class=Response,
    responses={**_DELETED, **documents.problems(404, 409, 422, 429)},
)
async def delete_batch(
    deps: Deps, caller: Submitter, batch: BatchInPath, cancel: CancelFirst
) -> Response:
    """Remove it with its items, what they were made of, and their jobs. Again answers the same receipt."""
    async with deps.store.begin() as tx:
        wish = await erase.delete_batch(tx, _asking(deps, caller), batch, cancel=cancel)
    return await _receipt(deps, wish)


@router.post(
    "/jobs/delete",
    tags=["jobs"],
    status_code=202,
    response_class=Response,
    responses={
        202: {
            "model": DeletionView,
            "description": "A dispatcher looks for them; look at the deletion.",
            "headers": documents.REPLAYED_HEADER,
        },
        **documents.problems(408, 413, 415, 422, 429),
    },
    openapi_extra=documents.json_body("DeletionRequest"),
)
async def delete_jobs(
    request: Request, deps: Deps, caller: Submitter, key: IdempotencyHeader = None
) -> Response:
    """Remove all jobs that have these labels or this age; what belongs to a run or a batch goes with all of that."""
    body = await read_json(request, deps.limits)
    try:
        asked = DeletionRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error

    async def do(tx: Transaction) -> Answer:
        sweep = Sweep(
            made_before=await tx.now(),
            ended_before=asked.ended_before,
            labels=asked.labels,
            cancel=asked.cancel,
        )
        return answer(_view(await erase.delete_jobs(tx, _asking(deps, caller), sweep), 0), 202)

    return await answered(deps, question_of(request, caller.tenant, key, body), do)


_InPath = Annotated[str, Path(json_schema_extra={"format": "uuid"})]


@router.get(
    "/deletions/{deletion}",
    tags=["jobs"],
    responses={200: {"model": DeletionView}, **documents.problems(404)},
)
async def get_deletion(deps: Deps, tenant: Tenant, deletion: _InPath) -> DeletionView:
    """How far it is. It is kept for 30 days after its end."""
    return await _found(deps, tenant, deletion)


@router.delete(
    "/admin/tenants/{tenant}/data",
    tags=["admin"],
    status_code=202,
    response_class=Response,
    responses={202: _DELETED[202], **documents.problems(403, 404, 422, 429)},
)
async def delete_tenant_data(deps: Deps, who: Operator, tenant: TenantInPath) -> Response:
    """Remove all that a tenant has now. Its keys, its terms and its account stay."""
    async with deps.store.begin() as tx:
        asking = erase.Asking(TenantId(tenant), who, deps.new_id)
        return _json(_view(await erase.delete_tenant(tx, asking), 0), 202)


@router.get(
    "/admin/deletions/{deletion}",
    tags=["admin"],
    responses={200: {"model": DeletionView}, **documents.problems(403, 404, 422)},
)
async def get_anybodys_deletion(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    deletion: _InPath,
) -> DeletionView:
    """How far it is, whoever asked for it."""
    return await _found(deps, None, deletion)


def _asking(deps: ApiDeps, caller: Caller) -> erase.Asking:
    return erase.Asking(caller.tenant, caller.api_key or caller.tenant, deps.new_id)


async def _receipt(deps: ApiDeps, wish: Deletion) -> Response:
    """What lies outside the store goes now, if it can be reached; whoever waits for it hears that it did."""
    places = erase.Places(deps.streams, deps.blobs)
    with suppress(Unavailable, TimeoutError):
        async with asyncio.timeout(_WITHIN_S):
            for _ in range(_TURNS if wish.removed else 0):  # else it waits for an end
                cleared = await erase.clear(deps.store, places, wish.id)
                if cleared is None or cleared.next_at is None or cleared.tries:
                    break
    view = await _found(deps, wish.tenant, wish.id)
    return _json(view, 200 if view.state == "done" else 202)


async def _found(deps: ApiDeps, tenant: TenantId | None, deletion: str) -> DeletionView:
    wanted = uuid_or_none(deletion)
    async with deps.store.begin() as tx:
        found = None if wanted is None else await tx.deletion(tenant, DeletionId(wanted))
    if found is None:
        raise DeletionNotFound(deletion[:64])
    return _view(*found)


def _view(deletion: Deletion, left: int) -> DeletionView:
    over = deletion.next_at is None
    return DeletionView(
        id=deletion.id,
        tenant=deletion.tenant,
        subject=deletion.subject,
        state="done" if over else "removing",
        removed=dict(deletion.removed),
        left=left,
        asked_by=deletion.who,
        asked_at=deletion.asked_at,
        finished_at=deletion.finished_at,
    )


def _json(view: DeletionView, status: int) -> Response:
    return Response(view.model_dump_json(), status, media_type="application/json")
