"""`headrace dead-letters`: what its commands take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from cyclopts import App, Parameter, validators

from headrace.launch.cli_filters import DryRun
from headrace.launch.command import AsJson, Limit, console, run, settings
from headrace.launch.errors import Exit, Misused
from headrace.launch.inputs import read_json_object

app = App(
    name="dead-letters",
    help="What nobody could handle: look, replay, discard. HEADRACE_KEY is the admin's.",
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Filter:
    cause: Annotated[str | None, Parameter(help="As `headrace dead-letters` prints it.")] = None
    source: Literal["job", "message"] | None = None
    queue: Annotated[str | None, Parameter(help="Of a dead job, its lane.")] = None
    tenant: str | None = None

    def in_the_api_s_words(self) -> dict[str, str]:
        """Raises Misused."""
        if self.cause and not re.fullmatch("[0-9a-f]{1,64}", self.cause):
            raise Misused(f"--cause {self.cause}: write it as `headrace dead-letters` prints it.")
        said = {
            "fingerprint": self.cause,
            "source": self.source,
            "queue": self.queue,
            "tenant": self.tenant,
        }
        return {name: value for name, value in said.items() if value}


_ANY = Filter()
Number: TypeAlias = Annotated[int | None, Parameter(help="One dead letter.")]
All: TypeAlias = Annotated[
    bool, Parameter(name="--all", negative="", help="Every open dead letter.")
]


@app.default
def groups(*, json: AsJson = False) -> None:
    """What died and is not settled, by cause."""
    from headrace.launch import dead_letters

    run(dead_letters.show_groups(settings(), console(), as_json=json))


@app.command(name="list")
def list_letters(
    *,
    which: Filter = _ANY,
    settled: Annotated[bool, Parameter(negative="", help="Those replayed or discarded.")] = False,
    limit: Limit = 20,
    before: Annotated[int | None, Parameter(help="Only older ones: the next page.")] = None,
    json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    from headrace.launch import dead_letters

    page = {"settled": settled, "limit": limit} | ({} if before is None else {"before": before})
    asked = which.in_the_api_s_words() | page
    run(dead_letters.show_list(settings(), console(), asked, as_json=json))


@app.command
def show(number: int, *, json: AsJson = False) -> None:
    """One dead letter: why it died, its payload, and each attempt."""
    from headrace.launch import dead_letters

    run(dead_letters.show_letter(settings(), console(), number, as_json=json))


@app.command
def replay(  # noqa: PLR0913  # a command line has as many options as it has
    number: Number = None,
    *,
    which: Filter = _ANY,
    everything: All = False,
    per_s: Annotated[
        float | None,
        Parameter(
            help="Of many, at most so many each second (10).",
            validator=validators.Number(gt=0, lte=1000),
        ),
    ] = None,
    given: Annotated[
        Path | None,
        Parameter(name="--input", help="Of one dead job: a file with the JSON to run it with."),
    ] = None,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> Exit:
    """Run dead jobs again as new jobs, and send messages back to their queue."""
    asked = _chosen(number, which, everything=everything)
    if given is not None and number is None:
        raise Misused("--input is about one dead job: say its NUMBER.")
    if per_s is not None and number is None:
        asked["per_s"] = per_s
    if given is not None:
        asked["input"] = read_json_object(given)
    if dry_run:
        from headrace.launch.rehearsing import rehearse

        return run(rehearse(settings(), console(), number, asked, as_json=json))
    _settle("replay", number, asked, as_json=json)
    return Exit.SUCCEEDED


@app.command
def discard(
    number: Number = None,
    *,
    which: Filter = _ANY,
    everything: All = False,
    json: AsJson = False,
) -> None:
    """Settle dead letters without replaying them. Their rows stay."""
    _settle("discard", number, _chosen(number, which, everything=everything), as_json=json)


def _chosen(number: int | None, which: Filter, *, everything: bool) -> dict[str, Any]:
    """What is asked of the api, unless one is named. Raises Misused."""
    said = which.in_the_api_s_words()
    if (number is not None) + bool(said) + everything != 1:
        raise Misused(
            "Say which: one NUMBER, or a filter (--cause, --source, --queue, --tenant), or --all."
        )
    return {"all": True} if everything else dict(said)


def _settle(
    verb: Literal["replay", "discard"], number: int | None, asked: dict[str, Any], *, as_json: bool
) -> None:
    from headrace.launch import dead_letters as work

    if number is None:
        run(work.settle_all(settings(), console(), verb, asked, as_json=as_json))
    else:
        run(work.settle_one(settings(), console(), verb, number, asked, as_json=as_json))
