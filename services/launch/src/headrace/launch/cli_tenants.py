"""`headrace tenants`: what its commands take."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cyclopts import App, Parameter

from headrace.launch.command import AsJson, Limit, console, run, settings
from headrace.launch.errors import Misused

app = App(name="tenants", help="What tenants get, may take and have. HEADRACE_KEY is the admin's.")
Cap: TypeAlias = int | Literal["none"] | None


@app.default
def list_tenants(*, limit: Limit = 200, json: AsJson = False) -> None:
    """List those with terms, a key, or a job that has not ended; by name."""
    from headrace.launch import tenants

    run(tenants.show_list(settings(), console(), limit=limit, as_json=json))


@app.command
def show(tenant: str, *, json: AsJson = False) -> None:
    """What a tenant gets and may take."""
    from headrace.launch import tenants

    run(tenants.show_terms(settings(), console(), tenant, as_json=json))


@app.command(name="set")
def set_terms(  # noqa: PLR0913  # a command line has as many options as it has
    tenant: str,
    *,
    weight: Annotated[int | None, Parameter(help="Jobs it gets in each round.")] = None,
    max_running: Annotated[Cap, Parameter(help="none: no cap.")] = None,
    max_running_per_lane: Annotated[Cap, Parameter(help="none: no cap.")] = None,
    max_queued: Annotated[Cap, Parameter(help="none: the installation's.")] = None,
    retain_days: Annotated[Cap, Parameter(help="none: as for everybody.")] = None,
    json: AsJson = False,
) -> None:
    """Change what is named; the rest stays. A lowered cap stops nothing that runs."""
    from headrace.launch import tenants

    given: dict[str, Cap] = {
        "weight": weight,
        "max_running": max_running,
        "max_running_per_lane": max_running_per_lane,
        "max_queued": max_queued,
        "retain_days": retain_days,
    }
    changed = {
        name: None if value == "none" else value
        for name, value in given.items()
        if value is not None
    }
    if not changed:
        raise Misused("Say what to change: --weight, --max-running, ... (headrace tenants set -h).")
    run(tenants.set_terms(settings(), console(), tenant, changed, as_json=json))


@app.command
def delete_data(
    tenant: str,
    *,
    yes: Annotated[bool, Parameter(negative="", help="Yes, all of it.")] = False,
    json: AsJson = False,
) -> None:
    """Delete all that a tenant has: jobs, runs, schedules, webhooks, uploads and blobs. Its keys stay."""
    from headrace.launch import deleting
    from headrace.launch.tenants import at

    if not yes:
        raise Misused(f"This deletes all that {tenant} has and cannot be undone: say --yes.")
    run(deleting.delete_tenant(settings(), console(), f"{at(tenant)}/data", as_json=json))
