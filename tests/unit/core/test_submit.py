"""A job is taken in whole, once per key, or refused in words; then nothing of it is kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from headrace.contracts.ids import Lane, TenantId
from headrace.contracts.messages import INPUT_BLOB, MAX_INLINE_BYTES, EngineCard
from headrace.core.errors import (
    IdempotencyConflict,
    InvalidInput,
    TenantQueueFull,
    Unavailable,
    UnknownModel,
)
from headrace.core.job import Job, State
from headrace.core.ports.store import IdempotencyKey, Query, Store
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.submit import (
    Check,
    Submission,
    Submitted,
    Taking,
    submit,
    submit_together,
)
from headrace.testkit.builders import LONG_AGO
from headrace.testkit.deciding import ECHO, PATH, outbox, read
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.waits import eventually

TENANT = TenantId("tenant")
KEY = IdempotencyKey("key", "fingerprint")
_ids = count(1)


def accept(card: EngineCard, given: Mapping[str, Any]) -> None:
    """Every input fits."""


def refuse(card: EngineCard, given: Mapping[str, Any]) -> None:
    raise InvalidInput("/text", f"is nothing for {card.lane}")


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    draws = EngineCard(lane=Lane("flow"), kind="image", models=["emoji"], input_schema={})
    async with store.begin() as tx:
        await tx.announce_engines([ECHO, draws])


async def submitted(
    store: Store, *, blobs: MemoryBlobs | None = None, check: Check = accept, **fields: Any
) -> Submitted:
    request = Submission(**{"tenant": TENANT, "kind": "echo", "input": {"text": "hi"}, **fields})
    return await take_in(store, request, check=check, blobs=blobs)


async def take_in(
    store: Store, request: Submission, *, check: Check = accept, blobs: MemoryBlobs | None = None
) -> Submitted:
    return await submit(
        store,
        blobs or MemoryBlobs(),
        request,
        path=PATH,
        new_id=lambda: f"job-{next(_ids)}",
        check=check,
    )


async def kept(store: Store) -> list[Job]:
    async with store.begin() as tx:
        return await tx.page(TENANT, Query())


async def test_a_job_is_kept_with_its_place_in_the_outbox(store: Store) -> None:
    answer = await submitted(store, priority=3, labels={"team": "red"}, trace="00-aa-bb-01")

    job = await read(store, answer.job.id)
    assert not answer.replayed
    assert (job.state, job.epoch, job.attempt) == (State.QUEUED, 0, 0)
    assert (job.lane, job.path, job.trace) == ("echo", PATH, "00-aa-bb-01")
    assert (job.spec.priority, job.spec.labels) == (3, {"team": "red"})
    assert [row.job for row in await outbox(store)] == [job.id]


async def test_the_first_model_of_a_kind_is_its_default(store: Store) -> None:
    by_default = await submitted(store)
    by_name = await submitted(store, model="large")

    assert by_default.job.spec.model == "small"
    assert by_name.job.spec.model == "large"


async def test_a_kind_chooses_the_lane(store: Store) -> None:
    answer = await submitted(store, kind="image")

    assert (answer.job.lane, answer.job.spec.model) == ("flow", "emoji")


async def test_a_job_for_later_is_scheduled_and_not_offered(store: Store) -> None:
    async with store.begin() as tx:
        later = await tx.now() + timedelta(hours=1)

    answer = await submitted(store, run_at=later)

    job = await read(store, answer.job.id)
    assert (job.state, job.not_before) == (State.SCHEDULED, later)
    assert await outbox(store) == []


async def test_a_time_that_is_over_means_now(store: Store) -> None:
    answer = await submitted(store, run_at=LONG_AGO)

    assert (answer.job.state, answer.job.not_before) == (State.QUEUED, None)
    assert len(await outbox(store)) == 1


async def test_a_kind_that_nobody_runs_is_refused_with_those_that_are_known(store: Store) -> None:
    with pytest.raises(UnknownModel) as refused:
        await submitted(store, kind="video")

    assert refused.value.known == ["echo", "image"]
    assert await kept(store) == []


async def test_a_model_that_nobody_runs_is_refused_with_those_of_its_kind(store: Store) -> None:
    with pytest.raises(UnknownModel) as refused:
        await submitted(store, model="huge")

    assert refused.value.known == ["large", "small"]
    assert await kept(store) == []


async def test_an_input_that_does_not_fit_is_refused_and_nothing_is_kept(store: Store) -> None:
    request = Submission(tenant=TENANT, kind="echo", input={}, idempotency=KEY)

    with pytest.raises(InvalidInput) as refused:
        await take_in(store, request, check=refuse)

    assert refused.value.pointer == "/text"
    assert await kept(store) == []


async def test_the_same_request_under_the_same_key_is_the_same_job(store: Store) -> None:
    first = await submitted(store, idempotency=KEY)
    again = await submitted(store, idempotency=KEY)

    assert again.replayed
    assert again.job == first.job
    assert len(await outbox(store)) == 1


async def test_another_request_under_the_same_key_is_refused(store: Store) -> None:
    await submitted(store, idempotency=KEY)

    with pytest.raises(IdempotencyConflict) as refused:
        await submitted(store, idempotency=IdempotencyKey("key", "another"))

    assert refused.value.key == "key"
    assert len(await kept(store)) == 1


LARGE = {"text": "x" * MAX_INLINE_BYTES}


async def test_an_input_too_large_for_a_grant_is_kept_as_a_blob(store: Store) -> None:
    blobs = MemoryBlobs()

    answer = await submitted(store, input=LARGE, blobs=blobs)

    ((of, name),) = blobs.kept
    assert of == TENANT
    assert (await read(store, answer.job.id)).spec.input == {INPUT_BLOB: name}
    assert msgspec.json.decode(blobs.kept[of, name].data) == LARGE


TOGETHER: Final = EngineCard(Lane("ddp"), "training", ["m"], {}, nodes=4)
ASKED: Final = {"nodes": 2, "gpus": 3}


@pytest.mark.parametrize("extra", ["", "x" * MAX_INLINE_BYTES], ids=["as a row", "as a blob"])
async def test_how_many_workers_it_wants_is_read_from_its_input(store: Store, extra: str) -> None:
    given = {**ASKED, "text": extra}

    answer = await submitted(store, kind="training", card=TOGETHER, input=given)

    spec = (await read(store, answer.job.id)).spec
    assert (spec.nodes, spec.gpus) == (2, 3)


@pytest.mark.parametrize(
    ("card", "given"),
    [(replace(TOGETHER, nodes=1), ASKED), (TOGETHER, {"gpus": 3})],
    ids=["an engine for one worker may mean anything by it", "and one is usual"],
)
async def test_else_it_wants_one(store: Store, card: EngineCard, given: dict[str, Any]) -> None:
    answer = await submitted(store, kind="training", card=card, input=given)

    assert (await read(store, answer.job.id)).spec.nodes == 1


async def test_a_large_input_that_does_not_fit_leaves_no_blob(store: Store) -> None:
    blobs = MemoryBlobs()

    with pytest.raises(InvalidInput):
        await submitted(store, input=LARGE, check=refuse, blobs=blobs)

    assert blobs.kept == {}
    assert await kept(store) == []


async def test_nobody_waits_while_a_large_input_is_checked(store: Store) -> None:
    checking, served = threading.Event(), threading.Event()

    def check(card: EngineCard, given: Mapping[str, Any]) -> None:
        checking.set()
        if not served.wait(5):
            raise InvalidInput("", "the store served nobody else meanwhile")

    async with asyncio.TaskGroup() as group:
        request = Submission(tenant=TENANT, kind="echo", input=LARGE)
        taking = group.create_task(take_in(store, request, check=check))
        await eventually(checking.is_set)
        assert await kept(store) == []
        served.set()

    assert taking.result().job.state is State.QUEUED


async def test_without_blobs_a_large_input_is_not_taken(store: Store) -> None:
    with pytest.raises(Unavailable):
        await submitted(store, input=LARGE, blobs=MemoryBlobs(away=True))

    assert await kept(store) == []


async def together(store: Store, *inputs: str, **more: Any) -> list[Submitted]:
    def only_small(card: EngineCard, given: Mapping[str, Any]) -> None:
        if given["text"] == "refused":
            refuse(card, given)

    return await submit_together(
        store,
        MemoryBlobs(),
        [Submission(tenant=TENANT, kind="echo", input={"text": text}) for text in inputs],
        Taking(PATH, lambda: f"job-{next(_ids)}", only_small, **more),
    )


async def test_some_jobs_are_kept_together_in_their_order(store: Store) -> None:
    made = await together(store, "a", "b", "c")

    assert [each.job.spec.input["text"] for each in made] == ["a", "b", "c"]
    assert {job.id for job in await kept(store)} == {each.job.id for each in made}
    assert len({each.job.id for each in made}) == 3


async def test_where_one_is_refused_none_is_kept(store: Store) -> None:
    with pytest.raises(InvalidInput):
        await together(store, "a", "refused", "c")

    assert await kept(store) == []


async def test_where_there_is_no_room_for_all_none_is_kept(store: Store) -> None:
    admission = Admission(Caps(per_tenant=2, in_all=100))

    with pytest.raises(TenantQueueFull):
        await together(store, "a", "b", "c", admission=admission)

    assert await kept(store) == []
    assert len(await together(store, "a", "b", admission=admission)) == 2
