"""Several addresses of one service behind one client, as a balancer would have it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import httpx
from typing_extensions import override


class Rounds(httpx.AsyncBaseTransport):
    """Each request goes to the next address, or, where nobody listens, to the one after it.

    `streams` counts by address the event streams that were opened. Raises ConnectError when nobody
    listens anywhere.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.streams: Counter[str] = Counter()
        self._urls = deque(urls)
        everyone = httpx.Limits(max_connections=None)
        self._wire = httpx.AsyncHTTPTransport(limits=everyone, trust_env=False)

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        refused: httpx.ConnectError | None = None
        for _ in range(len(self._urls)):
            url = self._urls[0]
            self._urls.rotate(-1)
            address = httpx.URL(url)
            request.url = request.url.copy_with(host=address.host, port=address.port)
            try:
                answer = await self._wire.handle_async_request(request)
            except httpx.ConnectError as error:
                refused = error
                continue
            self.streams[url] += answer.headers.get("content-type", "").startswith(
                "text/event-stream"
            )
            return answer
        raise refused or httpx.ConnectError("there is no address")

    @override
    async def aclose(self) -> None:
        await self._wire.aclose()
