"""Every rule that holds a job back, said in words, the strongest first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from headrace.contracts.ids import JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import Holder, Vitals, Waits, WarmModel
from headrace.contracts.remote import remote_lane
from headrace.core.errors import JobNotFound
from headrace.core.explain import Before, Facts, Gang, Inside, Rule, explain
from headrace.core.job import Job, State
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.ports.store import Crowd, Store, Terms, WorkerRecord
from headrace.core.usecases.explain import facts_about
from headrace.core.usecases.gather import Patience, call, join
from headrace.core.usecases.pause import pause
from headrace.core.wants import Wants, written
from headrace.testkit.builders import LONG_AGO, a_job
from headrace.testkit.deciding import LANE, LEASE, PATH, a_claim, put, see, taken, warm
from headrace.testkit.deciding import WORKER as WORKER_ID

NOW = LONG_AGO + timedelta(hours=1)
LATER = NOW + timedelta(minutes=5)
WORKER = WorkerRecord(WorkerId("w"), {LANE: 2}, NOW)
NOBODY = Crowd(
    offered_at=None,
    running_in_lane=0,
    offered_in_lane=0,
    taken_by_tenant=0,
    taken_by_tenant_in_lane=0,
)


def facts(**fields: Any) -> Facts:
    crowd = Crowd(**{**{name: getattr(NOBODY, name) for name in NOBODY.__slots__}, **_of(fields)})
    usual = {
        "now": NOW,
        "paused": {},
        "troubles": {},
        "workers": [WORKER],
        "terms": Terms(),
        "ahead": 0,
    }
    return Facts(**{"job": a_job(), **usual, "crowd": crowd, **fields})


def _of(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: fields.pop(name) for name in NOBODY.__slots__ if name in fields}


def of_two(able: int, *there: str, **fields: Any) -> Facts:
    """About a job for two workers."""
    gang = Gang(able, [WorkerId(each) for each in there])
    return facts(**{"job": a_job(nodes=2), "gang": gang, **fields})


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (Rule.FEW_WORKERS, of_two(1)),
        (Rule.GATHERING, of_two(2, "w", offered_at=NOW)),
        (Rule.TENANT_CAP, of_two(2, terms=Terms(max_running=3), taken_by_tenant=3)),
        (Rule.GANGS_TURN, of_two(2)),
        (Rule.ENDED, facts(job=a_job(state=State.FAILED))),
        (Rule.RUNNING, facts(job=a_job(state=State.RUNNING))),
        (Rule.CANCELLING, facts(job=a_job(state=State.RUNNING, cancel_asked_at=NOW))),
        (Rule.CANCELLING, facts(job=a_job(cancel_asked_at=NOW))),
        (Rule.START_DEADLINE, facts(job=a_job(start_deadline=NOW))),
        (Rule.SCHEDULED, facts(job=a_job(state=State.SCHEDULED, not_before=LATER))),
        (Rule.RETRY_LATER, facts(job=a_job(state=State.SCHEDULED, not_before=LATER, attempt=1))),
        (Rule.LANE_PAUSED, facts(paused={LANE: NOW})),
        (Rule.LANE_UNUSABLE, facts(troubles={LANE: "It differs. Delete it."}, workers=[])),
        (Rule.NO_WORKER, facts(workers=[])),
        (Rule.NO_WORKER, facts(workers=[WorkerRecord(WorkerId("w"), {Lane("flow"): 2}, NOW)])),
        (Rule.OFFERED, facts(offered_at=NOW, running_in_lane=2)),
        (Rule.TENANT_CAP, facts(terms=Terms(max_running=3), taken_by_tenant=3)),
        (Rule.LANE_CAP, facts(terms=Terms(max_running_per_lane=1), taken_by_tenant_in_lane=1)),
        (Rule.SLOTS_BUSY, facts(running_in_lane=1, offered_in_lane=1)),
        (Rule.NEXT, facts(running_in_lane=1)),
    ],
)
def test_the_rule_that_holds_it_back_is_named(rule: Rule, found: Facts) -> None:
    said = explain(found)

    assert said.rule is rule
    assert said.why.endswith(".")


@pytest.mark.parametrize(
    ("stronger", "found"),
    [
        (Rule.CANCELLING, facts(job=a_job(cancel_asked_at=NOW), paused={LANE: NOW})),
        (Rule.LANE_PAUSED, facts(paused={LANE: NOW}, workers=[])),
        (Rule.NO_WORKER, facts(workers=[], offered_at=NOW)),
        (Rule.NO_WORKER, of_two(0, workers=[])),
        (Rule.FEW_WORKERS, of_two(1, offered_at=NOW)),
        (Rule.OFFERED, facts(offered_at=NOW, terms=Terms(max_running=1), taken_by_tenant=1)),
        (
            Rule.TENANT_CAP,
            facts(terms=Terms(max_running=1), taken_by_tenant=1, running_in_lane=9),
        ),
    ],
)
def test_of_several_rules_the_strongest_is_said(stronger: Rule, found: Facts) -> None:
    assert explain(found).rule is stronger


def test_a_job_for_several_workers_says_how_many_there_are_and_who_has_come() -> None:
    few, gathering = explain(of_two(1)), explain(of_two(2, "a", offered_at=NOW))
    running = explain(of_two(2, "a", "b", job=a_job(state=State.RUNNING, nodes=2)))

    assert few.why.startswith("It runs on 2 workers at once; of lane echo there is 1 that can")
    assert "There so far: a." in gathering.why
    assert running.why == "Workers a, b run attempt 1."


async def test_what_is_known_of_a_gang_is_who_could_take_part_and_who_has_come(
    store: Store,
) -> None:
    job = await put(store, nodes=2)
    for worker, at in (("a", "host-a"), ("b", "host-b"), ("c", None)):
        await see(store, 1, WorkerId(worker), vitals=Vitals(at=at))
    await call(store, path=PATH, ours=PATH, patience=Patience())
    asked = a_claim(job, at="host-a:1")
    await join(store, WorkerId("a"), "mailbox", asked, lease=LEASE, patience=Patience())

    found = await facts_about(store, job.tenant, job.id)

    assert found.gang == Gang(2, [WorkerId("a")])
    assert explain(found).rule is Rule.GATHERING


def test_a_job_that_has_started_once_is_not_held_to_its_start_deadline() -> None:
    assert explain(facts(job=a_job(start_deadline=LONG_AGO, attempt=1))).rule is Rule.NEXT


def test_it_says_who_is_before_it_and_what_would_help() -> None:
    said = explain(facts(ahead=7, running_in_lane=2, offered_in_lane=1))

    assert said.why == "Before it: 7 jobs. Busy slots: 2 of 2. Offered: 1 job."
    assert said.relax == (
        "add a worker, or slots, for lane echo",
        "raise its priority (within its tenant)",
    )


async def test_the_facts_are_read_from_the_store(store: Store) -> None:
    await put(store)
    job = await put(store)
    await see(store, 3)

    found = await facts_about(store, job.tenant, job.id)
    assert (found.ahead, found.slots, explain(found).rule) == (1, 3, Rule.NEXT)

    await pause(store, LANE, who="ann")
    assert explain(await facts_about(store, job.tenant, job.id)).rule is Rule.LANE_PAUSED


async def test_another_tenant_s_job_is_not_explained(store: Store) -> None:
    job = await put(store)

    with pytest.raises(JobNotFound):
        await facts_about(store, TenantId("another"), JobId(job.id))


async def test_a_job_for_remote_workers_waits_for_one_that_asked_lately(store: Store) -> None:
    lane = remote_lane("image")
    job = await put(store, lane=lane, wants=written(Wants("image", ("a",))))

    await a_remote_one(store, "another", {"models": ["b"], "threads": 5})
    alone = explain(await facts_about(store, job.tenant, job.id))
    await a_remote_one(store, "drawer", {"models": ["a"], "threads": 2})
    served = await facts_about(store, job.tenant, job.id)

    assert (alone.rule, "No remote worker" in alone.why) == (Rule.NO_WORKER, True)
    assert (explain(served).rule, served.slots) == (Rule.NEXT, 2)


async def test_a_remote_worker_alone_in_a_lane_of_ours_can_take_what_fits_it(store: Store) -> None:
    fits = await put(store, wants=written(Wants("image", ("a",))))
    too_large = await put(store, wants=written(Wants("image", ("a",), pixels=1 << 22)))
    ours_only = await put(store)
    said = {"models": ["a"], "threads": 3, "max_pixels": 1 << 20}
    worker = await a_remote_one(store, "drawer", said)

    found = [await facts_about(store, job.tenant, job.id) for job in (fits, too_large, ours_only)]
    async with store.begin() as tx:
        await tx.ask_drain(worker, drain=True)
    draining = await facts_about(store, fits.tenant, fits.id)

    assert [explain(each).rule for each in found] == [Rule.NEXT, Rule.NO_WORKER, Rule.NO_WORKER]
    assert [each.id for each in found[0].eligible] == [worker]
    assert found[0].slots == 3
    assert (explain(draining).rule, draining.draining) == (Rule.NO_WORKER, True)


async def a_remote_one(store: Store, name: str, said: dict[str, Any]) -> WorkerId:
    """It asked for work just now, of a dispatcher too."""
    worker = RemoteWorker(
        id=WorkerId(f"id-of-{name}"), name=name, tenant=TenantId("o"), kind="image", said=said
    )
    async with store.begin() as tx:
        await tx.enlist([worker])
        await tx.see_worker(worker.id, {remote_lane("image"): said["threads"]}, path="local")
    return worker.id


@pytest.mark.parametrize("rule", [Rule.OFFERED, Rule.NEXT])
def test_where_its_model_is_loaded_is_said_with_what_a_swap_costs(rule: Rule) -> None:
    having = {WorkerId(name): WarmModel(LANE, "echo", 2, 1, load_s) for name, load_s in _LOADS}
    offered_at = NOW if rule is Rule.OFFERED else None

    said = explain(facts(warm=having, offered_at=offered_at))

    assert said.rule is rule
    assert said.why.endswith("Model echo is loaded in 4 slots of 2 workers; loading it took 3.5 s.")


_LOADS = (("a", 3.5), ("b", 1.25))


async def test_who_has_its_model_loaded_is_read_from_what_workers_say(store: Store) -> None:
    job = await put(store)
    await see(store, 1, WorkerId("has it"), vitals=warm("echo", load_s=2.0))
    await see(store, 1, WorkerId("has another"), vitals=warm("another"))

    found = await facts_about(store, job.tenant, job.id)

    assert set(found.warm) == {"has it"}
    assert found.swap_s == 2.0


# -- inside its worker ---------------------------------------------------------------------------------


async def running(store: Store, **fields: Any) -> Job:
    (job,) = await taken(store, await put(store, **fields))
    return job


def waiting_for(job: Job, *before: Job, **fields: Any) -> Vitals:
    usual = {"what": "devices", "for_s": 4.0, "note": "for 2 GPUs", "epoch": job.epoch}
    held_by = [Holder(each.id, 60.0) for each in before]
    return Vitals(waits=[Waits(job.id, held_by=held_by, **{**usual, **fields})])


async def test_what_a_running_job_waits_for_is_told_with_who_has_it_and_since_when(
    store: Store,
) -> None:
    job, before = await running(store), await running(store)
    await see(store, 2, WORKER_ID, vitals=waiting_for(job, before))

    found = await facts_about(store, job.tenant, job.id)
    said = explain(found)

    assert found.inside is not None
    since, held = found.inside.since, found.inside.before[0]
    assert (held.job, since - held.since) == (before.id, timedelta(seconds=56))
    assert timedelta(seconds=4) <= found.now - since < timedelta(seconds=20)
    assert said.rule is Rule.RUNNING
    assert " for 2 GPUs. Before it: job " in said.why
    assert before.id in said.why


async def test_other_tenants_jobs_are_counted_and_named_to_operators_alone(store: Store) -> None:
    job = await running(store)
    theirs = [await running(store, tenant=TenantId("another")) for _ in range(2)]
    await see(store, 3, WORKER_ID, vitals=waiting_for(job, *theirs))

    asked = await facts_about(store, job.tenant, job.id)
    operator = await facts_about(store, job.tenant, job.id, everybodys=True)

    assert asked.inside is not None
    assert operator.inside is not None
    assert (list(asked.inside.before), asked.inside.others) == ([], 2)
    assert "Before it: 2 jobs of others." in explain(asked).why
    assert [each.job for each in operator.inside.before] == [each.id for each in theirs]


async def test_a_wait_of_an_attempt_before_this_one_is_not_told(store: Store) -> None:
    job = await running(store)
    await see(store, 1, WORKER_ID, vitals=waiting_for(job, epoch=job.epoch - 1))

    found = await facts_about(store, job.tenant, job.id)

    assert found.inside is None
    assert explain(found).why == f"Worker {job.worker} runs attempt 1."


def test_many_that_are_before_it_are_counted_in_words() -> None:
    before = [Before(JobId(f"job-{n}"), NOW) for n in range(5)]
    inside = Inside(what="batch", since=NOW, note="for its batch", before=before, others=1)

    said = explain(facts(job=a_job(state=State.RUNNING), inside=inside))

    assert "job-2 since" in said.why
    assert said.why.endswith("Z, 2 jobs more, 1 job of others.")


def test_why_the_last_attempt_failed_is_told_with_when_the_next_may_start() -> None:
    error = {"kind": "resource", "message": f"digits@3 does not fit {'x' * 300}"}
    job = a_job(state=State.SCHEDULED, not_before=LATER, attempt=1, error=error)

    said = explain(facts(job=job))

    assert said.why.startswith("Attempt 1 failed (resource: digits@3 does not fit x")
    assert "x…); the next one may start at" in said.why
    assert len(said.why) < 300
