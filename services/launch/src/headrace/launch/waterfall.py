"""`headrace trace` and `headrace logs`: where a job's time went, and what happened, with no server but the api."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from headrace.launch.chart import COLOURS, MEANS, Bar, bars, blocks
from headrace.launch.client import Client
from headrace.launch.errors import Misused
from headrace.launch.printing import print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating, talking
from headrace.launch.words import STYLES, harmless, seconds, why_not

_TRACE: Final = re.compile(r"[0-9a-f]{32}")
_LOOKED_THROUGH: Final = (
    1000  # jobs, newest first, for one of a trace: the api finds jobs by their id
)
_A_PAGE: Final = 200
_NAMES: Final = 11
_TIMES: Final = 11  # 59 min 59 s
_BESIDE: Final = 55  # what stands beside the bars
_NARROWEST: Final = 20


async def show_trace(
    settings: ClientSettings, which: str, console: Console, *, everybodys: bool, as_json: bool
) -> None:
    """`which` is a job, or a trace; with `everybodys`, of any tenant."""
    at, begin = ("/admin/jobs", operating) if everybodys else ("/jobs", talking)
    async with begin(settings) as client:
        job = await _job_of(client, at, which)
        timeline = await client.ask("GET", f"{at}/{job}/timeline")
    drawn = [bar for bar in bars(timeline, now=datetime.now(UTC)) if _worth_a_row(bar)]
    if as_json:
        print_json(console, _as_json(timeline, drawn))
        return
    console.print(_title(timeline))
    for row in _rows(timeline, drawn, width=max(_NARROWEST, console.width - _BESIDE)):
        console.print(row)


async def show_logs(
    settings: ClientSettings, job: str, console: Console, *, limit: int, as_json: bool
) -> None:
    async with talking(settings) as client:
        log = await client.ask("GET", f"/jobs/{job}/logs", params={"limit": limit})
    if as_json:
        print_json(console, log)
        return
    if log["left_out"]:
        console.print(Text(f"({log['left_out']} earlier lines of its engines left out)", "dim"))
    for line in log["lines"]:
        console.print(_log_line(line), soft_wrap=True)
    if not log["complete"]:
        console.print(
            Text("(its live stream is gone or away: its engines may have said more)", "dim")
        )


async def _job_of(client: Client, at: str, which: str) -> str:
    """Raises Misused when no job of late belongs to the trace."""
    if not _TRACE.fullmatch(which):
        return which
    cursor: str | None = None
    for _ in range(_LOOKED_THROUGH // _A_PAGE):
        asked = {"limit": _A_PAGE, **({} if cursor is None else {"cursor": cursor})}
        page = await client.ask("GET", at, params=asked)
        for job in page["jobs"]:
            if job["trace_id"] == which:
                return str(job["id"])
        cursor = page["next"]
        if cursor is None:
            break
    raise Misused(f"No job of the latest {_LOOKED_THROUGH:,} belongs to trace {which}.")


def _worth_a_row(bar: Bar) -> bool:
    """What an attempt never came to took no time."""
    return bar.length_s > 0


def _title(timeline: Mapping[str, Any]) -> Text:
    state = timeline["state"]
    total_s = timeline["total_s"]
    took = "" if total_s is None else f" in {seconds(total_s)}"
    trace = "" if timeline["trace_id"] is None else f" · trace {timeline['trace_id']}"
    return Text.assemble(
        f"job {timeline['id']} · ", (f"{state}{took}", STYLES.get(state, "")), (trace, "dim")
    )


def _rows(
    timeline: Mapping[str, Any], drawn: list[Bar], *, width: int
) -> Iterator[Table | Padding]:
    """An attempt's bars, then what became of it: apart, since a long word would widen a column."""
    whole_s = max((bar.start_s + bar.length_s for bar in drawn), default=0.0) or 1.0
    yield Padding(Text(_axis(whole_s, width), style="dim"), (0, 0, 0, _NAMES + 1))
    attempts = {each["attempt"]: each for each in timeline["attempts"]}
    for number in dict.fromkeys(bar.attempt for bar in drawn):
        table = Table.grid(padding=(0, 1))
        table.add_column(width=_NAMES, no_wrap=True)
        table.add_column(width=width, no_wrap=True)
        table.add_column(width=_TIMES, justify="right", no_wrap=True)
        table.add_column(style="dim", no_wrap=True, overflow="ellipsis")
        for bar in (each for each in drawn if each.attempt == number):
            block = blocks(bar.start_s / whole_s, bar.length_s / whole_s, width)
            name = f"{number} {bar.stage}"
            cells = (Text(block, style=COLOURS[bar.stage]), seconds(bar.length_s))
            table.add_row(name, *cells, MEANS[bar.stage])
        yield table
        for note in _notes(attempts.get(number)):
            yield Padding(note, (0, 0, 0, _NAMES + 1))


def _axis(whole_s: float, width: int) -> str:
    end = seconds(whole_s)
    return f"0{end.rjust(width - 1)}"


def _notes(attempt: Mapping[str, Any] | None) -> Iterator[Text]:
    """Who ran it together, and why there had to be another, in the place where the bars are."""
    if attempt is not None and (members := attempt.get("members")):
        who = f"on {len(members)} workers at once: {', '.join(map(harmless, members))}"
        yield Text(who, style="dim", no_wrap=True, overflow="ellipsis")
    if attempt is None or attempt["outcome"] in {None, "succeeded"}:
        return
    where = f"attempt {attempt['attempt']} {attempt['outcome']} on {attempt['worker']}"
    error = attempt["error"]
    why = "" if error is None else f" · {error['kind']}: {why_not(error)}"
    style = "yellow" if attempt["outcome"] in {"released", "cancelled"} else "red"
    yield Text(f"{where}{why}", style=style, no_wrap=True, overflow="ellipsis")


def _log_line(line: Mapping[str, Any]) -> Text:
    at = (
        ""
        if line["at"] is None
        else datetime.fromisoformat(line["at"]).strftime("%H:%M:%S.%f")[:-3]
    )
    text = harmless(line["text"])
    if line["source"] == "engine":
        return Text.assemble((" " * 13, ""), ("│ ", "dim"), text)
    attempt = "" if line["attempt"] is None else f"attempt {line['attempt']} "
    word = line["text"].partition(":")[0]
    return Text.assemble((f"{at:<13}", "dim"), (attempt, "cyan"), (text, STYLES.get(word, "")))


def _as_json(timeline: Mapping[str, Any], drawn: list[Bar]) -> dict[str, Any]:
    return {
        "job": timeline["id"],
        "trace_id": timeline["trace_id"],
        "state": timeline["state"],
        "total_s": timeline["total_s"],
        "attempts": [
            {name: each.get(name) for name in ("attempt", "worker", "members", "outcome", "error")}
            for each in timeline["attempts"]
        ],
        "bars": [
            {
                "attempt": bar.attempt,
                "stage": bar.stage,
                "start_s": round(bar.start_s, 3),
                "length_s": round(bar.length_s, 3),
            }
            for bar in drawn
        ],
    }
