"""Workers tell how far they are, and show what it looks like: frames of the job's stream, and a longer lease."""

from __future__ import annotations

import base64
from typing import Annotated, Final

from fastapi import Header, Path, Request
from starlette.responses import Response

from headrace.api.bodies import read_body
from headrace.api.deps import ApiDeps, Deps
from headrace.api.described import json_body
from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.dialects.horde.forms import read, told
from headrace.api.dialects.horde.pictures import media_type_of
from headrace.api.dialects.horde.rates import at_most
from headrace.api.dialects.horde.schemas_work import HeardView, ProgressRequest
from headrace.api.dialects.horde.submit import find, unknown
from headrace.api.dialects.horde.working import Owner, desk_of
from headrace.contracts.frames import Frame, Preview, Progress, encode_frame, frame_type
from headrace.contracts.messages import Heartbeat, Heartbeats, Result
from headrace.contracts.remote import remote_lane
from headrace.core.job import Verdict
from headrace.core.ports.streams import Batch
from headrace.core.usecases.hand_in import Standing, Taken, overdue

router = routes()
LARGEST_PREVIEW: Final = 36 * 1024  # bytes: as base64 it fits a frame
_RENEWALS_A_LEASE: Final = 10
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/generate/progress",
    dependencies=[at_most("progress")],
    response_class=Response,
    responses={200: {"model": HeardView}, **errors(404, 429)},
    openapi_extra=json_body("ProgressRequest"),
)
async def tell_progress(request: Request, deps: Deps, owner: Owner) -> Response:
    """So many steps of so many. The job's lease counts from now."""
    asked = await read(request, deps, ProgressRequest)
    taken = await find(deps, owner, asked.id)
    step = min(asked.current_step, asked.total_steps)
    fraction = step / asked.total_steps
    frame = Progress(fraction=fraction, step=step, steps=asked.total_steps)
    await _say(deps, taken, frame, fraction)
    return told(HeardView(message="OK"))


@router.post(
    "/generate/preview/{generation}",
    response_class=Response,
    responses={200: {"model": HeardView}, **errors(404, 413)},
    openapi_extra=_BODY,
)
async def show_preview(
    request: Request,
    deps: Deps,
    owner: Owner,
    generation: Annotated[str, Path(max_length=64)],
    step: Annotated[int | None, Header(alias="X-Step", ge=0, le=2**31 - 1)] = None,
) -> Response:
    """What it looks like so far: a small picture."""
    data = await read_body(request, limit=LARGEST_PREVIEW, within_s=deps.limits.body_s)
    kind = media_type_of(data)
    if kind is None:
        raise HordeError(400, "ImageValidationFailed", "That is no picture.")
    taken = await find(deps, owner, generation)
    image = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    await _say(deps, taken, Preview(image=image, step=step), None)
    return told(HeardView(message="OK"))


async def _say(deps: ApiDeps, taken: Taken, frame: Frame, fraction: float | None) -> None:
    """Refused as soon as a later epoch was seen, whether the store was asked or not."""
    take = taken.take
    if taken.standing is not Standing.HELD:
        raise unknown(take.claim)
    batch = Batch(take.job, take.epoch, [(frame_type(frame), encode_frame(frame))])
    (verdict,) = await deps.streams.append([batch])
    if verdict is Verdict.STALE:
        raise unknown(take.claim)
    if deps.renewals.is_due(take.claim, deps.limits.remote_ttl_s / _RENEWALS_A_LEASE):
        await _renew(deps, taken, fraction)


async def _renew(deps: ApiDeps, taken: Taken, fraction: float | None) -> None:
    take, worker = taken.take, taken.worker
    async with deps.store.begin() as tx:
        over = overdue(taken, await tx.now())
    if over or worker is None:
        return  # its lease ends, and with it the attempt
    lane = remote_lane(worker.kind)
    beats = Heartbeats(
        worker=take.worker,
        reply_to="",
        sequence=0,
        slots={lane: int(worker.said.get("threads", 1))},
        heartbeats=[Heartbeat(take.job, take.epoch, fraction)],
        lease_s=deps.limits.remote_ttl_s,
    )
    order = await desk_of(deps).beat(beats)
    if order.order == "cancel":
        stopped = Result(job=take.job, epoch=take.epoch, outcome="cancelled")
        await desk_of(deps).report(take.worker, stopped)
    if order.order != "go":
        raise unknown(take.claim)
