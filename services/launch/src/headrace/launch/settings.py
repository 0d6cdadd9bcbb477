"""What the client side of the command line reads from the environment: whom to talk to, and as whom."""

from __future__ import annotations

import getpass
import os
import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace.core.errors import Misconfigured
from headrace.wiring.settings import Settings

EXAMPLE: Final = "http://127.0.0.1:8000"
_NAME: Final = r"^[A-Za-z0-9._@ -]{0,64}$"  # what the api takes as an operator


def _login_name() -> str:
    """Who sits here, if a header can carry that; "" if not, or if the system does not know."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
    return name if re.match(_NAME, name) else ""


class ClientSettings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="HEADRACE_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    url: str = Field(EXAMPLE)
    key: SecretStr = SecretStr("")
    operator: Annotated[str, Field(pattern=_NAME)] = Field(default_factory=_login_name)

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"write a whole address, as in {EXAMPLE}")
        return value.rstrip("/")


def load_client_settings() -> ClientSettings:
    """Raises Misconfigured."""
    try:
        return ClientSettings()
    except ValidationError as error:
        first = error.errors()[0]
        why = str(first["msg"]).removeprefix("Value error, ")
        name = f"HEADRACE_{first['loc'][0]}".upper()
        raise Misconfigured(f"{name}={first['input']}: {why}.", "") from error


def environment_without_settings(**overrides: str) -> dict[str, str]:
    """This process's environment, with Headrace's own settings left out but for `overrides`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.lower() not in Settings.model_fields
    }
    return {**kept, **overrides}
