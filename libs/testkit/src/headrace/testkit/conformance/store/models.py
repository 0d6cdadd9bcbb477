"""Registered models: numbered without gap, read by whom they are for, and judged by what became of their jobs."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.contracts.ids import Lane, TenantId
from headrace.contracts.messages import Artefact, EngineCard
from headrace.core.job import Event, Job, State
from headrace.core.models import How, NewVersion, Route, Version
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.models import Outcome
from headrace.core.ports.store import Store
from headrace.core.usecases.models import register
from headrace.testkit.builders import a_job_id, a_new_version, an_artefact
from headrace.testkit.conformance.store.room import SOON, Boom, StoreRoom, grant, move, put, read


async def kept(store: Store, new: NewVersion) -> Version:
    async with store.begin() as tx:
        return await register(tx, new)


class KeepingModels(StoreRoom):
    @pytest.fixture
    def new_version(self, tenant: TenantId) -> NewVersion:
        return a_new_version(
            tenant=tenant,
            metrics={"accuracy": 0.97, "epochs": 3},
            parameters={"layers": [32, 16], "ß": None},
            data="digits, 1,437 of them",
            note="the first",
        )

    async def test_a_version_comes_back_as_it_was_registered(
        self, store: Store, tenant: TenantId, new_version: NewVersion
    ) -> None:
        version = await kept(store, new_version)

        async with store.begin() as tx:
            assert await tx.version(tenant, version.name, 1) == version
            assert await tx.version(tenant, version.name, 2) is None
            assert await tx.version(TenantId("another"), version.name, 1) is None
        asked = {name: getattr(new_version, name) for name in NewVersion.__dataclass_fields__}
        assert {name: getattr(version, name) for name in asked} == asked
        assert (version.number, version.retired_at) == (1, None)

    async def test_numbers_follow_each_other_and_a_retired_one_is_never_used_again(
        self, store: Store, tenant: TenantId
    ) -> None:
        name = (await kept(store, a_new_version(tenant=tenant))).name
        second = await kept(store, a_new_version(tenant=tenant, name=name))
        async with store.begin() as tx:
            retired = await tx.retire_version(tenant, name, second.number, who="me")
        third = await kept(store, a_new_version(tenant=tenant, name=name))
        other = await kept(store, a_new_version(tenant=TenantId(f"{tenant}-other"), name=name))

        assert [second.number, third.number, other.number] == [2, 3, 1]
        assert (retired.retired_by, retired.retired_at is not None) == ("me", True)
        async with store.begin() as tx:
            listed = await tx.versions(tenant, name, limit=2)
            rest = await tx.versions(tenant, name, below=listed[-1].number, limit=2)
        assert [each.number for each in [*listed, *rest]] == [3, 2, 1]

    async def test_the_first_version_that_somebody_made_is_found_by_who_made_it(
        self, store: Store
    ) -> None:
        name, tenant = a_new_version().name, TenantId("tenant")
        async with store.begin() as tx:
            for made_by in ("me", "job 1", "job 1", "job 2"):
                await tx.add_version(a_new_version(name=name, made_by=made_by))

            found = await tx.version_by(tenant, name, "job 1")
            nobodys = await tx.version_by(tenant, name, "job 3")
            theirs = await tx.version_by(TenantId("other"), name, "job 1")

        assert found is not None
        assert (found.number, nobodys, theirs) == (2, None, None)

    async def test_what_did_not_commit_took_no_number(
        self, store: Store, new_version: NewVersion
    ) -> None:
        async def in_vain() -> None:
            async with store.begin() as tx:
                await register(tx, new_version)
                raise Boom

        with pytest.raises(Boom):
            await in_vain()
        assert (await kept(store, new_version)).number == 1

    async def test_the_first_version_is_routed_and_the_newest_route_holds(
        self, store: Store, tenant: TenantId
    ) -> None:
        name = (await kept(store, a_new_version(tenant=tenant))).name
        half = Route(
            number=2, weights={1: 1.0, 2: 0.5}, how=How.ROLLED_BACK, restores=1, changed_by="me"
        )
        async with store.begin() as tx:
            before = await tx.model(tenant, name)
            held = await tx.add_route(tenant, name, half)
            after = await tx.lock_model(tenant, name)
            history = await tx.routes(tenant, name, limit=5)
            older = await tx.routes(tenant, name, below=2, limit=5)

        assert before is not None
        assert after is not None
        assert (before.route.weights, before.route.how) == ({1: 1.0}, How.FIRST)
        assert after.route == held
        assert held.changed_at is not None
        assert (held.weights, held.restores, held.changed_by) == (half.weights, 1, "me")
        assert history == [held, before.route]
        assert older == [before.route]

    async def test_a_tenant_sees_its_own_and_what_is_shared_and_its_own_goes_first(
        self, store: Store, tenant: TenantId
    ) -> None:
        owner, other = TenantId(f"{tenant}-owner"), TenantId(f"{tenant}-other")
        shared = await kept(store, a_new_version(tenant=owner, name=f"{tenant}-b"))
        hidden = await kept(store, a_new_version(tenant=owner, name=f"{tenant}-c"))
        own = await kept(store, a_new_version(tenant=tenant, name=f"{tenant}-a"))
        async with store.begin() as tx:
            assert await tx.share_model(owner, shared.name, shared=True)
            mine = [each.name for each in await tx.models(tenant, after=f"{tenant}-", limit=9)]
            theirs = [each.name for each in await tx.models(other, after=f"{tenant}-", limit=9)]
            seen = await tx.model(tenant, shared.name)
            unseen = await tx.model(tenant, hidden.name)
            assert await tx.lock_model(tenant, shared.name) is None
        assert [name for name in mine if name.startswith(tenant)] == [own.name, shared.name]
        assert [name for name in theirs if name.startswith(tenant)] == [shared.name]
        assert seen is not None
        assert (seen.tenant, unseen) == (owner, None)

        await kept(store, a_new_version(tenant=tenant, name=shared.name))

        async with store.begin() as tx:
            found = await tx.models(tenant, after=f"{tenant}-", limit=2)
            one = await tx.model(tenant, shared.name)
        assert [(each.tenant, each.name) for each in found] == [
            (tenant, own.name),
            (tenant, shared.name),
        ]
        assert one == found[1]

    async def test_one_model_of_a_name_is_shared_at_a_time(
        self, store: Store, tenant: TenantId
    ) -> None:
        name = f"{tenant}-model"
        others = [TenantId(f"{tenant}-{n}") for n in range(2)]
        for owner in others:
            await kept(store, a_new_version(tenant=owner, name=name))

        async with store.begin() as tx:
            assert await tx.share_model(others[0], name, shared=True)
            assert not await tx.share_model(others[1], name, shared=True)
            assert await tx.share_model(others[0], name, shared=False)
            assert await tx.share_model(others[1], name, shared=True)

    async def test_operators_see_everybodys_page_by_page(
        self, store: Store, tenant: TenantId
    ) -> None:
        mine = [
            await kept(store, a_new_version(tenant=tenant, name=f"model-{n}")) for n in range(3)
        ]

        async with store.begin() as tx:
            first = await tx.all_models(after=(tenant, ""), limit=2)
            rest = await tx.all_models(after=(tenant, first[-1].name), limit=1)

        assert [each.name for each in [*first, *rest]] == [each.name for each in mine]

    async def test_a_blob_is_kept_for_a_version_until_it_is_retired(
        self, store: Store, tenant: TenantId
    ) -> None:
        version = await kept(store, a_new_version(tenant=tenant))
        ref = BlobRef(tenant, version.artefact.blob)
        async with store.begin() as tx:
            assert await tx.unused([ref]) == []
            await tx.retire_version(tenant, version.name, 1, who="me")
            assert await tx.unused([ref]) == [ref]

    async def test_an_engine_may_serve_formats_beside_models_of_its_own_or_alone(
        self, store: Store, tenant: TenantId
    ) -> None:
        both = EngineCard(Lane(f"{tenant}-a"), tenant, ["m"], {"v": 1}, "Both", ["npz", "pt"])
        alone = EngineCard(Lane(f"{tenant}-b"), tenant, [], {"v": 2}, "Alone", ["pt"])
        async with store.begin() as tx:
            await tx.announce_engines([alone, both])
            await tx.announce_engines([alone])
            found = [card for card in await tx.catalog() if card.kind == tenant]
            await tx.purge_engines(announced_before=await tx.now() + SOON)
            gone = [card for card in await tx.catalog() if card.kind == tenant]

        assert found == [both, alone]
        assert gone == []

    async def test_a_job_keeps_the_artefact_it_was_given_and_what_it_registers_as(
        self, store: Store, new: Any
    ) -> None:
        artefact = an_artefact()
        (job,) = await put(store, new(artefact=artefact, model="digits@3", register_as="digits"))

        found = await read(store, job)

        assert (found.artefact, found.spec.register_as) == (artefact, "digits")


class JudgingModels(StoreRoom):
    @pytest.fixture
    def served(self, store: Store, new: Any, tenant: TenantId) -> Any:
        """A job that a version of the model `m` served, to its end."""

        async def to_its_end(*events: Event, version: int = 1, **fields: Any) -> Job:
            artefact = an_artefact(tenant=tenant)
            (job,) = await put(store, new(artefact=artefact, model=f"m@{version}"))
            return await move(store, await grant(store, job), *events, **fields)

        return to_its_end

    async def look(
        self, store: Store, tenant: TenantId, metric: str | None = None, **fields: Any
    ) -> list[Outcome]:
        async with store.begin() as tx:
            asked = {"since": await tx.now() - SOON, "limit": 10, **fields}
            return await tx.outcomes(f"{tenant}/m@1", metric=metric, **asked)

    async def test_what_became_of_a_versions_jobs_is_told_the_latest_first(
        self, store: Store, tenant: TenantId, served: Any, new: Any
    ) -> None:
        await served(Event.FINISHED, output={})
        await served(Event.FAILED, error={"kind": "internal", "message": "no"})
        await served(Event.FINISHED, version=2, output={})
        await served(Event.FINISHED, output={}, version=11)
        waiting, never = await put(
            store, *(new(artefact=an_artefact(tenant=tenant), model="m@1") for _ in range(2))
        )
        await move(store, never, Event.EXPIRED)

        found = await self.look(store, tenant)
        latest = await self.look(store, tenant, limit=1)

        assert [each.state for each in found] == [State.FAILED, State.SUCCEEDED]
        assert latest == found[:1]
        assert all(0 <= each.wait_s < 60 and 0 <= each.run_s < 60 for each in found)
        assert (await read(store, waiting)).state is State.QUEUED

    async def test_a_metric_is_a_number_or_a_truth_of_the_output(
        self, store: Store, tenant: TenantId, served: Any
    ) -> None:
        for value in (None, "0.5", {"score": 1}, True, 7, -0.25):
            await served(Event.FINISHED, output={"score": value, "other": 3})
        await served(Event.FINISHED, output={"other": 3})
        await served(Event.FAILED)

        found = await self.look(store, tenant, "output.score")

        assert [each.value for each in found] == [None, None, -0.25, 7, 1, None, None, None]

    async def test_the_latest_feedback_of_a_name_counts_and_goes_with_its_job(
        self, store: Store, tenant: TenantId, served: Any
    ) -> None:
        job, other = await served(Event.FINISHED, output={}), await served(Event.FINISHED)
        async with store.begin() as tx:
            assert await tx.note_feedback(job.id, "rating", 2.0, most=2)
            assert await tx.note_feedback(job.id, "rating", 4.5, most=2)
            assert await tx.note_feedback(job.id, "speed", 1.0, most=2)
            assert not await tx.note_feedback(job.id, "third", 1.0, most=2)
            assert await tx.note_feedback(job.id, "speed", 3.0, most=2)
            assert await tx.note_feedback(other.id, "speed", 9.0, most=2)

        assert [each.value for each in await self.look(store, tenant, "rating")] == [None, 4.5]
        assert [each.value for each in await self.look(store, tenant, "speed")] == [9.0, 3.0]

    async def test_shadows_say_nothing_of_a_version(
        self, store: Store, tenant: TenantId, new: Any
    ) -> None:
        artefact: Artefact = an_artefact(tenant=tenant)
        (shadow,) = await put(
            store, new(artefact=artefact, model="m@1", shadow_of=a_job_id(), shadow_tenant=tenant)
        )
        await move(store, await grant(store, shadow), Event.FINISHED, output={})

        assert await self.look(store, tenant) == []
