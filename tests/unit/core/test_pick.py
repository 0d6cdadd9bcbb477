"""Who runs what is asked for: an engine's own model, or the version that a route says, the same for the same caller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from headrace.contracts.ids import ClaimId, Lane, TenantId
from headrace.contracts.messages import Claim, EngineCard, Grant
from headrace.core.errors import ModelNotFound, NoDefault, NotServed, UnknownModel, UnknownVersion
from headrace.core.job import Event, Job, advance
from headrace.core.ports.store import Change, Store
from headrace.core.usecases import models as use
from headrace.core.usecases.claim import claim
from headrace.core.usecases.model_looks import what_can_be_run
from headrace.core.usecases.retry import retry
from headrace.testkit.builders import an_artefact
from headrace.testkit.deciding import ECHO, LEASE, WORKER, outbox, read
from headrace.testkit.registering import (
    SERVES,
    TENANT,
    TRAINS,
    asked,
    asked_together,
    registered,
    routed,
)

OTHER = TenantId("other")


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([SERVES, TRAINS, ECHO])


async def granted(store: Store, job: Job) -> Grant:
    asked_for = Claim(ClaimId(f"claim of {job.id}"), job.id, job.epoch)
    (answer,) = (await claim(store, WORKER, [asked_for], lease=LEASE)).answers
    assert isinstance(answer, Grant)
    return answer


async def given_to(store: Store, users: Sequence[str]) -> dict[str, str]:
    """The version that each of them got."""
    jobs = await asked_together(store, [{"sticky": user} for user in users])
    return {user: job.spec.model for user, job in zip(users, jobs, strict=True)}


# -- 1,000 inferences -------------------------------------------------------------------------------


async def test_a_thousand_inferences_split_as_routed_stick_and_are_rolled_back(
    store: Store,
) -> None:
    await registered(store, 2)
    await routed(store, {1: 90, 2: 10})
    users = [f"user-{n}" for n in range(1000)]

    first = await given_to(store, users)
    again = await given_to(store, users[:200])
    async with store.begin() as tx:
        await use.roll_back(tx, TENANT, "digits", who="me")
    back = await given_to(store, users[:200])

    split = Counter(first.values())
    assert set(split) == {"digits@1", "digits@2"}
    assert 870 <= split["digits@1"] <= 930  # three standard deviations
    assert again == {user: first[user] for user in users[:200]}
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
