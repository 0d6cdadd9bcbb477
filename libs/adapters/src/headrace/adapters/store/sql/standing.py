"""Which tenants there are and what they have. By probes, so that it costs no more as the backlog grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Integer, Select, bindparam, func, literal_column, select, text

from headrace.adapters.store.sql.expressions import batch
from headrace.adapters.store.sql.keys import LIVE
from headrace.adapters.store.sql.schema import HELD, NOT_STARTED, jobs, tenants
from headrace.adapters.store.sql.schema_around import api_keys
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import TenantId
from headrace.core.job import SHADOWS
from headrace.core.ports.keys import Standing

_limit: Final = bindparam("limit", type_=Integer)
_after: Final = bindparam("after", type_=Name)
_with_terms: Final = (
    select(tenants.c.name).where(tenants.c.name > _after).order_by(tenants.c.name).limit(_limit)
)


def _skipping(column: Any, *where: Any) -> Select[Any]:
    """Each tenant that has such rows, by one probe a tenant."""
    one = literal_column("1", Integer)
    least = select(func.min(column).label("tenant")).where(*where)
    ring = least.where(column > _after).add_columns(one.label("place")).cte("ring", recursive=True)
    following = least.where(column > ring.c.tenant).scalar_subquery()
    further = select(following, ring.c.place + one).where(
        ring.c.tenant.is_not(None), ring.c.place < _limit
    )
    found = ring.union_all(further)
    return select(found.c.tenant).where(found.c.tenant.is_not(None))


_SOURCES: Final = (
    _with_terms,
    _skipping(api_keys.c.tenant),
    _skipping(jobs.c.tenant, text(NOT_STARTED)),
    _skipping(jobs.c.tenant, text(HELD)),
)
_named: Final = batch(tenant=Name)


def _count_of(condition: str) -> Any:
    """Counted to a bound, by the index that holds these alone."""
    at_most = bindparam("at_most", type_=Integer)
    mine = select(jobs.c.tenant).where(text(condition), jobs.c.tenant == _named.c.tenant)
    rows = mine.limit(at_most).correlate(_named).subquery()
    return select(func.count()).select_from(rows).scalar_subquery()


_keys: Final = (
    select(func.count())
    .select_from(api_keys)
    .where(api_keys.c.tenant == _named.c.tenant, *LIVE)
    .scalar_subquery()
)
_standings: Final = select(
    _named.c.tenant,
    func.coalesce(tenants.c.weight, literal_column("1", Integer)).label("weight"),
    *(tenants.c[name] for name in ("max_running", "max_running_per_lane")),
    *(tenants.c[name] for name in ("max_queued", "retain_days")),
    _count_of(NOT_STARTED).label("waiting"),
    _count_of(HELD).label("running"),
    _keys.label("keys"),
)
_of_these: Final = _standings.select_from(
    _named.outerjoin(tenants, tenants.c.name == _named.c.tenant)
).order_by(_named.c.tenant)


async def standings(
    session: Session, besides: Sequence[TenantId], after: str, limit: int, at_most: int
) -> list[Standing]:
    names = {str(name) for name in besides if name > after}
    for source in _SOURCES:
        names |= set((await session.run(source, after=after, limit=limit)).scalars())
    names.discard(SHADOWS)  # nobody's tenant
    rows = await session.run_batch(
        _of_these, [{"tenant": name} for name in sorted(names)[:limit]], at_most=at_most
    )
    return [Standing(**row) for row in rows.mappings()]
