"""`/admin/overview` and `/admin/workers`: how the installation does, and who works for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_admin as told
from headrace.api.dialects.native.schemas_admin import (
    OverviewView,
    Window,
    WorkersView,
    WorkerView,
)
from headrace.api.operators import Operator, Reader
from headrace.contracts.ids import WorkerId
from headrace.core.usecases import workers

WorkerInPath: TypeAlias = Annotated[str, Path(pattern=r"^[A-Za-z0-9._@:-]{1,128}$")]

router = APIRouter(prefix="/admin", tags=["admin"])


@router.get(
    "/overview",
    response_class=Response,
    responses={200: {"model": OverviewView}, **documents.problems(403, 404, 422)},
)
async def get_overview(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    window_s: Annotated[
        Window, Query(description="The time that the figures are of.")
    ] = Window.FIVE_MINUTES,
) -> Response:
    """Throughput, waits, failures, lanes, workers, paths, and a series for charts.

    A second old at most, or ten times as old as it took to look.
    """
    seen = await deps.overviews.look(deps.store, timedelta(seconds=window_s))
    view = told.overview_view(seen)
    return Response(view.model_dump_json(), media_type="application/json")


@router.get(
    "/workers", responses={200: {"model": WorkersView}, **documents.problems(403, 404, 422)}
)
async def list_workers(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
) -> WorkersView:
    """Every worker that is remembered: what it does, how it is, and whether it can receive."""
    async with deps.store.begin() as tx:
        found = await workers.workers(tx)
    return WorkersView(workers=[told.worker_view(each) for each in found])


@router.post(
    "/workers/{worker}/drain",
    responses={200: {"model": WorkerView}, **documents.problems(403, 404, 422)},
)
async def drain_worker(deps: Deps, who: Operator, worker: WorkerInPath) -> WorkerView:
    """Let it take nothing new and finish what runs; it hears of it within ten seconds."""
    async with deps.store.begin() as tx:
        return told.worker_view(await workers.drain(tx, WorkerId(worker), who=who))


@router.post(
    "/workers/{worker}/resume",
    responses={200: {"model": WorkerView}, **documents.problems(403, 404, 422)},
)
async def resume_worker(deps: Deps, who: Operator, worker: WorkerInPath) -> WorkerView:
    """Let it take offers again."""
    async with deps.store.begin() as tx:
        return told.worker_view(await workers.let_on(tx, WorkerId(worker), who=who))
