"""Registered models: a route shares out, sticks, and is taken back; a version is made once, by who may."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import pytest

from headrace.contracts.ids import BlobId, ClaimId, Lane, TenantId
from headrace.contracts.messages import Claim, EngineCard, Grant, Result
from headrace.core.errors import (
    BadModel,
    ModelNotFound,
    ModelNotReady,
    NoDefault,
    NotServed,
    UnknownModel,
    UnknownVersion,
    VersionNotFound,
)
from headrace.core.job import Event, Job, State, advance
from headrace.core.models import (
    How,
    Model,
    Route,
    Version,
    check_name,
    check_weights,
    place_of,
    read_asked,
)
from headrace.core.ports.blobs import Blob, BlobRef
from headrace.core.ports.store import Change, Store
from headrace.core.usecases import models as use
from headrace.core.usecases.claim import claim
from headrace.core.usecases.model_looks import what_can_be_run
from headrace.core.usecases.record import record
from headrace.core.usecases.retry import retry
from headrace.core.usecases.submit import Submission, Taking, submit_together
from headrace.testkit.builders import a_new_version, an_artefact
from headrace.testkit.deciding import ANY, ECHO, LEASE, PATH, POLICY, WORKER, outbox, read
from headrace.testkit.memory_blobs import MemoryBlobs

TENANT, OTHER = TenantId("tenant"), TenantId("other")
SERVES = EngineCard(Lane("serve"), "inference", [], {}, "Serves", ["test-weights"])
TRAINS = EngineCard(Lane("train"), "training", ["digits-mlp"], {})
_ids = count(1)


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([SERVES, TRAINS, ECHO])


async def registered(store: Store, versions: int = 1, **fields: Any) -> list[Version]:
    made = []
    for _ in range(versions):
        async with store.begin() as tx:
            new = a_new_version(**{"tenant": TENANT, "name": "digits", **fields})
            made.append(await use.register(tx, new))
    return made


async def model_of(store: Store, name: str = "digits", tenant: TenantId = TENANT) -> Model:
    async with store.begin() as tx:
        return await use.find_model(tx, tenant, name)


async def routed(store: Store, weights: dict[int, float]) -> Model:
    async with store.begin() as tx:
        return await use.route(tx, TENANT, "digits", weights, who="me")


async def asked(store: Store, **fields: Any) -> Job:
    return (await asked_together(store, [fields]))[0]


async def asked_together(store: Store, each: Iterable[dict[str, Any]]) -> list[Job]:
    usual: dict[str, Any] = {"tenant": TENANT, "kind": "inference", "model": "digits", "input": {}}
    requests = [Submission(**{**usual, **fields}) for fields in each]
    how = Taking(PATH, lambda: f"job-{next(_ids)}", lambda card, given: None)
    return [made.job for made in await submit_together(store, MemoryBlobs(), requests, how)]


async def given_to(store: Store, users: Sequence[str]) -> dict[str, str]:
    """The version that each of them got."""
    jobs = await asked_together(store, [{"sticky": user} for user in users])
    return {user: job.spec.model for user, job in zip(users, jobs, strict=True)}


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


# -- 1,000 inferences -------------------------------------------------------------------------------


async def test_a_thousand_inferences_split_as_routed_stick_and_are_rolled_back(
    store: Store,
) -> None:
    await registered(store, 2)
    await routed(store, {1: 90, 2: 10})
    users = [f"user-{n}" for n in range(1000)]

    first = await given_to(store, users)
    again = await given_to(store, users)
    async with store.begin() as tx:
        await use.roll_back(tx, TENANT, "digits", who="me")
    back = await given_to(store, users)

    split = Counter(first.values())
    assert set(split) == {"digits@1", "digits@2"}
    assert 870 <= split["digits@1"] <= 930  # three standard deviations
    assert again == first
    assert set(back.values()) == {"digits@1"}


async def test_without_a_sticky_key_a_tenant_has_one_version(store: Store) -> None:
    await registered(store, 2)
    await routed(store, {1: 50, 2: 50})

    assert len({(await asked(store)).spec.model for _ in range(20)}) == 1


# -- who runs it ------------------------------------------------------------------------------------


async def test_a_job_is_given_its_version_its_engine_and_its_weights(store: Store) -> None:
    (version,) = await registered(store)

    job = await asked(store)

    assert (job.spec.model, job.lane) == ("digits@1", SERVES.lane)
    assert job.artefact == version.artefact
    assert [row.job for row in await outbox(store, SERVES.lane)] == [job.id]
    assert (await granted(store, job)).artefact == version.artefact


async def test_a_number_names_one_version_whatever_the_route_says(store: Store) -> None:
    await registered(store, 3)

    assert (await asked(store, model="digits@3")).spec.model == "digits@3"
    assert (await asked(store)).spec.model == "digits@1"


async def test_a_change_of_the_route_holds_for_the_next_job_and_not_for_those_before(
    store: Store,
) -> None:
    await registered(store, 2)
    before = await asked(store)
    async with store.begin() as tx:
        await use.promote(tx, TENANT, "digits", 2, who="me")

    assert (await asked(store)).spec.model == "digits@2"
    assert (await read(store, before.id)).spec.model == "digits@1"


async def test_a_retry_by_hand_keeps_version_and_weights(store: Store) -> None:
    await registered(store, 2)
    job = await asked(store)
    async with store.begin() as tx:
        await tx.save([Change(job, advance(job, Event.CANCEL_ASKED)[1])])
        await use.promote(tx, TENANT, "digits", 2, who="me")
        again = await retry(tx, TENANT, job.id, new_id=lambda: "again", trace=None)

    assert (again.spec.model, again.artefact) == ("digits@1", job.artefact)


async def granted(store: Store, job: Job) -> Grant:
    asked_for = Claim(ClaimId(f"claim of {job.id}"), job.id, job.epoch)
    (answer,) = (await claim(store, WORKER, [asked_for], lease=LEASE)).answers
    assert isinstance(answer, Grant)
    return answer


async def test_an_engines_own_model_goes_before_a_registered_one_of_its_name(store: Store) -> None:
    own = EngineCard(Lane("own"), "inference", ["digits"], {})
    async with store.begin() as tx:
        await tx.announce_engines([own])
    await registered(store)

    assert (await asked(store)).lane == own.lane
    assert (await asked(store, model="digits@1")).lane == SERVES.lane


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"model": "letters"}, UnknownModel, "known: digits, odd"),
        ({"model": "digits@4"}, UnknownVersion, "'digits@4'; known: digits@2, digits@1"),
        ({"model": "odd"}, NotServed, "'odd@1' is in the format 'odd-weights'"),
        ({"model": None}, NoDefault, "name a registered one; known: digits, odd"),
        ({"kind": "echo"}, NotServed, "no engine of kind 'echo' serves; served: none"),
        ({"kind": "song"}, UnknownModel, "no engine runs kind 'song'"),
        ({"tenant": OTHER}, UnknownModel, "no engine runs model 'digits'"),
    ],
)
async def test_what_cannot_be_run_is_refused_and_told_what_there_is(
    store: Store, fields: dict[str, Any], error: type[UnknownModel], told: str
) -> None:
    await registered(store, 2)
    await registered(store, name="odd", artefact=an_artefact(format="odd-weights"))

    with pytest.raises(error) as refused:
        await asked(store, **fields)

    assert told in str(refused.value)


async def test_a_shared_model_is_everybodys_to_use_and_its_owners_to_change(store: Store) -> None:
    await registered(store, 2)
    async with store.begin() as tx:
        await use.share(tx, TENANT, "digits", shared=True, who="operator")

    job = await asked(store, tenant=OTHER)

    assert (job.tenant, job.spec.model) == (OTHER, "digits@1")
    assert job.artefact is not None
    assert job.artefact.tenant == TENANT
    async with store.begin() as tx:
        with pytest.raises(ModelNotFound):
            await use.promote(tx, OTHER, "digits", 2, who="other")


async def test_what_can_be_run_is_told_of_each_tenant(store: Store) -> None:
    await registered(store)
    await registered(store, name="odd", artefact=an_artefact(format="odd-weights"))

    async with store.begin() as tx:
        mine = await what_can_be_run(tx, TENANT)
        theirs = await what_can_be_run(tx, OTHER)

    assert [(each.card.kind, each.model) for each in mine if each.registered] == [
        ("inference", "digits")
    ]
    assert [each for each in theirs if each.registered] == []


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
    job = await asked(store, kind="training", model="digits-mlp", **fields)
    grant = await granted(store, job)
    for _ in range(2):  # a result that comes twice
        result = Result(job.id, grant.epoch, "succeeded", output=output)
        await record(store, [result], policy=POLICY, random=ANY)
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
