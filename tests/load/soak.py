"""Half an hour of mixed work under rare faults: is all of it accounted for, and does anything grow?

`make soak MINUTES=30 SEED=1` runs it. The first argument is the page to write.
"""

from __future__ import annotations

import sys
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from headrace.testkit.chaos.settings import run_settings
from headrace.testkit.soak.page import page
from headrace.testkit.soak.run import soak
from headrace.testkit.stopping import run_to_the_end


def main(target: Path) -> int:
    settings = run_settings()
    folder = Path(mkdtemp(prefix="headrace-soak-"))
    print(f"Logs and ledgers are in {folder} until it ends well.")
    run = run_to_the_end(soak(folder, seed=settings.seeds[0], seconds=60 * settings.minutes))
    text = page(run)
    print(text)
    target.write_text(text)
    bad = [f"{each.line.name} {each.word}" for each in run.verdicts if each.bad]
    for sentence in run.broken + bad:
        print(f"FAILED: {sentence}", file=sys.stderr)
    if run.broken or bad:
        return 1
    rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
