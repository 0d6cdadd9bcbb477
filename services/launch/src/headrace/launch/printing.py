"""How answers are laid out: as tables, as facts with their names, or as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headrace.launch.words import harmless


def in_json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def print_json(console: Console, value: Any) -> None:
    console.print(in_json(value), markup=False, soft_wrap=True)


def a_table(*names: str, elastic: str) -> Table:
    """Every column as wide as what is in it, but for the elastic one, which has what is left."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(name, no_wrap=name != elastic, overflow="ellipsis")
    return table


def one_line(text: str, *, style: str = "dim") -> Text:
    """Of somebody else's text as much as fits."""
    words = " ".join(harmless(text).split())[:200]
    return Text(words, style=style, no_wrap=True, overflow="ellipsis")


def print_facts(console: Console, facts: Mapping[str, str | None]) -> None:
    """A line for each that there is, indented, so that they stand below what they are about."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, fact in facts.items():
        if fact:
            grid.add_row(Text(f"  {name}", style="dim"), Text(harmless(fact)))
    console.print(grid)
