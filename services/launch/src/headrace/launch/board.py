"""All jobs of late in one table that lives: `headrace watch` without a job."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headrace.contracts.frames import Frame
from headrace.contracts.ids import Position
from headrace.launch.client import Client
from headrace.launch.errors import Exit, Refused, Unreachable
from headrace.launch.jobs import asked
from headrace.launch.many import MOST, Followed
from headrace.launch.pace import Pace
from headrace.launch.printing import one_line
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import talking
from headrace.launch.view import ENDED, View, see
from headrace.launch.words import (
    STYLES,
    how_far,
    per_second,
    seconds,
    seconds_roughly,
    standing,
    took_s,
    when,
)

_REFRESH_S: Final = 2.0
_ITS_FAULT: Final = 500
_AROUND_THE_TABLE: Final = 4  # lines: its head, what is said below, the prompt
_WIDE: Final = 150  # columns from which an id is shown whole
_BAR: Final = 16
_PIPED_ROWS: Final = 40


@dataclass(slots=True)
class Row:
    """One job: its record, and what the stream has told since."""

    record: Mapping[str, Any]
    ahead: int | None = None
    view: View = field(default_factory=View)
    done: Pace = field(default_factory=Pace)  # tokens or steps
    whole: Pace = field(default_factory=Pace)

    @property
    def state(self) -> str:
        """An end is the end, whoever tells it first."""
        told = str(self.record["state"])
        return told if told in ENDED or self.view.attempt == 0 else self.view.state

    def see(self, position: Position, frame: Frame, now: float) -> None:
        self.view = see(self.view, position, frame)
        if (done := self.view.tokens or self.view.step) is not None:
            self.done.mark(done, now=now)
        if self.view.fraction is not None:
            self.whole.mark(self.view.fraction, now=now)

    @property
    def fraction(self) -> float | None:
        told = self.view.fraction
        return self.record["progress"] if told is None else told

    def in_words(self) -> str:
        """How it stands, without a bar or a colour."""
        if self.state in ENDED:
            took = took_s(self.record)
            return self.state if took is None else f"{self.state} in {seconds(took)}"
        if self.state == "queued":
            return standing(replace(self.view, state="queued", ahead=self.ahead))
        return " ".join(filter(None, [standing(self.view), how_far(self.view)]))

    def numbers(self) -> str:
        if self.state != "running":
            return ""
        parts = []
        if (rate := self.done.rate) is not None:
            unit = "tokens" if self.view.tokens else "steps"
            parts.append(f"{per_second(rate)} {unit}/s")
        if (rate := self.whole.rate) is not None and self.fraction is not None:
            parts.append(f"about {seconds_roughly((1 - self.fraction) / rate)} left")
        return " · ".join(parts)


class Board:
    """The newest jobs, by id. `changed` is told each row that stands elsewhere."""

    def __init__(
        self,
        *,
        changed: Callable[[Row], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rows: dict[str, Row] = {}
        self.trouble: str | None = None
        self._changed, self._monotonic = changed, monotonic
        self._said: dict[str, tuple[str, int]] = {}

    def show(self, records: list[dict[str, Any]]) -> None:
        rows: dict[str, Row] = {}
        for record in records:
            row = self.rows.get(record["id"])
            rows[record["id"]] = Row(record) if row is None else row
            rows[record["id"]].record = record
        self.rows = rows
        for row in rows.values():
            self._tell(row)

    def place(self, statuses: list[dict[str, Any]]) -> None:
        for status in statuses:
            self.rows[status["id"]].ahead = status["queue_position"]

    def see(self, job: str, position: Position, frame: Frame) -> None:
        self.trouble = None
        if (row := self.rows.get(job)) is not None:
            row.see(position, frame, self._monotonic())
            self._tell(row)

    @property
    def unfinished(self) -> list[str]:
        return [job for job, row in self.rows.items() if row.record["state"] not in ENDED]

    def _tell(self, row: Row) -> None:
        """Once a state, and a quarter of the way."""
        now = (row.state, int((row.fraction or 0) * 4) if row.state == "running" else 0)
        if self._said.get(row.record["id"]) != now:
            self._said[row.record["id"]] = now
            self._changed(row)


async def watch_all(settings: ClientSettings, console: Console) -> Exit:
    """Until Ctrl-C, which touches no job."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    key = settings.key.get_secret_value()
    board = Board() if console.is_terminal else Board(changed=lambda row: _print(console, row))
    followed = Followed(settings.url, key, see=board.see, on_gap=lambda why: _lost(board, why))
    async with talking(settings) as client:
        await _refresh(
            client, board, followed, _room(console)
        )  # where nobody is, it says so at once
        with _shown(board, console):
            await _until(stop, followed.run(), _keep_listing(client, board, followed, console))
    return Exit.SUCCEEDED


def _shown(board: Board, console: Console) -> AbstractContextManager[object]:
    if not console.is_terminal:
        return nullcontext()
    draw = partial(_drawn, board, console)
    return Live(get_renderable=draw, console=console, refresh_per_second=6)


async def _until(stop: asyncio.Event, *works: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
            await stop.wait()
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as failed:
        raise _innermost(failed) from None


def _innermost(error: BaseException) -> BaseException:
    return _innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _keep_listing(client: Client, board: Board, followed: Followed, console: Console) -> None:
    while True:
        await asyncio.sleep(_REFRESH_S)
        try:
            await _refresh(client, board, followed, _room(console))
        except Unreachable as error:
            _lost(board, error.why)
        except Refused as error:
            if error.status < _ITS_FAULT:
                raise
            _lost(board, str(error))


async def _refresh(client: Client, board: Board, followed: Followed, room: int) -> None:
    board.show(await client.jobs(limit=room))
    unfinished = board.unfinished
    followed.want(unfinished)
    if unfinished:
        board.place(await client.statuses(unfinished))


def _room(console: Console) -> int:
    rows = console.height - _AROUND_THE_TABLE if console.is_terminal else _PIPED_ROWS
    return max(1, min(rows, MOST))


def _lost(board: Board, why: str) -> None:
    board.trouble = f"connection lost ({why}); trying again, nothing is missed"


def _print(console: Console, row: Row) -> None:
    console.print(
        f"{row.record['id']}  {row.in_words():<24}  {one_line(asked(row.record['input']))}",
        markup=False,
        soft_wrap=True,
    )


def _drawn(board: Board, console: Console) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for name in ("job", "kind", "state", "", "", "age"):
        table.add_column(name, no_wrap=True)
    table.add_column("asked", no_wrap=True, overflow="ellipsis", ratio=1)
    for job, row in board.rows.items():
        shown = row.fraction if row.state == "running" else None
        table.add_row(
            job if console.width >= _WIDE else job[:8],
            row.record["kind"],
            Text(row.in_words(), style=STYLES.get(row.state, "")),
            "" if shown is None else _bar(shown),
            Text(row.numbers(), style="dim"),
            when(row.record["created_at"]),
            one_line(asked(row.record["input"])),
        )
    if not board.rows:
        table.add_row("no jobs yet", *[""] * 6)
    table.caption = board.trouble or "Ctrl-C leaves; the jobs go on"
    return table


def _bar(fraction: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=fraction, width=_BAR, complete_style="cyan")
