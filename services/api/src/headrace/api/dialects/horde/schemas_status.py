"""What `/status/*` and `/stats/*` tell."""

from __future__ import annotations

from headrace.api.dialects.horde.forms import Told


class HeartbeatView(Told):
    message: str
    version: str
