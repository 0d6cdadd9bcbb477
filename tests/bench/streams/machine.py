"""What a process and the whole machine used, read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of CPU used so far, by each of the named processes and by the whole machine."""

    by_name: dict[str, float]
    machine: float

    def since(self, before: Usage, seconds: float) -> Usage:
        """Cores used between two readings."""
        named = {
            name: (used - before.by_name[name]) / seconds for name, used in self.by_name.items()
        }
        return Usage(named, (self.machine - before.machine) / seconds)

    @property
    def foreign(self) -> float:
        """What nobody of ours used."""
        return max(0.0, self.machine - sum(self.by_name.values()))


def usage(pids: dict[str, list[int]]) -> Usage:
    return Usage({name: cpu_s(each) for name, each in pids.items()}, _busy_s())


def cpu_s(pids: list[int]) -> float:
    """Seconds of CPU that these have used."""
    return sum(map(_cpu_s, pids))


def memory_kb(pid: int) -> int:
    """The process's share of memory (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def family(pid: int) -> list[int]:
    """A process and its children, as they are now."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def _cpu_s(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _busy_s() -> float:
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS
