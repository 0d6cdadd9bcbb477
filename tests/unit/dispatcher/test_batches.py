"""A dispatcher begins the items of batches by itself, and stops those that are cancelled."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from headrace.core.batch import BatchState, Tally
from headrace.core.ports.store import Store
from headrace.core.usecases.batches import cancel_batch
from headrace.telemetry import metrics
from headrace.testkit.deciding import ECHO
from headrace.testkit.house import House
from headrace.testkit.running_batches import BAD, GOOD, TENANT, hand_in, jobs_of, look
from headrace.testkit.waits import eventually


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])


async def test_it_begins_a_batch_and_stops_what_is_left_of_it(house: House, store: Store) -> None:
    batch = await hand_in(store, house.blobs, [GOOD, BAD, GOOD])
    before = metrics.BATCH_ITEMS.labels(outcome="begun")._value.get()

    async def has_begun() -> bool:
        return (await look(store, batch)).batch.begun == 3

    async def is_over() -> bool:
        return (await look(store, batch)).batch.over

    with capture_logs() as logs:
        async with house.dispatching():
            await eventually(has_begun, within=10)
            assert len(await jobs_of(store, batch)) == 2
            async with store.begin() as tx:
                await cancel_batch(tx, TENANT, batch.id)
            await eventually(is_over, within=10)

    over = (await look(store, batch)).batch
    assert (over.state, over.tally) == (BatchState.CANCELLED, Tally(cancelled=2, rejected=1))
    assert metrics.BATCH_ITEMS.labels(outcome="begun")._value.get() == before + 2
    assert [each["begun"] for each in logs if each["event"] == "batch.expanded"] == [3]
