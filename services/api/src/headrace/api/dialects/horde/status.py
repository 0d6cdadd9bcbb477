"""`/status/*`: whether this server lives, and what it could run."""

from __future__ import annotations

from headrace.api.deps import Deps
from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.schemas_status import HeartbeatView

router = routes()


@router.get("/status/heartbeat", responses=errors())
async def get_heartbeat(deps: Deps) -> HeartbeatView:
    """This process answers; nothing that others share is asked."""
    return HeartbeatView(message="OK", version=deps.version)
