"""Users, shared keys and transfers, as this protocol has them."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from pydantic import Field

from headrace.api.dialects.horde.forms import Asked, Told

ALIAS: Final = r"^[A-Za-z0-9._@ -]{1,64}$"
MOST_KUDOS: Final = 50_000_000
MOST_JOBS: Final = 500
UNLIMITED: Final = -1  # as this protocol writes it

Kudos: TypeAlias = Annotated[float, Field(ge=-MOST_KUDOS, le=MOST_KUDOS, allow_inf_nan=False)]
Limit: TypeAlias = Annotated[int, Field(ge=UNLIMITED, le=2**31 - 1)]


class UserView(Told):
    """What is left out is for the user, moderators and operators."""

    username: str
    id: int
    trusted: bool
    moderator: bool
    kudos: float | int | None = Field(None, description="Those that are held for jobs included.")
    concurrency: int | None = None
    account_age: int | None = Field(None, description="Seconds.")
    worker_count: int | None = None
    worker_ids: list[str] | None = None


class UserChange(Asked):
    """The body of `PUT /users/{user_id}`; what is left out stays."""

    kudos: Kudos | None = Field(None, description="So much more; negative: so much less.")
    concurrency: Annotated[int, Field(ge=0, le=MOST_JOBS)] | None = None
    trusted: bool | None = None
    moderator: bool | None = None


class UserChangedView(Told):
    new_kudos: float | int | None = None
    concurrency: int | None = None
    trusted: bool | None = None
    moderator: bool | None = None


class RegistrationRequest(Asked):
    username: Annotated[str, Field(pattern=ALIAS)]


class RegisteredView(Told):
    id: int
    username: str
    api_key: str = Field(description="The key itself, which nobody can show again.")


class TransferRequest(Asked):
    username: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="As `alias#7`, or `7`."
    )
    amount: Kudos


class TransferredView(Told):
    transferred: float | int


class SharedKeyTerms(Asked):
    """What is left out stays, or has no limit; -1 is no limit."""

    kudos: Annotated[int, Field(ge=UNLIMITED, le=MOST_KUDOS)] | None = None
    expiry: Annotated[int, Field(ge=UNLIMITED, le=36_500)] | None = Field(
        None, description="Days from now."
    )
    name: Annotated[str, Field(pattern=r"^[^\x00#]{0,64}$")] | None = None
    max_image_pixels: Limit | None = None
    max_image_steps: Limit | None = None
    max_text_tokens: Limit | None = None


class SharedKeyView(Told):
    id: str = Field(description="The key itself.")
    username: str = Field(description="Whose it is.")
    name: str
    kudos: float | int = Field(description="What is left; -1: as much as its user has.")
    utilized: float | int
    expiry: str | None = None
    max_image_pixels: int
    max_image_steps: int
    max_text_tokens: int


class DoneView(Told):
    message: str
