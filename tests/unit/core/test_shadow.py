"""A shadow runs unseen on the other path, is compared with its job, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from typing_extensions import override

from headrace.contracts.ids import BlobId, JobId, TenantId
from headrace.contracts.messages import EngineCard, Grant
from headrace.contracts.producing import OUTSIDE
from headrace.core.job import SHADOWS, Job, State
from headrace.core.ports.blobs import Blob
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.ports.store import IdempotencyKey, Query, Store
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.cancel import honour_cancels, wish_to_cancel
from headrace.core.usecases.claim import claim
from headrace.core.usecases.record import record
from headrace.core.usecases.shadow import Settled, differences, settle_shadows
from headrace.core.usecases.submit import Submission, submit
from headrace.testkit.builders import a_job, a_job_id
from headrace.testkit.deciding import (
    ANY,
    ECHO,
    LEASE,
    POLICY,
    WORKER,
    a_claim,
    a_failure,
    a_result,
    parked_letters,
    read,
    taken,
)
from headrace.testkit.memory_blobs import MemoryBlobs

TENANT = TenantId("tenant")


def accept(card: EngineCard, given: Mapping[str, Any]) -> None:
    """Every input fits."""


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])


async def submitted(
    store: Store, blobs: MemoryBlobs, *, shadowed: bool = True, **fields: Any
) -> Job:
    request = Submission(**{"tenant": TENANT, "kind": "echo", "input": {"text": "hi"}, **fields})
    done = await submit(
        store,
        blobs,
        request,
        path=LOCAL,
        new_id=a_job_id,
        check=accept,
        admission=Admission(Caps(per_tenant=1)),
        shadowed=lambda _: shadowed,
    )
    return done.job


async def shadows(store: Store) -> list[Job]:
    async with store.begin() as tx:
        return await tx.page(SHADOWS, Query())


async def both(store: Store, blobs: MemoryBlobs, **fields: Any) -> tuple[Job, Job]:
    job = await submitted(store, blobs, **fields)
    (shadow,) = await shadows(store)
    return job, shadow


async def end(store: Store, job: Job, *, blobs: tuple[BlobId, ...] = (), **output: Any) -> None:
    (held,) = await taken(store, job)
    result = a_result(held, output=output, blobs=list(blobs))
    await record(store, [result], policy=POLICY, random=ANY)


async def settle(store: Store, blobs: MemoryBlobs) -> Settled:
    return await settle_shadows(store, blobs, limit=10)


async def test_it_repeats_what_was_asked_on_the_other_path_and_nothing_around_it(
    store: Store, blobs: MemoryBlobs
) -> None:
    job, shadow = await both(
        store,
        blobs,
        priority=3,
        labels={"a": "b"},
        conversation="talk",
        cancel_after_s=1.0,
        idempotency=IdempotencyKey("key", "f"),
    )

    assert (job.path, shadow.path) == (LOCAL, DISTRIBUTED)
    assert (shadow.tenant, shadow.shadow_of, shadow.owner) == (SHADOWS, job.id, TENANT)
    assert (shadow.spec.input, shadow.spec.priority) == (job.spec.input, 3)
    assert shadow.spec.labels == {}
    assert (shadow.spec.conversation, shadow.spec.cancel_after_s) == (None, None)


async def test_its_job_s_tenant_never_sees_it_and_is_not_charged_for_it(
    store: Store, blobs: MemoryBlobs
) -> None:
    job, shadow = await both(store, blobs)

    async with store.begin() as tx:
        listed = await tx.page(TENANT, Query())
        found = await tx.find(TENANT, shadow.id)
        waiting = await tx.backlog(TENANT, at_most=10)
    assert [each.id for each in listed] == [job.id]
    assert found is None
    assert waiting == 1


async def test_a_replayed_submission_makes_no_second_shadow(
    store: Store, blobs: MemoryBlobs
) -> None:
    key = IdempotencyKey("key", "f")
    await submitted(store, blobs, idempotency=key)
    await submitted(store, blobs, idempotency=key)

    assert len(await shadows(store)) == 1


async def test_a_job_that_is_not_drawn_has_none(store: Store, blobs: MemoryBlobs) -> None:
    await submitted(store, blobs, shadowed=False)

    assert await shadows(store) == []


async def test_what_is_produced_outside_has_none(store: Store, blobs: MemoryBlobs) -> None:
    card = EngineCard(lane=OUTSIDE, kind="outside", models=["outside"], input_schema={})

    await submitted(store, blobs, kind="outside", card=card)

    assert await shadows(store) == []


async def test_a_worker_gets_it_with_the_blobs_of_its_job_s_tenant(
    store: Store, blobs: MemoryBlobs
) -> None:
    _, shadow = await both(store, blobs)

    claimed = await claim(store, WORKER, [a_claim(shadow)], lease=LEASE)

    (answer,) = claimed.answers
    assert isinstance(answer, Grant)
    assert answer.tenant == TENANT


async def test_the_same_output_is_the_same_and_both_times_are_told(
    store: Store, blobs: MemoryBlobs
) -> None:
    job, shadow = await both(store, blobs)
    await end(store, job, text="a")
    early = await settle(store, blobs)
    await end(store, shadow, text="a")

    settled = await settle(store, blobs)

    (found,) = settled.compared
    assert early.compared == []
    assert (found.job, found.kind, found.path, found.same) == (job.id, "echo", DISTRIBUTED, True)
    assert set(found.diff) == {"wait_s", "run_s"}
    assert settled.gone == [shadow.id]
    assert await shadows(store) == []
    assert (await read(store, job.id)).output == {"text": "a"}
    async with store.begin() as tx:
        assert await tx.attempts(shadow.id) == []
        assert len(await tx.attempts(job.id)) == 1


async def test_a_dead_shadow_is_a_difference_and_nobody_s_dead_letter(
    store: Store, blobs: MemoryBlobs
) -> None:
    job, shadow = await both(store, blobs)
    await end(store, job, text="a")
    (held,) = await taken(store, shadow)
    await record(store, [a_failure(held, "input")], policy=POLICY, random=ANY)

    (found,) = (await settle(store, blobs)).compared

    assert found.diff["state"] == ["succeeded", "failed"]
    assert found.diff["error"] == [None, "input"]
    assert await parked_letters(store) == []


async def test_blobs_are_compared_by_their_bytes_and_those_of_the_shadow_go(
    store: Store, blobs: MemoryBlobs
) -> None:
    job, shadow = await both(store, blobs)
    pictures = [await blobs.put(TENANT, Blob("image/png", b"picture")) for _ in range(2)]
    other = await blobs.put(TENANT, Blob("image/png", b"noise"))
    await end(store, job, image={"blob": pictures[0]}, mask={"blob": pictures[0]})
    await end(
        store, shadow, blobs=(pictures[1],), image={"blob": pictures[1]}, mask={"blob": other}
    )

    settled = await settle(store, blobs)

    (found,) = settled.compared
    (differs,) = found.diff["output"]
    assert differs.startswith("/mask/blob: differs from character")
    assert {each.blob for each in settled.orphans} == {pictures[1], other}


async def test_a_job_that_is_called_off_takes_its_shadow_with_it(
    store: Store, blobs: MemoryBlobs
) -> None:
    job, shadow = await both(store, blobs)
    async with store.begin() as tx:
        await wish_to_cancel(tx, TENANT, job.id)
    await honour_cancels(store, path=LOCAL, limit=10)

    given_up = (await settle(store, blobs)).given_up
    await honour_cancels(store, path=DISTRIBUTED, limit=10)
    settled = await settle(store, blobs)

    assert given_up == [shadow.id]
    assert settled.compared == []
    assert settled.gone == [shadow.id]


async def test_of_two_dispatchers_one_notes_the_comparison(
    store: Store, blobs: MemoryBlobs
) -> None:
    job, shadow = await both(store, blobs)
    picture = await blobs.put(TENANT, Blob("image/png", b"picture"))
    for each in (job, shadow):
        await end(store, each, image={"blob": picture})

    class Slow(MemoryBlobs):
        """While the first reads blobs, a second one does it all."""

        @override
        async def get(self, tenant: TenantId, blob: BlobId) -> Blob:
            await settle(store, blobs)
            return await blobs.get(tenant, blob)

    await settle(store, Slow())
    await settle(store, blobs)

    async with store.begin() as tx:
        assert await tx.compared() == (1, 1)


_numbers = count()


def ended(output: dict[str, Any], **fields: Any) -> Job:
    return a_job(state=State.SUCCEEDED, id=JobId(f"{next(_numbers)}"), output=output, **fields)


@pytest.mark.parametrize(
    ("was", "is_", "told"),
    [
        ({"a": 1}, {"a": 2}, ["/a: 1, and 2"]),
        ({"a": 1}, {}, ["/a: 1, and null"]),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ["/a/1/b: 2, and 3"]),
        ({"a": [1]}, {"a": [1, 2]}, ["/a: [1], and [1,2]"]),
        (
            {"text": "the cat"},
            {"text": "the dog sat"},
            ['/text: differs from character 4 on: "cat", and "dog sat" (7 and 11 characters)'],
        ),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, None),
    ],
)
def test_how_outputs_differ_is_said_by_their_places(was: Any, is_: Any, told: Any) -> None:
    found = differences(ended(was), ended(is_), was, is_)

    assert found.get("output") == told


def test_no_more_differences_are_told_than_anybody_reads() -> None:
    was, is_ = ({str(n): n + add for n in range(100)} for add in (0, 1))

    found = differences(ended(was), ended(is_), was, is_)

    assert len(found["output"]) == 10
    assert found["more"] == 90
