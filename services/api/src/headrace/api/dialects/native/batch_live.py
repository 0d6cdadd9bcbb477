"""What comes of a batch while it runs: its results as JSON lines, and how it stands as events."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_batches as translate
from headrace.api.dialects.native.batches import BatchInPath
from headrace.api.gateways.batch_stream import JSON_LINES, Wanted, open_progress, open_results
from headrace.api.tickets import Viewer
from headrace.contracts.ids import JobId
from headrace.core.batch import Ended
from headrace.core.usecases.batches import Standing

router = APIRouter(tags=["batches"])
_MOST: Final = 2**31 - 1
_LINES: Final[dict[str, Any]] = {
    "description": (
        "An item that has ended a line (schema `BatchResult`), in the order of their ends. The `cursor` of a "
        "line is the `after` that goes on behind it. While more is waited for, a blank line says so."
    ),
    "content": {JSON_LINES: {"schema": {"type": "string"}}},
}
_EVENTS: Final[dict[str, Any]] = {
    "description": (
        "A `batch` event now and whenever something has changed, at most one a second: "
        "the data is a `BatchView`. Ends with that of a batch that is over."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.get(
    "/batches/{batch}/results",
    response_class=Response,
    responses={200: _LINES, **documents.problems(403, 404, 422)},
)
async def get_results(  # noqa: PLR0913  # a query has as many parts as it has
    deps: Deps,
    viewer: Viewer,
    batch: BatchInPath,
    *,
    after: Annotated[int, Query(ge=0, le=_MOST, description="The `cursor` of a line.")] = 0,
    errors: Annotated[
        bool, Query(description="Only those that failed, are dead or were rejected.")
    ] = False,
    follow: Annotated[
        bool, Query(description="Wait for more, until the batch is over or five minutes are.")
    ] = False,
    limit: Annotated[int | None, Query(ge=1, le=_MOST, description="Lines at most.")] = None,
) -> Response:
    """The results so far: whenever you like, from wherever you were."""
    viewer.must_fit(JobId(batch))
    wanted = Wanted(batch=batch, after=after, wrong=errors, follow=follow, most=limit)
    return await open_results(deps, viewer, wanted, _line)


@router.get(
    "/batches/{batch}/events",
    response_class=Response,
    responses={200: _EVENTS, **documents.problems(403, 404)},
)
async def get_batch_events(deps: Deps, viewer: Viewer, batch: BatchInPath) -> Response:
    """How the whole of it stands, as it changes, as Server-Sent Events."""
    viewer.must_fit(JobId(batch))
    return await open_progress(deps, viewer, batch, _standing)


def _line(ended: Ended) -> bytes:
    return translate.result(ended).model_dump_json().encode() + b"\n"


def _standing(found: Standing) -> bytes:
    return translate.batch_view(found.look, found.left).model_dump_json().encode()
