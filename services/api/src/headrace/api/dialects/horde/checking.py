"""How a request goes, what it made, and its end: for whoever knows its id, without a key."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from fastapi import Depends, Path, Request
from starlette.responses import Response

from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.horde import generations
from headrace.api.dialects.horde.asking import stream_link
from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.forms import told
from headrace.api.dialects.horde.generations import Made
from headrace.api.dialects.horde.progress import Queue, over, standing
from headrace.api.dialects.horde.rates import at_most
from headrace.api.dialects.horde.requests import INLINE, jobs_of, request_id
from headrace.api.dialects.horde.schemas import (
    CheckView,
    HordeStatusView,
    TextStatusView,
)
from headrace.contracts.ids import BlobId, Lane, TenantId
from headrace.contracts.messages import OUTPUT_BLOB
from headrace.contracts.remote import is_remote
from headrace.core import wants
from headrace.core.crew import threads_in
from headrace.core.errors import BlobNotFound
from headrace.core.job import HELD, Job, State
from headrace.core.ports.store import Transaction
from headrace.core.usecases.cancel import wish_to_cancel
from headrace.core.usecases.lanes import LaneStanding

router = routes()
IMAGES: Final = frozenset({"image"})
VIDEOS: Final = frozenset({"video"})
TEXTS: Final = frozenset({"text"})
_WINDOW: Final = timedelta(hours=1)  # of which the pace of the lanes is taken
_ADDRESS_IS_GOOD: Final = timedelta(minutes=30)  # asking `status` again gives a new one
_Ways: TypeAlias = dict[int | str, dict[str, Any]]


async def _request_id(
    id_: Annotated[str, Path(alias="id", description="As `generate/async` told it.")],
) -> str:
    return request_id(id_)


RequestId: TypeAlias = Annotated[str, Depends(_request_id)]


def answers(view: type[CheckView]) -> _Ways:
    return {200: {"model": view}, **errors(404, 429)}


@router.get(
    "/generate/check/{id}",
    dependencies=[at_most("check")],
    response_class=Response,
    responses=answers(CheckView),
)
async def check_images(deps: Deps, request: RequestId) -> Response:
    """How far it is, without what it made: ask this, and `status` once when it is `done`."""
    seen = await look(deps, request, IMAGES)
    return told(CheckView(**seen.fields), headers=headers_of(request))


@router.get(
    "/generate/status/{id}",
    dependencies=[at_most("status")],
    response_class=Response,
    responses=answers(HordeStatusView),
)
async def image_status(http: Request, deps: Deps, request: RequestId) -> Response:
    """How far it is, and the images that there are."""
    return await _image_answer(http, deps, request, await look(deps, request, IMAGES))


@router.delete("/generate/status/{id}", response_class=Response, responses=answers(HordeStatusView))
async def end_images(http: Request, deps: Deps, request: RequestId) -> Response:
    """Ends it; tells what was made until then. Asking again changes nothing."""
    await end(deps, request, IMAGES)
    return await _image_answer(http, deps, request, await look(deps, request, IMAGES))


@router.get(
    "/generate/text/status/{id}",
    dependencies=[at_most("text-status")],
    response_class=Response,
    responses=answers(TextStatusView),
)
async def text_status(deps: Deps, request: RequestId) -> Response:
    """How far it is, and the texts that there are."""
    return await _text_answer(deps, request, await look(deps, request, TEXTS))


@router.delete(
    "/generate/text/status/{id}", response_class=Response, responses=answers(TextStatusView)
)
async def end_text(deps: Deps, request: RequestId) -> Response:
    """Ends it; tells what was written until then. Asking again changes nothing."""
    await end(deps, request, TEXTS)
    return await _text_answer(deps, request, await look(deps, request, TEXTS))


@dataclass(frozen=True, slots=True)
class Seen:
    jobs: Sequence[Job]
    fields: dict[str, Any]


async def look(deps: ApiDeps, request: str, kinds: Collection[str]) -> Seen:
    async with deps.store.begin() as tx:
        jobs = await jobs_of(tx, request, kinds)
        first = next((job for job in jobs if not over(job) and job.state not in HELD), None)
        ahead = 0 if first is None else await tx.ahead(first)
        now = await tx.now()
    queue = None if first is None else await _queue(deps, first, ahead)
    return Seen(jobs, standing(jobs, queue, now))


async def _queue(deps: ApiDeps, job: Job, ahead: int) -> Queue:
    seen = await deps.overviews.look(deps.store, _WINDOW)
    # Who asks for a remote lane's jobs need not fit this one.
    ours = 0 if is_remote(job.lane) else _slots(seen.lanes, job.lane)
    slots = ours + await _remote_slots(deps, job)
    return Queue(ahead=ahead, slots=slots, run_s=seen.run.p50_s)


def _slots(lanes: Sequence[LaneStanding], lane: Lane) -> int:
    return sum(each.slots for each in lanes if each.lane == lane)


async def _remote_slots(deps: ApiDeps, job: Job) -> int:
    if job.spec.wants is None:
        return 0
    seen = await deps.census.look(deps.store)
    return threads_in(seen.remotes, wants.read(job.spec.wants))


async def end(deps: ApiDeps, request: str, kinds: Collection[str]) -> None:
    async with deps.store.begin() as tx:
        for job in await jobs_of(tx, request, kinds):
            await wish_to_cancel(tx, job.tenant, job.id)


async def _image_answer(http: Request, deps: ApiDeps, request: str, seen: Seen) -> Response:
    shown = [
        generations.image_view(made, img)
        async for made, img in brought(http, deps, seen.jobs, "image")
    ]
    return told(HordeStatusView(**seen.fields, generations=shown), headers=headers_of(request))


async def brought(
    http: Request, deps: ApiDeps, jobs: Sequence[Job], what: str
) -> AsyncIterator[tuple[Made, str]]:
    """What there is of it, each as an address or as base64. What is gone is left out."""
    for made in await made_of(deps, jobs):
        blob = generations.blob_of(made.output, what)
        told = None if blob is None else await _told_as(http, deps, made.job, BlobId(blob))
        if told is not None:
            yield made, told


async def _told_as(http: Request, deps: ApiDeps, job: Job, blob: BlobId) -> str | None:
    if job.spec.labels.get(INLINE) != "true":
        return await link_to(http, deps, job.tenant, blob)
    try:
        found = await deps.blobs.get(job.tenant, blob)
    except BlobNotFound:
        return None
    return (await asyncio.to_thread(base64.b64encode, found.data)).decode()


async def link_to(http: Request, deps: ApiDeps, tenant: TenantId, blob: BlobId) -> str:
    base = deps.public_url or str(http.base_url)
    return await deps.signed.link(base, tenant, blob, "GET", within=_ADDRESS_IS_GOOD)


async def _text_answer(deps: ApiDeps, request: str, seen: Seen) -> Response:
    shown = [generations.text_view(each) for each in await made_of(deps, seen.jobs)]
    return told(TextStatusView(**seen.fields, generations=shown), headers=headers_of(request))


async def made_of(deps: ApiDeps, jobs: Sequence[Job]) -> list[Made]:
    done = [job for job in jobs if job.state is State.SUCCEEDED]
    async with deps.store.begin() as tx:
        workers = [await _worker(tx, job) for job in done]
    return [
        Made(job, await _output(deps, job.tenant, job.output or {}), *worker)
        for job, worker in zip(done, workers, strict=True)
    ]


async def _worker(tx: Transaction, job: Job) -> tuple[str, str]:
    """Who did it, by id and by name."""
    attempts = await tx.attempts(job.id)
    if not attempts:
        return "", ""
    worker = attempts[-1].worker
    remote = await tx.remote_worker(worker)
    return worker, worker if remote is None else remote.name


async def _output(deps: ApiDeps, tenant: TenantId, output: dict[str, Any]) -> dict[str, Any]:
    """In full. What was collected since is as if nothing had been made."""
    if set(output) != {OUTPUT_BLOB}:
        return output
    try:
        blob = await deps.blobs.get(tenant, BlobId(output[OUTPUT_BLOB]))
    except BlobNotFound:
        return {}
    return await asyncio.to_thread(msgspec.json.decode, blob.data, type=dict[str, Any])


def headers_of(request: str) -> dict[str, str]:
    return {"Link": stream_link(request)}
