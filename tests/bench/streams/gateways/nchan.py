"""nginx with nchan, from Debian's libnginx-mod-nchan: one worker, messages kept in its memory."""

from __future__ import annotations

import getpass
import shutil
import sys
from pathlib import Path
from typing import Final

MODULE: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CONFIGURATION: Final = """
load_module {module};
user {user};
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 16000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  nchan_shared_memory_size 1g;
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location ~ ^/jobs/([^/]+)/events$ {{
      nchan_subscriber eventsource;
      nchan_channel_id $1;
    }}
    location ~ ^/publish/(.+)$ {{
      nchan_publisher;
      nchan_channel_id $1;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 1h;
    }}
  }}
}}
"""


def missing() -> str | None:
    """Why it cannot run here."""
    if shutil.which("nginx") and MODULE.exists():
        return None
    return "not installed: apt-get install nginx-light libnginx-mod-nchan"


def command(port: int, folder: Path) -> list[str]:
    home = folder / f"nchan-{port}"
    home.mkdir()
    file = home / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(module=MODULE, user=getpass.getuser(), folder=home, port=port)
    )
    return [shutil.which("nginx") or sys.exit(missing()), "-p", str(home), "-c", str(file)]
