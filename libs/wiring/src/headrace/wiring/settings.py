"""The environment, read once and checked at the door. Below it everything takes plain arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from headrace.contracts.ids import TenantId
from headrace.core.addresses import Reach, networks
from headrace.core.errors import Misconfigured
from headrace.core.job import SHADOWS
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.rates import Rate, RateName, rates
from headrace.core.rollout import Basis, Fixed
from headrace.wiring.modes import Mode

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
NOTHING: Final = "-"  # an empty list; an empty variable is as if it were not there
RATES: Final[Mapping[RateName, tuple[Rate, ...]]] = {
    "ask": rates("2/s 90/min"),
    "key": rates("2/s"),
    "anonymous": rates("60/s"),
    "check": rates("10/s"),
    "status": rates("10/min"),
    "text-status": rates("60/min"),
    "progress": rates("30/s"),
}
_HTTP: Final = r"^(https?://\S+)?$"
MOST_SLOTS: Final = 64  # of one lane in one worker


def _visible_gpus() -> str | None:
    """What somebody has narrowed this process down to; empty there means none, and so it is here."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


class Settings(BaseSettings):
    """Every variable, its default and its limits; .env.example says what each is for."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    execution_mode: Mode = Mode.MONOLITH
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")] = "headrace"

    data_dir: Path = Path("var")
    database_url: str = ""  # empty: SQLite in data_dir
    rabbitmq_url: SecretStr = SecretStr("")
    redis_url: SecretStr = SecretStr("")
    blobs_url: str = ""  # empty: files in data_dir
    s3_endpoint: str = ""
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")
    migrate_at_start: bool = True

    api_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(default_factory=dict)
    admin_key: SecretStr = SecretStr("")  # empty: nobody administers over HTTP
    max_queued_per_tenant: Annotated[int, Field(ge=0, le=10_000_000)] = 10_000
    max_queued: Annotated[int, Field(ge=0, le=100_000_000)] = 1_000_000
    allow_anonymous: bool | None = None  # None: on loopback without keys
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    webhook_http: bool = False
    webhook_networks: str = ""

    user_concurrency: Annotated[int, Field(ge=0, le=100_000)] = 30
    kudos_floor: Annotated[int, Field(ge=-(10**9), le=0)] | None = None  # None: debts have no limit
    kudos_at_start: Annotated[int, Field(ge=0, le=10**9)] = 0
    self_registration: bool = False  # else operators alone make users
    oidc_issuer: Annotated[str, Field(pattern=_HTTP)] = (
        ""  # whose tokens are callers beside keys; empty: nobody's
    )
    oidc_audience: str = ""
    oidc_tenant_claim: str = "sub"
    oidc_scopes_claim: str = "scope"
    oidc_jwks_url: Annotated[str, Field(pattern=_HTTP)] = ""  # empty: the issuer says where
    public_url: Annotated[str, Field(pattern=r"^(https?://[^/?#]+)?/?$")] = (
        ""  # of the api, for addresses
    )

    engines: Annotated[tuple[str, ...], NoDecode] = ()  # empty: all that are installed
    pipelines: Annotated[tuple[str, ...], NoDecode] = ()  # beside what is installed: module:NAME
    slots: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)
    model_memory_mib: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)
    engine_memory_mib: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)
    model_cache_dir: Path | None = None  # None: in data_dir
    model_cache_mib: Annotated[int, Field(ge=1, le=100_000_000)] = 20_480
    gpus: Annotated[str, Field(pattern=r"^(auto|none|\d{1,3}(,\d{1,3})*)$")] = "auto"
    gang_processes: Annotated[int, Field(ge=1, le=64)] = 2  # where there are no GPUs
    gang_nodes: Annotated[int, Field(ge=1, le=64)] = 1  # workers that one job may have
    gang_address: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]*$")] = (
        ""  # empty: the host's name
    )
    cuda_visible_devices: str | None = Field(default_factory=_visible_gpus)
    text_threads: Annotated[int, Field(ge=1, le=64)] = 1
    upstream_url: str = ""
    upstream_models: Annotated[tuple[str, ...], NoDecode] = ()
    upstream_api_key: SecretStr = SecretStr("")
    transformers_models: str = ""  # name=folder,name=folder
    diffusers_models: str = ""
    torch_device: str = "auto"
    torch_dtype: str = "auto"
    torch_threads: Annotated[int, Field(ge=1, le=1024)] = 1
    torch_memory_mib: Annotated[int, Field(ge=1)] | None = None  # None: all of the GPU

    upload_max_bytes: Annotated[int, Field(ge=1, le=2**40)] = 2**30
    uploads_per_tenant_bytes: Annotated[int, Field(ge=1, le=2**44)] = 4 * 2**30  # under way
    upload_hours: Annotated[float, Field(gt=0, le=720)] = 24  # without a word

    lease_s: Annotated[float, Field(ge=1, le=600)] = 30
    drain_s: Annotated[float, Field(ge=0, le=86_400)] = 60
    cancel_grace_s: Annotated[float, Field(ge=0, le=600)] = 5
    prefer_warm: bool = True
    retry_failures: Annotated[int, Field(ge=1, le=100)] = 3
    retry_losses: Annotated[int, Field(ge=1, le=100)] = 3
    retry_base_s: Annotated[float, Field(gt=0, le=3600)] = 5
    sweep_every_s: Annotated[float, Field(gt=0, le=600)] = 5
    missed_fires: Literal["once", "skip"] = "once"
    retain_days: Annotated[float, Field(ge=2, le=36_500)] | None = None  # None: for ever
    useless_keys_days: Annotated[float, Field(ge=0, le=36_500)] | None = None  # None: for ever
    engines_kept_days: Annotated[float, Field(ge=0.125, le=36_500)] = 7
    long_poll_timeout: Annotated[float, Field(ge=1, le=60)] = 30  # of remote workers, in seconds
    remote_ttl_s: Annotated[float, Field(ge=1, le=3600)] = 150
    horde_rates: Annotated[dict[RateName, tuple[Rate, ...]], NoDecode] = Field(
        default_factory=lambda: dict(RATES)
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()  # whose word for the client counts
    stream_ttl_s: Annotated[int, Field(ge=5, le=604_800)] = 3600

    # None: what is stored says, by /admin/rollout. Set, these hold in this process whatever is stored.
    rollout_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    rollout_internal: Annotated[tuple[TenantId, ...] | None, NoDecode] = None
    rollout_kinds: Annotated[dict[str, Literal["local", "distributed"]] | None, NoDecode] = None
    rollout_shadow_percent: Annotated[float, Field(ge=0, le=100)] | None = None

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "json", "console"] = "auto"
    otel_exporter_otlp_endpoint: str = ""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None  # None: no door of its own
    metrics_host: str = "127.0.0.1"
    trace_url: Annotated[str, Field(pattern=r"^(https?://.*\{trace_id\}.*)?$")] = ""

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks(",".join(value))
        return value

    @field_validator("horde_rates", mode="before")
    @classmethod
    def _rates(cls, value: object) -> object:
        """What is not named keeps its own; `-` is none at all."""
        if value == NOTHING:
            return {}
        said = _pairs(value, "=", "write name=rates, as in ask=2/s 90/min,check=10/s")
        if not isinstance(value, str) or not isinstance(said, dict):
            return value
        return {**RATES, **{name: rates(text) for name, text in said.items()}}

    @field_validator(
        *("engines", "pipelines", "upstream_models", "cors_origins", "trusted_proxies"),
        mode="before",
    )
    @classmethod
    def _comma_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("rollout_internal", mode="before")
    @classmethod
    def _tenants(cls, value: object) -> object:
        return () if value == NOTHING else cls._comma_list(value)

    @field_validator("rollout_kinds", mode="before")
    @classmethod
    def _kinds(cls, value: object) -> object:
        form = "write kind=path, as in image=local,text=distributed, or - for none"
        return {} if value == NOTHING else _pairs(value, "=", form)

    @field_validator("slots", mode="before")
    @classmethod
    def _slots(cls, value: object) -> object:
        return _pairs(value, "=", "write lane=number, as in smollm2=1,echo=4")

    @field_validator("model_memory_mib", "engine_memory_mib", mode="before")
    @classmethod
    def _lanes_memory(cls, value: object) -> object:
        return _pairs(value, "=", "write lane=MiB, as in sklearn-serve=500,torch-serve=16000")

    @field_validator("api_keys", mode="before")
    @classmethod
    def _api_keys(cls, value: object) -> object:
        return _pairs(value, ":", "write tenant:key, as in alice:s3cret,bob:hunter2")

    @field_validator("api_keys")
    @classmethod
    def _no_shadow(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if SHADOWS in value:
            raise ValueError(
                f"no tenant is called {SHADOWS}: that is whose the rollout's shadows are"
            )
        return value

    @field_validator("slots")
    @classmethod
    def _some_slots(cls, value: dict[str, int]) -> dict[str, int]:
        if any(not 1 <= number <= MOST_SLOTS for number in value.values()):
            raise ValueError(f"give each lane between 1 and {MOST_SLOTS} slots")
        return value

    @field_validator("model_memory_mib", "engine_memory_mib")
    @classmethod
    def _some_memory(cls, value: dict[str, int]) -> dict[str, int]:
        if any(number < 1 for number in value.values()):
            raise ValueError("give each lane at least 1 MiB")
        return value

    @field_validator("webhook_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks(value)
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.execution_mode is Mode.EDA:
            self._need("RABBITMQ_URL", self.rabbitmq_url, "amqp://user:password@host:5672/")
            self._need("REDIS_URL", self.redis_url, "redis://host:6379/0")
        if self.execution_mode is Mode.MONOLITH and self.gang_nodes > 1:
            raise ValueError(
                "GANG_NODES: with EXECUTION_MODE=MONOLITH there is one worker, and no job has several"
            )
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError(
                "OIDC_AUDIENCE: OIDC_ISSUER needs it, as the tokens meant for us say it"
            )
        if self.allow_anonymous is False and not self.has_keys:
            raise ValueError(
                "API_KEYS: ALLOW_ANONYMOUS=false without them or an ADMIN_KEY shuts everybody out"
            )
        return self

    @staticmethod
    def _need(name: str, value: SecretStr, example: str) -> None:
        if not value.get_secret_value():
            raise ValueError(f"{name}: EXECUTION_MODE=EDA needs it, as in {example}")

    def need_shared_store(self) -> None:
        """For roles that open the store; a worker never does. Raises Misconfigured."""
        if self.execution_mode is Mode.EDA and not self.database_url.startswith("postgresql"):
            raise Misconfigured(
                "DATABASE_URL: EXECUTION_MODE=EDA shares a store between processes and needs "
                "PostgreSQL, as in postgresql://user:password@host:5432/headrace.",
                "See .env.example.",
            )
        if self.database_url.startswith("postgres") and not self.redis_url.get_secret_value():
            raise Misconfigured(
                "REDIS_URL: a PostgreSQL store can be shared by several processes, and streams that "
                "stay inside one of them would be missing in the others.",
                "Set it, as in redis://host:6379/0, or use SQLite.",
            )
        self._refuse_a_rollout_to_nowhere()

    def _refuse_a_rollout_to_nowhere(self) -> None:
        basis, lacks = self.rollout_basis, self.lacks_for_distributed
        if lacks and replace(basis, default=LOCAL).of(None).moves:
            problem = (
                f"{', '.join(basis.fixed_by)}: jobs cannot take the distributed path: {lacks}."
            )
            raise Misconfigured(problem, "See docs/rollout.md.")

    @property
    def path(self) -> str:
        """The side that runs what this process accepts."""
        return LOCAL if self.execution_mode is Mode.MONOLITH else DISTRIBUTED

    @property
    def reach(self) -> Reach:
        """Which receivers of webhooks are called."""
        return Reach(self.webhook_http, networks(self.webhook_networks))

    @property
    def rollout_basis(self) -> Basis:
        fixed = Fixed(
            internal=self.rollout_internal,
            percent=self.rollout_percent,
            kinds=self.rollout_kinds,
            shadow_percent=self.rollout_shadow_percent,
        )
        return Basis(default=self.path, fixed=fixed)

    @property
    def lacks_for_distributed(self) -> str | None:
        """Why no dispatcher and no worker of another process can serve what this one accepts."""
        if not self.redis_url.get_secret_value():
            return (
                "without REDIS_URL the streams stay inside this process, and nobody would see the"
                " frames of a job that runs elsewhere"
            )
        if not self.database_url.startswith("postgres"):
            return (
                "the store is a SQLite file, which dispatchers elsewhere cannot share: set"
                " DATABASE_URL to PostgreSQL"
            )
        return None

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'headrace.db'}"

    @property
    def models_dir(self) -> Path:
        """Where a worker keeps the artefacts of registered models."""
        return self.model_cache_dir or self.data_dir / "models"

    @property
    def has_keys(self) -> bool:
        """Those of tenants, or the one that makes them, or an issuer of tokens."""
        return bool(self.api_keys or self.admin_key.get_secret_value() or self.oidc_issuer)

    @property
    def anonymous(self) -> bool:
        """Whether a caller without a key is let in, as the tenant `local`."""
        if self.allow_anonymous is not None:
            return self.allow_anonymous
        return not self.api_keys and self.host in LOOPBACK


def load_settings(**overrides: Any) -> Settings:
    """Raises Misconfigured, naming each variable, what it holds and what it wants."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        problems = [_plain(dict(each)) for each in error.errors()]
        raise Misconfigured("; ".join(problems) + ".", "See .env.example.") from error
    if not settings.anonymous and not settings.has_keys:
        raise Misconfigured(
            f"HOST={settings.host} can be reached from outside and there are no API_KEYS.",
            "Set API_KEYS=tenant:key, or an ADMIN_KEY to make keys with, or ALLOW_ANONYMOUS=true if"
            " that is what you want.",
        )
    return settings


def _pairs(value: object, separator: str, form: str) -> object:
    if not isinstance(value, str):
        return value
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, found, rest = part.partition(separator)
        if not (found and name and rest):
            raise ValueError(form)
        pairs[name] = rest
    return pairs


_SECRET = ("key", "password", "secret", "rabbitmq_url", "redis_url", "database_url")


def _plain(error: dict[str, Any]) -> str:
    where = str(error["loc"][0]) if error["loc"] else ""
    why = str(error["msg"]).removeprefix("Value error, ")
    if not where:
        return why
    shown = "" if any(word in where for word in _SECRET) else f"={error['input']}"
    return f"{where.upper()}{shown}: {why}"
