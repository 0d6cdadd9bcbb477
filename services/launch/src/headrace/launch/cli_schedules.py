"""`headrace schedules`: what its commands take."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Parameter

from headrace.launch.command import (
    AsJson,
    Inputs,
    Limit,
    Model,
    Once,
    Prompt,
    console,
    run,
    settings,
)
from headrace.launch.errors import Misused

app = App(name="schedules", help="Jobs and runs that recur, by a cron expression in a time zone.")


@app.default
def list_schedules(*, limit: Limit = 20, json: AsJson = False) -> None:
    """List schedules, newest first."""
    from headrace.launch import schedules

    run(schedules.show_list(settings(), console(), limit=limit, as_json=json))


@app.command
def create(  # noqa: PLR0913  # a command line has as many options as it has
    cron: Annotated[str, Parameter(help="Minute, hour, day of month, month, day of week.")],
    kind: str | None = None,
    prompt: Prompt = None,
    *,
    pipeline: Annotated[
        str | None, Parameter(help="Begin runs of it, in place of jobs; its inputs by -i.")
    ] = None,
    timezone: Annotated[str, Parameter(help="As in Europe/Berlin.")] = "UTC",
    model: Model = None,
    inputs: Inputs = (),
    priority: Annotated[int | None, Parameter(help="-100 to 100, among your own jobs.")] = None,
    timeout: Annotated[float | None, Parameter(help="Seconds that an attempt may run.")] = None,
    deadline: Annotated[
        float | None, Parameter(help="Seconds after which a run that is not over fails.")
    ] = None,
    idempotency_key: Once = None,
    json: AsJson = False,
) -> None:
    """Make a job, or begin a run, whenever CRON says so: headrace schedules create "0 6 * * MON-FRI" text "..."."""
    from headrace.launch import schedules
    from headrace.launch.jobs import Wish

    given = {"priority": priority, "timeout": timeout, "deadline_s": deadline}
    more = {name: value for name, value in given.items() if value is not None}
    if (kind is None) == (pipeline is None):
        raise Misused("Say what is to recur: a KIND of job, or a --pipeline.")
    if pipeline is not None and (model, timeout) != (None, None):
        raise Misused("A pipeline's stages have models and timeouts of their own.")
    if pipeline is None and deadline is not None:
        raise Misused("A --deadline is for the runs of a --pipeline.")
    recurring = schedules.Recurring(
        recurs={"cron": cron, "timezone": timezone},
        more=more,
        wish=Wish(
            kind=kind or "",
            prompt=sys.stdin.read().strip() if prompt == "-" else prompt,
            model=model,
            given=inputs,
            idempotency_key=idempotency_key,
            as_json=json,
        ),
        pipeline=pipeline,
    )
    run(schedules.create(settings(), console(), recurring))


@app.command
def show(schedule: str, *, json: AsJson = False) -> None:
    """One schedule, and the latest times it fired."""
    from headrace.launch import schedules

    run(schedules.show(settings(), console(), schedule, as_json=json))


@app.command
def pause(schedule: str, *, json: AsJson = False) -> None:
    """Make nothing more until it is resumed."""
    from headrace.launch import schedules

    run(schedules.turn(settings(), console(), schedule, "pause", as_json=json))


@app.command
def resume(schedule: str, *, json: AsJson = False) -> None:
    """Go on from now; what would have fired meanwhile is not made up for."""
    from headrace.launch import schedules

    run(schedules.turn(settings(), console(), schedule, "resume", as_json=json))


@app.command
def run_now(schedule: str, *, idempotency_key: Once = None, json: AsJson = False) -> None:
    """Make one job, or begin one run, now, beside those of its times, and print its id."""
    from headrace.launch import schedules

    found = schedules.run_now(settings(), console(), schedule, key=idempotency_key, as_json=json)
    run(found)


@app.command
def delete(schedule: str) -> None:
    """Delete it. What it made stays."""
    from headrace.launch import schedules

    run(schedules.delete(settings(), console(), schedule))
