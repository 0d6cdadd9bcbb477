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
    """The own way of one answer, or of one socket, to its client."""

    def write(self, said: bytes) -> bool:
        """False: nothing was written, for there is no room, or nobody. `send` waits for either."""

    def when_left(self, left: Left | None) -> None:
        """Call it when the client has left, at once if he has already. None: no more."""


def direct_of(scope: Scope) -> Direct | None:
    found: Direct | None = scope.get("extensions", {}).get(EXTENSION)
    return found
