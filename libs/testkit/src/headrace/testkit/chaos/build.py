"""Headrace as it ships, started with faults armed: `python -m headrace.testkit.chaos.build up ROLE`.

The product is not changed and not told. Its one composition seam, `wiring_for`, is wrapped before
the command line runs, and the worker is given the engine that keeps a ledger, where it says which.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import cast

from headrace.contracts.ids import Lane
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.bus import Bus
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Streams
from headrace.core.usecases import purge as purging
from headrace.core.usecases.purge import Kept
from headrace.dispatcher import cleaning
from headrace.engines.registry import Survey, card
from headrace.gpu_worker import opening
from headrace.gpu_worker.options import LaneOptions
from headrace.launch import up
from headrace.launch.cli import main
from headrace.testkit.chaos.engine import ENGINE, LANE, LedgerEngine
from headrace.testkit.chaos.plants import PLANTS
from headrace.testkit.chaos.points import (
    PointedBlobs,
    PointedBus,
    PointedStore,
    PointedStreams,
    Points,
)
from headrace.testkit.chaos.settings import ChaosSettings, chaos_settings
from headrace.testkit.chaos.vitals import with_vitals
from headrace.testkit.chaos.wild_clock import run_wild
from headrace.wiring import recipes, roles
from headrace.wiring.recipes import Wiring
from headrace.wiring.settings import Settings


def pointed(wiring: Wiring, points: Points) -> Wiring:
    """The same recipes; what they open passes by the crash points."""

    @asynccontextmanager
    async def store() -> AsyncGenerator[Store]:
        async with wiring.store() as opened:
            yield PointedStore(opened, points)

    @asynccontextmanager
    async def bus() -> AsyncGenerator[Bus]:
        async with wiring.bus() as opened:
            yield PointedBus(opened, points)

    @asynccontextmanager
    async def streams() -> AsyncGenerator[Streams]:
        async with wiring.streams() as opened:
            yield PointedStreams(opened, points)

    @asynccontextmanager
    async def blobs() -> AsyncGenerator[Blobs]:
        async with wiring.blobs() as opened:
            yield cast("Blobs", PointedBlobs(opened, points))

    return replace(wiring, store=store, bus=bus, streams=streams, blobs=blobs)


def the_ledger_alone(
    settings: Settings, found: Survey, options: Mapping[str, Mapping[str, str]]
) -> list[LaneOptions]:
    return [
        LaneOptions(
            card=card(Lane(LANE), LedgerEngine),
            slots=settings.slots.get(LANE, 2),
            preload=LedgerEngine.models[0],
            engine=ENGINE,
        )
    ]


def arm(chaos: ChaosSettings) -> None:
    if chaos.wild_clock:
        run_wild()
    as_shipped = recipes.wiring_for
    points = Points(chaos.crash_point, chaos.crash_pass)

    def wiring_for(settings: Settings) -> Wiring:
        wiring = as_shipped(settings)
        for name in chaos.plants:
            wiring = PLANTS[name].wire(wiring)
        return pointed(wiring, points) if chaos.crash_point else wiring

    vars(up)["wiring_for"] = wiring_for
    if chaos.has_ledger:
        vars(opening)["choose_lanes"] = the_ledger_alone
    for name in chaos.plants:
        PLANTS[name].patch()
    if chaos.vitals is not None:
        vars(up)["run"] = with_vitals(roles.run, chaos.vitals)
    if chaos.keep_s is not None:
        forget_after(timedelta(seconds=chaos.keep_s))


def forget_after(after: timedelta) -> None:
    """What a deployment keeps for days, so that a run of minutes sees it go."""
    for name in ("KEYS_KEPT", "FIRES_KEPT", "WORKERS_KEPT", "BLOBS_KEPT"):
        vars(purging)[name] = after

    async def purge(store: Store, blobs: Blobs, *, kept: Kept, limit: int) -> bool:
        return await purging.purge(store, blobs, kept=replace(kept, jobs=after), limit=limit)

    vars(cleaning)["purge"] = purge


if __name__ == "__main__":
    arm(chaos_settings())
    main()
