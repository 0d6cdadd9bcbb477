"""What the protocol has and this server has none of: styles, collections and teams. Lists are empty, and ids nobody's."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from fastapi import Path
from starlette.responses import Response

from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.dialects.horde.forms import many_told

router = routes()
_NONE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "None.",
        "content": {"application/json": {"schema": {"type": "array", "maxItems": 0}}},
    },
    **errors(),
}
_Id: TypeAlias = Annotated[
    str, Path(alias="id", max_length=255, description="Whatever is asked for.")
]


@router.get("/styles/image", response_class=Response, responses=_NONE)
@router.get("/styles/text", response_class=Response, responses=_NONE)
@router.get("/collections", response_class=Response, responses=_NONE)
@router.get("/teams", response_class=Response, responses=_NONE)
async def list_nothing() -> Response:
    """There are none."""
    return many_told([])


@router.get("/styles/image/{id}", response_class=Response, responses=errors(404))
@router.get("/styles/image_by_name/{id}", response_class=Response, responses=errors(404))
@router.get("/styles/text/{id}", response_class=Response, responses=errors(404))
@router.get("/styles/text_by_name/{id}", response_class=Response, responses=errors(404))
async def find_no_style(id_: _Id) -> Response:
    """Always 404."""
    raise HordeError(404, "StyleNotFound", f"There is no style {id_!r} here.")


@router.get("/collections/{id}", response_class=Response, responses=errors(404))
@router.get("/collection_by_name/{id}", response_class=Response, responses=errors(404))
async def find_no_collection(id_: _Id) -> Response:
    """Always 404."""
    raise HordeError(404, "CollectionNotFound", f"There is no collection {id_!r} here.")


@router.get("/teams/{id}", response_class=Response, responses=errors(404))
async def find_no_team(id_: _Id) -> Response:
    """Always 404."""
    raise HordeError(404, "TeamNotFound", f"There is no team {id_!r} here.")
