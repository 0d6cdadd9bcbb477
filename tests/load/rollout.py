"""A rollout through all its stages and back, on servers of its own: what took effect when, what was lost.

`make rollout JOBS=300 RATE=10` runs it; it ends with the table and the judgement.
"""

from __future__ import annotations

import sys
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from headrace.testkit.chaos.checker import Judgement
from headrace.testkit.chaos.rig import House, house_in
from headrace.testkit.chaos.rollout import Stage, roll, table, team
from headrace.testkit.stopping import run_to_the_end

TENANTS = 60


def main(jobs: int, per_s: float) -> int:
    folder = Path(mkdtemp(prefix="headrace-rollout-"))
    print(f"Logs and ledgers are in {folder} until it ends well.")
    stages, judgement = run_to_the_end(_play(house_in(folder), folder, jobs, per_s))
    print(table(stages))
    print(_summary(judgement))
    astray = [job for stage in stages for job in stage.astray]
    for sentence in [*judgement.broken, *(f"{job} took another path" for job in astray)]:
        print(f"FAILED: {sentence}", file=sys.stderr)
    if judgement.broken or astray:
        return 1
    rmtree(folder)
    return 0


async def _play(
    house: House, folder: Path, jobs: int, per_s: float
) -> tuple[list[Stage], Judgement]:
    house.open()  # nothing else goes on yet
    try:
        async with team(house, folder, tenants=TENANTS, per_s=per_s) as here:
            stages = await roll(here, jobs)
            await here.see_ends()
            return stages, await here.here.judged()
    finally:
        house.close()


def _summary(judgement: Judgement) -> str:
    counts = judgement.counts
    lost = counts["accepted"] - counts["ended"]
    return (
        f"{counts['accepted']} accepted, {counts['ended']} ended, {lost} lost,"
        f" {counts['run again']} run again; {counts['transcripts']} streams watched,"
        f" {counts['frames']} frames, {counts['resets']} resets;"
        f" {len(judgement.broken)} rules broken"
    )


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
