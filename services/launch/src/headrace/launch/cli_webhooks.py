"""`headrace webhooks`: what its commands take."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from headrace.launch.command import AsJson, Limit, console, run, settings

app = App(
    name="webhooks",
    help="Who is called about jobs, and what came of it. HEADRACE_KEY is an operator's.",
)


@app.default
def deliveries(
    *,
    tenant: str | None = None,
    state: Literal["waiting", "delivered", "given_up"] | None = None,
    job: str | None = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List deliveries, newest first: what waits, arrived or was given up."""
    from headrace.launch import webhooks

    asked = {"tenant": tenant, "state": state, "job": job, "limit": limit}
    said = {name: value for name, value in asked.items() if value is not None}
    run(webhooks.show_deliveries(settings(), console(), said, as_json=json))


@app.command
def endpoints(*, tenant: str | None = None, limit: Limit = 50, json: AsJson = False) -> None:
    """List the addresses that tenants have set, and which of them fail or are disabled."""
    from headrace.launch import webhooks

    asked = {"limit": limit} if tenant is None else {"limit": limit, "tenant": tenant}
    run(webhooks.show_endpoints(settings(), console(), asked, as_json=json))


@app.command
def show(delivery: str, *, json: AsJson = False) -> None:
    """One delivery, and each of its latest tries."""
    from headrace.launch import webhooks

    run(webhooks.show_delivery(settings(), console(), delivery, as_json=json))


@app.command
def redeliver(delivery: str, *, json: AsJson = False) -> None:
    """Make it once more, now, under the same webhook-id."""
    from headrace.launch import webhooks

    run(webhooks.redeliver(settings(), console(), delivery, as_json=json))
