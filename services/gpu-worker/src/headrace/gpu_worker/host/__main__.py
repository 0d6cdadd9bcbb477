"""The child process: `python -m headrace.gpu_worker.host <lane> <descriptor> <parent pid>`."""

from __future__ import annotations

import sys

from headrace.gpu_worker.host.child import main

if __name__ == "__main__":
    main(sys.argv[2:])  # the lane is there for people who look at the processes
