"""From settings and recipes to an api that is ready to serve."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from starlette.middleware import Middleware

from headrace.api.app import create_app
from headrace.api.auth import Bearers, Keys
from headrace.api.deps import ApiDeps, Limits
from headrace.api.guards import OwnNameOnly
from headrace.api.instrumenting import watched
from headrace.api.presence import Presence
from headrace.api.registration import Registration
from headrace.api.remote_desk import RemoteDesk
from headrace.api.role import Api
from headrace.api.signed import SignedLinks
from headrace.api.steering import Steering
from headrace.core.keyring import Keyring
from headrace.core.kudos import KUDO
from headrace.core.lookup import Lookup
from headrace.core.ports.store import Store
from headrace.core.ports.users import ANONYMOUS_TENANT
from headrace.core.roll import Roll
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.submit import Submitted
from headrace.core.usecases.upload import Bounds
from headrace.core.usecases.users import Welcome
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import about, traceparent
from headrace.wiring.ids import new_id
from headrace.wiring.pipelines import load_pipelines
from headrace.wiring.recipes import Wiring
from headrace.wiring.settings import LOOPBACK, Settings

_log = get_logger("api")
_PAGE = Path(__file__).with_name("page")


@asynccontextmanager
async def open_role(wiring: Wiring, settings: Settings) -> AsyncGenerator[Api]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(wiring.store())
        blobs = await stack.enter_async_context(wiring.blobs())
        deps = ApiDeps(
            store=store,
            lookup=Lookup(store),
            roll=Roll(store, new_id=new_id),
            presence=Presence(store),
            streams=await stack.enter_async_context(wiring.streams()),
            blobs=blobs,
            signed=SignedLinks(store, blobs),
            desk=RemoteDesk(wiring.bus, wiring.topology, new_id=new_id),
            limits=Limits(
                long_poll_s=settings.long_poll_timeout, remote_ttl_s=settings.remote_ttl_s
            ),
            uploads=Bounds(
                upload_bytes=settings.upload_max_bytes,
                tenant_bytes=settings.uploads_per_tenant_bytes,
                kept=timedelta(hours=settings.upload_hours),
            ),
            tickets=await stack.enter_async_context(wiring.tickets()),
            steering=await _steering(store, settings),
            new_id=new_id,
            auth=_keys(settings, Keyring(store)),
            admission=Admission(
                Caps(per_tenant=settings.max_queued_per_tenant, in_all=settings.max_queued)
            ),
            welcome=_welcome(settings),
            registration=Registration() if settings.self_registration else None,
            rates=settings.horde_rates,
            admin_key=settings.admin_key.get_secret_value() or None,
            reach=settings.reach,
            cors_origins=frozenset(settings.cors_origins),
            page_dir=_PAGE,
            public_url=settings.public_url or None,
            pipelines=load_pipelines(settings.pipelines),
            outside=bool(settings.redis_url.get_secret_value()),
            trace_url=settings.trace_url or None,
            version=version("headrace-api"),
            current_traceparent=traceparent,
            watched=watched,
            on_submitted=_log_submitted,
            middleware=[Middleware(OwnNameOnly)] if _open_to_this_machine(settings) else (),
        )
        trusted = settings.trusted_proxies
        yield Api(create_app(deps), host=settings.host, port=settings.port, trusted=trusted)


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


def _welcome(settings: Settings) -> Welcome:
    floor = settings.kudos_floor
    return Welcome(
        concurrency=settings.user_concurrency,
        floor=None if floor is None else floor * KUDO,
        kudos=settings.kudos_at_start * KUDO,
    )


def _keys(settings: Settings, ring: Keyring) -> Keys:
    keys = {tenant: key.get_secret_value() for tenant, key in settings.api_keys.items()}
    anonymous = ANONYMOUS_TENANT if settings.anonymous else None
    return Keys(keys, anonymous=anonymous, ring=ring, bearers=_bearers(settings))


def _bearers(settings: Settings) -> Bearers | None:
    if not settings.oidc_issuer:
        return None
    from headrace.api.issuer import SigningKeys  # with its cryptography, which most do without
    from headrace.api.tokens import Tokens, Trust

    trust = Trust(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        tenant_claim=settings.oidc_tenant_claim,
        scopes_claim=settings.oidc_scopes_claim,
    )
    return Tokens(trust, SigningKeys(settings.oidc_issuer, jwks_url=settings.oidc_jwks_url))
