"""What every command shares: whom it talks to, where it prints, and how it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeAlias, TypeVar

from cyclopts import Parameter, validators
from rich.console import Console

from headrace.launch.settings import ClientSettings, load_client_settings

T = TypeVar("T")
AsJson: TypeAlias = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
Limit: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=200))]
LogLimit: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=1000))]
Once: TypeAlias = Annotated[
    str | None, Parameter(name="--idempotency-key", help="The same key never runs twice.")
]
Inputs: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        name=["-i", "--input"],
        negative="",
        help="key=value, typed by the model's schema; again for a list.",
    ),
]
Model: TypeAlias = Annotated[str | None, Parameter(name=["-m", "--model"])]
Prompt: TypeAlias = Annotated[str | None, Parameter(help="- reads it from standard input.")]

PIPED_WIDTH = 120


def run(command: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(command)


def settings() -> ClientSettings:
    return load_client_settings()


def console() -> Console:
    """Where nobody's terminal says how wide it is, tables get room."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPED_WIDTH)
