"""Jobs that a producer outside works on are listed while they have not ended, and nobody else's are."""

from __future__ import annotations

from typing import Any

from headrace.contracts.ids import JobId
from headrace.contracts.producing import OUTSIDE
from headrace.core.job import Event
from headrace.core.ports.store import Store
from headrace.testkit.conformance.store.room import WORKER, StoreRoom, grant, move, put

START = JobId("")


class Producing(StoreRoom):
    async def test_they_are_listed_from_submission_to_their_end(
        self, store: Store, new: Any, path: str
    ) -> None:
        waiting, runs, stops, ended = await put(store, *[new(lane=OUTSIDE) for _ in range(4)])
        runs = await move(store, runs, Event.GRANTED, worker=WORKER)
        stops = await move(store, stops, Event.GRANTED, Event.CANCEL_ASKED)
        await move(store, ended, Event.CANCEL_ASKED)

        async with store.begin() as tx:
            found = await tx.outside(path, after=START, limit=10)

        assert found == sorted([waiting, runs, stops], key=lambda job: job.id)

    async def test_jobs_of_workers_and_of_other_paths_are_not_among_them(
        self, store: Store, new: Any, path: str
    ) -> None:
        await put(store, new(), new(lane=OUTSIDE, path=f"not-{path}"))
        (held,) = await put(store, new())
        await grant(store, held)

        async with store.begin() as tx:
            assert await tx.outside(path, after=START, limit=10) == []

    async def test_many_are_listed_in_pieces(self, store: Store, new: Any, path: str) -> None:
        jobs = await put(store, *[new(lane=OUTSIDE) for _ in range(5)])

        async with store.begin() as tx:
            first = await tx.outside(path, after=START, limit=3)
            rest = await tx.outside(path, after=first[-1].id, limit=3)

        assert [job.id for job in [*first, *rest]] == sorted(job.id for job in jobs)
