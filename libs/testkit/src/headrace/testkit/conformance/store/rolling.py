"""A rollout is one record that changes by its version; paths are counted without the shadows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from headrace.contracts.ids import BlobId, JobId, TenantId
from headrace.core.job import SHADOWS, Event, State
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.ports.queries import Search
from headrace.core.ports.rollouts import Comparison, Pair
from headrace.core.ports.store import Store
from headrace.core.ports.upkeep import BlobUse
from headrace.core.rollout import GuardTerms, Rollout, Tripped
from headrace.testkit.builders import LONG_AGO, a_job_id
from headrace.testkit.conformance.store.room import SOON, StoreRoom, grant, move, put

CHANGED = Rollout(
    internal=(TenantId("us"),),
    percent=12.5,
    kinds={"image": DISTRIBUTED},
    shadow_percent=1.0,
    guard=GuardTerms(on=False, window_s=60, at_least=5, errors_over=0.1, slower_by=0.5),
    changed_by="ann",
    tripped=Tripped(LONG_AGO, "it was slow", 10.0),
)


async def stored(store: Store) -> Rollout | None:
    async with store.begin() as tx:
        return await tx.rollout()


async def save(store: Store, rollout: Rollout) -> bool:
    async with store.begin() as tx:
        return await tx.save_rollout(rollout)


async def next_version(store: Store) -> int:
    """The suite's tests share a database, and a rollout is one record in it."""
    found = await stored(store)
    return 1 if found is None else found.version + 1


class Rolling(StoreRoom):
    async def test_a_rollout_is_read_as_it_was_saved_with_the_store_s_time(
        self, store: Store
    ) -> None:
        new = replace(CHANGED, version=await next_version(store))

        saved = await save(store, new)

        async with store.begin() as tx:
            found, now = await tx.rollout(), await tx.now()
        assert saved
        assert found is not None
        assert found.changed_at is not None
        assert now - found.changed_at < SOON
        assert replace(found, changed_at=None) == new

    async def test_of_two_changes_of_one_version_the_first_wins(self, store: Store) -> None:
        version = await next_version(store)

        first = await save(store, Rollout(version=version, percent=1))
        second = await save(store, Rollout(version=version, percent=2))
        third = await save(store, Rollout(version=version + 1, percent=3))

        found = await stored(store)
        assert (first, second, third) == (True, False, True)
        assert found is not None
        assert (found.version, found.percent) == (version + 1, 3)

    async def test_a_replica_is_known_by_its_latest_word_until_it_is_silent(
        self, store: Store
    ) -> None:
        async with store.begin() as tx:
            for name, version in (("b", 1), ("a", 1), ("b", 2), ("c", 1)):
                await tx.see_replica(name, version)
            await tx.forget_replica("c")
            now = await tx.now()
            there = await tx.replicas(seen_after=now - SOON)
            later = await tx.replicas(seen_after=now + SOON)
            gone = await tx.replicas(seen_after=now - SOON)

        assert [(each.name, each.version) for each in there] == [("a", 1), ("b", 2)]
        assert later == gone == []

    async def test_a_path_is_attended_while_somebody_vouches_for_it(
        self, store: Store, path: str
    ) -> None:
        async with store.begin() as tx:
            now = await tx.now()
            await tx.attend(path, until=now + SOON)
            await tx.attend(f"{path}-left", until=now - SOON)
            attended = await tx.attended()

        assert path in attended
        assert f"{path}-left" not in attended

    async def test_both_paths_stand_there_with_what_came_and_what_runs(
        self, store: Store, new: Any
    ) -> None:
        async with store.begin() as tx:
            since = await tx.now() - timedelta(minutes=1)
            before = {each.path: each for each in await tx.path_standings(since=since)}
        jobs = await put(store, new(path=LOCAL), new(path=LOCAL), new(path=DISTRIBUTED))
        shadow = new(path=LOCAL, tenant=SHADOWS, shadow_of=a_job_id())
        (copy,) = await put(store, shadow)
        await grant(store, jobs[0])
        await grant(store, copy)

        async with store.begin() as tx:
            after = {each.path: each for each in await tx.path_standings(since=since)}

        assert set(after) == {LOCAL, DISTRIBUTED}
        assert after[LOCAL].submitted == before[LOCAL].submitted + 2
        assert after[LOCAL].running == before[LOCAL].running + 1
        assert after[DISTRIBUTED].submitted == before[DISTRIBUTED].submitted + 1

    async def test_what_has_ended_says_how_and_how_long_it_took(
        self, store: Store, new: Any, path: str
    ) -> None:
        done, failed, _waits, shadow = await put(
            store, new(), new(), new(), new(tenant=SHADOWS, shadow_of=a_job_id())
        )
        await move(store, await grant(store, done), Event.FINISHED, output={})
        await move(store, await grant(store, failed), Event.FAILED)
        await move(store, await grant(store, shadow), Event.FINISHED, output={})

        async with store.begin() as tx:
            since = await tx.now() - SOON
            found = await tx.ended(path, since=since, created_since=None, limit=10)
            latest = await tx.ended(path, since=since, created_since=since, limit=1)
            none = await tx.ended(path, since=since, created_since=since + 2 * SOON, limit=10)

        assert [each.state for each in found] == [State.FAILED, State.SUCCEEDED]
        assert all(each.wait_s >= 0 and (each.run_s or 0) >= 0 for each in found)
        assert [each.state for each in latest] == [State.FAILED]
        assert none == []

    async def test_what_has_not_ended_has_waited_or_run_so_far(
        self, store: Store, new: Any, path: str
    ) -> None:
        _waits, runs, ended, _, _elsewhere = await put(
            store,
            new(),
            new(),
            new(),
            new(tenant=SHADOWS, shadow_of=a_job_id()),
            new(path=f"{path}-other"),
        )
        await grant(store, runs)
        await move(store, await grant(store, ended), Event.FINISHED, output={})

        async with store.begin() as tx:
            since = await tx.now() - SOON
            found = await tx.unended(path, created_since=since, limit=10)
            none = await tx.unended(path, created_since=since + 2 * SOON, limit=10)

        assert {each.state: each.run_s is None for each in found} == {
            State.QUEUED: True,
            State.RUNNING: False,
        }
        assert none == []


class Shadowing(StoreRoom):
    @pytest.fixture
    def shadow(self, new: Any, tenant: TenantId) -> Any:
        """Builds a shadow of a job."""

        def build(of: JobId) -> Any:
            return new(tenant=SHADOWS, shadow_of=of, shadow_tenant=tenant)

        return build

    async def over(self, store: Store, *shadows: JobId) -> list[Pair]:
        async with store.begin() as tx:
            found = await tx.shadows_over(limit=100)
        return [each for each in found if each.shadow.id in shadows]

    async def test_a_shadow_is_over_when_both_have_ended(
        self, store: Store, new: Any, shadow: Any, tenant: TenantId
    ) -> None:
        (job,) = await put(store, new())
        (copy,) = await put(store, shadow(job.id))
        await move(store, await grant(store, copy), Event.FINISHED, output={"text": "a"})
        early = await self.over(store, copy.id)

        await move(store, await grant(store, job), Event.FINISHED, output={"text": "b"})

        (pair,) = await self.over(store, copy.id)
        assert early == []
        assert pair.original is not None
        assert (pair.shadow.output, pair.original.output) == ({"text": "a"}, {"text": "b"})
        assert (pair.shadow.owner, pair.original.owner) == (tenant, tenant)

    async def test_operators_do_not_meet_shadows(
        self, store: Store, new: Any, shadow: Any, path: str
    ) -> None:
        (job,) = await put(store, new())
        (copy,) = await put(store, shadow(job.id))
        await move(store, await grant(store, copy), Event.FINISHED, output={})

        async with store.begin() as tx:
            found = await tx.search(Search(path=path))
            recent = await tx.recent(since=await tx.now() - SOON, bucket=SOON)
            assert await tx.anybodys(copy.id) is None
            assert await tx.wish_all([copy.id]) == []

        assert [each.id for each in found.jobs] == [job.id]
        assert [each for each in recent.ended if each.path == path] == []

    async def test_a_shadow_whose_job_was_deleted_is_over_too(
        self, store: Store, shadow: Any
    ) -> None:
        (copy,) = await put(store, shadow(a_job_id()))
        await move(store, await grant(store, copy), Event.FINISHED, output={})

        (pair,) = await self.over(store, copy.id)

        assert pair.original is None

    async def test_one_that_waits_in_vain_is_asked_to_end_once(
        self, store: Store, new: Any, shadow: Any
    ) -> None:
        waits, cancelled, ended = await put(store, new(), new(), new())
        copies = await put(store, *(shadow(each.id) for each in (waits, cancelled, ended)))
        (orphan,) = await put(store, shadow(a_job_id()))
        await move(store, cancelled, Event.CANCEL_ASKED)
        await move(store, await grant(store, ended), Event.FINISHED, output={})

        async with store.begin() as tx:
            now = await tx.now()
            soon = await tx.give_up_shadows(waiting_since=now - SOON, limit=100)
            late = await tx.give_up_shadows(waiting_since=now + SOON, limit=100)
            again = await tx.give_up_shadows(waiting_since=now + SOON, limit=100)

        mine = {each.id for each in [*copies, orphan]}
        assert mine & set(soon) == {copies[1].id, orphan.id}
        assert mine & set(late) == {copies[2].id}
        assert mine & set(again) == set()

    async def test_what_is_discarded_is_gone_with_its_blobs(
        self, store: Store, new: Any, shadow: Any, tenant: TenantId
    ) -> None:
        (job,) = await put(store, new())
        (copy,) = await put(store, shadow(job.id))
        await move(store, await grant(store, copy), Event.FINISHED, output={})
        asked, made = BlobId(f"{a_job_id()}.png"), BlobId(f"{a_job_id()}.png")
        async with store.begin() as tx:
            for blob, user in ((asked, job.id), (asked, copy.id), (made, copy.id)):
                await tx.use_blobs([BlobUse(tenant, blob, user)])

            orphans = await tx.discard_shadows([copy.id])

            left = await tx.load([copy.id, job.id])
        assert orphans == [BlobRef(tenant, made)], "what the job itself names stays"
        assert set(left) == {job.id}

    async def test_comparisons_are_told_latest_first_and_counted(self, store: Store) -> None:
        async with store.begin() as tx:
            before = await tx.compared()
        found = [
            Comparison(
                job=a_job_id(),
                shadow=a_job_id(),
                tenant=TenantId("t"),
                kind="echo",
                path=LOCAL,
                same=same,
                diff={"output": ["/text differs"]} if not same else {},
            )
            for same in (True, False)
        ]

        async with store.begin() as tx:
            for each in found:
                await tx.note_comparisons([each])
            latest = await tx.comparisons(limit=2)
            after = await tx.compared()

        assert [replace(each, at=None) for each in latest] == found[::-1]
        assert after == (before[0] + 2, before[1] + 1)
