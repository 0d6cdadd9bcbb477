"""One campaign from beginning to end: a target, Locust, what is done meanwhile, the account, the verdict."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psutil

from headrace.testkit.load.account import Account, account_of
from headrace.testkit.load.acts import ACTS, VICTIM, Facts, noting
from headrace.testkit.load.campaigns import CAMPAIGNS, Campaign
from headrace.testkit.load.facts import facts_of
from headrace.testkit.load.figures import MACHINE, Evidence, evidence_of
from headrace.testkit.load.judging import Verdict, judge, read_limits
from headrace.testkit.load.orders import Orders, encode
from headrace.testkit.load.rows import Gauge, Happened, Row, lines, now, read_rows
from headrace.testkit.load.settings import LoadSettings
from headrace.testkit.load.target import Target, target_of
from headrace.testkit.system import SHIPPED, free_port
from headrace.testkit.waits import eventually

LOCUSTFILE: Final = "tests/load/locustfile.py"
ROWS: Final = "rows.jsonl"
BEGINS_WITHIN_S: Final = 60.0
FINISH_S: Final = 60.0  # for users to see their last job's end
LEAVE_WITHIN_S: Final = 30.0
SETTLED_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    campaign: Campaign
    settings: LoadSettings
    folder: Path
    evidence: Evidence
    account: Account
    verdict: Verdict
    against: str


async def drive(
    settings: LoadSettings, folder: Path, limits_file: Path, *, module: str = SHIPPED
) -> Outcome:
    """`folder` is there, and is this run's own. Raises CannotRun before anything is sent."""
    campaign = CAMPAIGNS[settings.campaign]
    stack_folder = folder / "stack"
    stack_folder.mkdir()
    outcome: Outcome | None = None
    try:
        async with target_of(settings, campaign, stack_folder, module=module) as target:
            evidence, account, reasons = await _ran(campaign, target, settings, folder)
            verdict = judge(evidence, read_limits(limits_file, campaign.name))
            outcome = Outcome(
                campaign=campaign,
                settings=settings,
                folder=folder,
                evidence=evidence,
                account=account,
                verdict=replace(verdict, reasons=[*reasons, *verdict.reasons]),
                against=settings.url or f"a stack of its own, {settings.mode}",
            )
    except TimeoutError:
        if outcome is None:
            raise
        # The stack is slow to go, its vhost say: that is no part of what was asked.
    return outcome


async def _ran(
    campaign: Campaign, target: Target, settings: LoadSettings, folder: Path
) -> tuple[Evidence, Account, list[str]]:
    """What was seen, where the jobs are, and why it was no run, if it was none."""
    beside: list[Row] = []
    orders = _orders(campaign, settings, target)
    code, facts = await _loaded(campaign, target, orders, settings, folder, beside)
    rows = sorted([*read_rows(folder / ROWS), *beside], key=lambda row: row.at)
    (folder / ROWS).write_text("\n".join(lines(rows)) + "\n")
    evidence = evidence_of(rows)
    account = await account_of(evidence, target, within=SETTLED_WITHIN_S)
    reasons = _fallen(target)
    reasons += [account.why] if account.why else []
    reasons += [f"Locust left with {code}: see locust.log"] if code else []
    told = {**facts, **account.facts(), **facts_of(campaign.name, evidence)}
    return replace(evidence, facts=told), account, reasons


def _fallen(target: Target) -> list[str]:
    """Whoever of our own stack left by itself: nobody starts it again here, as a supervisor would."""
    processes = {} if target.system is None else target.system.processes
    return [
        f"{name} left by itself with {proc.process.returncode}: see {proc.log.name}"
        for name, proc in processes.items()
        if proc.process.returncode is not None and name != VICTIM
    ]


def _orders(campaign: Campaign, settings: LoadSettings, target: Target) -> Orders:
    return Orders(
        stages=campaign.stretched(settings.minutes),
        keys=target.keys,
        words=campaign.words,
        delay_s=campaign.delay_s,
        every_s=campaign.every_s,
        flood=campaign.flood,
        crowd_port=target.crowd_port,
    )


async def _loaded(  # what one load is made of, each by its name
    campaign: Campaign,
    target: Target,
    orders: Orders,
    settings: LoadSettings,
    folder: Path,
    beside: list[Row],
) -> tuple[int, Facts]:
    """Locust's exit code, and what came of what was done; `beside` gets the rows that are ours."""
    happened: list[Happened] = []
    act, sequel = ACTS.get(campaign.name, (None, None))
    async with (
        _locust(target, orders, settings.processes, folder) as locust,
        asyncio.TaskGroup() as group,
    ):
        watching = group.create_task(_watch_the_machine(beside))
        await _begun(folder / ROWS, locust)
        if act is not None and locust.returncode is None:
            await act(target, noting(happened), orders.seconds)
        async with asyncio.timeout(orders.seconds + FINISH_S + LEAVE_WITHIN_S):
            code = await locust.wait()
        watching.cancel()
    beside += happened
    done = act is None or bool(happened)
    return code, await sequel(target, happened) if sequel is not None and done else {}


async def _begun(rows: Path, locust: asyncio.subprocess.Process) -> None:
    """The first stage is in the file; or Locust has left, and its log says why."""
    await eventually(
        lambda: locust.returncode is not None or rows.exists(), within=BEGINS_WITHIN_S, every=0.1
    )


@asynccontextmanager
async def _locust(
    target: Target, orders: Orders, processes: int, folder: Path
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """The process that leads: the only one, or the master of so many workers."""
    common = ("-f", LOCUSTFILE, "--headless", "--only-summary", "--host", target.url)
    leads = (
        *("--stop-timeout", f"{FINISH_S:g}", "--exit-code-on-error", "0"),
        *("--html", str(folder / "locust.html"), "--csv", str(folder / "locust")),
    )
    env = {
        **os.environ,
        "LOAD_ORDERS": encode(orders),
        "LOAD_ROWS": str(folder / ROWS),
    }
    started: list[asyncio.subprocess.Process] = []

    async def start(*options: str) -> asyncio.subprocess.Process:
        with (folder / "locust.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "locust", *common, *options),
                env=env, stdout=log, stderr=log,
            )  # fmt: skip
        started.append(process)
        return process

    try:
        if processes == 1:
            yield await start(*leads)
        else:
            port = str(free_port())
            expected = ("--master-bind-host", "127.0.0.1", "--expect-workers", str(processes))
            leader = await start(*leads, "--master", "--master-bind-port", port, *expected)
            for _ in range(processes):
                await start("--worker", "--master-port", port, "--master-host", "127.0.0.1")
            yield leader
    finally:
        for process in started:
            await _gone(process)


async def _gone(process: asyncio.subprocess.Process) -> None:
    """Workers leave with their master; whoever does not is made to."""
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _watch_the_machine(rows: list[Row]) -> None:
    """Until it is cancelled."""
    psutil.cpu_percent()  # the first answer is about nothing
    while True:
        await asyncio.sleep(1.0)
        rows += [
            Gauge(now(), MACHINE, os.getloadavg()[0] / (os.cpu_count() or 1)),
            Gauge(now(), "machine: CPU, %", psutil.cpu_percent()),
        ]
