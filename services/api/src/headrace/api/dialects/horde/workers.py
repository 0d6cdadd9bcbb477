"""`/workers`: who works for this door, and what owners change about theirs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Path, Query, Request
from starlette.responses import Response

from headrace.api.deps import Deps
from headrace.api.described import json_body
from headrace.api.dialects.horde.auth import Asker
from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.dialects.horde.forms import many_told, read, told
from headrace.api.dialects.horde.schemas_work import WorkerChange
from headrace.api.dialects.horde.schemas_workers import (
    RemoteWorkerView,
    WorkerChangedView,
    WorkerDeletedView,
    WorkerKudosView,
)
from headrace.api.dialects.horde.working import Owner
from headrace.contracts.ids import WorkerId
from headrace.core.errors import WorkerNotFound
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.ports.store import Transaction
from headrace.core.speed import UNITS
from headrace.core.usecases import remote_workers
from headrace.core.usecases.remote_workers import Wish

router = routes()
_LISTED: Final = 10_000
_ONLINE_FOR: Final = timedelta(minutes=5)
_NO_TEAM: Final = "None"  # as the protocol writes it
_WorkerInPath = Annotated[str, Path(max_length=64, description="The worker's id.")]


@router.get(
    "/workers",
    response_class=Response,
    responses={200: {"model": list[RemoteWorkerView]}, **errors()},
)
async def list_remote_workers(
    deps: Deps,
    type_: Annotated[Literal["all", "image", "text", "interrogation"], Query(alias="type")] = "all",
    name: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Those that were heard of in the last five minutes; or the one of a name, whenever it was heard of."""
    async with deps.store.begin() as tx:
        now = await tx.now()
        if name is not None:
            named = await tx.remote_worker_named(name)
            found = [] if named is None else [named]
        else:
            kind = None if type_ == "all" else type_
            found = await tx.remote_workers(kind=kind, limit=_LISTED)
            found = [each for each in found if _online(each, now)]
        draining = await _draining(tx, now)
    wanted = [each for each in found if type_ in {"all", each.kind}]
    return many_told([_view(each, now, draining) for each in wanted])


@router.get(
    "/workers/name/{name}",
    response_class=Response,
    responses={200: {"model": RemoteWorkerView}, **errors(404)},
)
async def get_worker_by_name(deps: Deps, name: Annotated[str, Path(max_length=100)]) -> Response:
    """By the name that its owner gave it."""
    async with deps.store.begin() as tx:
        found = await tx.remote_worker_named(name)
        if found is None:
            raise WorkerNotFound(name)
        now = await tx.now()
        return told(_view(found, now, await _draining(tx, now)))


@router.get(
    "/workers/{worker}",
    response_class=Response,
    responses={200: {"model": RemoteWorkerView}, **errors(404)},
)
async def get_remote_worker(deps: Deps, worker: _WorkerInPath) -> Response:
    """By its id."""
    async with deps.store.begin() as tx:
        found = await remote_workers.found(tx, _id(worker))
        now = await tx.now()
        return told(_view(found, now, await _draining(tx, now)))


@router.put(
    "/workers/{worker}",
    response_class=Response,
    responses={200: {"model": WorkerChangedView}, **errors(404)},
    openapi_extra=json_body("WorkerChange"),
)
async def change_worker(
    request: Request, deps: Deps, owner: Owner, worker: _WorkerInPath
) -> Response:
    """What changes is told again. In maintenance it takes nothing new and finishes what it has."""
    asked = await read(request, deps, WorkerChange)
    _must_change_something(asked)
    wish = Wish(
        name=asked.name,
        info=asked.info,
        maintenance=asked.maintenance,
        why=asked.maintenance_msg,
        paused=asked.paused,
    )
    async with deps.store.begin() as tx:
        found = await _own(tx, owner, worker)
        changed = await remote_workers.change(tx, found, wish)
    deps.roll.forget()
    if changed is None:
        raise HordeError(400, "WorkerNameAlreadyExists", f"Another worker is called {asked.name}.")
    said = asked.model_dump(exclude_none=True, exclude={"team", "maintenance_msg"})
    return told(WorkerChangedView(**said, team=_NO_TEAM if asked.team == "" else None))


def _must_change_something(asked: WorkerChange) -> None:
    """Raises HordeError: also rather than to take it in and forget a part of it."""
    if asked.team:
        raise HordeError(404, "TeamNotFound", f"There is no team {asked.team!r} here.")
    if asked == WorkerChange():
        raise HordeError(400, "NoWorkerModSelected", "That changes nothing of a worker.")


@router.delete(
    "/workers/{worker}",
    response_class=Response,
    responses={200: {"model": WorkerDeletedView}, **errors(404)},
)
async def delete_worker(deps: Deps, owner: Owner, worker: _WorkerInPath) -> Response:
    """What it holds goes to others when its lease is over."""
    async with deps.store.begin() as tx:
        found = await _own(tx, owner, worker)
        await remote_workers.remove(tx, found.id)
    deps.roll.forget()
    return told(WorkerDeletedView(deleted_id=found.id, deleted_name=found.name))


async def _own(tx: Transaction, owner: Asker, worker: str) -> RemoteWorker:
    found = await remote_workers.found(tx, _id(worker))
    if found.tenant != owner.tenant:
        raise HordeError(403, "NotOwner", f"Worker {found.name} is somebody else's.")
    return found


def _id(worker: str) -> WorkerId:
    try:
        return WorkerId(str(UUID(worker)))
    except ValueError as error:
        raise WorkerNotFound(worker) from error


async def _draining(tx: Transaction, now: datetime) -> set[str]:
    """Whom an operator told to take nothing new."""
    seen = await tx.workers(seen_after=now - _ONLINE_FOR)
    return {each.id for each in seen if each.draining}


def _online(worker: RemoteWorker, now: datetime) -> bool:
    return worker.seen_at is not None and now - worker.seen_at < _ONLINE_FOR


def _view(worker: RemoteWorker, now: datetime, draining: set[str]) -> RemoteWorkerView:
    said: dict[str, Any] = dict(worker.said)
    began, seen = worker.created_at or now, worker.seen_at or now
    known = {
        name.replace("-", "_"): said[name]
        for name in (
            *("models", "forms", "max_pixels", "img2img", "painting", "post-processing", "lora"),
            *("max_length", "max_context_length"),
        )
        if name in said
    }
    return RemoteWorkerView(
        type=worker.kind,
        name=worker.name,
        id=worker.id,
        online=_online(worker, now),
        requests_fulfilled=worker.fulfilled,
        uncompleted_jobs=worker.faulted,
        kudos_rewards=worker.earned,
        kudos_details=WorkerKudosView(generated=worker.earned, uptime=0.0),
        performance=_performance(worker),
        threads=int(said.get("threads", 1)),
        uptime=int((seen - began).total_seconds()),
        maintenance_mode=worker.maintenance is not None or worker.id in draining,
        paused=worker.paused or None,
        info=worker.info,
        nsfw=bool(said.get("nsfw")),
        trusted=worker.trusted,
        bridge_agent=str(said.get("bridge_agent", "unknown:0:unknown")),
        **known,
    )


def _performance(worker: RemoteWorker) -> str:
    if worker.speed is None:
        return "No requests fulfilled yet"
    return f"{worker.speed:.1f} {UNITS.get(worker.kind, 'requests per second')}"
