"""`headrace doctor`: the settings in force, checked one by one and told a line each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from headrace.core.errors import Misconfigured
from headrace.launch.checks import Finding, Verdict, examine
from headrace.launch.errors import Exit
from headrace.telemetry import logs
from headrace.wiring.settings import load_settings

_STYLES: Final[dict[Verdict, str]] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


async def doctor(console: Console, *, as_json: bool) -> Exit:
    logs.configure("doctor", level="ERROR", format="console")  # the findings say it better
    try:
        settings = load_settings()
    except Misconfigured as error:
        return _summed_up(console, [_wrong(error, console, as_json=as_json)], as_json=as_json)
    findings = []
    async for finding in examine(settings):
        findings.append(finding)
        if not as_json:
            show(console, finding)
    return _summed_up(console, findings, as_json=as_json)


def _wrong(error: Misconfigured, console: Console, *, as_json: bool) -> Finding:
    finding = Finding("settings", "fail", error.problem, error.remedy)
    if not as_json:
        show(console, finding)
    return finding


def show(console: Console, finding: Finding) -> None:
    line = Text().append(f"{finding.verdict:<5}", style=_STYLES[finding.verdict])
    line.append(f"{finding.about:<10}", style="bold").append(finding.found)
    console.print(line, soft_wrap=True)
    if finding.remedy:
        console.print(Text(f"{'':15}{finding.remedy}", style="dim"), soft_wrap=True)


def _summed_up(console: Console, findings: Sequence[Finding], *, as_json: bool) -> Exit:
    failed = sum(finding.verdict == "fail" for finding in findings)
    warned = sum(finding.verdict == "warn" for finding in findings)
    if as_json:
        told = msgspec.json.encode([asdict(finding) for finding in findings])
        console.print(msgspec.json.format(told, indent=2).decode(), markup=False, soft_wrap=True)
    elif failed:
        console.print(
            f"\n{failed} of {len(findings)} {'needs' if failed == 1 else 'need'} mending."
        )
    else:
        console.print(f"\nAll is well.{f' {warned} could be better.' if warned else ''}")
    return Exit.FAILED if failed else Exit.SUCCEEDED
