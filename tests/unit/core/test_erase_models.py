"""Checkpoints go with their jobs, and registered models with their tenant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.adapters.store.sql import SqlStore
from headrace.contracts.ids import BlobId, TenantId
from headrace.contracts.messages import Heartbeat
from headrace.core.job import Job
from headrace.core.models import NewVersion
from headrace.core.ports.blobs import Blob
from headrace.core.ports.store import NewJob
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.checkpoint import keep_checkpoints
from headrace.core.usecases.erase import delete_job
from headrace.core.usecases.go_on_erasing import go_on
from headrace.core.usecases.models import register, route, share
from headrace.core.usecases.pick import weights_of
from headrace.core.usecases.purge import delete_blobs
from headrace.core.usecases.record import record
from headrace.testkit.builders import a_job, a_new_version, an_artefact
from headrace.testkit.deciding import ANY, ECHO, PATH, POLICY, a_failure, a_result, taken
from headrace.testkit.leavings import ASKING, ZEBRA, World
from headrace.testkit.running_runs import TENANT

NEIGHBOUR = TenantId("neighbour")


@pytest.fixture
async def world(store: SqlStore) -> World:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
    return World(store)


async def leaves_behind(world: World, job: Job, step: int) -> BlobId:
    """As a heartbeat tells it, and a dispatcher takes it."""
    blob = await world.blobs.put(TENANT, Blob("application/x-weights", ZEBRA.encode()))
    beat = Heartbeat(job.id, job.epoch, checkpoint=blob, checkpoint_step=step)
    await delete_blobs(world.blobs, await keep_checkpoints(world.store, [beat]))
    return blob


async def weights(world: World, **fields: object) -> NewVersion:
    blob = await world.blobs.put(TENANT, Blob("application/x-weights", ZEBRA.encode()))
    said = {"parameters": {"of": ZEBRA}, "data": ZEBRA, "note": ZEBRA}
    return a_new_version(tenant=TENANT, artefact=an_artefact(blob=blob), **{**said, **fields})


async def test_a_checkpoint_goes_with_its_job(world: World) -> None:
    (held,) = await taken(world.store, await world.job())
    checkpoint = await leaves_behind(world, held, 1)
    await record(world.store, [a_failure(held, "input")], policy=POLICY, random=ANY)
    assert (TENANT, checkpoint) in world.blobs.kept

    await world.until_over(await world.delete(held.id))

    assert await world.trace_of(ZEBRA) == []


async def test_a_late_checkpoint_leaves_no_blob_behind(world: World) -> None:
    job = await world.ended()
    wish = await world.until_over(await world.delete(job.id))
    removed = wish.removed["blobs"]

    await leaves_behind(world, job, 7)
    over = await world.until_over(wish)
    assert over.removed["blobs"] == removed + 1
    said = await world.blobs.put(TENANT, Blob("application/x-weights", ZEBRA.encode()))
    late = a_result(job, outcome="released", output=None, checkpoint=said, checkpoint_step=8)
    await record(world.store, [late], policy=POLICY, random=ANY)
    over = await world.until_over(wish)

    assert over.removed["blobs"] == removed + 2
    assert await world.trace_of(ZEBRA) == []


async def test_what_was_said_of_a_result_goes_with_the_job(world: World) -> None:
    job = await world.ended()
    async with world.store.begin() as tx:
        assert await tx.note_feedback(job.id, ZEBRA, 4.0, most=9)

    over = await world.until_over(await world.delete(job.id))

    assert over.removed["feedback"] == 1
    assert await world.trace_of(ZEBRA) == []


async def test_a_tenants_models_go_with_it_and_its_neighbours_stay(world: World) -> None:
    first = await weights(world, name="digits")
    second = await weights(world, name="digits", metrics={ZEBRA: 1.0})
    theirs = a_new_version(tenant=NEIGHBOUR, name="digits")
    async with world.store.begin() as tx:
        for each in (first, second, theirs):
            await register(tx, each)
        await route(tx, TENANT, "digits", {1: 9.0, 2: 1.0}, who="somebody")

    over = await world.until_over(await world.delete_all())

    assert await world.trace_of(ZEBRA) == []
    assert {name: over.removed[name] for name in ("models", "versions", "routes", "blobs")} == {
        "models": 1,
        "versions": 2,
        "routes": 2,
        "blobs": 2,
    }
    async with world.store.begin() as tx:
        assert await tx.model(TENANT, "digits") is None
        assert await tx.model(NEIGHBOUR, "digits") is not None
        assert await tx.version(NEIGHBOUR, "digits", 1) is not None


async def test_who_was_given_a_shared_model_keeps_it_for_as_long_as_the_job(world: World) -> None:
    new = await weights(world, name="digits")
    job = a_job(tenant=NEIGHBOUR, path=PATH, artefact=new.artefact, model="digits@1")
    async with world.store.begin() as tx:
        await register(tx, new)
        await share(tx, TENANT, "digits", shared=True, who="operator")
        await tx.insert([NewJob(job)])
        await tx.use_blobs(weights_of(job))
    kept = (TENANT, new.artefact.blob)

    await world.until_over(await world.delete_all())
    assert kept in world.blobs.kept
    async with world.store.begin() as tx:
        assert await tx.model(NEIGHBOUR, "digits") is None
        wish = await delete_job(tx, replace(ASKING, tenant=NEIGHBOUR), job.id, cancel=True)
    await world.until_over(wish)

    assert kept not in world.blobs.kept


async def test_what_a_training_registers_while_it_is_asked_to_stop_goes_too(world: World) -> None:
    blob = await world.blobs.put(TENANT, Blob("application/x-weights", ZEBRA.encode()))
    made = {"artefact": {"blob": blob}, "format": "f", "sha256": "ab", "bytes": 3, "data": ZEBRA}
    (held,) = await taken(world.store, await world.job(kind="training", register_as="digits"))
    wish = await world.delete_all()
    await go_on(world.store, world.places, limit=10)
    await honour_cancels(world.store, path=PATH, limit=10)

    done = a_result(held, output={"model": made})
    await record(world.store, [done], policy=POLICY, random=ANY)
    async with world.store.begin() as tx:
        assert await tx.model(TENANT, "digits") is not None
    over = await world.until_over(wish)

    assert over.removed["models"] == 1
    assert await world.trace_of(ZEBRA) == []
