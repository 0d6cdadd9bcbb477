"""A server process of the tests' own: started on a free port, then stopped, killed, paused, restarted."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headrace.testkit.probes import Probe, answers

LOCALHOST: Final = "127.0.0.1"
START_WITHIN_S: Final = 90.0
STOP_WITHIN_S: Final = 20.0

# Below the range from which the kernel hands out ports to clients, so that nobody takes one
# between our looking and the server's binding, also while the server is down on purpose.
PORTS: Final = range(20_000, 22_000)


@dataclass(slots=True, kw_only=True)
class Daemon:
    """The process behind a server, with its whole group; every call returns when it is done."""

    name: str
    url: str
    command: Sequence[str]
    home: Path
    probe: Probe
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  # our own argument list, no shell
                self.command,
                env={**os.environ, **self.env},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.user,
                group=self.user,
                extra_groups=[] if self.user else None,
            )
        self._wait_until_it_answers(self.process)

    def stop(self) -> None:
        """Ask it to leave, as a shutdown would; kill it when it does not."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def has_left(self) -> bool:
        """By itself: it was neither stopped nor killed."""
        return self.process is not None and self.process.poll() is not None

    def restart(self) -> None:
        self.stop()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self._signal(how)
        self._signal(signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_WITHIN_S)
        # Children may outlive the leader of the group; a new start needs their ports and files.
        self._signal(signal.SIGKILL)
        self.process.wait(STOP_WITHIN_S)
        self.process = None

    def _signal(self, what: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, what)

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_WITHIN_S
        while not answers(self.probe, self.url):
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} did not start: {self._last_words()}")
            time.sleep(0.1)

    def _last_words(self) -> str:
        return (self.home / "server.log").read_text(errors="replace")[-2000:]


class Server:
    """The same verbs for async tests: the loop goes on while a server comes or goes."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.url = daemon.url
        self.home = daemon.home

    async def start(self) -> None:
        await asyncio.to_thread(self._daemon.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self._daemon.stop)

    async def kill(self) -> None:
        await asyncio.to_thread(self._daemon.kill)

    async def restart(self) -> None:
        await asyncio.to_thread(self._daemon.restart)

    def has_left(self) -> bool:
        return self._daemon.has_left()

    def is_running(self) -> bool:
        return self._daemon.process is not None and not self._daemon.has_left()

    async def pause(self) -> None:
        self._daemon.pause()

    async def resume(self) -> None:
        self._daemon.resume()


def free_port(*, beside: Sequence[int] = ()) -> int:
    """A port nobody listens on; `beside` names offsets that must be free as well."""
    for port in random.sample(PORTS, len(PORTS)):  # no secret: it keeps parallel runs apart
        if all(_is_free(port + offset) for offset in (0, *beside)):
            return port
    raise RuntimeError(f"every port in {PORTS} is taken")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            return False
    return True
