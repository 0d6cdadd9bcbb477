"""What goes over the wire about keys, and about tenants as operators see them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from headrace.api.dialects.native.schemas import TermsView, Time
from headrace.core.ports.keys import Scope

TENANT: Final = r"^[A-Za-z0-9._@-]{1,64}$"
MOST_COUNTED: Final = 10_000
_COUNTED: Final = f"counted to {MOST_COUNTED:,}."


class KeyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    tenant: str = Field(pattern=TENANT)
    name: str = Field("", pattern=r"^[A-Za-z0-9._@ -]{0,64}$", description="For the audit.")
    scopes: list[Scope] = Field(
        [Scope.SUBMIT, Scope.READ],
        min_length=1,
        max_length=len(Scope),
        description="`submit` may read, too, and `admin` may do what `admin:read` may.",
    )
    expires_at: Time | None = Field(None, description="null: never.")

    @field_validator("scopes")
    @classmethod
    def _each_once(cls, scopes: list[Scope]) -> list[Scope]:
        return sorted(set(scopes))


class KeyView(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str = Field(json_schema_extra={"format": "uuid"})
    tenant: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")
    hint: str = Field(description="How the key begins.")


class NewKeyView(KeyView):
    key: str = Field(description="The key itself, which nobody can show again.")


class KeysPage(BaseModel):
    model_config = ConfigDict(frozen=True)

    keys: list[KeyView]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class WhoAmIView(BaseModel):
    model_config = ConfigDict(frozen=True)

    tenant: str | None = Field(description="null: the ADMIN_KEY is no tenant's.")
    scopes: list[Scope]
    may_read: bool = Field(description="What operators see.")
    may_change: bool = Field(description="What operators may change.")
    who: str = Field(description="As the audit would name you.")


class StandingView(TermsView):
    waiting: int = Field(description=f"Scheduled or queued; {_COUNTED}")
    running: int = Field(description=f"By a worker; {_COUNTED}")
    keys: int = Field(description="Kept in the store, neither revoked nor expired.")


class TenantsPage(BaseModel):
    model_config = ConfigDict(frozen=True)

    tenants: list[StandingView]
    next: str | None = Field(description="The `after` of the next page; null on the last one.")
