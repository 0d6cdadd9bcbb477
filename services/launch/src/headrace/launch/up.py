"""Serve: open the roles of this process, run them until a signal, close in reverse order."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable

from headrace.launch.cast import USES_STORE, RoleName, cast, open_roles
from headrace.launch.greeting import with_greeting
from headrace.telemetry import logs
from headrace.telemetry.exposition import MetricsDoor
from headrace.telemetry.tracing import exporting
from headrace.telemetry.vitals import Vitals
from headrace.wiring.recipes import migrate, wiring_for
from headrace.wiring.roles import Role, run, stop_on_signals
from headrace.wiring.settings import Settings


def up(settings: Settings, role: RoleName | None) -> None:
    """Raises Misconfigured, Unavailable, or whatever made a role fail."""
    names = cast(settings.execution_mode, role)
    if USES_STORE.intersection(names):
        settings.need_shared_store()
    service = role or "headrace"
    logs.configure(service, level=settings.log_level, format=log_format(settings))
    with (
        exporting(service, endpoint=settings.otel_exporter_otlp_endpoint or None),
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        runner.run(serve(settings, names))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop in C where it is installed, for the sake of live streams."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def serve(settings: Settings, names: tuple[RoleName, ...]) -> None:
    stop = asyncio.Event()
    async with stop_on_signals(stop):
        if "api" in names:
            _refuse_taken_port(settings)
        if settings.migrate_at_start and USES_STORE.intersection(names):
            await migrate(settings)
        async with open_roles(names, wiring_for(settings), settings) as roles:
            everyone = [*_watchers(settings), *with_greeting(roles, log_format(settings))]
            _collect_seldom()
            await run(everyone, stop, grace_s=settings.drain_s + _MARGIN_S)


def _watchers(settings: Settings) -> list[Role]:
    """First in the row, so that they stop last: what drains can still be looked at."""
    if settings.metrics_port is None:
        return [Vitals()]
    return [Vitals(), MetricsDoor(settings.metrics_host, settings.metrics_port)]


def _collect_seldom() -> None:
    """Full collections of all that start-up made cost live streams a quarter of the CPU, 100 ms at a time.

    What is there now stays; what comes is collected by as many objects as a thousand streams make.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)


def _refuse_taken_port(settings: Settings) -> None:
    """Before anything is opened, so that this is all that is said. Raises Misconfigured."""
    from headrace.api.role import listen

    listen(settings.host, settings.port, backlog=1).close()


# By which the youngest generation grows before it is looked through; Python's own is 700.
_NEW_OBJECTS = 20_000
# Roles drain within `drain_s` by themselves; being late beyond this is being stuck.
_MARGIN_S = 10.0


def log_format(settings: Settings) -> logs.Format:
    if settings.log_format == "auto":
        return "console" if sys.stderr.isatty() else "json"
    return settings.log_format
