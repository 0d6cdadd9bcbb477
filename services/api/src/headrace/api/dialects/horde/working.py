"""Who may work at this door: whose key it is, and whose worker."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import Request, Security
from fastapi.security import SecurityScopes

from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.horde.auth import Asker, asker
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.remote_desk import RemoteDesk
from headrace.core.errors import Unavailable
from headrace.core.ports.keys import Scope
from headrace.core.ports.remotes import RemoteWorker

_NOBODY: Final = "remote workers"


async def _owner(request: Request, deps: Deps, needed: SecurityScopes) -> Asker:
    found = await asker(request, deps)
    if found.anonymous:
        said = "Anonymous cannot run workers: register, and use a key of your own."
        raise HordeError(403, "AnonForbiddenWorker", said)
    for scope in map(Scope, needed.scopes):
        if not found.caller.may(scope):
            raise HordeError(403, "Forbidden", f"This key has not the scope '{scope}'.")
    return found


Owner: TypeAlias = Annotated[Asker, Security(_owner, scopes=[Scope.WORKER])]


def desk_of(deps: ApiDeps) -> RemoteDesk:
    """Raises Unavailable: this process speaks with no dispatcher."""
    if deps.desk is None:
        raise Unavailable(_NOBODY, "this api has no message bus")
    return deps.desk


def wrong_credentials(worker: str) -> HordeError:
    """Clients look for the first two words."""
    said = f"Wrong credentials to work as {worker}: that worker is somebody else's."
    return HordeError(403, "WrongCredentials", said)


def in_maintenance(worker: RemoteWorker, why: str | None = None) -> HordeError:
    """Clients look for the words `maintenance mode`."""
    reason = why or worker.maintenance or "an operator lets it drain"
    said = f"Worker {worker.name} is in maintenance mode: {reason}"
    return HordeError(403, "WorkerMaintenance", said)


def another_kind(worker: RemoteWorker, kind: str) -> HordeError:
    said = (
        f"{worker.name} is a worker for {worker.kind} already: one for {kind} needs another name."
    )
    return HordeError(400, "PolymorphicNameConflict", said)
