"""`headrace rollout`: what its commands take."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from cyclopts import App, Parameter, validators

from headrace.launch.command import AsJson, console, run, settings
from headrace.launch.errors import Misused

app = App(
    name="rollout",
    help="Which path new jobs take, step by step, and back. HEADRACE_KEY is the admin's.",
)
internal = App(name="internal", help="Tenants that take the new path in any case.")
app.command(internal)
Percent: TypeAlias = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=100))]
Share: TypeAlias = Annotated[float | None, Parameter(validator=validators.Number(gte=0, lte=1))]


@app.default
@app.command
def show(*, json: AsJson = False) -> None:
    """What holds, who applies it already, and both paths side by side."""
    from headrace.launch import rollout

    run(rollout.show(settings(), console(), as_json=json))


def _change(changed: dict[str, Any], *, json: bool) -> None:
    from headrace.launch import rollout

    run(rollout.change(settings(), console(), lambda _: changed, as_json=json))


@internal.command(name="add")
def add_internal(tenant: str, *more: str, json: AsJson = False) -> None:
    """Let these tenants take the new path, whatever the percent."""
    from headrace.launch import rollout

    names = (tenant, *more)
    run(rollout.change(settings(), console(), rollout.with_internal(names), as_json=json))


@internal.command(name="remove")
def remove_internal(tenant: str, *more: str, json: AsJson = False) -> None:
    """Treat these tenants like all others again."""
    from headrace.launch import rollout

    names = (tenant, *more)
    run(rollout.change(settings(), console(), rollout.without_internal(names), as_json=json))


@app.command
def percent(percent: Percent, *, json: AsJson = False) -> None:
    """Let so many of all tenants take the new path. Who is in at 10 is in at 50."""
    _change({"percent": percent}, json=json)


@app.command
def kind(
    kind: str,
    path: Annotated[Literal["local", "distributed", "-"], Parameter(allow_leading_hyphen=True)],
    *,
    json: AsJson = False,
) -> None:
    """Pin a kind to a path for everybody; - pins it no more."""
    from headrace.launch import rollout

    run(rollout.change(settings(), console(), rollout.with_kind(kind, path), as_json=json))


@app.command
def shadow(percent: Percent, *, json: AsJson = False) -> None:
    """Run so many of all jobs on the other path too, unseen, and compare what comes of them."""
    _change({"shadow_percent": percent}, json=json)


@app.command
def guard(
    *,
    on: Annotated[bool | None, Parameter(negative="--off", help="Watch, or let be.")] = None,
    window: Annotated[float | None, Parameter(help="Seconds to look back.")] = None,
    at_least: Annotated[int | None, Parameter(help="Jobs of a kind on each path.")] = None,
    errors_over: Annotated[Share, Parameter(help="0.05: 5 points more may fail.")] = None,
    slower_by: Annotated[float | None, Parameter(help="1: twice as long is allowed.")] = None,
    json: AsJson = False,
) -> None:
    """How much worse the new path may do before everything goes back by itself."""
    given = {
        "on": on,
        "window_s": window,
        "at_least": at_least,
        "errors_over": errors_over,
        "slower_by": slower_by,
    }
    named = {name: value for name, value in given.items() if value is not None}
    if not named:
        raise Misused("Say what to change: --off, --at-least, ... (headrace rollout guard -h).")
    _change({"guard": named}, json=json)


@app.command
def rollback(*, json: AsJson = False) -> None:
    """Everybody back on the old path, in one go. What runs ends where it is."""
    from headrace.launch import rollout

    run(rollout.roll_back(settings(), console(), as_json=json))
