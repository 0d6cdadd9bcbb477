"""`python -m headrace.engines.gang.launcher PARENT FOLDER PROCESSES`: torchrun, which dies with its parent."""

from __future__ import annotations

import os
import sys

from headrace.engines.lifeline import die_with


def main(parent: int, folder: str, processes: int) -> None:
    die_with(parent)
    from torch.distributed.run import main as torchrun

    torchrun(
        [
            *("--standalone", "--max-restarts", "0", "--nproc-per-node", str(processes)),
            *("--module", "headrace.engines.gang.member", str(os.getpid()), folder),
        ]
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
