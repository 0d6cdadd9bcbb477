"""How a running job ends early: asked to, killed, too long, or lost."""

from __future__ import annotations

import pytest

from headrace.contracts.frames import Cancelling, Token
from headrace.contracts.ids import JobId
from headrace.core.ports.streams import Batch
from headrace.gpu_worker.options import WorkerOptions
from headrace.testkit.dispatching import ScriptedDispatcher
from headrace.testkit.play import CRASH_CODE
from headrace.testkit.waits import eventually
from headrace.testkit.working import frames_of, working


async def has_begun(options: WorkerOptions, job: str) -> None:
    async def says_something() -> bool:
        return any(isinstance(each, Token) for each in await frames_of(options.streams, job))

    await eventually(says_something, within=10)


async def test_a_hint_stops_an_engine_that_looks(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, cancel_grace_s=30):
        await dispatcher.offer("job", "play", act="wait")
        await has_begun(options, "job")
        await dispatcher.hint(options.worker, "job", "cancel")
        result = await dispatcher.result("job")

    assert result.outcome == "cancelled"
    assert Cancelling() in await frames_of(options.streams, "job")


async def test_an_answered_heartbeat_stops_it_without_a_hint(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.orders["job"] = "cancel"

    async with working(options, lease_s=0.5):
        await dispatcher.offer("job", "play", act="wait")
        result = await dispatcher.result("job")

    assert result.outcome == "cancelled"


async def test_an_engine_that_does_not_look_is_killed_and_its_slot_works_on(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("before", "play", act="pid")
        before = await dispatcher.result("before")
        await dispatcher.offer("job", "play", act="hang")
        await has_begun(options, "job")
        await dispatcher.hint(options.worker, "job", "cancel")
        result = await dispatcher.result("job")
        await dispatcher.offer("after", "play", act="pid")
        after = await dispatcher.result("after")

    assert result.outcome == "cancelled"
    assert before.output is not None
    assert after.output is not None
    assert after.output["pid"] != before.output["pid"]


async def test_an_output_that_is_there_counts_although_it_was_to_be_cancelled(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, cancel_grace_s=30):
        await dispatcher.offer("job", "play", act="deaf")
        await has_begun(options, "job")
        await dispatcher.hint(options.worker, "job", "cancel")
        result = await dispatcher.result("job")

    assert (result.outcome, result.output) == ("succeeded", {"finished": True})


@pytest.mark.parametrize("act", ["wait", "hang", "deaf"])
async def test_a_job_that_runs_too_long_fails(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, act: str
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act=act, timeout_s=0.2)
        result = await dispatcher.result("job")

    assert result.outcome == "failed"
    assert result.error is not None
    assert (result.error.kind, result.error.message) == ("deadline", "it ran longer than 0.2 s")


@pytest.mark.parametrize(
    ("act", "why"),
    [("crash", f"exited with code {CRASH_CODE}"), ("abort", "was killed by SIGABRT")],
)
async def test_a_crash_is_reported_as_it_is_and_the_slot_works_on(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, act: str, why: str
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act=act)
        await dispatcher.offer("after", "play")
        result, after = [await dispatcher.result(job) for job in ("job", "after")]

    assert result.error is not None
    assert result.error.kind == "worker_lost"
    assert result.error.message == f"the engine's process {why}"
    assert ("the last words" if act == "crash" else "Aborted") in (result.error.detail or "")
    assert after.outcome == "succeeded"


async def test_a_crash_while_loading_is_reported_too(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", model="crashing")
        result = await dispatcher.result("job")

    assert result.error is not None
    assert result.error.kind == "worker_lost"


async def test_a_model_that_never_loads_is_given_up(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, load_s=0.3):
        await dispatcher.offer("job", "play", model="hanging")
        await dispatcher.offer("after", "play")
        result, after = [await dispatcher.result(job) for job in ("job", "after")]

    assert result.error is not None
    assert result.error.kind == "transient"
    assert result.error.message == "the engine did not load hanging within 0.3 s"
    assert after.outcome == "succeeded"


async def test_a_load_can_be_cancelled(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.orders["job"] = "cancel"

    async with working(options, lease_s=0.5):
        await dispatcher.offer("job", "play", model="hanging")
        result = await dispatcher.result("job")

    assert result.outcome == "cancelled"


async def test_a_lost_job_is_stopped_and_nothing_is_said(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.orders["job"] = "lost"

    async with working(options, lease_s=0.5):
        await dispatcher.offer("job", "play", act="wait")
        await dispatcher.offer("after", "play")  # one slot: it runs once the first has stopped
        await dispatcher.result("after")

    assert [result.job for result in dispatcher.results] == ["after"]


async def test_a_job_stops_before_a_lease_that_is_not_renewed_ends(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.deaf = True
    dispatcher.lease_s = 0.9

    async with working(options, lease_s=0.9, trust_margin_s=0.3):
        await dispatcher.offer("job", "play", act="wait")
        await dispatcher.offer("after", "play")
        await dispatcher.result("after")


async def test_a_job_whose_lease_nobody_renewed_is_given_back_at_no_cost(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.deaf = True
    dispatcher.lease_s = 0.9

    async with working(options, lease_s=0.9, trust_margin_s=0.3):
        await dispatcher.offer("job", "play", act="wait")
        result = await dispatcher.result("job")

    assert (result.outcome, result.epoch) == ("released", 1)


async def test_a_heartbeat_without_an_answer_is_followed_by_an_early_one(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.deaf = True
    dispatcher.lease_s = 4.5

    async with working(options, lease_s=4.5):
        await dispatcher.offer("job", "play", act="wait")
        # One every 1.5 s would need 4.5 s for the third that tells of the job.
        await eventually(
            lambda: len([b for b in dispatcher.heartbeats if b.heartbeats]) >= 3, within=3.8
        )
        await dispatcher.hint(options.worker, "job", "cancel")
        await dispatcher.result("job")


async def test_a_lease_that_is_renewed_outlives_its_length(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    dispatcher.lease_s = 0.6

    async with working(options, lease_s=0.6, trust_margin_s=0.2):
        await dispatcher.offer("job", "play", act="wait")
        await eventually(lambda: len(dispatcher.heartbeats) > 8, within=10)
        await dispatcher.hint(options.worker, "job", "cancel")
        result = await dispatcher.result("job")

    assert result.outcome == "cancelled"


async def test_a_stream_that_has_seen_a_later_epoch_stops_the_job(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act="flood", times=10_000_000)
        await has_begun(options, "job")
        await options.streams.append([Batch(JobId("job"), 2, [("attempt", b"{}")])])
        await dispatcher.offer("after", "play")
        await dispatcher.result("after")

    assert [result.job for result in dispatcher.results] == ["after"]


async def test_heartbeats_tell_how_far_a_job_is(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    def fractions() -> list[float | None]:
        return [beat.fraction for each in dispatcher.heartbeats for beat in each.heartbeats]

    dispatcher.lease_s = 0.3
    async with working(options, lease_s=0.3):
        await dispatcher.offer("job", "play", act="half")
        await eventually(lambda: 0.5 in fractions(), within=10)
        await dispatcher.hint(options.worker, "job", "cancel")
        await dispatcher.result("job")

    assert dispatcher.heartbeats[-1].slots == {"play": 1}


async def test_a_worker_is_heard_of_often_however_long_its_leases_are(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    """Who is silent for half a minute is taken for gone."""
    dispatcher.lease_s = 600

    async with working(options, lease_s=600, heartbeat_s=0.1):
        await eventually(lambda: len(dispatcher.heartbeats) >= 5, within=10)
