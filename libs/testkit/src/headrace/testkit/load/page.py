"""The report that a person reads: verdict first, then figures against thresholds, then lines over time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from headrace.testkit.load.account import ACCOUNT
from headrace.testkit.load.drive import Outcome
from headrace.testkit.load.figures import CHECKED, MACHINE, told
from headrace.testkit.load.judging import Check
from headrace.testkit.load.plots import Plot, legend, plots_of, svg
from headrace.testkit.load.rows import Happened
from headrace.testkit.load.summary import machine, measures

_BUSY: Final = 1.0  # runnable processes a core
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5d6b7a; --page: #fff; --box: #f5f7f9; --rule: #dde3e9;
  --good: #14713f; --bad: #b3261e; --a: #1d6fb8; --b: #c25a00; --c: #2c8a57; --d: #8a3fa0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8ed; --soft: #9aa7b4; --page: #14191e; --box: #1c2329;
  --rule: #323c46; --good: #58c48a; --bad: #ff8a80; --a: #6cb2f0; --b: #f2a35e; --c: #6fcf97; --d: #cf94e0; } }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: var(--ink); background: var(--page);
  max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: .95rem; margin: 1.2rem 0 .2rem; font-weight: 600; } p { margin: .3rem 0; } .soft { color: var(--soft); }
.verdict { border-left: 6px solid var(--good); background: var(--box); padding: .8rem 1rem; margin: 1rem 0; }
.verdict.bad { border-color: var(--bad); } .verdict b { font-size: 1.2rem; color: var(--good); }
.verdict.bad b { color: var(--bad); } .verdict ul { margin: .4rem 0 0; padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--rule); } th { font-weight: 600; }
th:first-child, td:first-child { text-align: left; } td.no { color: var(--bad); font-weight: 600; } td.yes { color: var(--good); }
svg { width: 100%; height: auto; display: block; } .grid { stroke: var(--rule); } .tick { font-size: 11px; fill: var(--soft); }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; } line.mark { stroke: var(--soft); stroke-dasharray: 3 3; }
text.mark { font-size: 11px; fill: var(--ink); font-weight: 600; } .key { margin-right: 1rem; color: var(--soft); font-size: .85rem; }
.key::before { content: ""; display: inline-block; width: 1rem; height: 3px; margin-right: .4rem; vertical-align: middle; }
""" + "".join(
    f".line.{c} {{ stroke: var(--{c}); }} .key.{c}::before {{ background: var(--{c}); }}\n"
    for c in "abcd"
)


def page(outcome: Outcome) -> str:
    name = escape(outcome.campaign.name)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Load: {name}</title><style>{_STYLE}</style></head><body>",
            f"<h1>Load: {name}</h1>",
            f'<p class="soft">{escape(outcome.campaign.asks)}</p>',
            *_verdict(outcome),
            *_circumstances(outcome),
            *_checks(outcome),
            *_measures(outcome),
            *_errors(outcome),
            *_events(outcome),
            *_plots(outcome),
            *_files(),
            "</body></html>\n",
        ]
    )


def _verdict(outcome: Outcome) -> Iterator[str]:
    verdict = outcome.verdict
    if verdict.passed:
        held = len(verdict.checks)
        yield f'<div class="verdict"><b>Passed</b><p>All {held} thresholds hold.</p></div>'
        return
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    yield f'<div class="verdict bad"><b>Failed</b><ul>{reasons}</ul></div>'


def _circumstances(outcome: Outcome) -> Iterator[str]:
    evidence, found = outcome.evidence, outcome.verdict.figures
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(evidence.began))
    processes = outcome.settings.processes
    said = [
        f"{when}, {evidence.over - evidence.began:.0f} s against {outcome.against}.",
        f"{machine()}.",
        "One Locust process." if processes == 1 else f"{processes} Locust workers and a master.",
    ]
    if (runnable := found.get(f"{MACHINE} p95", 0.0)) > _BUSY:
        said.append(
            f"Up to {runnable:.1f} processes a core were runnable: client, service and whoever else was"
            " there shared the machine, and what is slow may be that."
        )
    yield f'<p class="soft">{escape(" ".join(said))}</p>'


def _checks(outcome: Outcome) -> Iterator[str]:
    yield "<h2>Against the thresholds</h2><table><tr><th></th><th>may be</th><th>is</th><th></th></tr>"
    yield from (_check(check) for check in outcome.verdict.checks)
    yield "</table>"


def _check(check: Check) -> str:
    found = "not measured" if check.found is None else told(check.found)
    word, held = ("yes", "holds") if check.held else ("no", "does not hold")
    return (
        f"<tr><td>{escape(check.name)}</td><td>{check.word} {check.limit:,g}</td>"
        f'<td>{found}</td><td class="{word}">{held}</td></tr>'
    )


def _measures(outcome: Outcome) -> Iterator[str]:
    yield "<h2>How long it took, ms</h2><table><tr><th></th><th>times</th><th>failed</th>"
    yield "<th>p50</th><th>p95</th><th>p99</th><th>most</th></tr>"
    for each in measures(outcome.evidence):
        cells = "".join(f"<td>{value:,.1f}</td>" for value in each.values)
        empty = "<td></td>" * (4 - len(each.values))
        failed = f'<td class="no">{each.failed}</td>' if each.failed else "<td>0</td>"
        yield f"<tr><td>{escape(each.name)}</td><td>{each.times:,}</td>{failed}{cells}{empty}</tr>"
    yield "</table>"
    facts = {n: v for n, v in outcome.evidence.facts.items() if n not in ACCOUNT}
    if facts:
        yield "<h2>What this campaign asks</h2><table>"
        yield from (
            f"<tr><td>{escape(name)}</td><td>{told(value)}</td></tr>"
            for name, value in facts.items()
        )
        yield "</table>"


def _errors(outcome: Outcome) -> Iterator[str]:
    if not outcome.verdict.errors:
        return
    yield "<h2>What went wrong most often</h2><table><tr><th></th><th>times</th></tr>"
    for what, count in outcome.verdict.errors:
        yield f"<tr><td>{escape(what)}</td><td>{count:,}</td></tr>"
    yield "</table>"


def _events(outcome: Outcome) -> Iterator[str]:
    yield "<h2>What happened when</h2><table><tr><th></th><th>after s</th></tr>"
    for number, each in enumerate(outcome.evidence.happened, 1):
        at = each.at - outcome.evidence.began
        yield f"<tr><td>{number} · {escape(each.what)}</td><td>{at:.1f}</td></tr>"
    yield "</table>"


def _plots(outcome: Outcome) -> Iterator[str]:
    evidence = outcome.evidence
    yield "<h2>Over time</h2>"
    for plot in plots_of(evidence):
        yield from _plot(plot, evidence.over - evidence.began, evidence.began, evidence.happened)


def _plot(plot: Plot, seconds: float, began: float, happened: Sequence[Happened]) -> Iterator[str]:
    unit = f", {plot.unit}" if plot.unit else ""
    yield f"<h3>{escape(plot.title)}{escape(unit)}</h3><p>{legend(plot)}</p>"
    yield svg(plot, seconds=seconds, began=began, happened=happened)


def _files() -> Iterator[str]:
    yield (
        f'<p class="soft">Beside this page: <a href="figures.csv">figures.csv</a>, '
        f'<a href="measured.csv">measured.csv</a> (every measure; {CHECKED!r} is one a job), '
        '<a href="events.csv">events.csv</a>, <a href="locust.html">Locust\'s own report</a>, '
        '<a href="locust.log">its log</a>.</p>'
    )
