"""Rules of those who submit, cancel, and watch."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from headrace.contracts.ids import TenantId
from headrace.core.job import State
from headrace.core.ports.store import Conflict, Created, Insertion, Replayed
from headrace.core.usecases.cancel import ask_cancel
from headrace.testkit.builders import LONG_AGO, a_new_job
from headrace.testkit.machine.base import Base, tenants, which
from headrace.testkit.machine.watchers import Watcher

FAR = timedelta(days=1)
WATCHERS = 4


class Clients(Base):
    @rule(tenant=tenants, priority=st.integers(0, 2))
    def submit(self, tenant: TenantId, priority: int) -> None:
        self._submitted(tenant=tenant, priority=priority)

    @rule(tenant=tenants, over=st.booleans())
    def submit_for_a_time(self, tenant: TenantId, *, over: bool) -> None:
        at = LONG_AGO if over else self.do(self._tomorrow())
        self._submitted(tenant=tenant, state=State.SCHEDULED, not_before=at)

    @rule(tenant=tenants, over=st.booleans())
    def submit_with_a_deadline(self, tenant: TenantId, *, over: bool) -> None:
        at = LONG_AGO if over else self.do(self._tomorrow())
        self._submitted(tenant=tenant, start_deadline=at)

    @rule(tenant=tenants, key=st.sampled_from("kl"), body=st.sampled_from("xy"))
    def submit_by_key(self, tenant: TenantId, key: str, body: str) -> None:
        """The first time, again, and for something else."""
        known = self.keys.get((tenant, key))
        match self.do(self._insert(key=key, fingerprint=body, tenant=tenant, path=self.mode)):
            case Created(job):
                assert known is None, f"{key} was used"
                self.keys[tenant, key] = (body, job.id)
                self.seen[job.id] = job
            case Replayed(job):
                assert known == (body, job.id)
                self.tally.happened["resubmissions"] += 1
            case Conflict():
                assert known is not None
                assert known[0] != body

    def _submitted(self, **fields: Any) -> None:
        inserted = self.do(self._insert(path=self.mode, **fields))
        assert isinstance(inserted, Created)
        self.seen[inserted.job.id] = inserted.job

    async def _insert(self, **fields: Any) -> Insertion:
        async with self.store.begin() as tx:
            (inserted,) = await tx.insert([a_new_job(**fields)])
        return inserted

    async def _tomorrow(self) -> Any:
        async with self.store.begin() as tx:
            return await tx.now() + FAR

    @precondition(lambda self: self.seen)
    @rule(place=which)
    def ask_to_cancel(self, place: int) -> None:
        job = self.some_job(place)
        self.do(ask_cancel(self.store, job.tenant, job.id))

    # -- watching -----------------------------------------------------------------------------

    @precondition(lambda self: self.seen and len(self.watchers) < WATCHERS)
    @rule(place=which)
    def connect(self, place: int) -> None:
        job = self.some_job(place)
        watcher = Watcher(self.stage.calm, self.stage.streams, job.tenant, job.id)
        self.watchers.append(watcher)
        self.do(watcher.connect())

    @precondition(lambda self: self.watchers)
    @rule(place=which)
    def leave(self, place: int) -> None:
        self.do(self.watchers[place % len(self.watchers)].drop())

    @precondition(lambda self: self.watchers)
    @rule(place=which)
    def come_back(self, place: int) -> None:
        self.tally.happened["streams resumed"] += 1
        self.do(self.watchers[place % len(self.watchers)].come_back())
