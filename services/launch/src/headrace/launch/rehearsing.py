"""`headrace dead-letters replay --dry-run`: what it would do, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from headrace.launch.errors import Exit
from headrace.launch.printing import print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating
from headrace.launch.words import count, harmless

_AT: Final = "/admin/dead-letters"
_SHOWN: Final = 10
_WOULD: Final = {
    "run": "would run again as a new job in lane {to}",
    "send": "would be sent to {to} again",
    "nothing": "would not be replayed",
}


async def rehearse(
    settings: ClientSettings,
    console: Console,
    number: int | None,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
) -> Exit:
    """One, or all that a filter finds; fails where an input does not fit, or nothing would happen."""
    where = f"{_AT}/replay" if number is None else f"{_AT}/{number}/replay"
    async with operating(settings) as client:
        would = await client.ask("POST", where, json={**asked, "dry_run": True})
    if as_json:
        print_json(console, would)
    elif number is None:
        _print_many(console, would)
    else:
        console.print(Text(_line(would)))
    good = would["count"] and not would["unfit"] if number is None else _good(would)
    return Exit.SUCCEEDED if good else Exit.FAILED


def _good(would: Mapping[str, Any]) -> bool:
    return would["would"] != "nothing" and would["fits"] is not False


def _line(would: Mapping[str, Any]) -> str:
    said = _WOULD[would["would"]].format(to=would["to"])
    why = f"; {would['why']}" if would["why"] else ""
    return harmless(f"Dead letter {would['number']} {said}{why}.")


def _print_many(console: Console, would: Mapping[str, Any]) -> None:
    more = ", of the first thousand" if would["more"] else ""
    unfit = f", {would['unfit']} of them with an input that does not fit" if would["unfit"] else ""
    console.print(f"{count(would['count'], 'dead letter')} would be replayed{more}{unfit}.")
    for each in would["doubtful"][:_SHOWN]:
        console.print(Text(f"  {_line(each)}", style="dim"))
    if (left := len(would["doubtful"]) - _SHOWN) > 0:
        console.print(Text(f"  and {left} others (--json names them)", style="dim"))
