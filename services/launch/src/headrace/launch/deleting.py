"""The commands that delete: a job, a run, a batch, or all that a tenant has; each prints its receipt."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from headrace.launch.printing import print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating, talking
from headrace.launch.words import harmless


async def delete(
    settings: ClientSettings, console: Console, at: str, *, cancel: bool, as_json: bool
) -> None:
    async with talking(settings) as client:
        params = {"cancel": "1"} if cancel else {}
        _print(console, await client.ask("DELETE", at, params=params), as_json=as_json)


async def delete_tenant(
    settings: ClientSettings, console: Console, at: str, *, as_json: bool
) -> None:
    async with operating(settings) as client:
        receipt = await client.ask("DELETE", at)
    _print(console, receipt, as_json=as_json, look_at="/admin/deletions")


def _print(
    console: Console, receipt: dict[str, Any], *, as_json: bool, look_at: str = "/deletions"
) -> None:
    if as_json:
        print_json(console, receipt)
        return
    removed = ", ".join(f"{many} {name}" for name, many in sorted(receipt["removed"].items()))
    said = f"{receipt['subject']}: removed {removed or 'nothing yet'}."
    if receipt["state"] != "done":
        said += f" The rest goes as soon as it can: GET {look_at}/{receipt['id']} says when."
    console.print(Text(harmless(said)), soft_wrap=True)
