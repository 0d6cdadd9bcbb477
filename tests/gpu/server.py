"""Headrace as a user starts it, in one process of its own, and the little of its API that is needed here."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.gpu.settings import ENVIRONMENT

ENDED = frozenset({"succeeded", "failed", "cancelled", "dead"})
_SAMPLE = re.compile(r"^headrace_(\w+)\{([^}]*)\} (\S+)$", re.MULTILINE)


class Late(Exception):
    """It did not happen in time."""


@dataclass
class Server:
    http: httpx.Client
    log: Path
    started_s: float = 0.0
    peaks: dict[str, float] = field(default_factory=dict)  # of each metric, since it was cleared

    def submit(self, kind: str, given: Mapping[str, Any], **rest: Any) -> str:
        answer = self.http.post("/jobs", json={"kind": kind, "input": given, **rest})
        if answer.status_code != httpx.codes.ACCEPTED:
            raise RuntimeError(f"{answer.status_code}: {answer.text[:500]}")
        return str(answer.json()["id"])

    def record(self, job: str) -> dict[str, Any]:
        record: dict[str, Any] = self.http.get(f"/jobs/{job}").json()
        return record

    def ended(self, job: str, within_s: float) -> dict[str, Any]:
        until = time.monotonic() + within_s
        while (record := self.record(job))["state"] not in ENDED:
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        else:
            return record
        self.http.post(f"/jobs/{job}/cancel")
        raise Late(f"job {job} was still {record['state']} after {within_s:g} s")

    def output(self, job: str, within_s: float) -> dict[str, Any]:
        record = self.ended(job, within_s)
        if record["state"] != "succeeded":
            raise RuntimeError(f"{record['state']}: {record.get('error')}")
        output: dict[str, Any] = self.http.get(f"/jobs/{job}/result").json()["result"]
        return output

    def attempts(self, job: str) -> list[dict[str, Any]]:
        timeline: dict[str, Any] = self.http.get(f"/jobs/{job}/timeline").json()
        return list(timeline["attempts"])

    def events(self, job: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """To the end of the stream."""
        with self.http.stream("GET", f"/jobs/{job}/events", timeout=120) as answer:
            name = ""
            for line in answer.iter_lines():
                if line.startswith("event:"):
                    name = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    yield name, json.loads(line.removeprefix("data:"))

    def said(self, event: str, **about: str) -> int:
        """How often the log has this event."""
        words = [f'"{event}"', *(f'"{name}":"{value}"' for name, value in about.items())]
        lines = self.log.read_text(errors="replace").replace('": "', '":"').splitlines()
        return sum(all(word in line for word in words) for line in lines)

    def watch_metrics(self, stop: threading.Event) -> None:
        """Keeps the highest of everything that is told of GPUs."""
        with httpx.Client(base_url=self.http.base_url, trust_env=False) as http:
            while not stop.wait(0.5):
                for name, labels, value in _SAMPLE.findall(http.get("/metrics").text):
                    if "gpu" in name:
                        key = f"{name} {labels}"
                        self.peaks[key] = max(self.peaks.get(key, 0.0), float(value))


def says_something(line: str) -> bool:
    """Of a stream of OpenAI's: its first line names the role, with no words yet."""
    told = line.removeprefix("data:").strip()
    if not told.startswith("{"):
        return False
    return any(choice["delta"].get("content") for choice in json.loads(told)["choices"])


@contextmanager
def serving(folder: Path, port: int, within_s: float, **env: str) -> Generator[Server]:
    """Ready when every lane of `ENGINES` has announced itself; stopped at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "headrace.log"
    began = time.monotonic()
    settings = {"PORT": str(port), "DATA_DIR": str(folder), "LOG_FORMAT": "json", **env}
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "headrace.launch", "up"],
            env={**ENVIRONMENT, **settings},
            cwd=folder,
            stdout=written,
            stderr=written,
        )
    http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=40)
    server = Server(http, log)
    stop = threading.Event()
    try:
        _until_ready(server, process, len(env["ENGINES"].split(",")), within_s)
        server.started_s = round(time.monotonic() - began, 1)
        threading.Thread(target=server.watch_metrics, args=(stop,), daemon=True).start()
        yield server
    finally:
        stop.set()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
        http.close()


def _until_ready(
    server: Server, process: subprocess.Popen[bytes], lanes: int, within_s: float
) -> None:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"it ended: {server.log.read_text(errors='replace')[-3000:]}")
        try:
            if len(server.http.get("/models").json()) >= lanes:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise Late(f"not ready after {within_s:g} s: {server.log.read_text(errors='replace')[-3000:]}")
