"""What `headrace jobs`, `cancel` and `retry` take to say which jobs they are about."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Final, Literal, TypeAlias

from cyclopts import Parameter

from headrace.launch.errors import Misused

StateName: TypeAlias = Literal[
    "scheduled", "queued", "running", "cancelling", "succeeded", "failed", "cancelled", "dead"
]
Everybodys: TypeAlias = Annotated[
    bool,
    Parameter(name="--all", negative="", help="Of every tenant; HEADRACE_KEY is the admin's."),
]
DryRun: TypeAlias = Annotated[
    bool, Parameter(name="--dry-run", negative="", help="Say what it would do, and do nothing.")
]
_OPERATORS: Final = ("tenant", "path", "lane", "worker", "error")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class JobFilter:
    state: StateName | None = None
    kind: str | None = None
    model: Annotated[str | None, Parameter(name="--of-model", help="By its name.")] = None
    label: Annotated[str | None, Parameter(help="name:value")] = None
    created_after: Annotated[str | None, Parameter(help="As 2030-01-31T12:00:00Z.")] = None
    created_before: str | None = None
    tenant: Annotated[str | None, Parameter(help="With --all.")] = None
    path: Annotated[str | None, Parameter(help="With --all: local or distributed.")] = None
    lane: Annotated[str | None, Parameter(help="With --all: its engine's name.")] = None
    worker: Annotated[str | None, Parameter(help="With --all: who runs or ran it.")] = None
    error: Annotated[str | None, Parameter(help="With --all: a part of what the error says.")] = (
        None
    )

    def said(self, *, everybodys: bool) -> dict[str, str]:
        """In the api's words. Raises Misused for what is an operator's to ask."""
        said = {name: value for name, value in asdict(self).items() if value is not None}
        for name in _OPERATORS:
            if name in said and not everybodys:
                raise Misused(f"--{name} is about every tenant's jobs: add --all.")
        return said


ANY: Final = JobFilter()
