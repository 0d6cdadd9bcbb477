"""`headrace users`: what its commands take."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter, validators

from headrace.launch.command import AsJson, Limit, console, run, settings
from headrace.launch.errors import Exit

app = App(name="users", help="Who has kudos, and how many. HEADRACE_KEY is an operator's.")


@app.default
def list_users(*, limit: Limit = 200, json: AsJson = False) -> None:
    """List users, by number; 0 is whoever shows no key."""
    from headrace.launch import users

    run(users.show_list(settings(), console(), limit=limit, as_json=json))


@app.command
def show(user: int, *, json: AsJson = False) -> None:
    """What a user has, and the latest that it came by or spent."""
    from headrace.launch import users

    run(users.show(settings(), console(), user, as_json=json))


@app.command
def create(
    alias: str,
    *,
    tenant: Annotated[str | None, Parameter(help="One that there is; else a new one.")] = None,
    concurrency: Annotated[int | None, Parameter(help="Jobs that have not ended.")] = None,
    floor: Annotated[
        float | None,
        Parameter(help="What it has never falls below.", validator=validators.Number(lte=0)),
    ] = None,
    kudos: Annotated[
        float | None, Parameter(help="To begin with.", validator=validators.Number(gte=0))
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a user and print its key, this once: key=$(headrace users create ada)."""
    from headrace.launch import users

    body = {
        "alias": alias,
        "tenant": tenant,
        "concurrency": concurrency,
        "floor": floor,
        "kudos": kudos,
    }
    run(users.create(settings(), console(), body, as_json=json))


@app.command(name="set")
def change(  # noqa: PLR0913  # options of a command line
    user: int,
    *,
    alias: str | None = None,
    concurrency: int | None = None,
    trusted: bool | None = None,
    moderator: bool | None = None,
    floor: float | None = None,
    no_floor: Annotated[bool, Parameter(negative="", help="Debts have no limit.")] = False,
    json: AsJson = False,
) -> None:
    """Change what a user is and may; what is left out stays."""
    from headrace.launch import users

    body = {
        "alias": alias,
        "concurrency": concurrency,
        "trusted": trusted,
        "moderator": moderator,
        "floor": floor,
        "no_floor": no_floor,
    }
    run(users.change(settings(), console(), user, body, as_json=json))


@app.command
def grant(
    user: int,
    kudos: Annotated[float, Parameter(allow_leading_hyphen=True)],
    *,
    json: AsJson = False,
) -> None:
    """Give kudos, or take them back: headrace users grant 7 -- -20."""
    from headrace.launch import users

    run(users.grant(settings(), console(), user, kudos, as_json=json))


@app.command
def check(*, json: AsJson = False) -> Exit:
    """Add up the whole ledger; ends with 1 if it is not in order."""
    from headrace.launch import users

    return run(users.check(settings(), console(), as_json=json))
