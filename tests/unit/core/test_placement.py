"""A job goes to a worker that has its model loaded, if that costs less than loading it where it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from headrace.contracts.ids import WorkerId
from headrace.contracts.messages import Grant, Refusal
from headrace.core.job import Job, State
from headrace.core.ports.store import Store
from headrace.core.usecases.claim import claim
from headrace.core.usecases.placement import TRIES, Placement
from headrace.testkit.deciding import LANE, LEASE, PATH, a_claim, outbox, put, read, see, warm

WARM, COLD = WorkerId("warm"), WorkerId("cold")


@dataclass
class Asking:
    """Workers that claim, at the times of a clock that the test turns."""

    store: Store
    now: float = 100.0
    claims: int = 0
    placement: Placement = field(init=False)

    def __post_init__(self) -> None:
        self.placement = Placement(PATH, lambda: self.now)

    async def __call__(self, job: Job, worker: WorkerId = COLD, **fields: Any) -> str:
        self.claims += 1
        fields.setdefault("warm", ["another"])
        asked = [a_claim(job, f"claim-{self.claims}", **fields)]
        done = await claim(self.store, worker, asked, lease=LEASE, placement=self.placement)
        (answer,) = done.answers
        return answer.reason if isinstance(answer, Refusal) else "granted"


@pytest.fixture
def asking(store: Store) -> Asking:
    return Asking(store)


async def test_who_would_have_to_load_it_is_refused_and_it_is_offered_again(
    store: Store, asking: Asking
) -> None:
    await see(store, 1, WARM, vitals=warm("echo"))
    job = await put(store)
    rows = await outbox(store)
    async with store.begin() as tx:
        await tx.mark_sent(rows)
    assert await outbox(store) == []

    assert await asking(job) == "elsewhere"

    assert [row.job for row in await outbox(store)] == [job.id]
    assert (await read(store, job.id)).state is State.QUEUED
    assert await asking(job, WARM, warm=["echo"]) == "granted"


async def test_after_so_many_refusals_it_goes_to_whoever_asks(store: Store, asking: Asking) -> None:
    await see(store, 1, WARM, vitals=warm("echo"))
    job = await put(store)

    told = [await asking(job) for _ in range(TRIES + 1)]

    assert told == ["elsewhere"] * TRIES + ["granted"]


@pytest.mark.parametrize(("load_s", "waits_s"), [(0.4, 0.4), (30.0, 1.0)])
async def test_it_waits_no_longer_than_its_load_takes_and_never_over_a_second(
    store: Store, asking: Asking, load_s: float, waits_s: float
) -> None:
    await see(store, 1, WARM, vitals=warm("echo", load_s=load_s))
    jobs = [await put(store), await put(store)]
    for job in jobs:
        assert await asking(job) == "elsewhere"

    asking.now += waits_s - 0.01
    assert await asking(jobs[0]) == "elsewhere"
    asking.now += 0.02
    assert await asking(jobs[1]) == "granted"


async def test_a_load_that_costs_less_than_to_go_round_is_no_reason(
    store: Store, asking: Asking
) -> None:
    await see(store, 1, WARM, vitals=warm("echo", load_s=0.1))

    assert await asking(await put(store)) == "granted"


async def test_who_has_it_loaded_or_does_not_say_is_granted(store: Store, asking: Asking) -> None:
    await see(store, 1, WARM, vitals=warm("echo"))

    assert await asking(await put(store), warm=["echo"]) == "granted"
    assert await asking(await put(store), warm=None) == "granted"


@pytest.mark.parametrize(
    "fault",
    ["nobody has it", "draining", "asked to drain", "another lane", "another path", "it is itself"],
)
async def test_nobody_is_sent_to_where_it_cannot_go(
    store: Store, asking: Asking, fault: str
) -> None:
    told, path, worker = warm("echo"), PATH, WARM
    match fault:
        case "nobody has it":
            told = warm("another")
        case "draining":
            told = type(told)(draining=True, models=told.models)
        case "another lane":
            told = warm("echo", lane=type(LANE)("other"))
        case "another path":
            path = "distributed"
        case "it is itself":
            worker = COLD  # with its only slot: it has let go of it since
        case _:
            pass
    await see(store, 1, worker, path=path, vitals=told)
    if fault == "asked to drain":
        async with store.begin() as tx:
            await tx.ask_drain(worker, drain=True)

    assert await asking(await put(store)) == "granted"


async def test_another_slot_of_the_same_worker_may_have_it(store: Store, asking: Asking) -> None:
    await see(store, 2, COLD, vitals=warm("echo"))

    assert await asking(await put(store)) == "elsewhere"


async def test_a_claim_that_would_be_refused_anyway_hears_why(store: Store, asking: Asking) -> None:
    await see(store, 1, WARM, vitals=warm("echo"))
    job = await put(store)
    assert await asking(job, WARM, warm=["echo"]) == "granted"

    assert await asking(job) == "taken"
    assert await outbox(store) == []


async def test_without_placement_the_first_to_ask_gets_it(store: Store) -> None:
    await see(store, 1, WARM, vitals=warm("echo"))
    job = await put(store)

    done = await claim(store, COLD, [a_claim(job, warm=[])], lease=LEASE)

    assert isinstance(done.answers[0], Grant)


async def test_what_is_warm_is_looked_up_anew_after_a_second(store: Store, asking: Asking) -> None:
    assert await asking(await put(store)) == "granted"
    await see(store, 1, WARM, vitals=warm("echo"))

    asking.now += timedelta(seconds=1).total_seconds()

    assert await asking(await put(store)) == "elsewhere"
