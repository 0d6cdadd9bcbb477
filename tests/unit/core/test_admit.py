"""What would only wait is refused, by counts that are cheap and never far off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from headrace.contracts.ids import TenantId
from headrace.core.errors import QueuesFull, TenantQueueFull, Unavailable
from headrace.core.ports.store import IdempotencyKey, Query, Store, Terms
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.submit import Submission, Submitted, submit
from headrace.testkit.builders import a_job_id
from headrace.testkit.deciding import ECHO, PATH, put, running, taken
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.unruly import UnrulyStore

RED, BLUE = TenantId("red"), TenantId("blue")
KEY = IdempotencyKey("key", "fingerprint")


@dataclass
class Hands:
    """Of a clock that a test moves."""

    at: float = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])


async def take_in(
    store: Store, admission: Admission, tenant: TenantId = RED, **fields: Any
) -> Submitted:
    request = Submission(**{"tenant": tenant, "kind": "echo", "input": {}, **fields})
    return await submit(
        store,
        MemoryBlobs(),
        request,
        path=PATH,
        new_id=a_job_id,
        check=lambda _card, _input: None,
        admission=admission,
    )


async def kept(store: Store, tenant: TenantId = RED) -> int:
    async with store.begin() as tx:
        return len(await tx.page(tenant, Query()))


async def test_a_tenant_s_cap_refuses_it_alone(store: Store, clock: Hands) -> None:
    admission = Admission(Caps(per_tenant=2), clock)
    for _ in range(2):
        await take_in(store, admission)

    with pytest.raises(TenantQueueFull) as refused:
        await take_in(store, admission)

    assert refused.value.limit == 2
    assert await kept(store) == 2
    assert not (await take_in(store, admission, BLUE)).replayed


async def test_the_cap_of_all_refuses_everybody(store: Store, clock: Hands) -> None:
    admission = Admission(Caps(in_all=2), clock)
    await take_in(store, admission)
    await take_in(store, admission, BLUE)

    with pytest.raises(QueuesFull):
        await take_in(store, admission, BLUE)


async def test_what_waited_before_this_process_began_counts(store: Store, clock: Hands) -> None:
    await put(store, tenant=RED)
    await running(store, tenant=RED)  # it waits no more

    admission = Admission(Caps(per_tenant=2), clock)
    await take_in(store, admission)

    with pytest.raises(TenantQueueFull):
        await take_in(store, admission)


async def test_room_is_seen_a_second_later(store: Store, clock: Hands) -> None:
    admission = Admission(Caps(per_tenant=1), clock)
    first = await take_in(store, admission)
    await taken(store, first.job)
    with pytest.raises(TenantQueueFull):
        await take_in(store, admission)

    clock.at += 1

    assert not (await take_in(store, admission)).replayed


async def test_a_tenant_s_own_terms_win(store: Store, clock: Hands) -> None:
    async with store.begin() as tx:
        await tx.set_terms(RED, Terms(max_queued=1))
    admission = Admission(Caps(per_tenant=5), clock)
    await take_in(store, admission)

    with pytest.raises(TenantQueueFull) as refused:
        await take_in(store, admission)

    assert refused.value.limit == 1


async def test_a_job_that_was_taken_in_is_told_again_however_full_it_is(
    store: Store, clock: Hands
) -> None:
    admission = Admission(Caps(per_tenant=1), clock)
    first = await take_in(store, admission, idempotency=KEY)

    again = await take_in(store, admission, idempotency=KEY)

    assert (again.replayed, again.job.id) == (True, first.job.id)


async def test_a_new_key_is_refused_as_anybody_and_nothing_of_it_is_kept(
    store: Store, clock: Hands
) -> None:
    admission = Admission(Caps(per_tenant=1), clock)
    await take_in(store, admission)
    with pytest.raises(TenantQueueFull):
        await take_in(store, admission, idempotency=KEY)
    assert await kept(store) == 1

    later = Admission(Caps(per_tenant=2), clock)
    assert not (await take_in(store, later, idempotency=KEY)).replayed  # the key is free


async def test_counting_is_not_repeated_within_a_second(store: Store, clock: Hands) -> None:
    counted = UnrulyStore(store)
    admission = Admission(Caps(), clock)
    await admission.look(counted, RED)
    begun = counted.begun

    await admission.look(counted, RED)
    assert counted.begun == begun

    clock.at += 1
    await admission.look(counted, RED)
    assert counted.begun == begun + 1


async def test_a_count_that_took_long_is_good_for_longer(store: Store, clock: Hands) -> None:
    counted = UnrulyStore(store)
    slow = iter([100.0, 100.0, *[100.2] * 5])  # a fifth of a second to count the tenant's
    admission = Admission(Caps(), lambda: next(slow, clock.at))
    await admission.look(counted, RED)
    begun = counted.begun

    clock.at = 109.0
    await admission.look(counted, RED)

    assert counted.begun - begun == 1  # the tenant's count is good for ten seconds


async def test_a_store_that_is_down_is_said_at_once_and_counted_later(
    store: Store, clock: Hands
) -> None:
    broken = UnrulyStore(store)
    broken.break_at(broken.begun + 1)
    admission = Admission(Caps(per_tenant=1), clock)

    with pytest.raises(Unavailable):
        await take_in(broken, admission)

    assert not (await take_in(broken, admission)).replayed


async def test_who_is_refused_is_told_when_there_may_be_room(store: Store, clock: Hands) -> None:
    """A job leaves every four seconds."""
    admission = Admission(Caps(per_tenant=3), clock)
    waiting = [(await take_in(store, admission)).job for _ in range(3)]
    for job in waiting:
        clock.at += 4
        await taken(store, job)
        await take_in(store, admission)

    with pytest.raises(TenantQueueFull) as refused:
        await take_in(store, admission)

    assert 4 <= refused.value.retry_after_s <= 6  # up to half as long again


@pytest.mark.parametrize(("leave_in_s", "told"), [(0.1, (1, 1.5)), (1000, (60, 60))])
async def test_nobody_is_told_to_come_back_at_once_or_in_an_hour(
    store: Store, clock: Hands, leave_in_s: float, told: tuple[float, float]
) -> None:
    admission = Admission(Caps(per_tenant=20), clock)
    jobs = [(await take_in(store, admission)).job for _ in range(20)]
    clock.at += max(1, leave_in_s)
    leaving = jobs[: int(1 / leave_in_s) or 1]
    await taken(store, *leaving)
    for _ in leaving:
        await take_in(store, admission)

    with pytest.raises(TenantQueueFull) as refused:
        await take_in(store, admission)

    assert told[0] <= refused.value.retry_after_s <= told[1]


async def test_before_anything_was_measured_it_is_ten_seconds_or_so(
    store: Store, clock: Hands
) -> None:
    with pytest.raises(QueuesFull) as refused:
        await take_in(store, Admission(Caps(in_all=0), clock))

    assert 10 <= refused.value.retry_after_s <= 15
