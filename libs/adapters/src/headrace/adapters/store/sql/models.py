"""Registered models: who numbers a version, which route holds, and what may be read by whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    literal,
    literal_column,
    null,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql import blob_uses
from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.schema_models import SHARED, model_routes, model_versions, models
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import BlobId, JobId, TenantId
from headrace.contracts.messages import Artefact
from headrace.core.models import How, Model, NewVersion, Route, Version

_one: Final[Any] = literal_column("1", Integer)
_zero: Final[Any] = literal_column("0", Integer)
_owner: Final = bindparam("owner", type_=Name)
_called: Final = bindparam("called", type_=Name)
_number: Final = bindparam("number", type_=Integer)
_limit: Final = bindparam("limit", type_=Integer)

_made: Final = batch(tenant=Name, name=Name)
_put: Final = insert(models).from_select(
    ["tenant", "name", "latest", "route", "created_at"],
    select(_made.c.tenant, _made.c.name, _one, _zero, clock()).where(true()),
)
_next: Final = _put.on_conflict_do_update(
    index_elements=[models.c.tenant, models.c.name], set_={"latest": models.c.latest + _one}
).returning(models.c.latest)

_of_version: Final = (
    *("tenant", "name", "number", "blob", "format", "sha256", "bytes"),
    *("metrics", "parameters", "data", "job", "note", "made_by"),
)
_new: Final = batch(**{name: model_versions.c[name].type for name in _of_version})
_keep: Final = (
    insert(model_versions)
    .from_select(
        [*_of_version, "created_at"], select(*(_new.c[name] for name in _of_version), clock())
    )
    .returning(model_versions)
)


async def add_version(session: Session, new: NewVersion) -> Version:
    number = (
        await session.run_batch(_next, [{"tenant": new.tenant, "name": new.name}])
    ).scalar_one()
    row = {
        **{name: getattr(new, name) for name in _of_version[-6:]},
        "tenant": new.tenant,
        "name": new.name,
        "number": number,
        "blob": new.artefact.blob,
        "format": new.artefact.format,
        "sha256": new.artefact.sha256,
        "bytes": new.artefact.bytes,
    }
    return _to_version((await session.run_batch(_keep, [row])).one())


_of_route: Final = ("number", "weights", "how", "restores", "changed_by", "changed_at")
_look: Final = (
    select(
        models,
        model_versions.c.format,
        *(model_routes.c[name].label(f"r_{name}") for name in _of_route),
    )
    .join(
        model_routes,
        and_(
            model_routes.c.tenant == models.c.tenant,
            model_routes.c.name == models.c.name,
            model_routes.c.number == models.c.route,
        ),
    )
    .join(
        model_versions,
        and_(
            model_versions.c.tenant == models.c.tenant,
            model_versions.c.name == models.c.name,
            model_versions.c.number == models.c.latest,
        ),
    )
)
_shared: Final = text(f"models.{SHARED}")
_usable: Final = or_(models.c.tenant == _owner, _shared)
_find: Final = (
    _look.where(models.c.name == _called, _usable)
    .order_by((models.c.tenant == _owner).desc())
    .limit(1)
)
_mine: Final = (models.c.tenant == _owner, models.c.name == _called)
# Apart: who waited for the lock would join the row as it is now with routes as they were before.
_lock: Final = select(models.c.name).where(*_mine).with_for_update()
_find_mine: Final = _look.where(*_mine)


async def find(session: Session, tenant: TenantId, name: str) -> Model | None:
    row = (await session.run(_find, owner=tenant, called=name)).one_or_none()
    return None if row is None else _to_model(row)


async def lock(session: Session, owner: TenantId, name: str) -> Model | None:
    await session.run(_lock, owner=owner, called=name)
    row = (await session.run(_find_mine, owner=owner, called=name)).one_or_none()
    return None if row is None else _to_model(row)


_own: Final = models.alias("own")
_hidden: Final = (
    select(_own.c.name).where(_own.c.tenant == _owner, _own.c.name == models.c.name).exists()
)
_usable_by_name: Final = (
    _look.where(
        models.c.name > bindparam("after", type_=Name),
        or_(models.c.tenant == _owner, and_(_shared, ~_hidden)),
    )
    .order_by(models.c.name)
    .limit(_limit)
)


async def usable(session: Session, tenant: TenantId, after: str, limit: int) -> list[Model]:
    """An own one hides a shared one of its name."""
    rows = await session.run(_usable_by_name, owner=tenant, after=after, limit=limit)
    return [_to_model(row) for row in rows]


async def everybodys(session: Session, after: tuple[str, str], limit: int) -> list[Model]:
    key = (models.c.tenant, models.c.name)
    behind = tuple_(*(literal(each, Name) for each in after))
    rows = await session.run(_look.where(tuple_(*key) > behind).order_by(*key).limit(limit))
    return [_to_model(row) for row in rows]


def _of(table: Any) -> Select[Any]:
    return select(table).where(table.c.tenant == _owner, table.c.name == _called)


_version: Final = _of(model_versions).where(model_versions.c.number == _number)
_by: Final = _of(model_versions).where(model_versions.c.made_by == bindparam("maker", type_=Name))
_first_by: Final = _by.order_by(model_versions.c.number).limit(_one)
_route: Final = _of(model_routes).where(model_routes.c.number == _number)


async def find_version(session: Session, owner: TenantId, name: str, number: int) -> Version | None:
    row = (await session.run(_version, owner=owner, called=name, number=number)).one_or_none()
    return None if row is None else _to_version(row)


async def find_made(session: Session, owner: TenantId, name: str, made_by: str) -> Version | None:
    row = (await session.run(_first_by, owner=owner, called=name, maker=made_by)).one_or_none()
    return None if row is None else _to_version(row)


async def find_route(session: Session, owner: TenantId, name: str, number: int) -> Route | None:
    row = (await session.run(_route, owner=owner, called=name, number=number)).one_or_none()
    return None if row is None else _to_route(row)


async def versions(
    session: Session, owner: TenantId, name: str, below: int | None, limit: int
) -> list[Version]:
    rows = await _newest_first(session, model_versions, owner, name, below, limit)
    return [_to_version(row) for row in rows]


async def routes(
    session: Session, owner: TenantId, name: str, below: int | None, limit: int
) -> list[Route]:
    rows = await _newest_first(session, model_routes, owner, name, below, limit)
    return [_to_route(row) for row in rows]


async def _newest_first(
    session: Session, table: Any, owner: TenantId, name: str, below: int | None, limit: int
) -> Sequence[Row[Any]]:
    wanted = _of(table).order_by(table.c.number.desc()).limit(_limit)
    if below is not None:
        wanted = wanted.where(table.c.number < below)
    return (await session.run(wanted, owner=owner, called=name, limit=limit)).all()


_fields: Final = ("tenant", "name", "number", "weights", "how", "restores", "changed_by")
_said: Final = batch(**{name: model_routes.c[name].type for name in _fields})
_note: Final = (
    insert(model_routes)
    .from_select([*_fields, "changed_at"], select(*(_said.c[name] for name in _fields), clock()))
    .returning(model_routes)
)
_hold: Final = update(models).where(*_mine).values(route=bindparam("held", type_=Integer))


async def add_route(session: Session, owner: TenantId, name: str, route: Route) -> Route:
    row = {
        **{each: getattr(route, each) for each in _fields[2:]},
        "tenant": owner,
        "name": name,
        "weights": {str(number): weight for number, weight in route.weights.items()},
    }
    kept = _to_route((await session.run_batch(_note, [row])).one())
    await session.run(_hold, owner=owner, called=name, held=route.number)
    return kept


_retire: Final = (
    update(model_versions)
    .where(
        model_versions.c.tenant == _owner,
        model_versions.c.name == _called,
        model_versions.c.number == bindparam("which", type_=Integer),
    )
    .values(retired_at=clock(), retired_by=bindparam("who", type_=Name))
    .returning(model_versions)
)
_namesake: Final = select(models.c.tenant).where(models.c.name == _called, _shared)
_this: Final = update(models).where(*_mine)
_share: Final = _this.values(shared_at=clock())
_unshare: Final = _this.values(shared_at=null())


async def retire(session: Session, owner: TenantId, name: str, number: int, who: str) -> Version:
    row = (await session.run(_retire, owner=owner, called=name, which=number, who=who)).one()
    retired = _to_version(row)
    await blob_uses.forget_uses(session, f"model:{retired.id}")
    return retired


async def share(session: Session, owner: TenantId, name: str, *, shared: bool) -> bool:
    """Of two that are shared at once under one name the index refuses the second."""
    if shared and (await session.run(_namesake, called=name)).first() is not None:
        return False
    await session.run(_share if shared else _unshare, owner=owner, called=name)
    return True


def _to_model(row: Row[Any]) -> Model:
    return Model(
        tenant=TenantId(row.tenant),
        name=row.name,
        latest=row.latest,
        format=row.format,
        route=_route_of(row, "r_"),
        shared_at=row.shared_at,
        created_at=row.created_at,
    )


def _to_route(row: Row[Any]) -> Route:
    return _route_of(row, "")


def _route_of(row: Row[Any], before: str) -> Route:
    found = {name: getattr(row, f"{before}{name}") for name in _of_route}
    return Route(
        number=found["number"],
        weights={int(number): float(weight) for number, weight in found["weights"].items()},
        how=How(found["how"]),
        restores=found["restores"],
        changed_by=found["changed_by"],
        changed_at=found["changed_at"],
    )


def _to_version(row: Row[Any]) -> Version:
    owner = TenantId(row.tenant)
    return Version(
        tenant=owner,
        name=row.name,
        number=row.number,
        artefact=Artefact(owner, BlobId(row.blob), row.format, row.sha256, row.bytes),
        metrics=row.metrics,
        parameters=row.parameters,
        data=row.data,
        job=None if row.job is None else JobId(row.job),
        note=row.note,
        made_by=row.made_by,
        created_at=row.created_at,
        retired_at=row.retired_at,
        retired_by=row.retired_by,
    )
