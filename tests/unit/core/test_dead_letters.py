"""What operators do about dead letters: planned at a rate, done once, audited; nothing by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.core.errors import LetterNotFound, LetterSettled
from headrace.core.job import Job, State
from headrace.core.ports.bus import ORIGIN_HEADER, REASON_HEADER, Sent
from headrace.core.ports.dead_letters import DeadLetter, LetterQuery, Settled, Source
from headrace.core.ports.paths import DISTRIBUTED
from headrace.core.ports.store import Store
from headrace.core.retry import RetryPolicy
from headrace.core.usecases import many
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.bury import bury
from headrace.core.usecases.record import record
from headrace.core.usecases.replay import Replayed, replay_due
from headrace.core.usecases.retry import retry
from headrace.core.usecases.settle import (
    ITS_TENANT,
    discard_letter,
    discard_letters,
    replay_letter,
    replay_letters,
)
from headrace.testkit.builders import a_dead_letter, a_job_id
from headrace.testkit.deciding import (
    ANY,
    PATH,
    a_failure,
    parked_letters,
    read,
    running,
)
from headrace.testkit.unruly import UnrulyBus

ALL = LetterQuery()


async def parked(store: Store, *letters: DeadLetter) -> list[int]:
    """Their numbers, oldest first."""
    await bury(store, letters or [a_dead_letter()])
    return sorted(each.number for each in await parked_letters(store))


async def replay(store: Store, bus: UnrulyBus) -> Replayed:
    return await replay_due(store, bus, path=PATH, limit=10, new_id=a_job_id)


async def plan(store: Store, number: int) -> None:
    async with store.begin() as tx:
        await replay_letter(tx, number, who="ann")


@pytest.fixture
async def bus() -> UnrulyBus:
    bus = UnrulyBus(InProcessBus())
    await bus.declare(["headrace.results"])
    return bus


async def test_nothing_is_replayed_by_itself(store: Store, bus: UnrulyBus) -> None:
    await parked(store)

    assert await replay(store, bus) == Replayed(0, 0, full=False)
    assert bus.sent == []


async def test_a_message_leaves_as_it_came_without_the_notes_of_its_death(
    store: Store, bus: UnrulyBus
) -> None:
    (number,) = await parked(store, a_dead_letter(body=b"\x00", headers={"traceparent": "t"}))
    await plan(store, number)

    done = await replay(store, bus)

    (parcel,) = bus.sent
    assert done.messages == 1
    assert (parcel.queue, parcel.body) == ("headrace.results", b"\x00")
    assert {REASON_HEADER, ORIGIN_HEADER}.isdisjoint(parcel.headers)
    assert parcel.headers["traceparent"] == "t"
    (settled,) = await parked_letters(store, settled=True)
    assert (settled.settled, settled.settled_by) == (Settled.REPLAYED, "ann")


@pytest.mark.parametrize("said", [Sent.UNKNOWN, Sent.UNROUTABLE])
async def test_a_message_that_the_bus_does_not_keep_stays_to_be_tried_again(
    store: Store, bus: UnrulyBus, said: Sent
) -> None:
    (number,) = await parked(store)
    await plan(store, number)
    bus.answer([said])

    first = await replay(store, bus)
    at_once = await replay(store, bus)

    assert (first.messages, at_once.messages, len(bus.sent)) == (0, 0, 1)
    (waiting,) = await parked_letters(store)
    async with store.begin() as tx:
        assert waiting.replay_at is not None
        assert waiting.replay_at > await tx.now()


async def test_a_dead_job_is_replayed_as_a_new_one(store: Store, bus: UnrulyBus) -> None:
    job = await running(store, input={"text": "x"}, labels={"a": "b"}, priority=3)
    failure = a_failure(job, "internal", "it broke")
    await record(store, [failure], policy=RetryPolicy(failures=1), random=ANY)
    (letter,) = await parked_letters(store)
    await plan(store, letter.number)

    done = await replay(store, bus)

    (settled,) = await parked_letters(store, settled=True)
    assert done.jobs == 1
    assert settled.retried_as is not None
    new = await read(store, settled.retried_as)
    assert (new.state, new.retry_of, new.spec) == (State.QUEUED, job.id, job.spec)


async def test_a_job_that_was_purged_cannot_be_replayed(store: Store, bus: UnrulyBus) -> None:
    gone = a_dead_letter(source=Source.JOB, job=a_job_id())
    (number,) = await parked(store, gone)
    await plan(store, number)

    done = await replay(store, bus)

    (settled,) = await parked_letters(store, settled=True)
    assert (done.jobs, settled.settled) == (0, Settled.DISCARDED)


async def died(store: Store) -> Job:
    failure = a_failure(await running(store), "internal")
    await record(store, [failure], policy=RetryPolicy(failures=1), random=ANY)
    return await read(store, failure.job)


async def test_a_dead_job_that_its_tenant_tries_again_leaves_no_letter_open(store: Store) -> None:
    old, other = await died(store), await died(store)

    async with store.begin() as tx:
        new = await retry(tx, old.tenant, old.id, new_id=a_job_id, trace=None)

    (settled,) = await parked_letters(store, settled=True)
    assert (settled.letter.job, settled.retried_as) == (old.id, new.id)
    assert (settled.settled, settled.settled_by) == (Settled.REPLAYED, ITS_TENANT)
    assert [each.letter.job for each in await parked_letters(store)] == [other.id]


async def test_a_planned_replay_of_what_was_tried_again_is_called_off(
    store: Store, bus: UnrulyBus
) -> None:
    old = await died(store)
    (letter,) = await parked_letters(store)
    await plan(store, letter.number)

    async with store.begin() as tx:
        await retry(tx, old.tenant, old.id, new_id=a_job_id, trace=None)

    assert await replay(store, bus) == Replayed(0, 0, full=False)


async def test_many_dead_jobs_tried_again_settle_theirs_for_who_asked(store: Store) -> None:
    old, other = await died(store), await died(store)
    wish = many.Wish(who="ann", ids=[old.id, other.id], said={})

    for dry in (True, False):
        async with store.begin() as tx:
            await many.retry_many(
                tx,
                replace(wish, dry_run=dry),
                admission=Admission(Caps()),
                new_id=a_job_id,
                trace=None,
                choose=lambda _tenant, _kind: DISTRIBUTED,
            )
        assert len(await parked_letters(store)) == (2 if dry else 0)

    settled = await parked_letters(store, settled=True)
    news = [await read(store, each.retried_as) for each in settled if each.retried_as]
    assert {each.settled_by for each in settled} == {"ann"}
    assert {each.retry_of for each in news} == {old.id, other.id}
    assert {each.path for each in news} == {DISTRIBUTED}


async def test_a_rate_holds_for_all_who_ask(store: Store) -> None:
    await parked(store, a_dead_letter(queue="a"), a_dead_letter(queue="a"), a_dead_letter())

    async with store.begin() as tx:
        first = await replay_letters(tx, LetterQuery(queue="a"), per_s=2, who="ann")
    async with store.begin() as tx:
        second = await replay_letters(tx, ALL, per_s=2, who="bob")

    times = sorted(each.replay_at for each in await parked_letters(store) if each.replay_at)
    assert (first.count, second.count) == (2, 1)
    assert times[1] - times[0] == timedelta(seconds=0.5)
    assert times[2] - times[1] == timedelta(seconds=0.5)
    assert second.until == times[2]


async def test_what_was_kept_in_part_is_not_replayed(store: Store) -> None:
    (number,) = await parked(store, a_dead_letter(size=1 << 20))

    async with store.begin() as tx:
        done = await replay_letters(tx, ALL, per_s=1, who="ann")

    assert done.count == 0
    with pytest.raises(LetterSettled, match="not whole"):
        await plan(store, number)


async def test_a_letter_is_settled_once(store: Store) -> None:
    (number,) = await parked(store)
    async with store.begin() as tx:
        discarded = await discard_letter(tx, number, who="ann")

    assert discarded.settled is Settled.DISCARDED
    with pytest.raises(LetterSettled):
        await plan(store, number)


async def test_a_planned_replay_can_still_be_called_off(store: Store, bus: UnrulyBus) -> None:
    (number,) = await parked(store)
    await plan(store, number)

    async with store.begin() as tx:
        await discard_letters(tx, ALL, who="bob")

    assert await replay(store, bus) == Replayed(0, 0, full=False)


async def test_an_unknown_letter_is_not_found(store: Store) -> None:
    with pytest.raises(LetterNotFound):
        await plan(store, 404)


async def test_every_change_is_audited(store: Store) -> None:
    one, other = await parked(store, a_dead_letter(), a_dead_letter())
    await plan(store, one)
    async with store.begin() as tx:
        await discard_letter(tx, other, who="bob")
        await discard_letters(tx, LetterQuery(queue="elsewhere"), who="eve")

    async with store.begin() as tx:
        audit = [each.deed for each in await tx.audited(before=None, limit=10)]

    assert [(deed.who, deed.action, deed.subject) for deed in audit] == [
        ("eve", "dead-letters.discard", "queue=elsewhere"),
        ("bob", "dead-letter.discard", str(other)),
        ("ann", "dead-letter.replay", str(one)),
    ]
    assert audit[0].detail == {"count": 0}
