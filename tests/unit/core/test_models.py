"""Registered models: a route shares out and is taken back; a version is made once, and stays while it is needed."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.contracts.ids import BlobId, TenantId
from headrace.core.errors import (
    BadModel,
    ModelNotFound,
    ModelNotReady,
    UnknownVersion,
    VersionNotFound,
)
from headrace.core.job import Job, State
from headrace.core.models import How, Model, Route, check_name, check_weights, place_of, read_asked
from headrace.core.ports.blobs import Blob, BlobRef
from headrace.core.ports.store import Store
from headrace.core.usecases import models as use
from headrace.core.usecases.record import record
from headrace.testkit.deciding import ANY, ECHO, POLICY, a_result, read, taken
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.registering import SERVES, TENANT, TRAINS, asked, registered, routed

OTHER = TenantId("other")


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([SERVES, TRAINS, ECHO])


async def model_of(store: Store, name: str = "digits", tenant: TenantId = TENANT) -> Model:
    async with store.begin() as tx:
        return await use.find_model(tx, tenant, name)


# -- what a route says ------------------------------------------------------------------------------


def a_route(**fields: Any) -> Route:
    return Route(**{"number": 1, "weights": {1: 1}, "how": How.FIRST, "changed_by": "me", **fields})


def test_weights_of_any_sum_share_out_all_jobs() -> None:
    route = a_route(weights={4: 1, 3: 9})

    assert route.shares == {3: 90.0, 4: 10.0}
    assert [route.choose(place) for place in (0.0, 89.99, 90.0, 99.999999)] == [3, 3, 4, 4]
    assert a_route(weights={1: 1, 2: 1, 3: 1}).choose(99.9999999999999) == 3


def test_who_has_the_newer_version_keeps_it_while_it_gets_more() -> None:
    users = [place_of(TENANT, "digits", TENANT, f"user-{n}") for n in range(1000)]
    few, more = a_route(weights={3: 90, 4: 10}), a_route(weights={3: 50, 4: 50})

    had = {place for place in users if few.choose(place) == 4}

    assert had
    assert all(more.choose(place) == 4 for place in had)


def test_each_model_spreads_the_same_tenants_its_own_way() -> None:
    half = a_route(weights={1: 1, 2: 1})
    tenants = [TenantId(f"t-{n}") for n in range(200)]

    one, other = (
        [half.choose(place_of(TENANT, name, each, None)) for each in tenants] for name in "ab"
    )

    assert 60 < sum(mine != theirs for mine, theirs in zip(one, other, strict=True)) < 140


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("digits", ("digits", None)),
        ("digits@12", ("digits", 12)),
        ("digits@0", None),
        ("digits@", None),
        ("digits@1@2", None),
        ("org/digits", None),
        ("", None),
        ("digits@9999999999", None),
    ],
)
def test_a_model_is_asked_for_by_name_or_by_name_and_number(text: str, found: object) -> None:
    assert read_asked(text) == found


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "a@1", "registered", "x" * 64])
def test_a_name_that_could_not_be_asked_for_is_refused(name: str) -> None:
    with pytest.raises(BadModel):
        check_name(name)


@pytest.mark.parametrize(
    "weights", [{}, {1: 0.0}, {1: -1.0}, {1: float("inf")}, dict.fromkeys(range(1, 12), 1.0)]
)
def test_weights_that_share_nothing_out_are_refused(weights: dict[int, float]) -> None:
    with pytest.raises(BadModel):
        check_weights(weights)


# -- routes and their history ------------------------------------------------------------------------


async def test_rolling_back_goes_further_back_each_time(store: Store) -> None:
    await registered(store, 3)
    await routed(store, {1: 50, 2: 50})
    await routed(store, {3: 1})
    held = []
    for _ in range(2):
        async with store.begin() as tx:
            held.append((await use.roll_back(tx, TENANT, "digits", who="me")).route)
    async with store.begin() as tx:
        with pytest.raises(ModelNotReady, match="no route before"):
            await use.roll_back(tx, TENANT, "digits", who="me")

    assert [(dict(each.weights), each.restores) for each in held] == [
        ({1: 50.0, 2: 50.0}, 2),
        ({1: 1.0}, 1),
    ]
    assert [each.number for each in held] == [4, 5]


async def test_a_roll_back_after_a_change_goes_to_what_the_roll_back_before_had_restored(
    store: Store,
) -> None:
    await registered(store, 3)
    await routed(store, {2: 1})
    async with store.begin() as tx:
        await use.roll_back(tx, TENANT, "digits", who="me")
    await routed(store, {3: 1})

    async with store.begin() as tx:
        back = (await use.roll_back(tx, TENANT, "digits", who="me")).route

    assert dict(back.weights) == {1: 1.0}


async def test_a_route_names_versions_that_are_there(store: Store) -> None:
    await registered(store, 3)
    async with store.begin() as tx:
        await use.retire(tx, TENANT, "digits", 2, who="me")

    for weights, why in (({1: 1.0, 4: 1.0}, "is not there"), ({2: 1.0}, "is retired")):
        with pytest.raises(BadModel, match=why):
            await routed(store, weights)


async def test_a_route_that_somebody_else_changed_meanwhile_is_not_replaced(store: Store) -> None:
    await registered(store, 2)
    await routed(store, {2: 1})

    async with store.begin() as tx:
        with pytest.raises(ModelNotReady, match="has route 2 now"):
            await use.route(tx, TENANT, "digits", {1: 1}, who="me", expect=1)


async def test_a_version_is_retired_once_neither_the_route_nor_the_one_before_names_it(
    store: Store,
) -> None:
    (first, *_) = await registered(store, 2)
    for _ in range(2):
        async with store.begin() as tx:
            with pytest.raises(ModelNotReady):
                await use.retire(tx, TENANT, "digits", 1, who="me")
            await use.promote(tx, TENANT, "digits", 2, who="me")

    async with store.begin() as tx:
        retired = await use.retire(tx, TENANT, "digits", 1, who="me")
        assert await use.retire(tx, TENANT, "digits", 1, who="another") == retired
        with pytest.raises(VersionNotFound):
            await use.retire(tx, TENANT, "digits", 9, who="me")
    with pytest.raises(UnknownVersion):
        await asked(store, model=first.asked_as)


async def test_weights_stay_while_a_job_has_them_though_their_version_is_retired(
    store: Store,
) -> None:
    (first, *_) = await registered(store, 2)
    job = await asked(store)
    async with store.begin() as tx:
        for _ in range(2):
            await use.promote(tx, TENANT, "digits", 2, who="me")
        await use.retire(tx, TENANT, "digits", 1, who="me")

        assert await tx.unused([BlobRef(TENANT, first.artefact.blob)]) == []
    assert (await read(store, job.id)).artefact == first.artefact


async def test_every_change_is_audited(store: Store) -> None:
    await registered(store, 2)
    async with store.begin() as tx:
        await use.promote(tx, TENANT, "digits", 2, who="me")
        await use.promote(tx, TENANT, "digits", 2, who="me")
        await use.retire(tx, TENANT, "digits", 1, who="me")
        await use.share(tx, TENANT, "digits", shared=True, who="operator")
        found = [each.deed for each in await tx.audited(before=None, limit=9)]

    assert [(each.who, each.action, each.subject) for each in reversed(found)] == [
        ("of a test", "model.register", "tenant/digits@1"),
        ("of a test", "model.register", "tenant/digits@2"),
        ("me", "model.route", "tenant/digits"),
        ("me", "model.route", "tenant/digits"),
        ("me", "model.retire", "tenant/digits@1"),
        ("operator", "model.share", "tenant/digits"),
    ]


# -- what a training makes ---------------------------------------------------------------------------


MADE = {
    "artefact": {"blob": "weights.bin"},
    "format": "test-weights",
    "sha256": "cd" * 32,
    "bytes": 12,
    "metrics": {"accuracy": 0.9},
    "parameters": {"layers": [3]},
    "data": "digits",
}


async def trained(store: Store, output: dict[str, Any], **fields: Any) -> Job:
    (job,) = await taken(store, await asked(store, kind="training", model="digits-mlp", **fields))
    for _ in range(2):  # a result that comes twice
        await record(store, [a_result(job, output=output)], policy=POLICY, random=ANY)
    return await read(store, job.id)


async def test_a_training_that_succeeds_registers_once_what_it_made(store: Store) -> None:
    job = await trained(store, {"model": MADE}, register_as="digits")

    model = await model_of(store)
    async with store.begin() as tx:
        (version,) = await tx.versions(TENANT, "digits", limit=9)
        kept = await tx.unused([BlobRef(TENANT, BlobId("weights.bin"))])
    assert (model.latest, dict(model.route.weights)) == (1, {1: 1.0})
    assert (version.job, version.made_by) == (job.id, f"job {job.id}")
    assert (version.metrics, version.parameters, version.data) == (
        {"accuracy": 0.9},
        {"layers": [3]},
        "digits",
    )
    assert (version.artefact.sha256, version.artefact.bytes) == ("cd" * 32, 12)
    assert kept == []


async def test_a_training_that_was_not_asked_to_registers_nothing(store: Store) -> None:
    await trained(store, {"model": MADE})

    async with store.begin() as tx:
        assert await tx.models(TENANT, after="", limit=9) == []


@pytest.mark.parametrize("output", [{}, {"model": {"format": "x"}}, {"output_blob": "a.json"}])
async def test_a_training_that_says_nothing_of_what_it_made_ends_well_all_the_same(
    store: Store, output: dict[str, Any]
) -> None:
    job = await trained(store, output, register_as="digits")

    assert job.state is State.SUCCEEDED
    with pytest.raises(ModelNotFound):
        await model_of(store)


async def test_an_upload_is_weighed_by_its_own_bytes() -> None:
    blobs = MemoryBlobs()
    blob = await blobs.put(TENANT, Blob("application/octet-stream", b"abc"))

    found = await use.weigh(blobs, TENANT, blob, "test-weights")

    assert found.bytes == 3
    assert found.sha256.startswith("ba7816bf8f01cfea")
    with pytest.raises(BadModel, match="no blob"):
        await use.weigh(blobs, OTHER, blob, "test-weights")
