"""The commands for operators about webhooks: who is called, and what came of each call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from headrace.launch.printing import a_table, one_line, print_facts, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating
from headrace.launch.words import count, harmless, moment, when

_AT: Final = "/admin/webhooks"
_STYLES: Final = {"delivered": "green", "given_up": "red"}


async def show_deliveries(
    settings: ClientSettings, console: Console, asked: Mapping[str, Any], *, as_json: bool
) -> None:
    """`asked` is the query, in the api's words."""
    async with operating(settings) as client:
        page = await client.ask("GET", f"{_AT}/deliveries", params=asked)
    found = page["deliveries"]
    if as_json:
        print_json(console, found)
        return
    if not found:
        console.print("No such deliveries.")
        return
    table = a_table("delivery", "tenant", "event", "made", "state", "last", elastic="last")
    for each in found:
        table.add_row(
            each["id"],
            one_line(each["tenant"], style=""),
            each["type"],
            when(each["created_at"]),
            _state(each),
            one_line(_last(each)),
        )
    console.print(table)
    if page["next"] is not None:
        console.print(Text("\nThere are more: --limit, or a filter.", style="dim"))


async def show_endpoints(
    settings: ClientSettings, console: Console, asked: Mapping[str, Any], *, as_json: bool
) -> None:
    async with operating(settings) as client:
        page = await client.ask("GET", _AT, params=asked)
    found = page["webhooks"]
    if as_json:
        print_json(console, found)
        return
    if not found:
        console.print("No tenant has set one; jobs may name their own all the same.")
        return
    table = a_table("webhook", "tenant", "state", "address", elastic="address")
    for each in found:
        table.add_row(
            each["id"], one_line(each["tenant"], style=""), _health(each), one_line(each["url"])
        )
    console.print(table)
    if page["next"] is not None:
        console.print(
            Text(f"\nThere are more than {count(asked['limit'], 'webhook')}.", style="dim")
        )


async def show_delivery(
    settings: ClientSettings, console: Console, delivery: str, *, as_json: bool
) -> None:
    async with operating(settings) as client:
        found = await client.ask("GET", f"{_AT}/deliveries/{quote(delivery, safe='')}")
    if as_json:
        print_json(console, found)
        return
    console.print(Text(f"delivery {found['id']} · {_state(found)}"))
    print_facts(
        console,
        {
            "event": found["type"],
            "job": found["job"],
            "tenant": found["tenant"],
            "address": found["url"],
            "message": found["message"],
            "webhook": found["webhook"] or "named by the job",
            "next": found["next_at"] and f"{moment(found['next_at'])} ({when(found['next_at'])})",
        },
    )
    if not found["log"]:
        return
    console.print("\ntries", style="dim")
    table = a_table("at", "took", "said", elastic="said")
    for each in found["log"]:
        said = each["error"] or f"answered {each['status']}"
        table.add_row(moment(each["at"]), f"{each['took_ms']} ms", Text(harmless(said)))
    console.print(table)


async def redeliver(
    settings: ClientSettings, console: Console, delivery: str, *, as_json: bool
) -> None:
    async with operating(settings) as client:
        path = f"{_AT}/deliveries/{quote(delivery, safe='')}/redeliver"
        found = await client.ask("POST", path)
    if as_json:
        print_json(console, found)
        return
    said = f"Delivery {found['id']} is made again; `headrace webhooks show` tells what comes of it."
    console.print(Text(said), soft_wrap=True)


def _state(delivery: dict[str, Any]) -> Text:
    state = delivery["state"]
    if state == "waiting" and delivery["tries"]:
        return Text(f"next {when(delivery['next_at'])}", style="yellow")
    return Text(state.replace("_", " "), style=_STYLES.get(state, ""))


def _last(delivery: dict[str, Any]) -> str:
    if not delivery["log"]:
        return ""
    last = delivery["log"][-1]
    return str(last["error"] or f"answered {last['status']}")


def _health(endpoint: dict[str, Any]) -> Text:
    if endpoint["disabled_at"] is not None:
        why = harmless(endpoint["disabled_why"] or "")
        return Text(f"disabled {when(endpoint['disabled_at'])}: {why}", style="red")
    if endpoint["failing_since"] is not None:
        return Text(f"failing since {when(endpoint['failing_since'])}", style="yellow")
    return Text("well", style="green")
