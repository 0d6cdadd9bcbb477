"""Says tokens into many streams at a steady pace, in the way that a gateway wants them.

Reads its orders as JSON on stdin: the way and the jobs, then one a round. Says a line of JSON when
it is ready, and for each round one when it begins and one at the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from typing import Any, Final

from tests.bench.streams.ways import WAYS, Publish, Where

TURN_S: Final = 0.005
BEHIND_S: Final = 5.0


async def main() -> None:
    orders = await _heard()
    async with AsyncExitStack() as stack:
        publish = await WAYS[orders["way"]](stack, Where(**orders["where"]))
        _say()
        while order := await _heard():
            _say()
            late_s = await _steadily(publish, orders["jobs"], **order)
            _say(publisher_late_ms=late_s * 1e3)


async def _steadily(
    publish: Publish, jobs: list[str], *, rate: float, first_seq: int, each_gets: int
) -> float:
    """Every job in turn, so that no two moments differ much; answers how late the latest was.

    Who is that far behind does not catch up: the round is over, and what is missing shows.
    """
    groups = max(1, min(len(jobs), round(1 / rate / TURN_S)))
    began, latest = time.monotonic() + 0.1, 0.0
    for nth in range(each_gets):
        for group in range(groups):
            due = began + (nth + group / groups) / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            latest = max(latest, time.monotonic() - due)
            if latest > BEHIND_S:
                return latest
            await publish(jobs[group::groups], first_seq + nth)
    return latest


async def _heard() -> dict[str, Any]:
    line = await asyncio.to_thread(sys.stdin.readline)
    found: dict[str, Any] = json.loads(line or "{}")
    return found


def _say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
