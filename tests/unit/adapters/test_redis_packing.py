"""What is packed by hand is what hiredis would have packed."""

from __future__ import annotations

import hiredis
import pytest

from headrace.adapters.streams.redis.packing import Packing
from headrace.contracts.ids import JobId
from headrace.contracts.logs import append_arguments, live_channel, log_key
from headrace.core.ports.streams import Batch


@pytest.mark.parametrize(
    "batch",
    [
        Batch(JobId("j"), 12, [("token", b"{}")], 345),
        Batch(JobId("j"), 0, [("queued", b""), ("log", bytes(range(256)))]),
        Batch(JobId("é"), 1, [("é", b"x" * 70_000)], 1),
        Batch(JobId("j"), 1, []),
    ],
    ids=["numbered", "after-the-top", "not-ascii", "empty"],
)
def test_a_batch_is_packed_as_hiredis_packs_its_words(batch: Batch) -> None:
    packing = Packing("a" * 40, prefix="prefix", maxlen=10_000, ttl_ms=3_600_000)

    packed = packing.append(batch)

    key, channel = log_key("prefix", batch.job), live_channel("prefix", batch.job)
    arguments = append_arguments(
        batch.epoch, batch.first_seq, batch.frames, channel=channel, ttl_ms=3_600_000
    )
    words = ("EVALSHA", "a" * 40, 1, key, *arguments)
    assert packed.words == hiredis.pack_command(words)  # type: ignore[arg-type]  # the stub says one word
    assert packed.key == key.encode()
