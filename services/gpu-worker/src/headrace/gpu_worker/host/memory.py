"""How much memory a process and its descendants hold."""

from __future__ import annotations

import psutil


def resident_bytes(pid: int) -> int:
    """0 for what is gone. What they share is counted for each."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(_resident(each) for each in family)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
