"""Is the service in this container well? Leaves with 0 if so; the image's HEALTHCHECK runs it.

The api answers for itself. A dispatcher and a worker serve no port: they are well while they hold
their connection to the broker, which the broker ends once its heartbeats go unanswered.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

WITHIN_S: Final = 4
OK: Final = 200
ESTABLISHED: Final = "01"  # as the kernel writes it
USUAL_PORTS: Final = {"amqp": 5672, "amqps": 5671}


def api_answers() -> bool:
    """A 503, while it cannot take jobs, is raised by urllib and ends this script with 1."""
    url = f"http://127.0.0.1:{os.environ['PORT']}/readyz"  # noqa: TID251  # its own little process
    with build_opener(ProxyHandler({})).open(url, timeout=WITHIN_S) as answer:
        return bool(answer.status == OK)


def broker_is_held() -> bool:
    url = urlsplit(os.environ["RABBITMQ_URL"])  # noqa: TID251  # its own little process
    return (url.port or USUAL_PORTS[url.scheme]) in connected_ports()


def connected_ports() -> set[int]:
    """The far ports of every connection this container holds."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    return {
        int(far.rpartition(":")[2], 16) for _, _, far, state, *_ in rows if state == ESTABLISHED
    }


if __name__ == "__main__":
    well = api_answers() if sys.argv[1] == "api" else broker_is_held()
    sys.exit(0 if well else 1)
