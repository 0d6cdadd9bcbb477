"""`/admin/rollout`: which path new jobs take, changed step by step, and back in one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.schemas_rollout import (
    GuardView,
    PathLookView,
    ReplicaView,
    RolloutRequest,
    RolloutView,
    ShadowsView,
    ShadowView,
    TrippedView,
)
from headrace.api.operators import Operator, Reader
from headrace.contracts.ids import TenantId
from headrace.core.ports.rollouts import Comparison
from headrace.core.ports.store import Transaction
from headrace.core.rollout import Basis
from headrace.core.usecases.rollout import Wish, change_rollout, roll_back
from headrace.core.usecases.rollout_look import Look, PathLook, look

router = APIRouter(prefix="/admin/rollout", tags=["admin"])
_VIEW = {"model": RolloutView}


@router.get(
    "",
    response_class=Response,
    responses={200: _VIEW, **documents.problems(403, 404, 422)},
)
async def show_rollout(deps: Deps, who: Reader) -> Response:  # noqa: ARG001  # the key is needed
    """What holds, who applies it already, and how both paths do."""
    return await _looked(deps)


@router.put(
    "",
    response_class=Response,
    responses={200: _VIEW, **documents.problems(403, 404, 408, 409, 413, 415, 422)},
    openapi_extra=documents.json_body("RolloutRequest"),
)
async def change(request: Request, deps: Deps, who: Operator) -> Response:
    """Change what is named; the rest stays. New jobs follow within a second, others end where they are."""
    body = await read_json(request, deps.limits)
    try:
        asked = RolloutRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error
    wish, steering = _wish(asked), deps.steering

    async def do(tx: Transaction) -> None:
        await change_rollout(tx, wish, basis=steering.basis, who=who, lacks=steering.lacks)

    return await _done(deps, do)


@router.post(
    "/rollback",
    response_class=Response,
    responses={200: _VIEW, **documents.problems(403, 404, 409, 422)},
)
async def rollback(deps: Deps, who: Operator) -> Response:
    """Everybody on the old path again: percent 0, nobody internal, no kind pinned to the new one."""

    async def do(tx: Transaction) -> None:
        await roll_back(tx, basis=deps.steering.basis, who=who)

    return await _done(deps, do)


async def _done(deps: ApiDeps, do: Callable[[Transaction], Awaitable[None]]) -> Response:
    async with deps.store.begin() as tx:
        await do(tx)
    await deps.steering.refresh()  # here it holds at once
    return await _looked(deps)


async def _looked(deps: ApiDeps) -> Response:
    async with deps.store.begin() as tx:
        found = await look(tx, deps.steering.basis)
    view = _view(found, deps.steering.basis)
    return Response(view.model_dump_json(), media_type="application/json")


def _wish(asked: RolloutRequest) -> Wish:
    guard = asked.guard
    return Wish(
        internal=None
        if asked.internal is None
        else tuple(TenantId(name) for name in dict.fromkeys(asked.internal)),
        percent=asked.percent,
        kinds=asked.kinds,
        shadow_percent=asked.shadow_percent,
        guard=None if guard is None else guard.model_dump(exclude_none=True),
        expect_version=asked.expect_version,
    )


def _view(found: Look, basis: Basis) -> RolloutView:
    now, tripped = found.rollout, found.rollout.tripped
    return RolloutView.model_validate(
        {
            "version": now.version,
            "source": "environment" if basis.fixed_by else "stored" if now.version else "default",
            "fixed_by": basis.fixed_by,
            "stage": now.stage,
            "internal": list(now.internal),
            "percent": now.percent,
            "kinds": dict(now.kinds),
            "shadow_percent": now.shadow_percent,
            "guard": GuardView(**asdict(now.guard)),
            "changed_at": now.changed_at,
            "changed_by": now.changed_by,
            "tripped": None if tripped is None else TrippedView(**asdict(tripped)),
            "paths": [_path_view(each) for each in found.paths],
            "replicas": [
                ReplicaView(replica=each.name, version=each.version, seen_at=each.seen_at)
                for each in found.replicas
            ],
            "shadows": ShadowsView(
                compared=found.compared,
                same=found.same,
                different=found.compared - found.same,
                latest=[_shadow_view(each) for each in found.latest],
            ),
        }
    )


def _path_view(each: PathLook) -> PathLookView:
    return PathLookView.model_validate(asdict(each))


def _shadow_view(each: Comparison) -> ShadowView:
    return ShadowView.model_validate(each, from_attributes=True)
