"""The application, over routes that are read once for all of a process's tests."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

from headrace.api import app as shipped
from headrace.api.deps import ApiDeps

_DOORS: Final[list[BaseRoute]] = []


def create_app(deps: ApiDeps) -> FastAPI:
    """As shipped, but that its doors are those of the first application that was made here.

    They know nothing of `deps`, and FastAPI reads every route of them again for each application:
    half a second, which is most of what a test of a door would take.
    """
    app = shipped.create_app(deps)
    own = [route for route in app.router.routes if isinstance(route, Route)]
    if not _DOORS:
        _DOORS.extend(route for route in app.router.routes if route not in own)
    app.router.routes[:] = [*own, *_DOORS]
    return app
