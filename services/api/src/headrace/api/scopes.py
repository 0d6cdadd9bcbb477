"""Which scope each route takes, as its parameters state it by `Security`: for the description, and for a test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import BaseRoute


@dataclass(frozen=True, slots=True)
class Stated:
    path: str
    methods: frozenset[str]  # empty: a socket
    scopes: frozenset[str]  # empty: nobody is asked for any


def stated(app: FastAPI) -> Iterator[Stated]:
    for route in _routes(app.routes):
        methods = route.methods if isinstance(route, APIRoute) else None
        path = route.path_format  # as the description has it
        yield Stated(path, frozenset(methods or ()), frozenset(_scopes(route.dependant)))


def _routes(routes: Sequence[BaseRoute]) -> Iterator[APIRoute | APIWebSocketRoute]:
    for route in routes:
        if isinstance(route, APIRoute | APIWebSocketRoute):
            yield route
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from _routes(included.routes)


def _scopes(dependant: Dependant) -> Iterator[str]:
    yield from dependant.own_oauth_scopes or ()
    for each in dependant.dependencies:
        yield from _scopes(each)
