"""Health, truthfully: every dependency is asked, each within its limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.native.schemas import DependencyView, HealthView
from headrace.api.operators import may_look
from headrace.core.errors import HeadraceError
from headrace.telemetry.exposition import render
from headrace.telemetry.logs import get_logger

router = APIRouter(tags=["operations"])
_log = get_logger("api")
_DISCREET: Final = "it does not answer; the log of this server says why"
_DOWN: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": HealthView, "description": "It cannot take jobs; see `dependencies`."}
}


@router.get("/livez", response_class=Response, responses={200: {"description": "It is alive."}})
async def live() -> Response:
    """Does this process answer? Asks nobody else."""
    return Response("ok\n", media_type="text/plain")


@router.get("/readyz", response_model=HealthView, responses=_DOWN)
async def ready(request: Request, deps: Deps) -> Response:
    """Should requests be sent here? 503 while it stops or cannot reach the store."""
    return await _answer(deps, frankly=await may_look(request.headers, deps))


@router.get("/health", response_model=HealthView, responses=_DOWN)
async def health(request: Request, deps: Deps) -> Response:
    """What works and what does not. `degraded`: jobs are taken, live views or blobs are down.

    Why is told to operators, and to the log: it may name hosts.
    """
    return await _answer(deps, frankly=await may_look(request.headers, deps))


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus text format, or OpenMetrics to who accepts that.",
            "content": {"text/plain": {}, "application/openmetrics-text": {}},
        }
    },
)
async def metrics(request: Request) -> Response:
    """Metrics of this process; docs/metrics.md says what each means."""
    body, content_type = render(request.headers.get("accept", ""))
    return Response(body, media_type=content_type)


async def _answer(deps: ApiDeps, *, frankly: bool) -> Response:
    view = await check(deps, frankly=frankly)
    code = 503 if view.status in {"down", "stopping"} else 200
    return JSONResponse(view.model_dump(exclude_none=True), code)


async def check(deps: ApiDeps, *, frankly: bool) -> HealthView:
    async with asyncio.TaskGroup() as group:
        asked = {
            name: group.create_task(_ask(ping, deps.limits.dependency_s))
            for name, ping in (
                ("store", deps.store.ping),
                ("streams", deps.streams.ping),
                ("blobs", deps.blobs.ping),
            )
        }
    found = {name: _view(name, task.result(), frankly=frankly) for name, task in asked.items()}
    return HealthView(
        status=_status(found, stopping=deps.stopping.is_set()),
        version=deps.version,
        dependencies=found,
    )


def _status(
    found: dict[str, DependencyView], *, stopping: bool
) -> Literal["ok", "degraded", "down", "stopping"]:
    if stopping:
        return "stopping"
    if not found["store"].ok:
        return "down"  # the record of truth: without it no job can be taken
    return "ok" if all(view.ok for view in found.values()) else "degraded"


async def _ask(ping: Callable[[], Awaitable[None]], within_s: float) -> str | None:
    """Why it does not work, if so."""
    try:
        async with asyncio.timeout(within_s):
            await ping()
    except TimeoutError:
        return f"no answer within {within_s:g} s"
    except HeadraceError as error:
        return str(error)
    return None


def _view(name: str, why: str | None, *, frankly: bool) -> DependencyView:
    if why is None:
        return DependencyView(ok=True)
    _log.warning("dependency.down", dependency=name, why=why)
    return DependencyView(ok=False, why=why if frankly else _DISCREET)
