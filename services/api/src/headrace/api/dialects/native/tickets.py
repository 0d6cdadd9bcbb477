"""The ticket route: for those who must watch without a header."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from headrace.api.addresses import job_id, uuid_or_none
from headrace.api.auth import Caller
from headrace.api.deps import ApiDeps, Deps, Watcher
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.errors import wrong_parameter
from headrace.api.dialects.native.schemas import TicketView
from headrace.api.gateways.watching import find
from headrace.api.tickets import issue
from headrace.contracts.ids import JobId, RunId
from headrace.core.errors import RunNotFound
from headrace.core.usecases.runs import find_run

router = APIRouter(tags=["live"])


@router.post(
    "/tickets",
    status_code=201,
    response_class=Response,
    responses={201: {"model": TicketView}, **documents.problems(400, 404, 422, 503)},
)
async def make_ticket(
    deps: Deps,
    caller: Watcher,
    job: Annotated[str | None, Query(description="Good for this job alone.")] = None,
    run: Annotated[str | None, Query(description="Good for this run alone.")] = None,
) -> Response:
    """A ticket for one EventSource or WebSocket, as `?ticket=`: single use, within seconds."""
    if job is not None and run is not None:
        raise wrong_parameter("run", "a ticket is for a job or for a run, not for both")
    bound = await _of_run(deps, caller, run) if run is not None else None
    if job is not None:
        bound = (await find(deps, caller.tenant, job_id(job))).id
    ticket = await issue(deps, caller, bound)
    view = TicketView(ticket=ticket, expires_in_s=deps.limits.ticket_s)
    headers = {"Cache-Control": "no-store"}
    return Response(view.model_dump_json(), 201, headers, media_type="application/json")


async def _of_run(deps: ApiDeps, caller: Caller, run: str) -> JobId:
    """A run's stream is told apart from a job's by its id alone. Raises RunNotFound."""
    wanted = uuid_or_none(run)
    if wanted is None:
        raise RunNotFound(run[:64])
    async with deps.store.begin() as tx:
        return JobId((await find_run(tx, caller.tenant, RunId(wanted))).id)
