"""The ticket route: for those who must watch without a header."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from headrace.api.addresses import job_id
from headrace.api.deps import Deps, Watcher
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.schemas import TicketView
from headrace.api.gateways.watching import find
from headrace.api.tickets import issue

router = APIRouter(tags=["live"])


@router.post(
    "/tickets",
    status_code=201,
    response_class=Response,
    responses={201: {"model": TicketView}, **documents.problems(400, 404, 503)},
)
async def make_ticket(
    deps: Deps,
    caller: Watcher,
    job: Annotated[str | None, Query(description="Good for this job alone.")] = None,
) -> Response:
    """A ticket for one EventSource or WebSocket, as `?ticket=`: single use, within seconds."""
    bound = None if job is None else job_id(job)
    if bound is not None:
        await find(deps, caller.tenant, bound)
    ticket = await issue(deps, caller, bound)
    view = TicketView(ticket=ticket, expires_in_s=deps.limits.ticket_s)
    headers = {"Cache-Control": "no-store"}
    return Response(view.model_dump_json(), 201, headers, media_type="application/json")
