"""Says things in the name of others: late results, old frames, offers twice, letters of nonsense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.adapters.bus.rabbitmq.bus import open_rabbit_bus
from headrace.adapters.store.sql.store import open_sql_store
from headrace.adapters.streams.redis.streams import open_redis_streams
from headrace.contracts.frames import Token, encode_frame
from headrace.contracts.ids import JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import Message, Offer, Result, Results, encode
from headrace.contracts.topology import Topology
from headrace.core.job import Job, Spec, State, Verdict
from headrace.core.ports.bus import Parcel, Sent
from headrace.core.ports.store import NewJob
from headrace.core.ports.streams import Batch
from headrace.testkit.builders import a_job_id
from headrace.testkit.chaos.engine import LANE, LedgerEngine
from headrace.testkit.chaos.planted_streams import Unfenced
from headrace.testkit.chaos.rig import Rig

ZOMBIE = WorkerId("zombie")


class Forger:
    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.topology = Topology(rig.namespace)

    async def send(
        self, queue: str, *bodies: bytes, headers: Mapping[str, str] | None = None
    ) -> list[Sent]:
        url = self._rig.urls["rabbitmq"]
        async with open_rabbit_bus(url, topology=self.topology, connection_name="forger") as bus:
            return await bus.send([Parcel(queue, body, headers or {}) for body in bodies])

    async def say(self, queue: str, *messages: Message) -> list[Sent]:
        return await self.send(queue, *map(encode, messages))

    async def late_result(self, job: str, epoch: int, key: str, *, attempt: int = 1) -> None:
        output = {"text": "late", "attempt": attempt, "run": "zombie", "key": key}
        result = Result(JobId(job), epoch, "succeeded", output=output)
        await self.say(self.topology.results, Results(ZOMBIE, [result]))

    async def offer(self, job: str, epoch: int, copies: int) -> None:
        offer = Offer(JobId(job), epoch, Lane(LANE))
        await self.say(self.topology.work(Lane(LANE)), *([offer] * copies))

    async def old_frames(self, job: str, epoch: int, *, unfenced: bool) -> Verdict:
        """Tokens of an attempt that is over, written as the zombie's build would."""
        frames = [("token", encode_frame(Token(f" {epoch}.late")))] * 3
        batch = Batch(JobId(job), epoch, frames, first_seq=500)
        url = self._rig.urls["redis"]
        async with open_redis_streams(url, prefix=self._rig.namespace, ttl_s=3600) as streams:
            (verdict,) = await (Unfenced(streams) if unfenced else streams).append([batch])
        return verdict

    def store(self) -> Any:
        """The rig's store, past the proxy."""
        return open_sql_store(self._rig.urls["postgres"])


def a_ledger_job(key: str, tenant: str) -> NewJob:
    """As the api would make it."""
    model = LedgerEngine.models[0]
    return NewJob(
        Job(
            id=a_job_id(),
            tenant=TenantId(tenant),
            spec=Spec(kind=LedgerEngine.kind, model=model, input={"key": key}),
            lane=Lane(LANE),
            path="distributed",
            state=State.QUEUED,
        )
    )
