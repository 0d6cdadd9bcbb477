"""A job that is to end with its watchers is asked to, once the last word of one has lapsed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from headrace.contracts.ids import JobId
from headrace.core.job import DISCONNECTED, Event, Job, State
from headrace.core.ports.store import Store
from headrace.testkit.conformance.store.room import SOON, StoreRoom, grant, move, put, read


class Watching(StoreRoom):
    async def test_what_was_asked_is_kept(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new(cancel_after_s=2.5))

        assert (await read(store, job)).spec.cancel_after_s == 2.5

    async def test_a_job_nobody_has_watched_yet_goes_on(
        self, store: Store, new: Any, path: str
    ) -> None:
        await put(store, new(cancel_after_s=0.0))

        assert await _deserted(store, path) == set()

    async def test_a_job_whose_watchers_have_left_is_asked_to_end(
        self, store: Store, new: Any, path: str
    ) -> None:
        waiting, running, watched = await put(store, *(new(cancel_after_s=0.0) for _ in range(3)))
        await grant(store, running)
        await _seen(store, waiting, -2 * SOON)
        await _seen(store, running, -SOON)
        await _seen(store, watched, SOON)

        assert await _deserted(store, path) == {waiting.id, running.id}

        async with store.begin() as tx:
            wishes = await tx.cancel_wishes(path, limit=10)
        assert {job.id: job.cancel_reason for job in wishes} == {
            waiting.id: DISCONNECTED,
            running.id: DISCONNECTED,
        }
        assert (await read(store, watched)).cancel_asked_at is None

    async def test_the_latest_word_of_several_processes_counts(
        self, store: Store, new: Any, path: str
    ) -> None:
        (job,) = await put(store, new(cancel_after_s=0.0))
        await _seen(store, job, SOON)
        await _seen(store, job, -SOON)

        assert await _deserted(store, path) == set()

    async def test_it_is_asked_once(self, store: Store, new: Any, path: str) -> None:
        (job,) = await put(store, new(cancel_after_s=0.0))
        await _seen(store, job, -SOON)

        assert await _deserted(store, path) == {job.id}
        assert await _deserted(store, path) == set()

    async def test_who_asked_in_person_is_the_reason(
        self, store: Store, new: Any, path: str
    ) -> None:
        (job,) = await put(store, new(cancel_after_s=0.0))
        await _seen(store, job, -SOON)
        async with store.begin() as tx:
            await tx.ask_cancel(job.tenant, job.id)

        assert await _deserted(store, path) == set()
        assert (await read(store, job)).cancel_reason is None

    async def test_what_has_ended_is_left_alone(self, store: Store, new: Any, path: str) -> None:
        (job,) = await put(store, new(cancel_after_s=0.0))
        await _seen(store, job, -SOON)
        ended = await move(store, await grant(store, job), Event.FINISHED)

        assert ended.state is State.SUCCEEDED
        assert await _deserted(store, path) == set()

    async def test_lists_of_the_deserted_are_limited_and_keep_to_one_path(
        self, store: Store, new: Any, path: str
    ) -> None:
        news = await put(store, *(new(cancel_after_s=0.0) for _ in range(3)))
        other = await put(store, new(cancel_after_s=0.0, path=f"{path}-other"))
        for nth, job in enumerate([*news, *other]):
            await _seen(store, job, -SOON + timedelta(seconds=nth))

        assert await _deserted(store, path, limit=2) == {job.id for job in news[:2]}
        assert await _deserted(store, path) == {news[2].id}

    async def test_words_about_unknown_jobs_are_ignored(self, store: Store) -> None:
        async with store.begin() as tx:
            await tx.see_watched({JobId("unknown"): await tx.now()})
            await tx.see_watched({})


async def _seen(store: Store, job: Job, ago: timedelta) -> None:
    async with store.begin() as tx:
        await tx.see_watched({job.id: await tx.now() + ago})


async def _deserted(store: Store, path: str, *, limit: int = 10) -> set[JobId]:
    async with store.begin() as tx:
        return set(await tx.wish_deserted(path, limit=limit))
