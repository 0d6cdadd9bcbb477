"""A problem in the words of the door that an address belongs to, whichever layer found it."""

from __future__ import annotations

from starlette.responses import Response

from headrace.api.dialects.openai import errors as openai
from headrace.api.problems import Problem


def said(path: str, problem: Problem) -> Response:
    if path == openai.DOOR or path.startswith(f"{openai.DOOR}/"):
        return openai.response(problem)
    return problem.response()
