"""Runs one load campaign and writes its report; `make load CAMPAIGN=smoke` (docs/load.md)."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

import pytest

from headrace.testkit.load.campaigns import CAMPAIGNS
from headrace.testkit.load.drive import drive
from headrace.testkit.load.settings import load_settings
from headrace.testkit.load.target import CannotRun
from headrace.testkit.load.writing import summary, write_report
from headrace.testkit.stopping import run_to_the_end

LIMITS: Final = Path(__file__).with_name("thresholds.toml")
REPORTS: Final = Path("var/load")


def main() -> int:
    settings = load_settings()
    if settings.campaign not in CAMPAIGNS:
        print(
            f"There is no campaign {settings.campaign!r}: {', '.join(CAMPAIGNS)}", file=sys.stderr
        )
        return 2
    folder = REPORTS / f"{settings.campaign}-{time.strftime('%Y%m%dT%H%M%S')}"
    folder.mkdir(parents=True)
    try:
        outcome = run_to_the_end(drive(settings, folder.resolve(), LIMITS))
    except* (CannotRun, pytest.skip.Exception, pytest.fail.Exception) as refusals:  # no server, say
        for refusal in refusals.exceptions:
            print(f"{settings.campaign} cannot run: {refusal}", file=sys.stderr)
        sys.exit(2)
    write_report(outcome)
    print(summary(outcome))
    return 0 if outcome.verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
