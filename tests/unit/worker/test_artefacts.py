"""Artefacts come to the worker's disk once, whole and checked, whatever breaks on the way."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest
from msgspec import structs
from typing_extensions import override

from headrace.adapters.blobs.files.blobs import open_file_blobs
from headrace.contracts.ids import BlobId, TenantId
from headrace.contracts.messages import Artefact
from headrace.core.errors import Unavailable
from headrace.core.ports.blobs import Blob
from headrace.gpu_worker import artefacts as module
from headrace.gpu_worker.artefacts import UNFINISHED, Artefacts
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.payloads import PayloadFailed
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.waits import eventually

TENANT = TenantId("alice")
CHUNK = 1000
WEIGHTS = bytes(range(256)) * 40  # ten chunks and a rest
MIB = 2**20
DOWNLOADER = """
import asyncio, sys
from pathlib import Path
from random import Random
from types import SimpleNamespace

import msgspec
from headrace.adapters.blobs.files.blobs import open_file_blobs
from headrace.contracts.messages import Artefact
from headrace.gpu_worker import artefacts
from headrace.gpu_worker.options import Limits

blobs_folder, models, artefact = sys.argv[1:]
artefacts.CHUNK = 1000


async def main():
    async with open_file_blobs(blobs_folder) as files:
        async def read(*asked, start, length):
            if start >= 3000:
                print("halfway", file=sys.stderr, flush=True)
                await asyncio.sleep(60)
            return await files.read(*asked, start=start, length=length)

        options = SimpleNamespace(
            models=Path(models), models_mib=1, limits=Limits(), random=Random(1),
            blobs=SimpleNamespace(read=read),
        )
        await artefacts.Artefacts(options).fetch(msgspec.json.decode(artefact, type=Artefact))

asyncio.run(main())
"""


@dataclass
class BreakingBlobs(MemoryBlobs):
    """Notes where each part that was asked for begins; breaks at some of them, once each."""

    starts: list[int] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    slow: asyncio.Event | None = None  # answers once this is set

    @override
    async def read(self, tenant: TenantId, blob: BlobId, *, start: int, length: int) -> bytes:
        self.starts.append(start)
        if self.slow is not None:
            await self.slow.wait()
        if start in self.breaks:
            self.breaks.remove(start)
            raise Unavailable("blobs", "the connection broke")
        return await super().read(tenant, blob, start=start, length=length)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", CHUNK)


@pytest.fixture
def blobs() -> BreakingBlobs:
    return BreakingBlobs()


@pytest.fixture
def models(options: WorkerOptions, tmp_path: Path) -> WorkerOptions:
    return replace(options, models=tmp_path / "models", models_mib=1)


async def an_artefact(blobs: MemoryBlobs, data: bytes = WEIGHTS, **wrong: str) -> Artefact:
    blob = await blobs.put(TENANT, Blob("application/octet-stream", data))
    digest = wrong.get("sha256", hashlib.sha256(data).hexdigest())
    return Artefact(TENANT, blob, "raw", digest, len(data))


async def fetched(store: Artefacts, artefact: Artefact) -> bytes:
    with await store.fetch(artefact) as kept:
        assert kept.path == store.place(artefact)
        return kept.path.read_bytes()


def names(options: WorkerOptions) -> list[str]:
    return sorted(path.name for path in options.models.iterdir())


def fetches(starts: Sequence[int]) -> int:
    return sum(start == 0 for start in starts)


async def test_it_comes_in_parts_is_checked_and_is_not_asked_for_again(
    blobs: BreakingBlobs, models: WorkerOptions
) -> None:
    store, artefact = Artefacts(models), await an_artefact(blobs)

    assert await fetched(store, artefact) == WEIGHTS
    assert await fetched(store, artefact) == WEIGHTS
    assert await fetched(Artefacts(models), artefact) == WEIGHTS

    assert blobs.starts == list(range(0, len(WEIGHTS), CHUNK))
    assert names(models) == [artefact.sha256]


async def test_a_connection_that_breaks_goes_on_where_it_stopped(
    blobs: BreakingBlobs, models: WorkerOptions
) -> None:
    blobs.breaks = [3000, 7000]
    artefact = await an_artefact(blobs)

    assert await fetched(Artefacts(models), artefact) == WEIGHTS
    assert [blobs.starts.count(start) for start in (0, 3000, 4000, 7000)] == [1, 2, 1, 2]


async def test_what_was_given_up_goes_on_where_it_stopped(
    blobs: BreakingBlobs, models: WorkerOptions
) -> None:
    artefact = await an_artefact(blobs)
    blobs.breaks = [5000] * 1000
    hasty = replace(models, limits=replace(models.limits, artefact_s=0.3))
    with pytest.raises(PayloadFailed, match=r"not be downloaded within 0\.3 s") as failure:
        await Artefacts(hasty).fetch(artefact)
    assert failure.value.error.kind == "transient"
    blobs.breaks.clear()
    blobs.starts.clear()

    assert await fetched(Artefacts(models), artefact) == WEIGHTS
    assert blobs.starts[0] == 5000


async def test_a_worker_that_is_killed_leaves_what_it_has_to_one_that_waits_for_it(
    blobs: BreakingBlobs, models: WorkerOptions, tmp_path: Path
) -> None:
    artefact = await an_artefact(blobs)
    async with open_file_blobs(tmp_path / "blobs") as files:
        blob = await files.put(TENANT, Blob("application/octet-stream", WEIGHTS))
    other = await _downloading(
        tmp_path / "blobs", models.models, structs.replace(artefact, blob=blob)
    )
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(fetched(Artefacts(models), artefact))
        await asyncio.wait({waiting}, timeout=0.3)
        assert blobs.starts == []  # the download is another's

        other.kill()
        await other.wait()

    assert waiting.result() == WEIGHTS
    assert blobs.starts[0] == 3000
    assert names(models) == [artefact.sha256]


async def _downloading(blobs: Path, models: Path, artefact: Artefact) -> asyncio.subprocess.Process:
    """A process that stands still in the middle of a download, for it alone."""
    told = msgspec.json.encode(artefact).decode()
    other = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DOWNLOADER, str(blobs), str(models), told),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert other.stderr is not None
    async with asyncio.timeout(20):
        assert await other.stderr.readline() == b"halfway\n"
    return other


async def test_whoever_wants_it_at_once_shares_one_download(
    blobs: BreakingBlobs, models: WorkerOptions
) -> None:
    artefact, blobs.slow = await an_artefact(blobs), asyncio.Event()
    stores = [Artefacts(models)] * 2 + [Artefacts(models)]
    async with asyncio.TaskGroup() as group:
        all_of_them = [group.create_task(fetched(store, artefact)) for store in stores]
        await eventually(lambda: blobs.starts)
        blobs.slow.set()

    assert [each.result() for each in all_of_them] == [WEIGHTS] * 3
    assert fetches(blobs.starts) == 1


async def test_bytes_that_are_not_what_was_registered_are_never_used(
    blobs: BreakingBlobs, models: WorkerOptions
) -> None:
    artefact = await an_artefact(blobs, sha256="0" * 64)

    with pytest.raises(PayloadFailed, match="are not the 10240 that were registered") as failure:
        await Artefacts(models).fetch(artefact)

    assert failure.value.error.kind == "internal"
    assert "0" * 64 in failure.value.error.message
    assert fetches(blobs.starts) == 1
    assert not (models.models / artefact.sha256).exists()


@pytest.mark.parametrize("data", [b"x" * 2500, b"x" * (len(WEIGHTS) + 5)], ids=["bad", "long"])
async def test_what_a_killed_worker_left_and_is_bad_is_begun_anew(
    blobs: BreakingBlobs, models: WorkerOptions, data: bytes
) -> None:
    artefact = await an_artefact(blobs)
    models.models.mkdir()
    (models.models / f"{artefact.sha256}{UNFINISHED}").write_bytes(data)

    assert await fetched(Artefacts(models), artefact) == WEIGHTS
    assert fetches(blobs.starts) == 1


async def test_a_blob_that_is_shorter_or_gone_is_an_error_that_says_so(
    blobs: BreakingBlobs, models: WorkerOptions
) -> None:
    artefact = await an_artefact(blobs)
    await blobs.delete(TENANT, artefact.blob)
    with pytest.raises(PayloadFailed, match="its blob is gone"):
        await Artefacts(models).fetch(artefact)

    blobs.kept[TENANT, artefact.blob] = Blob("application/octet-stream", WEIGHTS[:-1])
    with pytest.raises(PayloadFailed, match="that were registered"):
        await Artefacts(models).fetch(artefact)


async def test_a_name_that_is_no_checksum_reaches_no_file(
    blobs: BreakingBlobs, models: WorkerOptions
) -> None:
    artefact = await an_artefact(blobs, sha256="../../etc/passwd")

    with pytest.raises(PayloadFailed, match="is no SHA-256"):
        await Artefacts(models).fetch(artefact)

    assert blobs.starts == []


async def test_over_the_disks_bound_the_least_recently_used_is_deleted_but_none_in_use(
    blobs: BreakingBlobs, models: WorkerOptions
) -> None:
    store = Artefacts(models)
    third = MIB // 3
    first, second, third_one = [
        await an_artefact(blobs, bytes([number]) * third) for number in range(3)
    ]
    for artefact, used_at in ((first, 100), (second, 300), (third_one, 200)):
        await fetched(store, artefact)
        os.utime(store.place(artefact), (used_at, used_at))
    with await store.fetch(first):  # the oldest, but in use
        os.utime(store.place(first), (50, 50))

        await fetched(store, await an_artefact(blobs, bytes([9]) * third))

        assert store.place(first).exists()
        assert store.place(second).exists()
        assert not store.place(third_one).exists()


async def test_what_does_not_fit_beside_what_is_in_use_is_a_matter_of_resources(
    blobs: BreakingBlobs, models: WorkerOptions
) -> None:
    store = Artefacts(models)
    one, two = [await an_artefact(blobs, bytes([number]) * (2 * MIB // 3)) for number in range(2)]
    with await store.fetch(one):
        with pytest.raises(PayloadFailed, match="do not fit into the 1 MiB") as failure:
            await store.fetch(two)
        assert failure.value.error.kind == "resource"

    await fetched(store, two)  # once nobody holds the first
    assert names(models) == [two.sha256]


async def test_a_folder_that_cannot_be_written_is_said(
    blobs: BreakingBlobs, models: WorkerOptions, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    nowhere = replace(models, models=tmp_path / "file" / "models")

    with pytest.raises(PayloadFailed, match="this worker cannot keep it") as failure:
        await Artefacts(nowhere).fetch(await an_artefact(blobs))

    assert failure.value.error.kind == "internal"
