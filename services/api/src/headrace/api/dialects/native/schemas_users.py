"""What goes over the wire about users and what they have. Amounts are kudos, to the thousandth."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.api.dialects.native.schemas_keys import TENANT
from headrace.core.ports.users import Reason

ALIAS: Final = r"^[A-Za-z0-9._@ -]{1,64}$"
_MOST: Final = 10**9

Kudos: TypeAlias = Annotated[float, Field(ge=-_MOST, le=_MOST, allow_inf_nan=False)]
Floor: TypeAlias = Annotated[float, Field(ge=-_MOST, le=0, allow_inf_nan=False)]
Concurrency: TypeAlias = Annotated[int, Field(ge=0, le=100_000)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class UserRequest(_Asked):
    """A new user with a key of its own. What is left out is as for everybody."""

    alias: str = Field(pattern=ALIAS, description="For people; the number comes from us.")
    tenant: str | None = Field(
        None, pattern=TENANT, description="That there is; null: a new one. A tenant is one user."
    )
    concurrency: Concurrency | None = Field(None, description="Jobs that have not ended.")
    floor: Floor | None = Field(None, description="What it has never falls below this.")
    kudos: Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)] | None = None


class UserPatch(_Asked):
    """What is left out stays as it is."""

    alias: str | None = Field(None, pattern=ALIAS)
    concurrency: Concurrency | None = None
    trusted: bool | None = None
    moderator: bool | None = None
    floor: Floor | None = None
    no_floor: bool = Field(default=False, description="Debts have no limit from now on.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.no_floor and self.floor is not None:
            raise ValueError("no_floor contradicts floor")
        return self


class GrantRequest(_Asked):
    kudos: Kudos = Field(description="So much more, from the bank; negative: so much less.")


class UserAdminView(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: int
    username: str
    tenant: str
    concurrency: int
    trusted: bool
    moderator: bool
    kudos: float | int = Field(description="The sum of its postings.")
    held: float | int = Field(description="Of these, for jobs that have not ended.")
    floor: float | int | None = Field(description="null: debts have no limit.")
    created_at: datetime | None


class NewUserView(UserAdminView):
    key: str = Field(description="Its key, which nobody can show again.")


class UsersPage(BaseModel):
    model_config = ConfigDict(frozen=True)

    users: list[UserAdminView]
    next: int | None = Field(description="The `after` of the next page; null on the last one.")


class PostingView(BaseModel):
    model_config = ConfigDict(frozen=True)

    entry: str
    reason: Reason
    counter: int = Field(description="The other side's account; -1 is the bank.")
    kudos: float | int = Field(description="Negative: it left.")
    job: str | None
    at: datetime


class AccountView(UserAdminView):
    postings: list[PostingView] = Field(description="The latest first.")


class LedgerView(BaseModel):
    """Of books in order every number is zero."""

    model_config = ConfigDict(frozen=True)

    total: int = Field(description="Of all postings, in thousandths.")
    lame_entries: int = Field(description="That are not two postings which make zero.")
    wrong_balances: int = Field(description="Users whose kudos are not their postings' sum.")
    wrong_holds: int = Field(description="Users whose jobs do not explain what is held.")
    below_floor: int


BODIES: Final = (UserRequest, UserPatch, GrantRequest)
