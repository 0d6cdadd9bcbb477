"""The bookkeeping of subscriptions, without a server; what Redis does is in tests/integration/streams."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from headrace.adapters.streams.redis.following import Following
from headrace.adapters.streams.redis.live import Live


class RecordingWire:
    def __init__(self) -> None:
        self.sent: list[tuple[str, ...]] = []

    def send(self, *words: str) -> None:
        self.sent.append(words)


async def test_nothing_is_kept_of_a_follower_that_left_before_redis_answered() -> None:
    live = Live("redis://nowhere", tick_s=1, random=Random(1))
    vars(live)["_wire"] = RecordingWire()

    async def found() -> Live:
        return live

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), Following(found, b"channel"):
            raise AssertionError("nobody acknowledged")
    live._on_reply([b"subscribe", b"channel", 1])

    assert not live._asked
    assert not live._topics
