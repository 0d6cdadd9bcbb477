"""A query says each thing once: of two words for one parameter, which is meant is anybody's guess."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection

from headrace.api.problems import malformed


async def _once_each(connection: HTTPConnection) -> None:
    said = Counter(name for name, _ in connection.query_params.multi_items())
    route = connection.scope.get("route")
    if not isinstance(route, APIRoute) or all(times == 1 for times in said.values()):
        return
    # What may come more often the description knows. Asked for this alone, since making it takes a while.
    paths = connection.scope["app"].openapi()["paths"]
    operation = paths.get(route.path_format, {}).get(connection.scope["method"].lower(), {})
    for parameter in operation.get("parameters", ()):
        if said[parameter["name"]] > 1 and _is_one_of_the_query(parameter):
            raise malformed(f"The query says '{parameter['name']}' more than once.")


def _is_one_of_the_query(parameter: Mapping[str, Any]) -> bool:
    schema = parameter["schema"]
    kinds = {each.get("type") for each in schema.get("anyOf", [schema])}
    return parameter["in"] == "query" and "array" not in kinds


once_each = Depends(_once_each)
