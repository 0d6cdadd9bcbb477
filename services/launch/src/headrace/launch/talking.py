"""A client as the settings say: as a tenant, or as an operator."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from headrace.launch.client import Client, connected
from headrace.launch.settings import ClientSettings


def talking(settings: ClientSettings) -> AbstractAsyncContextManager[Client]:
    return connected(settings.url, settings.key.get_secret_value())


def operating(settings: ClientSettings) -> AbstractAsyncContextManager[Client]:
    """The key is the admin's; the audit names the operator."""
    key, operator = settings.key.get_secret_value(), settings.operator
    return connected(settings.url, key, operator=operator)
