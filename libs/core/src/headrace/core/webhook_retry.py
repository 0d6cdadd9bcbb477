"""What an answer of a receiver means: arrived, again later, or never. Pure.

The waits are those that Standard Webhooks proposes, nine more tries over three days; each is spread by a
fifth either way, so that the calls of one outage do not all come back in the same second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from headrace.core.ports.receivers import Answer
from headrace.core.ports.webhooks import Call, CallState, Endpoint, Try

_WAITS_S: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
MOST_TRIES: Final = len(_WAITS_S) + 1
_SPREAD: Final = 0.2
LONGEST_WAIT: Final = timedelta(hours=24)  # whatever a receiver asks for
DISABLED_AFTER: Final = timedelta(days=5)  # without one call that arrived
REMEMBERED: Final = 2 * MOST_TRIES  # tries in the log of one call
_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Judged:
    call: Call
    endpoint: Endpoint | None  # None: as it was, or there is none


def judge(
    call: Call, endpoint: Endpoint | None, answer: Answer, *, now: datetime, random: Random
) -> Judged:
    """`call` as it was reserved, with this try counted."""
    error = _error(answer)
    tried = Try(now, answer.status, error, round(answer.took_s * 1000))
    call = replace(call, log=(*call.log, tried)[-REMEMBERED:])
    if error is None:
        delivered = replace(call, state=CallState.DELIVERED, next_at=None, settled_at=now)
        return Judged(delivered, _well(endpoint))
    wait = wait_after(call.tries, answer.retry_after_s, random)
    if answer.status == _GONE or wait is None:
        return Judged(given_up(call, now), _ill(endpoint, answer, now))
    return Judged(replace(call, next_at=now + wait), _ill(endpoint, answer, now))


def given_up(call: Call, now: datetime, why: str | None = None) -> Call:
    """`why`: where there was nobody to try."""
    log = call.log if why is None else (*call.log, Try(now, None, why, 0))[-REMEMBERED:]
    return replace(call, state=CallState.GIVEN_UP, next_at=None, settled_at=now, log=log)


def wait_after(tries: int, retry_after_s: float | None, random: Random) -> timedelta | None:
    """None: that was the last. A receiver may ask for more time, never for less, up to a day."""
    if tries >= MOST_TRIES:
        return None
    spread = 1 + _SPREAD * (2 * random.random() - 1)
    own = timedelta(seconds=_WAITS_S[max(tries, 1) - 1] * spread)
    asked = timedelta(seconds=min(retry_after_s or 0.0, LONGEST_WAIT.total_seconds()))
    return max(min(own, LONGEST_WAIT), asked)


def why_nobody(call: Call, endpoint: Endpoint | None) -> str | None:
    """Why there is nobody to call any more."""
    if call.endpoint is None:
        return None
    if endpoint is None:
        return "its endpoint was deleted"
    return None if endpoint.disabled_at is None else "its endpoint is disabled"


def _error(answer: Answer) -> str | None:
    if answer.status is None:
        return answer.error or "no answer"
    if answer.status in _OK:
        return None
    if answer.status in _REDIRECTS:
        return f"answered {answer.status}: redirects are not followed"
    if answer.status == _GONE:
        return "answered 410: it wants no more of this"
    return f"answered {answer.status}"


def _well(endpoint: Endpoint | None) -> Endpoint | None:
    if endpoint is None or endpoint.failing_since is None:
        return None
    return replace(endpoint, failing_since=None)


def _ill(endpoint: Endpoint | None, answer: Answer, now: datetime) -> Endpoint | None:
    if endpoint is None or endpoint.disabled_at is not None:
        return None
    since = endpoint.failing_since or now
    if answer.status == _GONE:
        why = "it answered 410"
    elif now - since >= DISABLED_AFTER:
        why = f"no call has arrived since {since.isoformat(timespec='seconds')}"
    else:
        return replace(endpoint, failing_since=since) if endpoint.failing_since is None else None
    return replace(endpoint, failing_since=since, disabled_at=now, disabled_why=why)
