"""From settings and recipes to a worker that is ready to serve."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from headrace.contracts.ids import Lane, WorkerId
from headrace.core.errors import Misconfigured
from headrace.engines.batches import batching
from headrace.engines.options import Misconfigured as RefusedOption
from headrace.engines.registry import Survey, card, survey
from headrace.gpu_worker.options import LaneOptions, Limits, WorkerOptions
from headrace.gpu_worker.role import Worker
from headrace.telemetry.logs import get_logger
from headrace.wiring.ids import new_id
from headrace.wiring.recipes import Wiring
from headrace.wiring.settings import Settings

_log = get_logger("gpu_worker.opening")


@asynccontextmanager
async def open_role(wiring: Wiring, settings: Settings) -> AsyncGenerator[Worker]:
    """Raises Misconfigured when no engine is left to run, or one refuses its options."""
    options = engine_options(settings)
    lanes = choose_lanes(settings, _survey(options), options)
    async with AsyncExitStack() as stack:
        yield Worker(
            WorkerOptions(
                bus=await stack.enter_async_context(wiring.bus()),
                streams=await stack.enter_async_context(wiring.streams()),
                blobs=await stack.enter_async_context(wiring.blobs()),
                topology=wiring.topology,
                worker=WorkerId(f"{socket.gethostname()}-{os.getpid()}-{new_id()[:4]}"),
                lanes=lanes,
                new_id=new_id,
                limits=_limits(settings),
            )
        )


def _survey(options: Mapping[str, Mapping[str, str]]) -> Survey:
    try:
        return survey(options)
    except RefusedOption as error:
        raise Misconfigured(f"An engine refuses its settings: {error}.", "") from error


def choose_lanes(
    settings: Settings, found: Survey, options: Mapping[str, Mapping[str, str]]
) -> list[LaneOptions]:
    wanted = settings.engines or tuple(found.present)
    for lane in wanted:
        if lane not in found.present:
            why = found.absent.get(Lane(lane), "is not installed")
            raise Misconfigured(
                f"ENGINES names {lane}, but engine '{lane}' {why}.",
                f"Installed here: {', '.join(sorted(found.present))}.",
            )
    for lane, why in found.absent.items():
        _log.info("engine.absent", lane=lane, why=why)
    return [
        LaneOptions(
            card=card(Lane(lane), engine := found.present[Lane(lane)]),
            slots=settings.slots.get(lane, 1),
            preload=engine.models[0],
            settings=options.get(lane, {}),
            batch_most=(together := batching(engine)).most,
            batch_window_s=together.window_s,
        )
        for lane in wanted
    ]


def engine_options(settings: Settings) -> dict[str, dict[str, str]]:
    """What the operator says to each engine; an engine without options is left out."""
    options = {"smollm2": {"threads": str(settings.text_threads)}}
    if settings.upstream_url:
        options["upstream"] = {
            "base_url": settings.upstream_url,
            "models": ",".join(settings.upstream_models),
            "api_key": settings.upstream_api_key.get_secret_value(),
        }
    return options


def _limits(settings: Settings) -> Limits:
    return Limits(
        lease_s=settings.lease_s,
        # A sixth: a paused worker stops itself before its lease ends, and clocks may drift a little.
        trust_margin_s=settings.lease_s / 6,
        drain_s=settings.drain_s,
        cancel_grace_s=settings.cancel_grace_s,
    )
