"""When a schedule fires: cron expressions in a time zone. Pure arithmetic, on CronSim.

The expression has five fields (minute, hour, day of month, month, day of week) and means what
Debian's cron means by it. When clocks change:

1. A time of day that is skipped in spring fires once, as soon as the clock has jumped over it.
2. A time of day that comes twice in autumn fires the first time only.
3. An expression whose minute or hour begins with `*` follows real time: in a zone that jumps by an hour,
   `*/15 * * * *` fires every quarter of an hour all the same, and skips or repeats hours as they come.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from headrace.core.errors import BadSchedule

LONGEST: Final = 100
FIELDS: Final = 5
_ANY_TIME: Final = datetime(2030, 1, 1, tzinfo=UTC)
_LOOKED_AT: Final = 8  # firings that may lie before the time asked about, when clocks go back


def next_fire(cron: str, timezone: str, after: datetime) -> datetime | None:
    """The first firing later than `after`, in UTC; None: there is none in fifty years.

    Raises BadSchedule.
    """
    zone = _zone(timezone)
    try:
        found = islice(_fires(cron, after.astimezone(zone)), _LOOKED_AT)
        in_utc = (fire.astimezone(UTC) for fire in found)
        return next((fire for fire in in_utc if fire > after), None)
    except (CronSimError, ValueError, AssertionError) as error:
        raise BadSchedule("/cron", f"no cron expression: {error}") from error


def in_words(cron: str) -> str | None:
    """In English, by what also says when it fires. None: this build cannot read it."""
    try:
        return _fires(cron, _ANY_TIME).explain()
    except (CronSimError, ValueError, AssertionError):
        return None


def _fires(cron: str, after: datetime) -> CronSim:
    fields = cron.split()
    if len(cron) > LONGEST or len(fields) != FIELDS:
        raise CronSimError(f"write {FIELDS} fields, as in '0 6 * * MON-FRI'")
    return CronSim(" ".join(fields), after)


def _zone(name: str) -> ZoneInfo:
    if name not in _zones():
        raise BadSchedule("/timezone", f"no IANA time zone: {name[:64]!r}; one is 'Europe/Berlin'")
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    """Looked up among the known, so that a name never becomes the path of a file."""
    return frozenset(available_timezones()) - {"localtime", "posixrules"}
