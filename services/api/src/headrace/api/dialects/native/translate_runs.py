"""Between the door's words and a run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.api.dialects.native import schemas_runs as schemas
from headrace.api.dialects.native.translate import error_view, write_cursor
from headrace.api.tracing import trace_id
from headrace.contracts.ids import JobId, RunId, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.errors import BadPipeline
from headrace.core.pipeline import Pipeline, Stage, said
from headrace.core.ports.models import Models
from headrace.core.run import Piece, PieceState, Run, View
from headrace.core.usecases.pipeline_fit import settled


def page(runs: Sequence[Run], *, limit: int) -> schemas.RunsPage:
    shown = runs[:limit]
    more = len(runs) > limit
    cursor = write_cursor(shown[-1].created_at, shown[-1].id) if more else None
    return schemas.RunsPage(runs=[summary(run) for run in shown], next=cursor)


def summary(run: Run) -> schemas.RunSummary:
    return schemas.RunSummary(**_facts(run))


def run_view(
    run: Run, pieces: Sequence[Piece], progress: Mapping[JobId, float | None]
) -> schemas.RunView:
    """`progress` is that of its jobs that run."""
    view = View(run, pieces)
    return schemas.RunView(
        **_facts(run),
        progress=round(view.progress(progress), 4),
        stages=[_stage(view, stage, progress) for stage in run.stages],
    )


def _facts(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "pipeline": run.pipeline,
        "state": run.state,
        "priority": run.priority,
        "labels": run.labels,
        "input": run.input,
        "error": None if run.error is None else schemas.RunError.model_validate(_said(run.error)),
        "deadline_s": run.deadline_s,
        "deadline_at": run.deadline_at,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "trace_id": None if run.trace is None else trace_id(run.trace),
        "links": _links(run.id),
    }


def _said(error: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "internal", "message": "", **error}


def _links(run: RunId) -> schemas.RunLinks:
    at = f"/runs/{run}"
    return schemas.RunLinks(self=at, events=f"{at}/events", ws=f"{at}/ws", cancel=f"{at}/cancel")


def _stage(view: View, stage: Stage, progress: Mapping[JobId, float | None]) -> schemas.StageView:
    return schemas.StageView(
        **_outline(stage),
        state=view.states[stage.name],
        progress=round(view.progress_of(stage, progress), 4),
        on_failure=stage.on_failure,
        pieces=[_piece(piece, progress) for piece in view.pieces(stage)],
    )


def _piece(piece: Piece, progress: Mapping[JobId, float | None]) -> schemas.PieceView:
    running = piece.state is PieceState.RUNNING and piece.job is not None
    return schemas.PieceView(
        index=piece.index,
        state=piece.state,
        tries=piece.tries,
        job=piece.job,
        progress=progress.get(piece.job) if running and piece.job else None,
        output=piece.output,
        error=error_view(piece.error),
        started_at=piece.started_at,
        ended_at=piece.ended_at,
    )


def _outline(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "kind": stage.kind,
        "model": stage.model if isinstance(stage.model, str) else None,
        "made_by": stage.made_by,
        "register_as": stage.register_as,
        "after": sorted(stage.after()),
        "fans_out": stage.each is not None,
    }


async def pipeline_view(
    tx: Models, tenant: TenantId, pipeline: Pipeline, catalog: Sequence[EngineCard]
) -> schemas.PipelineView:
    problem, stages = None, pipeline.stages
    try:
        stages = await settled(tx, tenant, pipeline, catalog)
    except BadPipeline as error:
        problem = str(error)
    return schemas.PipelineView(
        name=pipeline.name,
        title=pipeline.title,
        takes=[
            schemas.TakenView(name=name, shape=said(shape), optional=name in pipeline.optional)
            for name, shape in pipeline.takes.items()
        ],
        stages=[schemas.StageOutline(**_outline(stage)) for stage in stages],
        deadline_s=pipeline.deadline_s,
        problem=problem,
    )
