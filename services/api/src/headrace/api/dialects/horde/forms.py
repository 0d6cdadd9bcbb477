"""How this door reads and tells: strict types both ways; what it does not know it ignores on the way in."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import Response

from headrace.api.bodies import read_json
from headrace.api.deps import ApiDeps
from headrace.api.dialects.horde.errors import wrong_body


class Asked(BaseModel):
    """Newer clients send fields that this build does not know; nulls and wrong types are refused."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Told(BaseModel):
    """Exactly the fields of the protocol: its own client refuses others in its tests."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_Form = TypeVar("_Form", bound=Asked)
_SMALL: int = 64 * 1024  # read in this loop; what is larger, a picture in it, in a thread


async def read(request: Request, deps: ApiDeps, form: type[_Form], *, limit: int = 0) -> _Form:
    """The body as this form. `limit`: bytes, where more than a job's may come. Raises HordeError, Refused."""
    body = await read_json(request, deps.limits, limit=limit or deps.limits.job_bytes)
    try:
        if len(body) <= _SMALL:
            return form.model_validate_json(body)
        return await asyncio.to_thread(form.model_validate_json, body)
    except ValidationError as error:
        raise wrong_body(error) from error


def told(view: Told, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """What is None is left out: this protocol has no nulls but those that a view states by itself."""
    return Response(
        view.model_dump_json(exclude_none=True, by_alias=True),
        status,
        headers,
        media_type="application/json",
    )


def many_told(views: list[Any], status: int = 200) -> Response:
    shown = ",".join(view.model_dump_json(exclude_none=True, by_alias=True) for view in views)
    return Response(f"[{shown}]", status, media_type="application/json")
