"""From settings and recipes to a worker that is ready to serve."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from headrace.contracts.ids import Lane, WorkerId
from headrace.core.errors import Misconfigured
from headrace.engines.batches import batching
from headrace.engines.options import Misconfigured as RefusedOption
from headrace.engines.registry import Survey, card, survey
from headrace.gpu_worker.gpus import gpus_to_give
from headrace.gpu_worker.options import LaneOptions, Limits, WorkerOptions
from headrace.gpu_worker.role import Worker
from headrace.telemetry.logs import get_logger
from headrace.wiring.ids import new_id
from headrace.wiring.recipes import Wiring
from headrace.wiring.settings import Settings

_WATCHED: Final = ("text", "image")
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
                gpus=gpus_to_give(settings.gpus, settings.cuda_visible_devices),
                devices=devices_for_gangs(settings),
                at=address_for_gangs(settings),
                new_id=new_id,
                models=settings.models_dir,
                models_mib=settings.model_cache_mib,
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
    wanted = settings.engines or tuple(sorted(found.present, key=partial(_turn, found)))
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
            preload=next(iter(engine.models), None),
            memory_mib=settings.model_memory_mib.get(lane),
            process_mib=settings.engine_memory_mib.get(lane),
            settings=options.get(lane, {}),
            batch_most=(together := batching(engine)).most,
            batch_window_s=together.window_s,
            on_gpu=getattr(engine, "gpu", False),
            gang=getattr(engine, "gang", False),
        )
        for lane in wanted
    ]


def _turn(found: Survey, lane: Lane) -> tuple[bool, str]:
    """Engines start in this order: first those whose first word or picture somebody sits and waits for."""
    return (found.present[lane].kind not in _WATCHED, lane)


def engine_options(settings: Settings) -> dict[str, dict[str, str]]:
    """What the operator says to each engine; an engine without options is left out."""
    options = {
        "smollm2": {"threads": str(settings.text_threads)},
        "torch-ddp": {
            "most": str(len(devices_for_gangs(settings))),
            "nodes": str(settings.gang_nodes),
        },
        **_on_torch(settings),
    }
    if settings.upstream_url:
        options["upstream"] = {
            "base_url": settings.upstream_url,
            "models": ",".join(settings.upstream_models),
            "api_key": settings.upstream_api_key.get_secret_value(),
        }
    return options


def devices_for_gangs(settings: Settings) -> list[str]:
    """The GPUs; where there are none, so many processes on CPUs."""
    gpus = gpus_to_give(settings.gpus, settings.cuda_visible_devices)
    return gpus or [""] * settings.gang_processes


def address_for_gangs(settings: Settings) -> str | None:
    """Where other workers meet this one; None: no job has several."""
    if settings.gang_nodes == 1:
        return None
    return settings.gang_address or socket.gethostname()


def _on_torch(settings: Settings) -> dict[str, dict[str, str]]:
    models = {"transformers": settings.transformers_models, "diffusers": settings.diffusers_models}
    device = {
        "device": settings.torch_device,
        "dtype": settings.torch_dtype,
        "threads": str(settings.torch_threads),
    }
    if settings.torch_memory_mib is not None:
        device["memory_mib"] = str(settings.torch_memory_mib)
    return {lane: {"models": folders, **device} for lane, folders in models.items() if folders}


def _limits(settings: Settings) -> Limits:
    return Limits(
        lease_s=settings.lease_s,
        # A sixth: a paused worker stops itself before its lease ends, and clocks may drift a little.
        trust_margin_s=settings.lease_s / 6,
        drain_s=settings.drain_s,
        cancel_grace_s=settings.cancel_grace_s,
    )
