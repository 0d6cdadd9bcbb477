"""The application: doors, gateways and the page, put together from what they are given."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from headrace.api import health
from headrace.api.deps import ApiDeps
from headrace.api.description import describe_api
from headrace.api.dialects.conversations import routes as conversations
from headrace.api.dialects.horde import door as horde
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.dialects.native import (
    admin,
    admin_batches,
    admin_fleet,
    admin_jobs,
    admin_models,
    admin_schedules,
    admin_webhooks,
    batch_live,
    batches,
    blobs,
    changing,
    dead_letters,
    deleting,
    keys,
    live,
    logs,
    models,
    reading,
    rollout,
    run_live,
    runs,
    schedules,
    submitting,
    tickets,
    uploads,
    users,
    webhooks,
)
from headrace.api.dialects.native.express import EventsFirst
from headrace.api.dialects.openai import routes as openai
from headrace.api.doors import has_own_errors, refusal
from headrace.api.guards import Failures, RefuseNul, SaysTus
from headrace.api.instrumenting import Spans, Watched
from headrace.api.once_each import once_each
from headrace.api.page import NavigationFirst, Page
from headrace.api.problems import Refused
from headrace.api.tracing import TraceContext
from headrace.core.errors import HeadraceError

_TOLD: Final = (
    "Location",
    "X-Trace-Id",
    "Idempotent-Replayed",
    "Preference-Applied",
    "Retry-After",
    "X-Headrace-Job",
    *("Upload-Offset", "Upload-Length", "Upload-Expires", "Headrace-Blob"),
    *("Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"),
    *("ETag", "Repr-Digest", "Content-Range", "Accept-Ranges"),
)
_REFUSALS: Final = (Refused, HordeError, HeadraceError, HTTPException, RequestValidationError)


def create_app(deps: ApiDeps) -> FastAPI:
    page = Page(deps.page_dir, but_for=has_own_errors)
    app = FastAPI(
        title="Headrace",
        version=deps.version,
        middleware=_middleware(deps, page),
        exception_handlers=dict.fromkeys(_REFUSALS, _refuse),
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.deps = deps
    for door in (
        submitting,
        reading,
        logs,
        changing,
        deleting,
        live,
        tickets,
        blobs,
        uploads,
        schedules,
        runs,
        run_live,
        batches,
        batch_live,
        dead_letters,
        admin,
        keys,
        users,
        admin_fleet,
        admin_jobs,
        admin_batches,
        admin_schedules,
        rollout,
        webhooks,
        admin_webhooks,
        models,
        admin_models,
        conversations,
        openai,
        *horde.PARTS,
        health,
    ):
        app.include_router(door.router, dependencies=[once_each])
    app.router.default = page  # every address that is not the api's
    app.openapi = lru_cache(lambda: _describe(app, deps))  # type: ignore[method-assign]  # FastAPI's own way
    return app


def _describe(app: FastAPI, deps: ApiDeps) -> dict[str, Any]:
    return describe_api(app, anonymous=deps.auth.anonymous is not None)


def _middleware(deps: ApiDeps, page: Page) -> list[Middleware]:
    """Outermost first; pure ASGI, so that streams pass through untouched."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=sorted(deps.cors_origins),
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["*"],
        expose_headers=_TOLD,
    )
    return [
        Middleware(Spans),
        Middleware(TraceContext, current=deps.current_traceparent),
        Middleware(Watched),
        *deps.middleware,
        *([cors] if deps.cors_origins else []),
        Middleware(SaysTus),
        Middleware(Failures),
        Middleware(RefuseNul),
        Middleware(NavigationFirst, page=page),
        Middleware(EventsFirst, deps=deps),
    ]


async def _refuse(request: Request, error: Exception) -> Response:
    return refusal(request.url.path, error)
