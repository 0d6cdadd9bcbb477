"""The page that a soak writes, and the same table for the terminal."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Final

from headrace.testkit.soak.run import ACK_WITHIN_MS, KEPT_S, LEASE_S, STREAMS_KEPT_S, Soaked
from headrace.testkit.soak.verdicts import Verdict

HEAD: Final = """\
# The soak

Written by `make soak` from one run; every figure is of that run. {date}, {minutes:g} minutes, seed {seed}, {cores} cores,
{system}, Python {python}.

EDA on servers of its own: an api, two dispatchers, two workers of four slots. A job every half second: 10 words in 0.2 s; 2 %
take 30 to 90 s (a lease is {lease:g} s, the broker's ack timeout is {ack:g} s), 5 % are cancelled, 5 % fail, 0.1 % kill whoever runs them; every other
one is watched. Calm for {calm:.0f} s, then a fault every 60 to 120 s. Jobs, keys and silent workers are deleted {kept:g} s after
their end, streams after {streams} s, so that what stays is not mere history.

The first dispatcher, the first worker and the api are frozen and cut off but never killed: their slopes are of one life. A slope
is Theil and Sen's over the medians of up to 30 equal stretches, taken after the warm-up, with Sen's 95 % interval; that of memory
in the run's second half, when caches are full, and of what no file stands behind, which no neighbour moves. `grows`: the whole
interval is above the bound; `flat`: the whole interval is below it; `undecided`: the bound lies inside, the run is too short or too
noisy to tell; `too short`: less than ten minutes after the warm-up; `seen`: told, not judged. The exit code is 1 where a line `grows` or is `over`, or a ledger is broken.
Where more than one process a core was runnable, waits and queues are the machine's as much as ours.
"""


def page(run: Soaked) -> str:
    head = HEAD.format(
        date=time.strftime("%Y-%m-%d"),
        minutes=run.seconds / 60,
        seed=run.seed,
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        lease=LEASE_S,
        ack=ACK_WITHIN_MS / 1000,
        calm=run.calm_s,
        kept=KEPT_S,
        streams=STREAMS_KEPT_S,
    )
    return "\n".join([head, *_ledger(run), *_lines(run), *_latencies(run), *_faults(run)]) + "\n"


def _ledger(run: Soaked) -> Iterator[str]:
    counts = ", ".join(f"{name} {count:,}" for name, count in run.judgement.counts.items())
    yield from ("## Nothing lost?", "")
    if run.broken:
        yield from (f"- BROKEN: {sentence}" for sentence in run.broken)
    else:
        yield "Lost 0. Every rule of the ledger holds, every queue and the outbox are empty, Redis has no key left."
    yield from ("", f"{counts}.", f"Quiet {run.drained_s:.1f} s after the last submission.", "")


def _lines(run: Soaked) -> Iterator[str]:
    yield from ("## Does anything grow?", "")
    yield "| | after warm-up | at the end | most | slope an hour (95 %) | bound | verdict |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    yield from (_row(verdict) for verdict in run.verdicts)
    yield ""


def _row(verdict: Verdict) -> str:
    line = verdict.line
    cells = [f"{value:,.1f}" for value in (verdict.first, verdict.last, verdict.most)]
    name = f"{line.name}, {line.unit}" if line.unit else line.name
    return (
        f"| {name} | {' | '.join(cells)} | {_slope(verdict)} | {_bound(verdict)} | {verdict.word} |"
    )


def _slope(verdict: Verdict) -> str:
    if verdict.slope is None:
        return ""
    per_hour, least, most = verdict.slope.per_hour, verdict.slope.least, verdict.slope.most
    if verdict.line.percent_an_hour is None or not verdict.last:
        return f"{per_hour:+.2f} ({least:+.2f} .. {most:+.2f})"
    each = 100 / verdict.last
    return f"{each * per_hour:+.1f} % ({each * least:+.1f} .. {each * most:+.1f})"


def _bound(verdict: Verdict) -> str:
    line = verdict.line
    words = [f"+{line.percent_an_hour:g} %"] if line.percent_an_hour is not None else []
    words += [f"+{line.an_hour:g}"] if line.an_hour is not None else []
    words += [f"at most {line.at_most:,g}"] if line.at_most is not None else []
    return ", ".join(words)


def _latencies(run: Soaked) -> Iterator[str]:
    yield from ("## How quick?", "", "| | p50 | p99 | most |", "| --- | --- | --- | --- |")
    took = run.first_token_s
    calm = [1000 * s for at, s in took if at < run.calm_s]
    later = [1000 * s for at, s in took if at >= run.calm_s]
    yield _quantiles("submission to first token, calm, ms", calm)
    yield _quantiles("submission to first token, with faults, ms", later)
    yield _quantiles("oldest job not offered, s", run.unsent_s)
    for name, late in run.late_ms.items():
        yield _quantiles(f"{name}: its loop wakes up late, ms", late)
    yield from (
        "",
        "| minute | jobs seen | first token p50 ms | p99 ms |",
        "| --- | --- | --- | --- |",
    )
    for minute in range(round(run.seconds / 60)):
        ms = [1000 * s for at, s in took if int(at // 60) == minute]
        if ms:
            yield f"| {minute} | {len(ms)} | {quantile(ms, 50):.0f} | {quantile(ms, 99):.0f} |"
    yield ""


def _quantiles(what: str, values: Sequence[float]) -> str:
    if not values:
        return f"| {what} | | | |"
    cells = [quantile(values, 50), quantile(values, 99), max(values)]
    return f"| {what} | {' | '.join(f'{cell:,.1f}' for cell in cells)} |"


def quantile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _faults(run: Soaked) -> Iterator[str]:
    yield from ("## The faults", "", "| at s | fault | s |", "| --- | --- | --- |")
    for step in run.steps:
        yield f"| {step.at_s:.0f} | {step.fault} | {step.lasts_s:.1f} |"
