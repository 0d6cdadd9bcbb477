"""A store and what lies beside it, with one text in every place that a job has; and where that still is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from headrace.adapters.store.sql import SqlStore
from headrace.adapters.store.sql.place import Sqlite
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.ids import START, JobId
from headrace.core.errors import Unavailable
from headrace.core.job import Job, Verdict
from headrace.core.ports.blobs import Blob
from headrace.core.ports.deletions import Deletion
from headrace.core.ports.store import IdempotencyKey, NewJob
from headrace.core.ports.streams import Batch
from headrace.core.ports.upkeep import Answer, BlobUse, Question
from headrace.core.usecases.batches import stop_batches
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.erase import Asking, Places, delete_job, delete_tenant
from headrace.core.usecases.go_on_erasing import go_on
from headrace.core.usecases.record import record
from headrace.core.usecases.runs import stop_runs
from headrace.testkit.builders import a_job, a_job_id
from headrace.testkit.deciding import ANY, PATH, POLICY, a_result, taken
from headrace.testkit.fake_producers import FakeProducers
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.running_batches import turn
from headrace.testkit.running_runs import TENANT

ZEBRA: Final = "the quick brown zebra"
ASKING: Final = Asking(TENANT, "key-1", a_job_id)


class DeafStreams(InProcessStreams):
    @override
    async def discard(self, jobs: Sequence[JobId]) -> None:
        raise Unavailable("Redis", "a test says so")


@dataclass
class World:
    """A store and what lies beside it."""

    store: SqlStore
    streams: InProcessStreams = field(default_factory=InProcessStreams)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    producers: FakeProducers = field(default_factory=FakeProducers)
    jobs: list[JobId] = field(default_factory=list)

    @property
    def places(self) -> Places:
        return Places(self.streams, self.blobs, self.producers)

    async def job(self, **fields: Any) -> Job:
        """With the secret wherever a job can have it."""
        picture = await self.blobs.put(TENANT, Blob("image/png", ZEBRA.encode()))
        given = {"text": ZEBRA, "image": {"blob": picture}}
        new = a_job(
            **{"tenant": TENANT, "path": PATH, "input": given, "labels": {"of": ZEBRA}} | fields
        )
        key = IdempotencyKey(f"{ZEBRA} {new.id}", "f")
        async with self.store.begin() as tx:
            await tx.insert([NewJob(new, key)])
            await tx.use_blobs([BlobUse(TENANT, picture, new.id)])
            question = Question(TENANT, f"POST /jobs/{new.id}/cancel", ZEBRA, "f")
            await tx.recall(question)
            await tx.remember(question, Answer(200, ZEBRA, new.id))
        self.jobs.append(new.id)
        await self.say(new.id, 1)
        return new

    async def say(self, job: JobId, epoch: int) -> Verdict:
        (verdict,) = await self.streams.append([Batch(job, epoch, [("token", ZEBRA.encode())])])
        return verdict

    async def ended(self, **fields: Any) -> Job:
        job = await self.job(**fields)
        (held,) = await taken(self.store, job)
        made = await self.blobs.put(TENANT, Blob("image/png", ZEBRA.encode()))
        said = a_result(held, output={"text": ZEBRA, "image": {"blob": made}})
        await record(self.store, [said], policy=POLICY, random=ANY)
        return held

    async def delete(self, job: JobId, *, cancel: bool = False) -> Deletion:
        async with self.store.begin() as tx:
            return await delete_job(tx, ASKING, job, cancel=cancel)

    async def delete_all(self, who: str = "operator") -> Deletion:
        """The clock of SQLite has milliseconds; what was made in this one counts as before."""
        self.blobs.age_s = 60.0
        async with self.store.begin() as tx:
            wish = await delete_tenant(tx, replace(ASKING, who=who))
            assert wish.sweep is not None
            then = await tx.now() + timedelta(seconds=1)
            wish = replace(wish, sweep=replace(wish.sweep, made_before=then))
            await tx.save_deletion(wish)
            return wish

    async def until_over(self, wish: Deletion) -> Deletion:
        """As a dispatcher does, looking again as if it were later."""
        for _ in range(50):
            async with self.store.begin() as tx:
                found = await tx.lock_deletion(wish.id)
                assert found is not None
                if found.next_at is None:
                    return found
                await tx.save_deletion(replace(found, next_at=await tx.now()))
            await go_on(self.store, self.places, limit=10)
            await stop_runs(self.store, path=PATH, limit=10)
            await turn(self.store, self.blobs)
            await stop_batches(self.store, path=PATH, limit=10)
            await honour_cancels(self.store, path=PATH, limit=10)
        raise AssertionError("it is never over")

    async def trace_of(self, said: str) -> list[str]:
        """Where this text still is: in tables, frames, and blobs."""
        assert isinstance(self.store.place, Sqlite)
        found = said_in_tables(self.store.place.file, said)
        for job in self.jobs:
            page = await self.streams.read(job, START, limit=100)
            found += [f"log {job}" for entry in page.entries if said.encode() in entry.data]
        found += [blob for (_, blob), kept in self.blobs.kept.items() if said.encode() in kept.data]
        return found


def said_in_tables(database: Path, said: str) -> list[str]:
    """Of a SQLite file: the table of each row that has this text."""
    with closing(sqlite3.connect(database)) as connection:
        rows = [line for line in connection.iterdump() if line.startswith("INSERT INTO")]
    return [row.split('"')[1] for row in rows if said in row]
