"""From an offer to a result, with a real child process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pytest
from msgspec.structs import replace as with_fields
from structlog.testing import capture_logs
from typing_extensions import override

from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.frames import Preview, Progress, Segment, Started, Token
from headrace.contracts.ids import BlobId, Lane, Position, TenantId
from headrace.contracts.messages import MAX_MESSAGE_BYTES
from headrace.core.errors import Unavailable
from headrace.core.job import Verdict
from headrace.core.ports.blobs import Blob
from headrace.core.ports.streams import Batch
from headrace.gpu_worker.options import WorkerOptions
from headrace.testkit.dispatching import TENANT, ScriptedDispatcher
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.working import frames_of, log_of, working


async def test_a_job_is_claimed_run_and_reported(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", text="hello")

        result = await dispatcher.result("job")

    assert result.outcome == "succeeded"
    assert result.output == {"text": "hello", "attempt": 1, "model": "calm"}
    assert result.epoch == 1
    assert result.stages.claim_s > 0
    assert result.stages.run_s > 0


async def test_the_frames_are_in_the_stream_in_order_when_the_result_comes(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act="flood", times=300)
        await dispatcher.result("job")

        entries = await log_of(options.streams, "job")

    assert [entry.position for entry in entries] == [Position(1, n) for n in range(1, 302)]
    started, *tokens = await frames_of(options.streams, "job")
    assert isinstance(started, Started)
    assert tokens == [Token(f"{n} ") for n in range(300)]


async def test_a_step_of_steps_becomes_a_fraction(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", text="a", times=2)
        await dispatcher.result("job")

    frames = await frames_of(options.streams, "job")
    assert [each.fraction for each in frames if isinstance(each, Progress)] == [0.5, 1.0]


async def test_a_preview_that_is_too_large_is_not_shown(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act="preview")
        await dispatcher.result("job")

    previews = [f for f in await frames_of(options.streams, "job") if isinstance(f, Preview)]
    assert len(previews) == 1
    assert previews[0].image.startswith("data:image/png;base64,")


async def test_a_segment_can_be_had_by_whoever_is_told_of_it_and_is_kept_once(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act="segment")
        result = await dispatcher.result("job")

    frames = await frames_of(options.streams, "job")
    (told,) = [each for each in frames if isinstance(each, Segment)]
    assert (told.media_type, told.duration_s) == ("video/webm", 1.0)
    kept = await options.blobs.get(TENANT, BlobId(told.blob))
    assert kept == Blob("video/webm", b"a piece")
    assert result.output is not None
    assert result.output["pieces"] == [{"blob": told.blob}]


async def test_a_segment_that_cannot_be_kept_now_comes_with_the_result_alone(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    class Shut(MemoryBlobs):
        @override
        async def put(self, tenant: TenantId, blob: Blob) -> BlobId:
            if not self.asked:
                self.asked.append(blob)
                raise Unavailable("the blobs", "they are away")
            return await super().put(tenant, blob)

        asked: ClassVar[list[Blob]] = []

    options = replace(options, blobs=Shut())
    async with working(options):
        await dispatcher.offer("job", "play", act="segment")
        result = await dispatcher.result("job")

    assert not [f for f in await frames_of(options.streams, "job") if isinstance(f, Segment)]
    assert result.outcome == "succeeded"
    assert result.output is not None
    (piece,) = result.output["pieces"]
    assert (await options.blobs.get(TENANT, piece["blob"])).data == b"a piece"


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        ("bad input", "input", "text: is not to our liking"),
        ("busy", "transient", "come back later"),
        ("out of memory", "resource", "too large for here"),
        ("device out of memory", "resource", "tried to allocate 2 GiB"),
        ("broken", "internal", "RuntimeError: something snapped"),
        ("not a dict", "internal", "TypeError: an engine returns a dict, not list"),
    ],
)
async def test_an_engines_error_has_a_kind(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, act: str, kind: str, message: str
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act=act)
        result = await dispatcher.result("job")

    assert result.outcome == "failed"
    assert result.error is not None
    assert (result.error.kind, result.error.message) == (kind, message)


async def test_what_does_not_fit_the_engines_input_names_the_field(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", times="many")
        result = await dispatcher.result("job")

    assert result.error is not None
    assert (result.error.kind, result.error.field) == ("input", "times")


async def test_an_internal_error_brings_its_traceback(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act="broken")
        result = await dispatcher.result("job")

    assert result.error is not None
    assert "raise _ERRORS[work.input.act]" in (result.error.detail or "")


async def test_the_child_and_its_model_stay_warm_between_jobs(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        for job in ("one", "two"):
            await dispatcher.offer(job, "play", act="pid")
        one, two = [await dispatcher.result(job) for job in ("one", "two")]

    assert one.output == two.output
    assert one.output is not None
    assert one.output["pid"] != one.output["parent"]


async def test_a_job_for_another_model_has_it_loaded(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", model="other")
        result = await dispatcher.result("job")

    assert result.output is not None
    assert result.output["model"] == "other"


async def test_a_model_that_cannot_be_loaded_fails_its_job_alone(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("broken", "play", model="broken")
        await dispatcher.offer("fine", "play")
        broken, fine = [await dispatcher.result(job) for job in ("broken", "fine")]

    assert broken.error is not None
    assert broken.error.message == "FileNotFoundError: no weights here"
    assert fine.outcome == "succeeded"


async def test_blobs_go_in_and_come_out(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    blobs.kept[TENANT, BlobId("cat.png")] = Blob("image/png", b"cat")

    async with working(options):
        await dispatcher.offer("job", "play", act="copy", images=[{"blob": "cat.png"}])
        result = await dispatcher.result("job")

    assert result.output == {"nested": [{"copies": [{"blob": "blob-2"}]}]}
    assert blobs.kept[TENANT, BlobId("blob-2")] == Blob("image/png", b"tac")
    assert len(blobs.kept) == 2  # what was made and not used is not stored


async def test_a_blob_that_does_not_exist_is_the_callers_mistake(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act="copy", images=[{"blob": "gone.png"}])
        result = await dispatcher.result("job")

    assert result.error is not None
    assert (result.error.kind, result.error.message) == ("input", "the input: no blob gone.png")


async def test_blobs_that_stay_out_of_reach_are_tried_again_later(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    blobs.away = True

    async with working(options, blobs_s=0.3):
        await dispatcher.offer("job", "play", act="copy", images=[{"blob": "cat.png"}])
        result = await dispatcher.result("job")

    assert result.error is not None
    assert result.error.kind == "transient"


async def test_a_large_output_is_stored_whole(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play", act="large")
        result = await dispatcher.result("job")

    assert result.output == {"output_blob": "blob-1"}
    assert len(blobs.kept[TENANT, BlobId("blob-1")].data) > 100_000
    assert result.blobs == []


async def test_the_blobs_named_inside_an_output_that_is_a_blob_are_told(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    cat = await blobs.put(TENANT, Blob("image/png", b"cat"))

    async with working(options):
        await dispatcher.offer("job", "play", act="large", images=[{"blob": cat}])
        result = await dispatcher.result("job")

    copy, whole = "blob-2", "blob-3"
    assert result.output == {"output_blob": whole}
    assert result.blobs == [copy]
    assert blobs.kept[TENANT, BlobId(copy)].data == b"tac"


async def test_what_an_engine_prints_is_logged(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    with capture_logs() as logs:
        async with working(options):
            await dispatcher.offer("job", "play", act="print", text="from the engine")
            await dispatcher.result("job")

    lines = [entry["line"] for entry in logs if entry["event"] == "host.printed"]
    assert lines == ["from the engine"]


async def test_two_slots_run_two_jobs_at_once(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options, lane={"slots": 2}):
        await dispatcher.offer("long", "play", act="wait")
        await dispatcher.offer("short", "play")
        short = await dispatcher.result("short")
        await dispatcher.hint(options.worker, "long", "cancel")
        long = await dispatcher.result("long")

    assert (short.outcome, long.outcome) == ("succeeded", "cancelled")


async def test_a_worker_announces_its_engines_and_slots_once_they_are_ready(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    async with working(options):
        await dispatcher.offer("job", "play")
        await dispatcher.result("job")

    (hello,) = dispatcher.hellos
    assert hello.slots == {"play": 1}
    assert [card.lane for card in hello.engines] == ["play"]


async def test_a_lane_whose_model_does_not_load_is_not_announced(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    (play,) = options.lanes
    bad = replace(play, card=with_fields(play.card, lane=Lane("broken")), preload="broken")

    async with working(replace(options, lanes=[play, bad])):
        await dispatcher.offer("job", "play")
        await dispatcher.result("job")

    assert {lane for hello in dispatcher.hellos for lane in hello.slots} == {"play"}


async def test_a_report_too_large_to_send_fails_its_job_and_leaves_the_worker_alive(
    dispatcher: ScriptedDispatcher, options: WorkerOptions, blobs: MemoryBlobs
) -> None:
    named = {"text": "hi", "picture": {"blob": "x" * MAX_MESSAGE_BYTES}}
    given = await blobs.put(TENANT, Blob("application/json", json.dumps(named).encode()))
    async with working(options):
        await dispatcher.offer("job", "play", input_blob=given)
        result = await dispatcher.result("job")
        await dispatcher.offer("next", "play", text="hello")
        after = await dispatcher.result("next")

    assert result.error is not None
    assert (result.outcome, result.error.kind) == ("failed", "input")
    assert "its report had" in result.error.message
    assert after.outcome == "succeeded"


async def test_a_result_says_how_many_frames_its_watchers_lack(
    dispatcher: ScriptedDispatcher, options: WorkerOptions
) -> None:
    away = replace(options, streams=NoStreams(), limits=replace(options.limits, flush_s=0.1))
    async with working(away):
        await dispatcher.offer("job", "play", act="flood", times=7)

        result = await dispatcher.result("job")

    assert (result.outcome, result.dropped) == ("succeeded", 7)


class NoStreams(InProcessStreams):
    @override
    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        raise Unavailable("the streams", "they were told to be away")
