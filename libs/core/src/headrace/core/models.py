"""Registered models: names, versions that never change, and the route that chooses one of them.

Laws:
1. A version never changes and its number is never used again. One that is retired is chosen no more.
2. Who asks for a model by its name gets the version that `Route.choose` says for `place_of`: by the
   model, the tenant, and the request's `sticky` key where it has one. Nothing else decides, so whoever
   asks again gets the same version for as long as the route stays.
3. Versions share out 0 to 100 in the order of their numbers. So while the newer one of two gets more,
   nobody who has it loses it.
4. The first version is routed by its registration, later ones only by somebody's word.
5. A roll back goes to the route that held before the one in force; another one goes further back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from headrace.contracts.ids import JobId, TenantId
from headrace.contracts.messages import Artefact
from headrace.core.errors import BadModel
from headrace.core.rollout import ALL, place

TRAINING: Final = "training"  # the kind of jobs that make models
NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
RESERVED: Final = frozenset({"registered"})  # it is an address of the api
LARGEST_NUMBER: Final = 1_000_000_000
MOST_ROUTED: Final = 10  # versions of one route
HEAVIEST: Final = 1_000_000.0  # a weight
MOST_SAID: Final = 64  # metrics, and as many parameters
_NAME: Final = re.compile(NAME)
_ASKED: Final = re.compile(rf"({NAME})(?:@([1-9][0-9]{{0,8}}))?")


class How(StrEnum):
    """Why a route holds."""

    FIRST = "first"  # the model's first version was registered
    ROUTED = "routed"
    PROMOTED = "promoted"  # all to one version
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One entry of a model's history; the newest one holds."""

    number: int
    weights: Mapping[int, float]  # by version, each above 0; of any sum
    how: How
    restores: int | None = None  # the entry that a roll back went to
    changed_by: str
    changed_at: datetime | None = None  # set by the store

    @property
    def origin(self) -> int:
        """Whose weights these are: of a roll back, the entry's that it went to."""
        return self.number if self.restores is None else self.restores

    @property
    def before(self) -> int | None:
        """Where a roll back would go; None: nothing held before it."""
        return self.origin - 1 or None

    @property
    def shares(self) -> dict[int, float]:
        """In percent, by version, the oldest first."""
        total = sum(self.weights.values())
        return {number: ALL * self.weights[number] / total for number in sorted(self.weights)}

    def choose(self, place: float) -> int:
        """The version of whoever stands there, between 0 and 100."""
        passed = 0.0
        for number, share in self.shares.items():
            passed += share
            if place < passed:
                return number
        return max(self.weights)  # the shares may add up to a hair less than 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A name that a tenant gave, and what it stands for now."""

    tenant: TenantId  # whose it is
    name: str
    latest: int  # the number of its newest version
    format: str  # of that one
    route: Route
    shared_at: datetime | None = None  # an operator let all tenants use it; None: its own alone
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """What is to be registered. `job` and what it was made with are its lineage."""

    tenant: TenantId
    name: str
    artefact: Artefact
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""  # what it was trained on, in its maker's words
    job: JobId | None = None  # the training job that made it
    note: str = ""
    made_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(NewVersion):
    number: int
    created_at: datetime
    retired_at: datetime | None = None
    retired_by: str | None = None

    @property
    def asked_as(self) -> str:
        """The name that always means this version."""
        return f"{self.name}@{self.number}"

    @property
    def id(self) -> str:
        """Among all tenants'."""
        return version_id(self.tenant, self.asked_as)


def version_id(owner: TenantId, asked_as: str) -> str:
    return f"{owner}/{asked_as}"  # no name of a tenant's has a slash


def check_name(name: str, pointer: str = "/name") -> None:
    """Raises BadModel."""
    if _NAME.fullmatch(name) is None or name in RESERVED:
        why = "a model's name has letters, digits, '.', '_' and '-', 63 at most"
        raise BadModel(pointer, why if name not in RESERVED else f"{name!r} is an address of ours")


def read_asked(asked: str) -> tuple[str, int | None] | None:
    """`NAME` or `NAME@N`; None: no registered model has such a name."""
    found = _ASKED.fullmatch(asked)
    if found is None:
        return None
    return found[1], None if found[2] is None else int(found[2])


def place_of(owner: TenantId, name: str, tenant: TenantId, sticky: str | None) -> float:
    """Where a caller of a model stands between 0 and 100; evenly spread over many of them."""
    who = tenant if sticky is None else f"{tenant}/{sticky}"
    return place(f"model:{owner}/{name}:{who}")


def check_weights(weights: Mapping[int, float]) -> None:
    """Raises BadModel."""
    if not 0 < len(weights) <= MOST_ROUTED:
        raise BadModel("/weights", f"a route names 1 to {MOST_ROUTED} versions")
    for number, weight in weights.items():
        if not 0 < weight <= HEAVIEST:
            raise BadModel(f"/weights/{number}", "a weight is above 0, and a million at most")
