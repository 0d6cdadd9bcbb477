"""The streams adapters, held to the same promises."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, nullcontext

import pytest

from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.adapters.streams.redis.streams import RedisStreams, open_redis_streams
from headrace.testkit.conformance.resuming import ResumingPromises
from headrace.testkit.conformance.streams import OpenStreams, StreamsPromises
from headrace.testkit.infra import fresh_prefix


class TestInProcess(StreamsPromises, ResumingPromises):
    @pytest.fixture
    def open_streams(self) -> OpenStreams:
        def opened(
            *, maxlen: int = 10_000, ttl_s: float = 60.0
        ) -> AbstractAsyncContextManager[InProcessStreams]:
            return nullcontext(InProcessStreams(maxlen=maxlen, ttl_s=ttl_s))

        return opened


@pytest.mark.real
class TestRedis(StreamsPromises, ResumingPromises):
    @pytest.fixture
    async def open_streams(self, redis_url: str) -> AsyncGenerator[OpenStreams]:
        async with fresh_prefix(redis_url) as prefix:

            def opened(
                *, maxlen: int = 10_000, ttl_s: float = 60.0
            ) -> AbstractAsyncContextManager[RedisStreams]:
                return open_redis_streams(redis_url, prefix=prefix, maxlen=maxlen, ttl_s=ttl_s)

            yield opened


@pytest.mark.real
class TestRedisCluster(StreamsPromises, ResumingPromises):
    """Its keys go with the cluster, or in their time."""

    @pytest.fixture
    async def open_streams(self, redis_cluster_url: str) -> AsyncGenerator[OpenStreams]:
        async with fresh_prefix() as prefix:

            def opened(
                *, maxlen: int = 10_000, ttl_s: float = 60.0
            ) -> AbstractAsyncContextManager[RedisStreams]:
                return open_redis_streams(
                    redis_cluster_url, prefix=prefix, maxlen=maxlen, ttl_s=ttl_s
                )

            yield opened
