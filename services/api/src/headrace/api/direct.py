"""Past ASGI, straight to the socket: for what is said thousands of times a second.

ASGI's `send` costs more than all else on a token's way. So the protocols of our server put a `Direct`
into the scope, as an extension: it writes at once or says no. Another server has none, and then
everything goes by `send`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from starlette.types import Scope

EXTENSION: Final = "headrace.direct"

Left: TypeAlias = Callable[[], object]


class Direct(Protocol):
    """The own way of a socket to its client: it takes whole frames, as they go over the wire."""

    def write(self, said: bytes) -> bool:
        """False: nothing was written, for there is no room, or nobody. `send` waits for either."""


class DirectBody(Direct, Protocol):
    """The own way of an answer's body to its client."""

    def when_left(self, left: Left | None) -> None:
        """Call it when the client has left, at once if he has already. None: no more."""


def direct_body(scope: Scope) -> DirectBody | None:
    found: DirectBody | None = scope.get("extensions", {}).get(EXTENSION)
    return found


def direct_socket(scope: Scope) -> Direct | None:
    found: Direct | None = scope.get("extensions", {}).get(EXTENSION)
    return found
