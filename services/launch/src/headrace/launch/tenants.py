"""The commands for operators about tenants and each other: who there is, what each gets, and the audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from headrace.launch.printing import a_table, print_facts, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating
from headrace.launch.words import count, harmless, moment

_CAPS = ("max_running", "max_running_per_lane")


async def show_list(
    settings: ClientSettings, console: Console, *, limit: int, as_json: bool
) -> None:
    async with operating(settings) as client:
        page = await client.ask("GET", "/admin/tenants", params={"limit": limit})
    tenants = page["tenants"]
    if as_json:
        print_json(console, tenants)
        return
    table = a_table("tenant", "waiting", "running", "weight", "caps", "keys", elastic="caps")
    for each in tenants:
        caps = [
            f"{name} {each[name]:,}" for name in (*_CAPS, "max_queued") if each[name] is not None
        ]
        numbers = (f"{each[name]:,}" for name in ("waiting", "running", "weight"))
        table.add_row(each["tenant"], *numbers, ", ".join(caps), f"{each['keys']:,}")
    console.print(table if tenants else "There is no tenant yet.")
    if page["next"] is not None:
        console.print(Text(f"\nThere are more than {count(limit, 'tenant')}.", style="dim"))


async def show_terms(
    settings: ClientSettings, console: Console, tenant: str, *, as_json: bool
) -> None:
    async with operating(settings) as client:
        terms = await client.ask("GET", at(tenant))
    _print(console, terms, as_json=as_json)


async def set_terms(
    settings: ClientSettings,
    console: Console,
    tenant: str,
    changed: Mapping[str, int | None],
    *,
    as_json: bool,
) -> None:
    """The api sets them as a whole, so what is not named is sent as it stands."""
    async with operating(settings) as client:
        stood = await client.ask("GET", at(tenant))
        terms = {name: value for name, value in stood.items() if name != "tenant"}
        terms = await client.ask("PUT", at(tenant), json={**terms, **changed})
    _print(console, terms, as_json=as_json)


def at(tenant: str) -> str:
    return f"/admin/tenants/{quote(tenant, safe='')}"


def _print(console: Console, terms: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(console, terms)
        return
    console.print(Text(f"tenant {terms['tenant']}"))
    caps = {name: "no cap" if terms[name] is None else f"{terms[name]:,}" for name in _CAPS}
    queued, days = terms["max_queued"], terms["retain_days"]
    print_facts(
        console,
        {
            "weight": str(terms["weight"]),
            "max running": caps["max_running"],
            "max running per lane": caps["max_running_per_lane"],
            "max queued": "MAX_QUEUED_PER_TENANT" if queued is None else f"{queued:,}",
            "days kept": "RETAIN_DAYS" if days is None else f"{days:,}",
        },
    )


async def show_audit(
    settings: ClientSettings, console: Console, *, limit: int, as_json: bool
) -> None:
    async with operating(settings) as client:
        deeds = (await client.ask("GET", "/admin/audit", params={"limit": limit}))["audit"]
    if as_json:
        print_json(console, deeds)
        return
    table = a_table("when", "who", "did", "to", elastic="to")
    for each in deeds:
        told = [f"{name}={value}" for name, value in each["detail"].items() if value is not None]
        about = Text(harmless(", ".join([each["subject"], *told])))
        table.add_row(moment(each["at"]), each["who"], each["action"], about)
    console.print(table if deeds else "Nobody has done anything yet.")
