"""Runs of pipelines: kept as they were, each piece begun once, and found again when they end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headrace.contracts.ids import BlobId, JobId, RunId, TenantId
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.store import Store
from headrace.core.ports.upkeep import BlobUse
from headrace.core.run import Piece, PieceState, Run, RunState
from headrace.testkit.builders import a_job_id, a_run, a_stage
from headrace.testkit.conformance.store.room import SOON, StoreRoom, put, read


class KeepingRuns(StoreRoom):
    async def test_a_run_comes_back_as_it_was(self, store: Store, tenant: TenantId) -> None:
        stages = (a_stage(), a_stage("next", start_within_s=5.0, tries=2))
        kept = await keep(
            store, a_run(*stages, tenant=tenant, input={"text": "ß"}, labels={"a": "b"}, priority=3)
        )

        async with store.begin() as tx:
            assert await tx.find_run(tenant, kept.id) == kept
            assert await tx.lock_runs([kept.id, RunId(a_job_id())]) == [kept]
            assert await tx.find_run(TenantId("another"), kept.id) is None

    async def test_runs_are_listed_newest_first_and_page_by_page(
        self, store: Store, tenant: TenantId
    ) -> None:
        made = [await keep(store, a_run(tenant=tenant)) for _ in range(3)]
        await keep(store, a_run(tenant=TenantId(f"{tenant}-other")))

        async with store.begin() as tx:
            first = await tx.page_runs(tenant, before=None, limit=2)
            assert first[-1].created_at is not None
            before = (first[-1].created_at, first[-1].id)
            rest = await tx.page_runs(tenant, before=before, limit=2)

        newest_first = sorted(made, key=lambda each: (each.created_at, each.id), reverse=True)
        assert [*first, *rest] == newest_first

    async def test_a_run_has_an_end_while_it_is_over_and_no_longer(
        self, store: Store, tenant: TenantId
    ) -> None:
        kept = await keep(store, a_run(tenant=tenant))
        grown = (*kept.stages, a_stage("more"))

        failed = await save(store, replace(kept, state=RunState.FAILED, error={"stage": "first"}))
        again = await save(store, replace(kept, stages=grown))

        assert (failed.state, failed.error) == (RunState.FAILED, {"stage": "first"})
        assert failed.finished_at is not None
        assert (again.state, again.error, again.finished_at) == (RunState.RUNNING, None, None)
        assert again.stages == grown

    async def test_a_try_of_a_piece_begins_once(self, store: Store, tenant: TenantId) -> None:
        run = await keep(store, a_run(tenant=tenant))
        first, second = a_piece(), a_piece(tries=2)

        async with store.begin() as tx:
            assert await tx.begin_pieces(run.id, [first, a_piece(index=1)]) == [True, True]
            assert await tx.begin_pieces(run.id, [a_piece()]) == [False]
            assert await tx.begin_pieces(run.id, [a_piece(tries=3)]) == [False]
            assert await tx.begin_pieces(run.id, [second]) == [True]
            assert await tx.begin_pieces(run.id, [a_piece(tries=2)]) == [False]
            pieces = await tx.pieces(run.id)

        assert [(each.index, each.tries) for each in pieces] == [(0, 2), (1, 1)]
        assert pieces[0].job == second.job
        assert pieces[0].started_at is not None

    async def test_an_end_is_kept_only_of_the_try_that_it_is_about(
        self, store: Store, tenant: TenantId
    ) -> None:
        run = await keep(store, a_run(tenant=tenant))
        first, second = a_piece(), a_piece(tries=2)
        async with store.begin() as tx:
            await tx.begin_pieces(run.id, [first])
            await tx.begin_pieces(run.id, [second])
            late = replace(first, state=PieceState.FAILED, error={"kind": "internal"})
            await tx.save_pieces(run.id, [late])
            (as_it_was,) = await tx.pieces(run.id)
            good = replace(second, state=PieceState.SUCCEEDED, output={"image": {"blob": "b"}})
            await tx.save_pieces(run.id, [good])
            (after,) = await tx.pieces(run.id)

        assert (as_it_was.state, as_it_was.error) == (PieceState.RUNNING, None)
        assert (after.state, after.output) == (PieceState.SUCCEEDED, {"image": {"blob": "b"}})
        assert after.ended_at is not None

    async def test_jobs_of_runs_that_are_ending_are_found_until_somebody_asks_them_to_end(
        self, store: Store, path: str, tenant: TenantId, new: Any
    ) -> None:
        stop, going, elsewhere = await put(store, new(), new(), new(path=f"{path}-other"))
        for job, state in ((stop, RunState.CANCELLING), (going, RunState.RUNNING)):
            run = await keep(store, a_run(tenant=tenant, path=path))
            await begin(store, run, a_piece(job=job.id))
            await save(store, replace(run, state=state))
        run = await keep(store, a_run(tenant=tenant, path=f"{path}-other"))
        await begin(store, run, a_piece(job=elsewhere.id))
        await save(store, replace(run, state=RunState.FAILING))

        async with store.begin() as tx:
            assert await tx.jobs_to_stop(path, limit=10) == [stop.id]
            assert await tx.wish_all([stop.id]) == [stop.id]
            assert await tx.jobs_to_stop(path, limit=10) == []
        assert (await read(store, going)).cancel_asked_at is None

    async def test_overdue_runs_are_found_until_they_are_ending_and_each_by_one(
        self, store: Store, path: str, tenant: TenantId
    ) -> None:
        async with store.begin() as tx:
            now = await tx.now()
        late, later, ending = [
            await keep(store, a_run(tenant=tenant, path=path, deadline_s=1.0, deadline_at=at))
            for at in (now - SOON, now - SOON / 2, now - SOON)
        ]
        await keep(store, a_run(tenant=tenant, path=path, deadline_s=9.0, deadline_at=now + SOON))
        await keep(store, a_run(tenant=tenant, path=path))
        elsewhere = f"{path}-other"
        await keep(store, a_run(tenant=tenant, path=elsewhere, deadline_s=1.0, deadline_at=now))
        await save(store, replace(ending, state=RunState.CANCELLING))

        async with store.begin() as tx:
            assert await tx.overdue_runs(path, limit=1) == [late]
            assert await tx.overdue_runs(path, limit=10) == [late, later]
            await tx.save_run(replace(late, state=RunState.FAILING))
            await tx.save_run(replace(later, deadline_at=now + SOON))
            assert await tx.overdue_runs(path, limit=10) == []

    async def test_old_runs_go_with_their_pieces_and_what_only_they_named(
        self, store: Store, tenant: TenantId
    ) -> None:
        over = await keep(store, a_run(tenant=tenant))
        going = await keep(store, a_run(tenant=tenant))
        blob = BlobId(f"blob-{over.id}")
        async with store.begin() as tx:
            await tx.begin_pieces(over.id, [a_piece()])
            await tx.use_blobs([BlobUse(tenant, blob, over.id)])
            await tx.save_run(replace(over, state=RunState.SUCCEEDED))
        async with store.begin() as tx:
            purged = await tx.purge_runs(finished_before=await tx.now() + SOON, limit=1000)
            assert await tx.find_run(tenant, over.id) is None
            assert await tx.find_run(tenant, going.id) == going
            assert await tx.pieces(over.id) == []

        assert BlobRef(tenant, blob) in purged.orphans


def a_piece(*, index: int = 0, tries: int = 1, job: JobId | None = None) -> Piece:
    return Piece(
        stage="first",
        index=index,
        tries=tries,
        state=PieceState.RUNNING,
        job=job or a_job_id(),
    )


async def keep(store: Store, run: Run) -> Run:
    async with store.begin() as tx:
        return await tx.insert_run(run)


async def begin(store: Store, run: Run, piece: Piece) -> None:
    async with store.begin() as tx:
        await tx.begin_pieces(run.id, [piece])


async def save(store: Store, run: Run) -> Run:
    async with store.begin() as tx:
        await tx.save_run(run)
        (found,) = await tx.lock_runs([run.id])
    return found
