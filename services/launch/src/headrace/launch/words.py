"""How times, sizes and jobs are put in words; one place, so that every command says them alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from headrace.launch.view import View

# Escape sequences in what a model writes would take over the terminal.
_CONTROLS: Final = {
    code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}
STYLES: Final[Mapping[str, str]] = {
    "succeeded": "green",
    "failed": "red",
    "dead": "red",
    "running": "cyan",
    "cancelling": "yellow",
    "cancelled": "yellow",
}
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


def harmless(text: str) -> str:
    return text.translate(_CONTROLS)


def seconds(duration_s: float) -> str:
    """Three digits where they matter: 4 ms, 0.33 s, 12.5 s, 2 min 5 s."""
    if duration_s < 0.1:  # noqa: PLR2004  # below this, milliseconds read better
        return f"{duration_s * 1000:.{1 if duration_s < 0.001 else 0}f} ms"  # noqa: PLR2004
    if duration_s < 10:  # noqa: PLR2004
        return f"{duration_s:.2f} s"
    if duration_s < _MINUTE_S:
        return f"{duration_s:.1f} s"
    if duration_s < _HOUR_S:
        return f"{int(duration_s // _MINUTE_S)} min {int(duration_s % _MINUTE_S)} s"
    return f"{int(duration_s // _HOUR_S)} h {int(duration_s % _HOUR_S // _MINUTE_S)} min"


def per_second(rate: float) -> str:
    """Digits that mean something."""
    return f"{rate:.{0 if rate >= 10 else 1}f}"  # noqa: PLR2004


def standing(view: View) -> str:
    """Where a job stands, before and between what it shows."""
    match view.state:
        case "queued" | "scheduled" if view.retry_in_s:
            return f"tries again in {seconds(view.retry_in_s)}"
        case "queued" if view.ahead:
            return f"queued, {view.ahead} ahead"
        case "running":
            return view.stage or "running"
        case state:
            return str(state)


def again(view: View) -> str:
    """Why what was shown starts over."""
    why = f": {harmless(view.why_again)}" if view.why_again else ""
    return f"starting over{why}"


def how_far(view: View) -> str:
    """As in 6/24 or 25%; empty where nobody says."""
    if view.step is not None and view.steps:
        return f"{view.step}/{view.steps}"
    return "" if view.fraction is None else f"{view.fraction:.0%}"


def outcome(view: View, job: Mapping[str, Any]) -> str:
    """The last line: how it ended, how long it took, how fast it was."""
    parts = [f"{view.state}{_took(job)}"]
    if view.tokens > 1:
        parts.append(f"{view.tokens} tokens{_speed(view, 'tokens_per_s')}")
    elif "steps_per_s" in view.metrics:
        parts.append(f"{view.steps or view.step} steps{_speed(view, 'steps_per_s')}")
    if job["attempt"] > 1:
        parts.append(f"{job['attempt']} attempts")
    return " · ".join(parts)


def why_not(error: Mapping[str, Any] | None) -> str:
    """An error in one line, naming the field at fault."""
    if not error:
        return "no reason was given"
    field, message = error.get("field"), str(error.get("message") or error.get("kind"))
    return harmless(message if not field or message.startswith(field) else f"{field} {message}")


def took_s(job: Mapping[str, Any]) -> float | None:
    """From submission to the end."""
    start, end = _time(job.get("created_at")), _time(job.get("finished_at"))
    return None if start is None or end is None else (end - start).total_seconds()


def _took(job: Mapping[str, Any]) -> str:
    took = took_s(job)
    return "" if took is None else f" in {seconds(took)}"


def _speed(view: View, metric: str) -> str:
    value = view.metrics.get(metric)
    return "" if value is None else f" at {value:.0f}/s"


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def when(at: str | None) -> str:
    """How long ago, or how soon, roughly."""
    time = _time(at)
    if time is None:
        return ""
    away_s = (time - datetime.now(UTC)).total_seconds()
    return f"in {seconds_roughly(away_s)}" if away_s > 0 else f"{seconds_roughly(-away_s)} ago"


def moment(at: str, zone: str | None = None) -> str:
    """The time itself, where the person is, or in a zone."""
    time = datetime.fromisoformat(at).astimezone(None if zone is None else ZoneInfo(zone))
    return f"{time:%Y-%m-%d %H:%M:%S %Z}"


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """As in 512 MiB or 1.5 GiB."""
    if number < 1 << 30:
        return f"{number / (1 << 20):.0f} MiB"
    return f"{number / (1 << 30):.1f} GiB"


def seconds_roughly(duration_s: float) -> str:
    for unit, size_s in (("d", 86_400), ("h", _HOUR_S), ("min", _MINUTE_S)):
        if duration_s >= size_s:
            return f"{int(duration_s // size_s)} {unit}"
    return f"{max(0, int(duration_s))} s"
