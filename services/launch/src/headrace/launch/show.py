"""A job as a terminal shows it while it runs, or as plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Protocol, Self

from rich.cells import cell_len, chop_cells
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segments
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from headrace.launch.pace import Pace
from headrace.launch.picture import drawn, from_data_url
from headrace.launch.view import View
from headrace.launch.words import (
    again,
    harmless,
    how_far,
    per_second,
    seconds,
    seconds_roughly,
    standing,
)

PREVIEW_WIDTH = 48
_BAR_WIDTH = 28


class Show(Protocol):
    """Entered around a job; `see` is told every view, `say` a line beside it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def see(self, view: View) -> None: ...
    def say(self, line: str) -> None: ...


def show_for(console: Console, *, notes: IO[str] | None = None) -> Show:
    """On a terminal the full show; else text on stdout and the rest on stderr, for pipes."""
    if console.is_terminal:
        return TerminalShow(console)
    return PlainShow(console.file, notes or sys.stderr)


class TerminalShow(Show):
    """Settled lines scroll up and stay; the line being written and the bar below it are live."""

    def __init__(
        self, console: Console, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._monotonic = console, monotonic
        self._live = Live(
            self, console=console, transient=True, refresh_per_second=12, redirect_stderr=False
        )
        self._spinner = Spinner("dots", style="cyan")
        self._view = View()
        self._pace = Pace()  # of tokens or steps
        self._advance = Pace()  # of the whole
        self._begun = monotonic()
        self._written = 0  # characters of the text that have been laid out
        self._tail = ""  # of the text, not settled yet
        self._picture: Segments | None = None

    @override
    def __enter__(self) -> Self:
        self._live.start()
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self._settle_tail()

    @override
    def see(self, view: View) -> None:
        before, self._view = self._view, view
        if view.restarts > before.restarts:
            self._start_over(view)
        for line in _new_lines(before, view):
            self.say(f"  {harmless(line)}")
        self._write(view)
        if view.preview is not None and view.preview != before.preview:
            data = from_data_url(view.preview)
            self._picture = drawn(self._console, data, widest=PREVIEW_WIDTH)
        self._mark(view)

    @override
    def say(self, line: str) -> None:
        self._console.print(Text(line, style="dim"))

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._picture is not None and not self._view.ended:
            parts.append(self._picture)
        if self._tail:
            parts.append(Text(self._tail))
        if not self._view.ended:
            parts.append(self._status())
        return Group(*parts)

    def _status(self) -> RenderableType:
        view = self._view
        row = Table.grid(padding=(0, 1))
        cells: list[RenderableType] = [self._spinner, Text(standing(view), style="cyan")]
        if view.fraction is not None:
            cells.append(_bar(view.fraction))
        cells.append(Text(" · ".join(self._numbers(view)), style="dim"))
        for _ in cells:
            row.add_column(no_wrap=True)  # one line: what is live must not jump about
        row.add_row(*cells)
        return row

    def _numbers(self, view: View) -> list[str]:
        numbers = [f"{view.tokens} tokens" if view.tokens else how_far(view)]
        rate = self._pace.rate
        if rate is not None:
            unit = "" if view.tokens else " steps"
            numbers.append(f"{per_second(rate)}{unit}/s")
        if (left_s := self._left_s(view)) is not None:
            numbers.append(f"about {seconds_roughly(left_s)} left")
        numbers.append(seconds(self._monotonic() - self._begun))
        return [number for number in numbers if number]

    def _left_s(self, view: View) -> float | None:
        rate = self._advance.rate
        if rate is None or view.fraction is None:
            return None
        return (1 - view.fraction) / rate

    def _mark(self, view: View) -> None:
        done = view.tokens or view.step
        if done is not None:
            self._pace.mark(done, now=self._monotonic())
        if view.fraction is not None:
            self._advance.mark(view.fraction, now=self._monotonic())

    def _write(self, view: View) -> None:
        self._tail += harmless(view.text[self._written :])
        self._written = len(view.text)
        lines, self._tail = settled(self._tail, self._console.width)
        for line in lines:
            self._console.print(Text(line))

    def _start_over(self, view: View) -> None:
        self._settle_tail()
        self._console.print(Text(again(view), style="yellow"))
        self._written, self._picture = 0, None
        self._pace, self._advance = Pace(), Pace()

    def _settle_tail(self) -> None:
        if self._tail:
            self._console.print(Text(self._tail))
            self._tail = ""


def _bar(fraction: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=fraction, width=_BAR_WIDTH, complete_style="cyan")


class PlainShow(Show):
    """What the job says goes to one stream as it comes, news about it to the other, a line each."""

    def __init__(self, said: IO[str], notes: IO[str]) -> None:
        self._said, self._notes = said, notes
        self._view = View()
        self._standing = ""
        self._quarter = 0
        self._open = False  # a line of text that has no end yet

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self._close_line()

    @override
    def see(self, view: View) -> None:
        before, self._view = self._view, view
        if view.restarts > before.restarts:
            self.say(again(view))
        for line in _new_lines(before, view):
            self.say(f"  {harmless(line)}")
        start = len(before.text) if view.text.startswith(before.text) else 0
        if text := harmless(view.text[start:]):
            self._said.write(text)
            self._said.flush()
            self._open = not text.endswith("\n")
        elif not view.text and not view.ended:
            self._progress(view)

    @override
    def say(self, line: str) -> None:
        self._close_line()
        self._notes.write(f"{line}\n")
        self._notes.flush()

    def _progress(self, view: View) -> None:
        """A line when it stands elsewhere, and one a quarter of the way."""
        now, quarter = standing(view), int((view.fraction or 0) * 4)
        if now != self._standing:
            self._standing, self._quarter = now, 0
            self.say(now)
        if quarter > self._quarter:
            self._quarter = quarter
            self.say(f"{now} {how_far(view)}")

    def _close_line(self) -> None:
        if self._open:
            self._said.write("\n")
            self._said.flush()
            self._open = False


def settled(text: str, width: int) -> tuple[list[str], str]:
    """Lines that no further text can change, and the rest: greedy, breaking at spaces."""
    lines: list[str] = []
    while True:
        head, newline, rest = text.partition("\n")
        if cell_len(head) > width:
            line, text = _first_line(text, width)
        elif newline:
            line, text = head, rest
        else:
            return lines, text
        lines.append(line)


def _first_line(text: str, width: int) -> tuple[str, str]:
    fits = len(chop_cells(text.partition("\n")[0], width)[0])
    space = text.rfind(" ", 0, fits + 1)
    if space <= 0:
        return text[:fits], text[fits:]
    return text[:space], text[space + 1 :]


def _new_lines(before: View, view: View) -> tuple[str, ...]:
    """A count that fell began anew."""
    fresh = view.line_count - (before.line_count if view.line_count >= before.line_count else 0)
    return view.lines[-fresh:] if fresh else ()
