"""Steps with registered models: an engine that serves a format, versions, routes, and jobs that ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Final

from headrace.contracts.ids import Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.job import Job
from headrace.core.models import Model, Version
from headrace.core.ports.store import Store
from headrace.core.usecases import models as use
from headrace.core.usecases.submit import Submission, Taking, submit_together
from headrace.testkit.builders import a_new_version
from headrace.testkit.deciding import PATH
from headrace.testkit.memory_blobs import MemoryBlobs

TENANT: Final = TenantId("tenant")
SERVES: Final = EngineCard(Lane("serve"), "inference", [], {}, "Serves", ["test-weights"])
TRAINS: Final = EngineCard(Lane("train"), "training", ["digits-mlp"], {})
_ids: Final = count(1)


async def registered(store: Store, versions: int = 1, **fields: Any) -> list[Version]:
    """So many versions of the model `digits`, unless another name is given."""
    made = []
    for _ in range(versions):
        new = a_new_version(**{"tenant": TENANT, "name": "digits", **fields})
        async with store.begin() as tx:
            made.append(await use.register(tx, new))
    return made


async def routed(store: Store, weights: dict[int, float]) -> Model:
    async with store.begin() as tx:
        return await use.route(tx, TENANT, "digits", weights, who="me")


async def asked(store: Store, **fields: Any) -> Job:
    """A job for that model, unless it says otherwise."""
    return (await asked_together(store, [fields]))[0]


async def asked_together(store: Store, each: Iterable[dict[str, Any]]) -> list[Job]:
    usual: dict[str, Any] = {"tenant": TENANT, "kind": "inference", "model": "digits", "input": {}}
    requests = [Submission(**{**usual, **fields}) for fields in each]
    how = Taking(PATH, lambda: f"job-{next(_ids)}", _accept)
    return [made.job for made in await submit_together(store, MemoryBlobs(), requests, how)]


def _accept(card: EngineCard, given: Mapping[str, Any]) -> None:
    """Every input fits."""
