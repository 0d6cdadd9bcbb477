"""From settings and recipes to an api that is ready to serve."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from starlette.middleware import Middleware

from headrace.api.app import create_app
from headrace.api.auth import Keys
from headrace.api.deps import ApiDeps
from headrace.api.guards import OwnNameOnly
from headrace.api.instrumenting import watched
from headrace.api.presence import Presence
from headrace.api.refusing import said
from headrace.api.role import Api
from headrace.api.steering import Steering
from headrace.core.keyring import Keyring
from headrace.core.lookup import Lookup
from headrace.core.ports.store import Store
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.submit import Submitted
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import about, traceparent
from headrace.wiring.ids import new_id
from headrace.wiring.recipes import Wiring
from headrace.wiring.settings import LOOPBACK, Settings

_log = get_logger("api")
_PAGE = Path(__file__).with_name("page")


@asynccontextmanager
async def open_role(wiring: Wiring, settings: Settings) -> AsyncGenerator[Api]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(wiring.store())
        deps = ApiDeps(
            store=store,
            lookup=Lookup(store),
            presence=Presence(store),
            streams=await stack.enter_async_context(wiring.streams()),
            blobs=await stack.enter_async_context(wiring.blobs()),
            tickets=await stack.enter_async_context(wiring.tickets()),
            steering=await _steering(store, settings),
            new_id=new_id,
            auth=_keys(settings, Keyring(store)),
            admission=Admission(
                Caps(per_tenant=settings.max_queued_per_tenant, in_all=settings.max_queued)
            ),
            admin_key=settings.admin_key.get_secret_value() or None,
            link_key=settings.link_key.get_secret_value().encode() or secrets.token_bytes(32),
            cors_origins=frozenset(settings.cors_origins),
            page_dir=_PAGE,
            outside=bool(settings.redis_url.get_secret_value()),
            trace_url=settings.trace_url or None,
            version=version("headrace-api"),
            current_traceparent=traceparent,
            watched=watched,
            on_submitted=_log_submitted,
            middleware=[Middleware(OwnNameOnly, said=said)]
            if _open_to_this_machine(settings)
            else (),
        )
        yield Api(create_app(deps), host=settings.host, port=settings.port)


async def _steering(store: Store, settings: Settings) -> Steering:
    """Read once before anybody asks."""
    steering = Steering(store, settings.rollout_basis, lacks=settings.lacks_for_distributed)
    await steering.refresh()
    return steering


def _log_submitted(submitted: Submitted) -> None:
    job = submitted.job
    with about(job_id=job.id, tenant=job.tenant):
        _log.info(
            "job.submitted", kind=job.spec.kind, model=job.spec.model, replayed=submitted.replayed
        )


def _open_to_this_machine(settings: Settings) -> bool:
    return settings.allow_anonymous is None and settings.anonymous and settings.host in LOOPBACK


def _keys(settings: Settings, ring: Keyring) -> Keys:
    keys = {tenant: key.get_secret_value() for tenant, key in settings.api_keys.items()}
    return Keys(keys, anonymous="local" if settings.anonymous else None, ring=ring)
