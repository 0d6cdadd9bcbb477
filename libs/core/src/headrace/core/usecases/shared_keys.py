"""Keys that users give away: made, changed and revoked by their owner, good for so much and so long."""

from __future__ import annotations

from typing import Any, Final

from headrace.contracts.ids import KeyId
from headrace.core.errors import SharedKeyNotFound, TooManySharedKeys
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.keys import ApiKey
from headrace.core.ports.store import Transaction
from headrace.core.ports.users import SharedKey, User
from headrace.core.usecases.keys import revoke_key

AT_MOST: Final = 100  # that a user has at one time


async def share(
    tx: Transaction, owner: User, terms: SharedKey, digest: str, *, hint: str
) -> SharedKey:
    """Raises TooManySharedKeys."""
    await tx.accounts([owner.id])  # of two that come at once, the second counts the first one's
    if len(await tx.shared_keys(owner.id, limit=AT_MOST)) == AT_MOST:
        raise TooManySharedKeys(AT_MOST)
    # Without a scope: no other door lets it in, for none of them knows its terms.
    key = ApiKey(
        id=terms.id,
        tenant=owner.tenant,
        name=f"shared by {owner.id}",
        scopes=frozenset(),
        hint=hint,
    )
    await tx.insert_key(key, digest)
    await tx.insert_shared_key(terms)
    await tx.audit([Deed(owner.name, "shared-key.create", terms.id, _said(terms))])
    return terms


async def change_shared(tx: Transaction, owner: User, changed: SharedKey) -> SharedKey:
    """Its terms. Raises SharedKeyNotFound."""
    await _own(tx, owner, changed.id)
    await tx.save_shared_key(changed)
    await tx.audit([Deed(owner.name, "shared-key.change", changed.id, _said(changed))])
    return await _own(tx, owner, changed.id)


async def revoke_shared(tx: Transaction, owner: User, key: KeyId) -> None:
    """For ever. Raises SharedKeyNotFound."""
    await _own(tx, owner, key)
    await revoke_key(tx, key, who=owner.name)


async def _own(tx: Transaction, owner: User, key: KeyId) -> SharedKey:
    found = await tx.shared_key(key)
    if found is None or found.owner != owner.id:
        raise SharedKeyNotFound
    return found


def _said(key: SharedKey) -> dict[str, Any]:
    names = ("name", "kudos", "max_image_pixels", "max_image_steps", "max_text_tokens")
    expires_at = None if key.expires_at is None else key.expires_at.isoformat()
    return {name: getattr(key, name) for name in names} | {"expires_at": expires_at}
