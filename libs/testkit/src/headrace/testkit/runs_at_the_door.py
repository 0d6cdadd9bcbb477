"""Runs at the door: pipelines to ask for, a client's steps, and a crew that does the jobs."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import httpx

from headrace.contracts.frames import Frame, Queued, encode_frame, frame_type
from headrace.contracts.ids import JobId
from headrace.contracts.messages import Result
from headrace.core.pipeline import Given, Item, Made, Many, Of, Plain
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Batch, Streams
from headrace.core.retry import RetryPolicy
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.claim import claim
from headrace.core.usecases.record import record
from headrace.core.usecases.runs import expire_runs, stop_runs
from headrace.testkit.builders import a_pipeline, a_stage
from headrace.testkit.deciding import LEASE, WORKER, a_claim

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
NOBODYS = "0b6c1f0e-6b1d-4a57-9c2f-0d9a4c1b7a11"
_UNSET: Final[dict[str, Any]] = {"model": None, "lane": None}
CHAIN: Final = a_pipeline(
    a_stage(**_UNSET),
    a_stage("next", input={"text": Of("first", "text")}, **_UNSET),
    name="chain",
)
FAN: Final = a_pipeline(
    a_stage("fan", each=Given("texts"), input={"text": Item()}, **_UNSET),
    name="fan",
    takes={"texts": Many(Plain.TEXT)},
)
PICTURE: Final = a_pipeline(a_stage(gives={"image": Plain.BLOB}, **_UNSET), name="picture")
_NO_ENGINE: Final = a_pipeline(a_stage(kind="video", model=None, lane=None), name="no-engine")
_HURRIED: Final = a_pipeline(a_stage(**_UNSET), name="hurried", deadline_s=60.0)
LEARN: Final = a_pipeline(
    a_stage("train", kind="training", register_as="digits", **_UNSET),
    a_stage("serve", kind="inference", model=Made("train"), lane=None),
    name="learn",
)
SERVE: Final = a_pipeline(
    a_stage("serve", kind="inference", model="digits", lane=None), name="serve"
)
_ALL: Final = (CHAIN, FAN, PICTURE, LEARN, SERVE, _NO_ENGINE, _HURRIED)
PIPELINES: Final = {each.name: each for each in _ALL}


class Crew:
    """Plays dispatcher and worker for the jobs of a run."""

    def __init__(self, store: Store, streams: Streams) -> None:
        self._store, self._streams = store, streams

    async def say(self, job: str, *frames: Frame) -> None:
        async with self._store.begin() as tx:
            epoch = (await tx.load([JobId(job)]))[JobId(job)].epoch
        said = [(frame_type(frame), encode_frame(frame)) for frame in frames]
        await self._streams.append([Batch(JobId(job), epoch, said)])

    async def start(self, job: str) -> None:
        async with self._store.begin() as tx:
            waiting = (await tx.load([JobId(job)]))[JobId(job)]
        queued = [("queued", encode_frame(Queued()))]
        await self._streams.append([Batch(waiting.id, 0, queued, first_seq=1)])
        claims = [a_claim(waiting, f"claim-of-{waiting.id}")]
        claimed = await claim(self._store, WORKER, claims, lease=LEASE)
        await self._streams.append(claimed.announcements)

    async def end(self, job: str, **fields: Any) -> None:
        async with self._store.begin() as tx:
            held = (await tx.load([JobId(job)]))[JobId(job)]
        usual: dict[str, Any] = {"outcome": "succeeded", "output": {"text": "done"}}
        result = Result(job=held.id, epoch=held.epoch, **{**usual, **fields})
        told = await record(self._store, [result], policy=RetryPolicy(), random=Random(1))
        await self._streams.append(told.announcements)

    async def do(self, job: str, *frames: Frame, **fields: Any) -> None:
        await self.start(job)
        await self.say(job, *frames)
        await self.end(job, **fields)

    async def stop(self) -> None:
        await expire_runs(self._store, path="local", limit=10)
        await stop_runs(self._store, path="local", limit=10)
        honoured = await honour_cancels(self._store, path="local", limit=10)
        await self._streams.append(honoured.announcements)


async def begin(http: httpx.AsyncClient, pipeline: str = "chain", **fields: Any) -> Any:
    given = {"texts": ["a", "b"]} if pipeline == "fan" else {"text": "hello"}
    asked = {"pipeline": pipeline, "input": given, **fields}
    answer = await http.post("/runs", json=asked, headers=RED)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def shown(http: httpx.AsyncClient, run: Any) -> Any:
    answer = await http.get(f"/runs/{run['id']}", headers=RED)
    assert answer.status_code == 200
    return answer.json()


def job_of(run: Any, stage: str, index: int = 0) -> str:
    (found,) = [each for each in run["stages"] if each["name"] == stage]
    return str(found["pieces"][index]["job"])
