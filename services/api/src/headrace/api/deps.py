"""What the api is given: ports, policy and bounds. Handlers get it by `Deps`, never by import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes
from typing import Annotated, TypeAlias

from fastapi import Depends, Security
from fastapi.security import SecurityScopes
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection

from headrace.api.auth import Caller, Keys
from headrace.api.presence import Presence
from headrace.api.registration import Registration
from headrace.api.remote_desk import RemoteDesk
from headrace.api.renewals import Renewals
from headrace.api.signed import SignedLinks
from headrace.api.steering import Steering
from headrace.api.stopping import Stopping
from headrace.contracts.ids import TenantId
from headrace.core.addresses import Reach
from headrace.core.lookup import Lookup
from headrace.core.pipeline import Pipeline
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.keys import Scope
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Streams
from headrace.core.ports.tickets import Tickets
from headrace.core.rates import Rate, RateName, Windows
from headrace.core.roll import Roll
from headrace.core.shared_look import SharedLook
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.census import Census, census
from headrace.core.usecases.overview import Overviews
from headrace.core.usecases.submit import Submitted
from headrace.core.usecases.upload import Bounds
from headrace.core.usecases.users import Welcome
from headrace.core.webhook_signing import SECRET_BYTES, secret_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every bound a client can run into."""

    job_bytes: int = 1 << 20
    json_depth: int = 64
    head_bytes: int = 65_536  # a request's line and headers
    head_s: float = 10.0  # to send them
    blob_bytes: int = 32 << 20
    batch_bytes: int = 8 << 20  # of items in the call itself; as JSON lines they are a blob
    follow_s: float = 300.0  # what waits for more of a batch ends then, and is asked for again
    body_s: float = 30.0  # to send a whole job; a blob gets ten times that
    wait_s: float = 30.0  # the longest `Prefer: wait`
    answer_s: float = 600.0  # where a call of OpenAI's clients waits for its answer
    ping_s: float = 15.0  # silence on an event stream before a comment keeps it open
    send_s: float = 30.0  # a client that takes nothing for this long is let go
    ticket_s: float = 30.0  # to be used within
    ticket_session_s: float = 3600.0  # what was opened by a ticket; then a new one is asked for
    recheck_s: float = 10.0  # whether the key of what is open is still good
    authorization_s: float = 5.0  # for the first message of a socket that brought no key
    socket_message_bytes: int = 65_536
    subscriptions: int = 64  # per socket
    long_poll_s: float = 30.0  # a remote worker waits no longer for a job
    remote_ttl_s: float = 150.0  # a remote worker's lease, from each of its words
    dependency_s: float = 2.0  # a health check waits no longer for each dependency


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDeps:
    store: Store
    lookup: Lookup
    roll: Roll  # of remote workers that ask for work
    streams: Streams
    blobs: Blobs
    tickets: Tickets
    presence: Presence
    steering: Steering  # which path a new job takes; asked at each submission
    new_id: Callable[[], str]
    auth: Keys
    signed: SignedLinks  # addresses of blobs that need no key
    desk: RemoteDesk | None = None  # speaks with dispatchers for remote workers; None: nobody can
    renewals: Renewals = field(default_factory=Renewals)
    admission: Admission = field(default_factory=lambda: Admission(Caps()))
    rates: Mapping[RateName, Sequence[Rate]] = field(default_factory=dict)  # others are not counted
    windows: Windows = field(default_factory=Windows)
    admin_key: str | None = None  # None: nobody may
    welcome: Welcome = field(default_factory=Welcome)  # what a user begins with
    registration: Registration | None = None  # None: operators alone make users
    overviews: Overviews = field(default_factory=Overviews)  # what operators see, shared
    census: SharedLook[Census] = field(default_factory=lambda: SharedLook(census))
    new_secret: Callable[[], str] = field(default=lambda: secret_of(token_bytes(SECRET_BYTES)))
    reach: Reach = field(default_factory=Reach)  # which receivers of webhooks are called from here
    cors_origins: frozenset[str] = frozenset()
    page_dir: Path | None = None
    public_url: str | None = None  # of this api, as its clients reach it; None: as they called it
    pipelines: Mapping[str, Pipeline] = field(default_factory=dict)
    outside: bool = False  # whether a producer that is no worker of ours can reach the streams
    trace_url: str | None = None  # of one trace, with {trace_id} in it
    limits: Limits = field(default_factory=Limits)
    uploads: Bounds = field(default_factory=Bounds)
    stopping: Stopping = field(default_factory=Stopping)  # set: streams say goodbye
    version: str = "0.0.0"
    current_traceparent: Callable[[], str | None] = lambda: None
    watched: Callable[[str], AbstractContextManager[object]] = lambda _: (
        nullcontext()
    )  # around a stream, by its door; gateways know no telemetry
    on_submitted: Callable[[Submitted], None] = lambda _: None  # for the log; dialects know none
    middleware: Sequence[
        Middleware
    ] = ()  # pure ASGI; runs inside the trace context, outside routing


async def _deps(connection: HTTPConnection) -> ApiDeps:
    deps: ApiDeps = connection.app.state.deps
    return deps


Deps: TypeAlias = Annotated[ApiDeps, Depends(_deps)]


async def _caller(connection: HTTPConnection, deps: Deps, needed: SecurityScopes) -> Caller:
    """Who has the scopes that the route states by `Security`; a test holds that every route does."""
    caller = await deps.auth.admit(connection.headers)
    for scope in needed.scopes:
        caller.must_have(Scope(scope))
    return caller


async def _tenant(connection: HTTPConnection, deps: Deps, needed: SecurityScopes) -> TenantId:
    return (await _caller(connection, deps, needed)).tenant


Tenant: TypeAlias = Annotated[TenantId, Security(_tenant, scopes=[Scope.READ])]
Owner: TypeAlias = Annotated[TenantId, Security(_tenant, scopes=[Scope.SUBMIT])]
Watcher: TypeAlias = Annotated[Caller, Security(_caller, scopes=[Scope.READ])]
Keeper: TypeAlias = Annotated[Caller, Security(_caller, scopes=[Scope.MODELS])]
Submitter: TypeAlias = Annotated[Caller, Security(_caller, scopes=[Scope.SUBMIT])]
