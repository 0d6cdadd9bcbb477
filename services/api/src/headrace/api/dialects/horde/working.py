"""Who may work at this door: whose key it is, and whose worker."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from fastapi import Request, Security
from fastapi.security import SecurityScopes
from msgspec.structs import replace as with_fields

from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.horde.auth import Asker, asker, with_scopes
from headrace.api.dialects.horde.errors import HordeError
from headrace.api.dialects.horde.translate_work import Profile
from headrace.api.remote_desk import RemoteDesk
from headrace.contracts.ids import UserId
from headrace.contracts.messages import Skill
from headrace.core.errors import Unavailable
from headrace.core.ports.keys import Scope
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.roll import Asks

_NOBODY: Final = "remote workers"
_AGAIN_S: Final = "5"
_DIGITS: Final = 18  # of a number that a database can hold


async def _owner(request: Request, deps: Deps, needed: SecurityScopes) -> Asker:
    found = await asker(request, deps)
    if found.anonymous:
        said = "Anonymous cannot run workers: register, and use a key of your own."
        raise HordeError(403, "AnonForbiddenWorker", said)
    return with_scopes(found, needed)


Owner: TypeAlias = Annotated[Asker, Security(_owner, scopes=[Scope.WORKER])]


def desk_of(deps: ApiDeps, *, waits: bool = False) -> RemoteDesk:
    """Raises Unavailable: this process speaks with no dispatcher; HordeError: too many wait at it."""
    if deps.desk is None:
        raise Unavailable(_NOBODY, "this api has no message bus")
    if waits and deps.desk.full:
        said = "Too many workers wait here: ask again later, or elsewhere."
        raise HordeError(429, "TooManyWaiting", said, headers={"Retry-After": _AGAIN_S})
    return deps.desk


async def admit(
    deps: ApiDeps, owner: Asker, name: str, profile: Profile
) -> tuple[RemoteWorker, Skill]:
    """Who asks, and what it can do here. Raises HordeError: it may not work, or not now; Unavailable."""
    if not profile.skill.models:
        said = "Unfortunately we cannot accept workers serving nothing: say which models."
        raise HordeError(403, "UnsupportedModel", said)
    said_of_itself = msgspec.json.encode(profile.said, order="deterministic")
    first = tuple(_numbered(each) for each in profile.usernames)
    asks = Asks(name, owner.tenant, profile.kind, said_of_itself, first)
    enlisted = await deps.roll.call(asks)
    worker = enlisted.worker
    if worker is None:
        said = "You have as many workers as you may have: delete one of them first."
        raise HordeError(403, "TooManyWorkers", said)
    if worker.tenant != owner.tenant:
        raise wrong_credentials(worker.name)
    if worker.kind != profile.kind:
        raise another_kind(worker, profile.kind)
    if worker.maintenance is not None:
        raise in_maintenance(worker)
    of_it = {"trusted": enlisted.trusted, "speed": worker.speed, "first": list(enlisted.first)}
    return worker, with_fields(profile.skill, **of_it)


def _numbered(name: str) -> tuple[UserId, str]:
    """Of `alias#number`. Raises HordeError."""
    alias, _, number = name.rpartition("#")
    if not number.isascii() or not number.isdecimal() or len(number) > _DIGITS:
        said = f"{name[:100]!r} is no user: write alias#number."
        raise HordeError(400, "InvalidPriorityUsername", said)
    return UserId(int(number)), alias


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
