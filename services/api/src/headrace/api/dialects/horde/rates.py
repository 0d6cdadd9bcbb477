"""How often one may ask here: by address and path, and for new requests by key. Refused before anything else is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any, Final

from fastapi import Depends, Request

from headrace.api.auth import digest_of, presented
from headrace.api.deps import Deps
from headrace.api.dialects.horde.auth import ANONYMOUS_KEY
from headrace.api.dialects.horde.errors import HordeError
from headrace.core.rates import RateName

_ASK: Final[RateName] = "ask"


def at_most(name: RateName) -> Any:
    """For a route's `dependencies`. Whoever sets no rates counts nobody."""

    async def refuse_too_many(request: Request, deps: Deps) -> None:
        wait_s = deps.windows.wait_s(
            [
                (thing, rate)
                for what, thing in _counted(request, name)
                for rate in deps.rates.get(what, ())
            ]
        )
        if wait_s > 0:
            said = f"Too many requests of this kind came from you. Try again in {ceil(wait_s)} s."
            again = {"Retry-After": str(ceil(wait_s))}
            raise HordeError(429, "TooManyRequests", said, headers=again)

    return Depends(refuse_too_many)


def _counted(request: Request, name: RateName) -> Iterator[tuple[RateName, tuple[str, ...]]]:
    address = request.client.host if request.client else ""
    yield name, (name, address, request.url.path)
    key = presented(request.headers)
    if name == _ASK and key is not None:
        whose: RateName = "anonymous" if key == ANONYMOUS_KEY else "key"
        yield whose, (whose, digest_of(key))
