"""`headrace keys`: what its commands take."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cyclopts import App, Parameter, validators

from headrace.launch.command import AsJson, Limit, console, run, settings

app = App(
    name="keys", help="Who may ask, as which tenant, for what. HEADRACE_KEY is an operator's."
)
ScopeName: TypeAlias = Literal["submit", "read", "models", "worker", "admin", "admin:read"]


@app.default
def list_keys(*, tenant: str | None = None, limit: Limit = 50, json: AsJson = False) -> None:
    """List keys, newest first; those of API_KEYS and the ADMIN_KEY are not among them."""
    from headrace.launch import keys

    run(keys.show_list(settings(), console(), tenant=tenant, limit=limit, as_json=json))


@app.command
def create(
    tenant: str,
    *,
    name: Annotated[str, Parameter(help="What it is for; the audit names it so.")] = "",
    scope: Annotated[
        tuple[ScopeName, ...], Parameter(negative="", help="Again for another one.")
    ] = ("submit", "read"),
    days: Annotated[
        float | None,
        Parameter(help="Until it expires.", validator=validators.Number(gt=0, lte=36_500)),
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a key and print it, this once: key=$(headrace keys create red --name ci)."""
    from headrace.launch import keys

    wish = keys.Wish(tenant=tenant, name=name, scopes=scope, days=days)
    run(keys.create(settings(), console(), wish, as_json=json))


@app.command
def revoke(key: str, *, json: AsJson = False) -> None:
    """Refuse a key from now on, for ever; KEY is its id, as the list has it."""
    from headrace.launch import keys

    run(keys.revoke(settings(), console(), key, as_json=json))
