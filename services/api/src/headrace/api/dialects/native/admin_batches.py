"""`/admin/batches`: everybody's batches, for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_batches as told
from headrace.api.dialects.native.errors import wrong_parameter
from headrace.api.dialects.native.schemas_batches import AnybodysBatchesPage
from headrace.api.dialects.native.translate import read_cursor
from headrace.api.operators import Reader
from headrace.contracts.ids import BatchId, TenantId

router = APIRouter(prefix="/admin/batches", tags=["admin"])


@router.get(
    "",
    response_class=Response,
    responses={200: {"model": AnybodysBatchesPage}, **documents.problems(403, 404, 422)},
)
async def list_anybodys_batches(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    tenant: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Batches of all tenants or one, newest first."""
    try:
        before = None if cursor is None else read_cursor(cursor)
    except ValueError as error:
        raise wrong_parameter("cursor", "this is no cursor of ours") from error
    older = None if before is None else (before[0], BatchId(before[1]))
    owner = None if tenant is None else TenantId(tenant)
    async with deps.store.begin() as tx:
        found = await tx.page_batches(owner, before=older, limit=limit + 1)
    view = told.anybodys_page(found, limit=limit)
    return Response(view.model_dump_json(), media_type="application/json")
