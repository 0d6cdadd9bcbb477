"""What the rig and its processes are told by the environment; a shipped build knows nothing of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.testkit.system import MODES, Mode

CRASH_POINT: Final = "CHAOS_CRASH_POINT"  # 'claim.after_commit:2': the process dies at the 2nd pass
WILD_CLOCK: Final = "CHAOS_WILD_CLOCK"  # not empty: this process's wall clock jumps and drifts
PLANT: Final = "CHAOS_PLANT"  # the name of a bug
VITALS: Final = "CHAOS_VITALS"  # the folder that processes keep a diary of their event loop in
KEEP_S: Final = "CHAOS_KEEP_S"  # for so long everything is kept that else is kept for days
SLOW_S: Final = "CHAOS_SLOW_S"  # engines of this worker take so much longer
EXECUTIONS: Final = "CHAOS_EXECUTIONS"  # the file that engines write down their work in


@dataclass(frozen=True, slots=True)
class ChaosSettings:
    crash_point: str
    crash_pass: int
    plants: tuple[str, ...]
    vitals: Path | None
    keep_s: float | None
    wild_clock: bool
    has_ledger: bool  # else the engines are those that ship


def chaos_settings() -> ChaosSettings:
    point, _, nth = os.environ.get(CRASH_POINT, "").partition(":")
    plants = os.environ.get(PLANT, "").split(",")
    vitals, keep_s = os.environ.get(VITALS), os.environ.get(KEEP_S)
    return ChaosSettings(
        point,
        int(nth or 1),
        tuple(filter(None, plants)),
        Path(vitals) if vitals else None,
        float(keep_s) if keep_s else None,
        bool(os.environ.get(WILD_CLOCK)),
        bool(os.environ.get(EXECUTIONS)),
    )


def slow_s() -> float:
    return float(os.environ.get(SLOW_S) or 0)


def executions_file() -> str:
    return os.environ[EXECUTIONS]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How long the nemesis goes on, in which modes (`MODE=EDA`; else both), with which seeds
    (`SEED=1,2,3`), and where the table goes.
    """

    seeds: tuple[int, ...]
    minutes: float
    modes: tuple[Mode, ...]
    fault_table: Path | None


def run_settings() -> RunSettings:
    seeds = tuple(int(seed) for seed in (os.environ.get("SEED") or "1").split(","))
    table = os.environ.get("FAULT_TABLE")
    wanted = os.environ.get("MODE")
    return RunSettings(
        seeds=seeds,
        minutes=float(os.environ.get("MINUTES") or 0.35),
        modes=tuple(mode for mode in MODES if wanted in {None, "", mode}),
        fault_table=Path(table).resolve() if table else None,
    )
