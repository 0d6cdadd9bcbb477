"""Several jobs in one go, with a real child: each has its own frames, end, deadline and cancel."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from headrace.contracts.frames import Progress, Token
from headrace.contracts.ids import BlobId, Lane
from headrace.contracts.messages import Result
from headrace.core.ports.blobs import Blob
from headrace.engines.batches import Batching, batching
from headrace.engines.registry import card
from headrace.gpu_worker.host.batcher import STEADY, Batcher
from headrace.gpu_worker.options import LaneOptions, WorkerOptions
from headrace.testkit.dispatching import TENANT, ScriptedDispatcher
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.play import PlayEngine
from headrace.testkit.play_together import ENGINE, TogetherEngine
from headrace.testkit.waits import eventually
from headrace.testkit.working import frames_of, working

JOBS = ("a", "b", "c", "d")


@pytest.fixture
def options(options: WorkerOptions) -> WorkerOptions:
    """Four slots: so many are a batch, and with four waiting no window is waited for."""
    lane = LaneOptions(
        card=card(Lane("together"), TogetherEngine),
        engine=ENGINE,
        preload="calm",
        slots=4,
        batch_most=4,
        batch_window_s=0.3,
    )
    return replace(options, lanes=[lane])


async def all_ready(dispatcher: ScriptedDispatcher, slots: int = 4) -> None:
    """So that what is offered then comes at one time."""
    await eventually(lambda: [h for h in dispatcher.hellos if h.slots.get("together") == slots])


async def ran(dispatcher: ScriptedDispatcher, **acts: str) -> dict[str, Result]:
    await all_ready(dispatcher)
    for job, act in acts.items():
        await dispatcher.offer(job, "together", act=act)
    return {job: await dispatcher.result(job) for job in acts}


def together(result: Result) -> int:
    assert result.outcome == "succeeded", result
    assert result.output is not None
    return int(result.output["together"])


async def test_what_comes_at_one_time_runs_in_one_go(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        results = await ran(dispatcher, a="say", b="say", c="say", d="say")

    assert [together(result) for result in results.values()] == [4, 4, 4, 4]
    assert len({result.output["pid"] for result in results.values() if result.output}) == 1


async def test_a_full_batch_does_not_wait_for_its_window(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, lane={"batch_window_s": 600.0}):
        results = await ran(dispatcher, a="say", b="say", c="say", d="say")

    assert [together(result) for result in results.values()] == [4, 4, 4, 4]


async def test_one_alone_waits_for_no_longer_than_the_window(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        results = await ran(dispatcher, a="say")

    assert together(results["a"]) == 1


async def test_each_has_its_own_frames_and_blobs(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    pictures = {job: await blobs.put(TENANT, Blob("image/png", job.encode() * 3)) for job in "ab"}
    async with working(options, lane={"slots": 2}):
        await all_ready(dispatcher, slots=2)
        for job, blob in pictures.items():
            await dispatcher.offer(job, "together", images=[{"blob": blob}])
        results = {job: await dispatcher.result(job) for job in pictures}

    for job, result in results.items():
        assert together(result) == 2
        assert result.output is not None
        kept = await blobs.get(TENANT, BlobId(result.output["copies"][0]["blob"]))
        assert kept.data == job.encode() * 3
        _, *said = await frames_of(options.streams, job)
        assert said == [Progress(0.1), Token("done")]


async def test_who_asks_for_another_model_runs_after_them(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await all_ready(dispatcher)
        for job, model in zip(JOBS, ("calm", "other", "calm", "broken"), strict=True):
            await dispatcher.offer(job, "together", model=model)
        results = {job: await dispatcher.result(job) for job in JOBS}

    assert [together(results[job]) for job in "abc"] == [2, 1, 2]
    assert results["b"].output is not None
    assert results["b"].output["model"] == "other"
    assert results["d"].error is not None
    assert "no weights here" in results["d"].error.message


async def test_who_is_done_first_ends_first(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        results = await ran(dispatcher, a="slow", b="say", c="say", d="say")

    assert [together(result) for result in results.values()] == [4, 4, 4, 4]
    assert dispatcher.results[-1].job == "a"


async def test_one_that_is_cancelled_leaves_the_others_to_go_on(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await all_ready(dispatcher)
        for job, act in zip(JOBS, ("endless", "slow", "slow", "slow"), strict=True):
            await dispatcher.offer(job, "together", act=act)
        await eventually(lambda: len(dispatcher.claims) == 4)
        await dispatcher.hint(options.worker, "a", "cancel")
        results = {job: await dispatcher.result(job) for job in JOBS}

    assert results["a"].outcome == "cancelled"
    assert [together(results[job]) for job in "bcd"] == [4, 4, 4]
    assert dispatcher.results[0].job == "a"


async def test_one_that_is_out_of_time_leaves_the_others_to_go_on(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await all_ready(dispatcher)
        await dispatcher.offer("a", "together", act="endless", timeout_s=0.1)
        for job in "bcd":
            await dispatcher.offer(job, "together", act="slow")
        results = {job: await dispatcher.result(job) for job in JOBS}

    assert results["a"].error is not None
    assert results["a"].error.kind == "deadline"
    assert [together(results[job]) for job in "bcd"] == [4, 4, 4]


async def test_a_jobs_time_counts_from_when_its_batch_begins(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, lane={"batch_most": 2, "slots": 3}):
        await all_ready(dispatcher, slots=3)
        for job in "ab":
            await dispatcher.offer(job, "together", act="slow")
        await eventually(lambda: len(dispatcher.claims) == 2)
        await dispatcher.offer("c", "together", timeout_s=0.4)
        results = {job: await dispatcher.result(job) for job in "abc"}

    assert [together(results[job]) for job in "abc"] == [2, 2, 1]
    assert results["c"].stages.run_s > 0.4


async def test_one_that_waits_for_its_batch_is_cancelled_at_once(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, lane={"batch_window_s": 600.0}):
        await all_ready(dispatcher)
        await dispatcher.offer("a", "together")
        await eventually(lambda: len(dispatcher.claims) == 1)
        await dispatcher.hint(options.worker, "a", "cancel")
        cancelled = await dispatcher.result("a")

    assert cancelled.outcome == "cancelled"


async def test_an_engine_that_hangs_is_killed_for_one_and_the_others_are_given_back(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await all_ready(dispatcher)
        for job, act in zip(JOBS, ("hang", "say", "say", "say"), strict=True):
            await dispatcher.offer(job, "together", act=act)
        await eventually(lambda: len(dispatcher.claims) == 4)
        await dispatcher.hint(options.worker, "a", "cancel")
        results = {job: await dispatcher.result(job) for job in JOBS}
        again = await ran(dispatcher, e="say")

    assert results["a"].outcome == "cancelled"
    assert [results[job].outcome for job in "bcd"] == ["released"] * 3
    assert together(again["e"]) == 1


async def test_a_child_that_dies_takes_its_whole_batch_with_it(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        results = await ran(dispatcher, a="crash", b="say", c="say", d="say")

    errors = [result.error.kind for result in results.values() if result.error]
    assert errors == ["worker_lost"] * 4


async def test_a_child_that_takes_too_much_memory_costs_its_whole_batch_an_attempt(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, lane={"process_mib": 1}, memory_s=0.01):
        results = await ran(dispatcher, a="endless", b="endless", c="endless", d="endless")

    errors = {result.error.kind for result in results.values() if result.error}
    assert "resource" in errors
    assert errors <= {"resource", "worker_lost"}
    assert {result.outcome for result in results.values()} == {"failed"}


async def test_who_was_tried_before_runs_alone_and_harms_nobody(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await all_ready(dispatcher)
        for job, act in zip(JOBS, ("crash", "say", "say", "say"), strict=True):
            await dispatcher.offer(job, "together", act=act, attempt=2)
        results = {job: await dispatcher.result(job) for job in JOBS}

    assert results["a"].error is not None
    assert results["a"].error.kind == "worker_lost"
    assert [together(results[job]) for job in "bcd"] == [1, 1, 1]


async def test_one_bad_input_is_its_own_fault(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        results = await ran(dispatcher, a="no such act", b="bad", c="say", d="say")

    fields = [results[job].error.field for job in "ab" if results[job].error]  # type: ignore[union-attr]
    assert fields == ["act", "act"]
    assert [together(results[job]) for job in "cd"] == [3, 3]


async def test_what_breaks_all_is_found_in_halves(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        results = await ran(dispatcher, a="poison", b="say", c="say", d="say")

    assert results["a"].error is not None
    assert results["a"].error.message == "RuntimeError: something snapped"
    assert [together(results[job]) for job in "bcd"] == [1, 2, 2]


async def test_too_many_for_the_memory_become_fewer_and_one_too_large_is_alone_with_it(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        fewer = await ran(dispatcher, a="heavy", b="heavy", c="heavy", d="heavy")
        alone = await ran(dispatcher, i="too heavy", j="say")

    assert [together(result) for result in fewer.values()] == [2] * 4
    assert alone["i"].error is not None
    assert alone["i"].error.kind == "resource"
    assert together(alone["j"]) == 1


async def test_batches_stay_as_small_as_had_room(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    with capture_logs() as logs:
        async with working(options):
            await ran(dispatcher, a="heavy", b="heavy", c="heavy", d="heavy")
            later = await ran(dispatcher, e="heavy", f="heavy", g="heavy", h="heavy")

    assert [together(result) for result in later.values()] == [2] * 4
    assert [line["fits"] for line in logs if line["event"] == "batch.too_large"] == [2]


async def test_batches_that_go_well_grow_again(options: WorkerOptions) -> None:
    batcher = Batcher(options.lanes[0], options.limits)
    batcher._learn(4, 2)

    grown = []
    for _ in range(3 * STEADY):
        batcher._learn(batcher._most, None)
        grown.append(batcher._most)

    assert (grown[STEADY - 2], grown[STEADY - 1], grown[2 * STEADY - 1]) == (2, 3, 4)
    assert grown[-1] == 4


async def test_one_that_the_engine_forgets_is_asked_again_alone(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        results = await ran(dispatcher, a="mute", b="mute", c="mute", d="mute")

    assert [together(result) for result in results.values()] == [1, 1, 1, 1]


async def test_nobody_reads_a_token_twice_in_one_attempt(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        results = await ran(dispatcher, a="write and break", b="say", c="say", d="say")

    _, *said = await frames_of(options.streams, "a")
    assert [frame for frame in said if isinstance(frame, Token)] == [Token("once ")]
    assert results["a"].error is not None
    assert [together(results[job]) for job in "bcd"] == [2, 2, 1]


async def test_a_worker_that_leaves_gives_all_of_a_batch_back(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, drain_s=0.1) as worker:
        await all_ready(dispatcher)
        for job in JOBS:
            await dispatcher.offer(job, "together", act="endless")
        await eventually(lambda: len(dispatcher.claims) == 4)
        worker.stop.set()
        results = [await dispatcher.result(job) for job in JOBS]

    assert [result.outcome for result in results] == ["released"] * 4


@pytest.mark.parametrize(
    ("engine", "declared"),
    [(TogetherEngine, Batching(4, 0.2)), (PlayEngine, Batching(1, 0.0))],
)
def test_an_engine_says_how_many_it_does_in_one_go(
    engine: type[TogetherEngine], declared: Batching
) -> None:
    assert batching(engine) == declared
