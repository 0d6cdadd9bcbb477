"""An S3 server on loopback for tests: moto's, which keeps its buckets in memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from headrace.testkit.servers import LOCALHOST, free_port

ACCESS_KEY: Final = "testing"
SECRET_KEY: Final = "testing"  # noqa: S105  # moto asks for one and believes any
BUCKET: Final = "blobs"
START_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class S3Server:
    endpoint: str


@contextmanager
def s3_server() -> Generator[S3Server]:
    import httpx
    from moto.server import ThreadedMotoServer

    port = free_port()
    server = ThreadedMotoServer(ip_address=LOCALHOST, port=port, verbose=False)
    server.start()
    try:
        endpoint = f"http://{LOCALHOST}:{port}"
        httpx.put(f"{endpoint}/{BUCKET}", timeout=START_WITHIN_S).raise_for_status()
        yield S3Server(endpoint)
    finally:
        server.stop()
