"""`python -m headrace.engines.gang.launcher PARENT FOLDER PROCESSES [RANK OF AT]`: torchrun, which dies with its parent."""

from __future__ import annotations

import os
import sys
from typing import Final

from headrace.engines.lifeline import die_with

MEET_WITHIN_S: Final = 120  # all parts of a gang over several workers


def main(parent: int, folder: str, processes: int, *place: str) -> None:
    die_with(parent)
    from torch.distributed.run import main as torchrun

    torchrun(
        [
            *(_together(*place) if place else ["--standalone"]),
            *("--max-restarts", "0", "--nproc-per-node", str(processes)),
            *("--module", "headrace.engines.gang.member", str(os.getpid()), folder),
        ]
    )


def _together(rank: str, of: str, at: str) -> list[str]:
    host, _, port = at.rpartition(":")
    return [
        *("--nnodes", of, "--node-rank", rank, "--rdzv-backend", "static"),
        *("--master-addr", host.strip("[]"), "--master-port", port),
        *("--rdzv-conf", f"timeout={MEET_WITHIN_S}"),
    ]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
