"""Make and revoke API keys. What is secret of a key never comes here: its digest does."""

from __future__ import annotations

from headrace.contracts.ids import KeyId
from headrace.core.errors import KeyNotFound
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.keys import ApiKey
from headrace.core.ports.store import Transaction


async def create_key(tx: Transaction, key: ApiKey, digest: str, *, who: str) -> ApiKey:
    detail = {
        "tenant": key.tenant,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
    }
    await tx.audit([Deed(who, "key.create", key.id, detail)])
    return await tx.insert_key(key, digest)


async def revoke_key(tx: Transaction, key: KeyId, *, who: str) -> ApiKey:
    """Asking twice changes nothing. Raises KeyNotFound."""
    found = await tx.revoke_key(key)
    if found is None:
        raise KeyNotFound(key)
    detail = {"tenant": found.tenant, "name": found.name}
    await tx.audit([Deed(who, "key.revoke", key, detail)])
    return found
