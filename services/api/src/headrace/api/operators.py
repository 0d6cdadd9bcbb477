"""Who may operate: whoever shows the admin key. Without one in the settings, there is nothing to operate."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Annotated, TypeAlias

from fastapi import Depends, Header, Request

from headrace.api.auth import presented
from headrace.api.deps import ApiDeps, Deps
from headrace.api.problems import Problem, Refused


def is_operator(headers: Mapping[str, str], deps: ApiDeps) -> bool:
    if deps.admin_key is None:
        return False
    shown = presented(headers) or ""
    return hmac.compare_digest(shown.encode(), deps.admin_key.encode())


async def _operator(
    request: Request,
    deps: Deps,
    who: Annotated[
        str,
        Header(
            alias="X-Operator",
            pattern=r"^[A-Za-z0-9._@ -]{1,64}$",
            description="Who you are, for the audit.",
        ),
    ] = "admin",
) -> str:
    if deps.admin_key is None:
        detail = "Nobody administers this installation over HTTP: it has no ADMIN_KEY."
        raise Refused(Problem(404, "no-admin", "There is nothing here", detail))
    if not is_operator(request.headers, deps):
        detail = "Send the ADMIN_KEY as the header 'apikey'."
        raise Refused(Problem(403, "forbidden", "This needs the admin key", detail))
    return who


Operator: TypeAlias = Annotated[str, Depends(_operator)]
Reader: TypeAlias = Operator
