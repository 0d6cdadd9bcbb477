"""`generate/video/*` for requesters. The protocol has no such routes: they are its image routes, word for word."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.horde import generations
from headrace.api.dialects.horde.asking import ANSWERS, answer, heard
from headrace.api.dialects.horde.auth import ClientAgent, Requester
from headrace.api.dialects.horde.checking import (
    VIDEOS,
    RequestId,
    Seen,
    answers,
    brought,
    end,
    headers_of,
    look,
)
from headrace.api.dialects.horde.documents import body, routes
from headrace.api.dialects.horde.forms import told
from headrace.api.dialects.horde.rates import at_most
from headrace.api.dialects.horde.schemas import CheckView, VideoStatusView
from headrace.api.dialects.horde.schemas_asked import HordeVideoRequest
from headrace.api.dialects.horde.translate import Circumstances, Plan, video_plan

router = routes()


@router.post(
    "/generate/video/async",
    dependencies=[at_most("ask")],
    status_code=202,
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=body("HordeVideoRequest"),
)
async def ask_for_videos(
    request: Request, deps: Deps, asker: Requester, agent: ClientAgent
) -> Response:
    """Ask for videos; the stream shows pieces as they are made, `generate/video/status` the whole."""
    asked, webhook = await heard(request, deps, asker, HordeVideoRequest)

    def planned(met: Circumstances) -> Plan:
        return video_plan(asked, met).told_to(webhook)

    return await answer(deps, asker, agent, planned, dry_run=asked.dry_run)


@router.get(
    "/generate/video/check/{id}",
    dependencies=[at_most("check")],
    response_class=Response,
    responses=answers(CheckView),
)
async def check_videos(deps: Deps, request: RequestId) -> Response:
    """How far it is, without what it made."""
    seen = await look(deps, request, VIDEOS)
    return told(CheckView(**seen.fields), headers=headers_of(request))


@router.get(
    "/generate/video/status/{id}",
    dependencies=[at_most("status")],
    response_class=Response,
    responses=answers(VideoStatusView),
)
async def video_status(http: Request, deps: Deps, request: RequestId) -> Response:
    """How far it is, and the videos that there are."""
    return await _video_answer(http, deps, request, await look(deps, request, VIDEOS))


@router.delete(
    "/generate/video/status/{id}", response_class=Response, responses=answers(VideoStatusView)
)
async def end_videos(http: Request, deps: Deps, request: RequestId) -> Response:
    """Ends it; tells what was made until then. Asking again changes nothing."""
    await end(deps, request, VIDEOS)
    return await _video_answer(http, deps, request, await look(deps, request, VIDEOS))


async def _video_answer(http: Request, deps: ApiDeps, request: str, seen: Seen) -> Response:
    shown = [
        generations.video_view(made, video)
        async for made, video in brought(http, deps, seen.jobs, "video")
    ]
    return told(VideoStatusView(**seen.fields, generations=shown), headers=headers_of(request))
