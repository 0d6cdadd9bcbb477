"""The commands for operators about keys."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from headrace.launch.printing import a_table, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating
from headrace.launch.words import count, harmless, moment, when


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    tenant: str
    name: str
    scopes: tuple[str, ...]
    days: float | None  # None: it does not expire


async def show_list(
    settings: ClientSettings, console: Console, *, tenant: str | None, limit: int, as_json: bool
) -> None:
    asked = {"limit": limit} if tenant is None else {"limit": limit, "tenant": tenant}
    async with operating(settings) as client:
        page = await client.ask("GET", "/admin/keys", params=asked)
    keys = page["keys"]
    if as_json:
        print_json(console, keys)
        return
    if not keys:
        console.print("No keys are kept. Try: headrace keys create TENANT --name ci")
        return
    table = a_table("key", "tenant", "name", "begins", "scopes", "state", elastic="name")
    for each in keys:
        scopes = ",".join(each["scopes"])
        table.add_row(
            each["id"], each["tenant"], Text(each["name"]), Text(each["hint"]), scopes, _state(each)
        )
    console.print(table)
    if page["next"] is not None:
        console.print(Text(f"\nThere are more than {count(limit, 'key')}.", style="dim"))


async def create(settings: ClientSettings, console: Console, wish: Wish, *, as_json: bool) -> None:
    """The key alone on standard output, for scripts; what is to be said of it beside that."""
    body: dict[str, Any] = {"tenant": wish.tenant, "name": wish.name, "scopes": list(wish.scopes)}
    if wish.days is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=wish.days)).isoformat()
    async with operating(settings) as client:
        made = await client.ask("POST", "/admin/keys", json=body)
    if as_json:
        print_json(console, made)
        return
    until = "" if made["expires_at"] is None else f" until {moment(made['expires_at'])}"
    sys.stderr.write(
        f"Key {made['id']} of tenant {made['tenant']}: {', '.join(made['scopes'])}{until}."
        " It is shown this once.\n"
    )
    console.print(made["key"], markup=False, soft_wrap=True)


async def revoke(settings: ClientSettings, console: Console, key: str, *, as_json: bool) -> None:
    async with operating(settings) as client:
        found = await client.ask("POST", f"/admin/keys/{quote(key, safe='')}/revoke")
    if as_json:
        print_json(console, found)
        return
    said = f"Key {found['id']} ({found['name'] or found['tenant']}) is refused from now on."
    console.print(Text(harmless(said)), soft_wrap=True)


def _state(key: dict[str, Any]) -> Text:
    if key["revoked_at"] is not None:
        return Text(f"revoked {when(key['revoked_at'])}", style="red")
    expires = key["expires_at"]
    if expires is not None and datetime.fromisoformat(expires) <= datetime.now(UTC):
        return Text(f"expired {when(expires)}", style="red")
    used = "not used yet" if key["last_used_at"] is None else f"used {when(key['last_used_at'])}"
    return Text(used if expires is None else f"{used}, expires {when(expires)}")
