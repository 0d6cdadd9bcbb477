"""T10: the table of what `appending` has measured in its process."""

from __future__ import annotations

from tests.bench.streams.rig import Bench, answer, helper, order
from tests.bench.streams.tables import Section, at_least, at_most, number, ratio

TOKENS = 10_000


async def publishing(bench: Bench) -> Section:
    async with helper("appending") as process:
        await order(process, redis=bench.redis, tokens=TOKENS)
        told = await answer(process)
    costs, idle = told["costs"], told["idle"]
    ours = costs["headrace"]["per_core"]
    best = max(each["per_core"] for name, each in costs.items() if name != "headrace")
    added_ms = idle["log"][0] - idle["alone"][0]
    return Section(
        "What publishing with replay costs",
        f"{TOKENS:,} tokens, one in each of 100 jobs as one batch, five times each way in turn, medians. Ours appends, "
        "fences, bounds, expires and publishes in one script; redis-py pipelines XADD with a bound, and PUBLISH.",
        ("", "us of CPU a token", "tokens/s a core", "Redis us a token", "tokens/s"),
        [
            [name, number(each["us"]), number(each["per_core"]), number(each["redis_us"]),
             number(each["tokens_per_s"])]
            for name, each in costs.items()
        ],
        after=[
            (f"When idle a token reached a subscriber after {number(idle['log'][0])} ms (p99 {number(idle['log'][1])}), and a "
            f"bare PUBLISH on the same kind of connection after {number(idle['alone'][0])} ms (p99 {number(idle['alone'][1])}).")
        ],
        checks=[
            at_least("T10", "publish with replay a core, beside redis-py's pipeline", 3,
                     ratio(ours, best)),
            at_most("T10", "added by the log when idle, p50", 2, added_ms, "ms"),
        ],
    )  # fmt: skip
