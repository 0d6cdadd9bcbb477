"""A worker whose slots keep models: what it tells of them, and what a job sees of a cold slot."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from headrace.contracts.ids import Lane
from headrace.contracts.messages import Artefact, Claim, Refusal, WarmModel
from headrace.core.ports.blobs import Blob
from headrace.engines.registry import card
from headrace.gpu_worker.options import LaneOptions, WorkerOptions
from headrace.testkit.dispatching import TENANT, ScriptedDispatcher
from headrace.testkit.hoard import ENGINE, FORMAT, MIB, HoardEngine
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.waits import eventually
from headrace.testkit.working import working

WEIGHTS = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def hoarding(options: WorkerOptions, tmp_path: Path) -> WorkerOptions:
    lane = LaneOptions(
        card=card(Lane("hoard"), HoardEngine),
        engine=ENGINE,
        preload="one",
        memory_mib=40,
        settings={"load_s": "0.05"},
    )
    return replace(options, lanes=[lane], models=tmp_path / "models")


async def an_artefact(blobs: MemoryBlobs, **wrong: Any) -> Artefact:
    blob = await blobs.put(TENANT, Blob("application/octet-stream", WEIGHTS))
    fields = {"format": FORMAT, "sha256": hashlib.sha256(WEIGHTS).hexdigest(), **wrong}
    return Artefact(TENANT, blob, bytes=len(WEIGHTS), **fields)


def told(dispatcher: ScriptedDispatcher) -> list[WarmModel]:
    vitals = dispatcher.heartbeats[-1].vitals if dispatcher.heartbeats else None
    return (vitals and vitals.models) or []


def count(warm: str) -> float:
    labels = {"lane": "hoard", "warm": warm}
    return REGISTRY.get_sample_value("headrace_model_loads_total", labels) or 0.0


async def test_a_job_says_whether_its_slot_was_cold_and_its_claim_what_is_warm(
    dispatcher: ScriptedDispatcher, hoarding: WorkerOptions
) -> None:
    before = count("yes"), count("no")
    async with working(hoarding):
        for job, model in (("a", "one"), ("b", "two"), ("c", "two"), ("d", "three")):
            await dispatcher.offer(job, "hoard", model=model)
            assert (await dispatcher.result(job)).outcome == "succeeded"

    stages = [result.stages for result in dispatcher.results]
    assert [each.cold for each in stages] == [False, True, False, True]
    assert [each.load_s > 0.05 for each in stages] == [False, True, False, True]
    assert [claim.warm for claim in dispatcher.claims] == [
        ["one"],
        ["one"],
        ["one", "two"],
        ["one", "two"],
    ]
    assert (count("yes") - before[0], count("no") - before[1]) == (2, 2)


async def test_heartbeats_tell_soon_what_is_loaded_with_its_memory_and_time(
    dispatcher: ScriptedDispatcher, hoarding: WorkerOptions
) -> None:
    async with working(hoarding, heartbeat_s=60.0):
        for job, model in (("a", "two"), ("b", "three")):
            await dispatcher.offer(job, "hoard", model=model)
            await dispatcher.result(job)
        await eventually(lambda: [each.model for each in told(dispatcher)] == ["three", "two"])

    for each in told(dispatcher):
        assert (each.lane, each.slots) == ("hoard", 1)
        assert 12 * MIB < each.memory_bytes < 32 * MIB
        assert each.load_s >= 0.05


async def test_a_registered_model_is_brought_loaded_and_kept_warm(
    dispatcher: ScriptedDispatcher, hoarding: WorkerOptions, blobs: MemoryBlobs
) -> None:
    artefact = await an_artefact(blobs)
    async with working(hoarding):
        for job in ("a", "b"):
            await dispatcher.offer(job, "hoard", model="digits@3", artefact=artefact)
            result = await dispatcher.result(job)
            assert result.output is not None
            assert result.output["sha256"] == artefact.sha256
            blobs.away = True  # the second time nobody asks for it

    assert [result.stages.cold for result in dispatcher.results] == [True, False]


async def test_weights_that_are_not_what_was_registered_fail_the_job_and_not_the_worker(
    dispatcher: ScriptedDispatcher, hoarding: WorkerOptions, blobs: MemoryBlobs
) -> None:
    wrong = await an_artefact(blobs, sha256="0" * 64)
    async with working(hoarding):
        await dispatcher.offer("a", "hoard", model="digits@3", artefact=wrong)
        failed = await dispatcher.result("a")
        await dispatcher.offer("b", "hoard", model="one")
        fine = await dispatcher.result("b")

    assert failed.error is not None
    assert failed.error.kind == "internal"
    assert "that were registered" in failed.error.message
    assert (fine.outcome, fine.stages.cold) == ("succeeded", False)


async def test_a_download_ends_when_its_job_is_cancelled(
    dispatcher: ScriptedDispatcher, hoarding: WorkerOptions, blobs: MemoryBlobs
) -> None:
    artefact = await an_artefact(blobs)
    blobs.away = True
    async with working(hoarding, heartbeat_s=0.1):
        await dispatcher.offer("a", "hoard", model="digits@3", artefact=artefact)
        await eventually(lambda: list(hoarding.models.glob("*")))
        dispatcher.orders["a"] = "cancel"

        assert (await dispatcher.result("a")).outcome == "cancelled"


async def test_who_is_told_that_a_job_shall_go_elsewhere_steps_aside_and_listens_again(
    dispatcher: ScriptedDispatcher, hoarding: WorkerOptions
) -> None:
    def not_the_first(claim: Claim) -> Refusal | None:
        dispatcher.answer = None
        return Refusal(claim.id, claim.job, "elsewhere")

    dispatcher.answer = not_the_first
    async with working(hoarding):
        await dispatcher.offer("a", "hoard", model="two")
        await eventually(lambda: dispatcher.claims, within=15)
        await dispatcher.offer("b", "hoard", model="one")
        assert (await dispatcher.result("b")).outcome == "succeeded"

    assert [claim.job for claim in dispatcher.claims] == ["a", "b"]
