"""From settings and recipes to a dispatcher that is ready to serve."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from random import Random

from headrace.core.retry import RetryPolicy
from headrace.core.usecases.admit import Caps
from headrace.core.usecases.purge import Kept
from headrace.dispatcher.options import Chance, DispatcherOptions, Ports
from headrace.dispatcher.role import Dispatcher
from headrace.wiring.ids import new_id
from headrace.wiring.pipelines import load_pipelines
from headrace.wiring.recipes import Wiring
from headrace.wiring.settings import Settings


@asynccontextmanager
async def open_role(wiring: Wiring, settings: Settings) -> AsyncGenerator[Dispatcher]:
    async with AsyncExitStack() as stack:
        ports = Ports(
            await stack.enter_async_context(wiring.store()),
            await stack.enter_async_context(wiring.bus()),
            await stack.enter_async_context(wiring.streams()),
            await stack.enter_async_context(wiring.blobs()),
            await stack.enter_async_context(wiring.producers()),
            await stack.enter_async_context(wiring.receivers()),
        )
        yield Dispatcher(ports, wiring.topology, _options(settings), Chance(Random(), new_id))


def _options(settings: Settings) -> DispatcherOptions:
    return DispatcherOptions(
        path=settings.path,
        basis=settings.rollout_basis,
        lease=timedelta(seconds=settings.lease_s),
        retry=RetryPolicy(
            failures=settings.retry_failures,
            losses=settings.retry_losses,
            base=timedelta(seconds=settings.retry_base_s),
        ),
        prefers_warm=settings.prefer_warm,
        sweep_every=timedelta(seconds=settings.sweep_every_s),
        missed=settings.missed_fires,
        pipelines=load_pipelines(settings.pipelines),
        caps=Caps(per_tenant=settings.max_queued_per_tenant, in_all=settings.max_queued),
        kept=Kept(
            jobs=_days(settings.retain_days),
            engines=timedelta(days=settings.engines_kept_days),
            api_keys=_days(settings.useless_keys_days),
        ),
    )


def _days(given: float | None) -> timedelta | None:
    return None if given is None else timedelta(days=given)
