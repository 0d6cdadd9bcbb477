"""A stand-in for a legacy server: images are asked for, checked, had and deleted. In memory, for a demonstration."""

from __future__ import annotations

import json
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
REQUESTS: set[str] = set()


class Legacy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path != "/api/v2/generate/async":
            return self.say(404, {"message": "There is no such address.", "rc": "NotFound"})
        request = str(uuid.uuid4())  # noqa: TID251  # a program of its own
        REQUESTS.add(request)
        return self.say(202, {"id": request, "kudos": 10.0})

    def do_GET(self) -> None:
        if self.path == "/api/v2/status/heartbeat":
            return self.say(200, {"message": "OK", "version": "legacy"})
        return self.tell(with_images="/status/" in self.path)

    def do_DELETE(self) -> None:
        self.tell(with_images=True)

    def tell(self, *, with_images: bool) -> None:
        request = self.path.rpartition("/")[2]
        if request not in REQUESTS:
            return self.say(404, {"message": "There is no such request.", "rc": "RequestNotFound"})
        counts = dict.fromkeys(
            ("processing", "restarted", "waiting", "wait_time", "queue_position"), 0
        )
        done = {"finished": 1, "done": True, "faulted": False, "kudos": 10.0, "is_possible": True}
        images = {"generations": [image(request)], "shared": False} if with_images else {}
        return self.say(200, {**counts, **done, **images})

    def say(self, status: int, body: object) -> None:
        said = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Quietly."""


def image(request: str) -> dict[str, object]:
    return {
        "id": request, "img": PIXEL, "seed": "1", "censored": False, "model": "old", "worker_id": request,
        "worker_name": "old", "state": "ok",
    }  # fmt: skip


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Legacy).serve_forever()
