"""A dispatcher's part in a rollout: it guards the new path, and settles what ran as a shadow."""

from __future__ import annotations

from contextlib import suppress

from headrace.core.errors import Unavailable
from headrace.core.rollout import Basis
from headrace.core.usecases.guard import guard
from headrace.core.usecases.purge import delete_blobs
from headrace.core.usecases.shadow import settle_shadows
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger

_log = get_logger("dispatcher.rolling")
_AT_ONCE = 50  # shadows: their outputs are read to be compared


class RolloutKeeper:
    """Any number may look at once: a rollback is guarded by its version, a comparison by its shadow."""

    def __init__(self, ports: Ports, options: DispatcherOptions) -> None:
        self._ports, self._basis = ports, options.basis or Basis(default=options.path)
        self._told = ""  # of what cannot be taken back, once

    async def guard(self) -> bool:
        verdict = await guard(self._ports.store, self._basis)
        if verdict is None:
            return False
        if not verdict.fixed:
            metrics.ROLLBACKS.inc()
            _log.error("rollout.rolled_back", why=verdict.tripped.why)
        elif verdict.tripped.why != self._told:
            self._told = verdict.tripped.why
            _log.error("rollout.held", why=verdict.tripped.why, fixed_by=self._basis.fixed_by)
        return False

    async def shadows(self) -> bool:
        """True: more are over."""
        ports = self._ports
        settled = await settle_shadows(ports.store, ports.blobs, limit=_AT_ONCE)
        await delete_blobs(ports.blobs, settled.orphans)
        with suppress(Unavailable):  # they go with their time
            await ports.streams.discard(settled.gone)
        for each in settled.compared:
            outcome = "same" if each.same else "different"
            metrics.SHADOWS_COMPARED.labels(outcome=outcome).inc()
            _log.info("shadow.compared", job_id=each.job, outcome=outcome, diff=dict(each.diff))
        if settled.given_up:
            _log.info("shadow.given_up", shadows=len(settled.given_up))
        return settled.full
