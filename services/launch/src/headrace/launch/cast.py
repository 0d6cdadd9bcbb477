"""Which roles a process plays: in MONOLITH all of them, in EDA one. The mode's last appearance."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Literal, TypeAlias, assert_never, get_args

from headrace.core.errors import Misconfigured
from headrace.wiring.modes import Mode
from headrace.wiring.recipes import Wiring
from headrace.wiring.roles import Role
from headrace.wiring.settings import Settings

RoleName: TypeAlias = Literal["api", "dispatcher", "gpu-worker"]
ROLES: Final[tuple[RoleName, ...]] = get_args(RoleName)
# Roles stop last first: the worker drains while the api still shows its jobs, and the dispatcher
# stays to hear how they ended.
TOGETHER: Final[tuple[RoleName, ...]] = ("dispatcher", "api", "gpu-worker")
USES_STORE: Final = frozenset({"api", "dispatcher"})


def cast(mode: Mode, wanted: RoleName | None) -> tuple[RoleName, ...]:
    """Raises Misconfigured when EDA is asked for without naming a role, or MONOLITH with one."""
    match mode:
        case Mode.MONOLITH if wanted is None:
            return TOGETHER
        case Mode.EDA if wanted is not None:
            return (wanted,)
        case Mode.MONOLITH:
            raise Misconfigured(
                f"EXECUTION_MODE=MONOLITH runs every role in one process, not {wanted} alone.",
                "Run `headrace up`, or set EXECUTION_MODE=EDA.",
            )
        case Mode.EDA:
            raise Misconfigured(
                "EXECUTION_MODE=EDA runs one role a process, and none was named.",
                f"Run `headrace up ROLE` with one of: {', '.join(ROLES)}.",
            )
        case _:
            assert_never(mode)


@asynccontextmanager
async def open_roles(
    names: tuple[RoleName, ...], wiring: Wiring, settings: Settings
) -> AsyncGenerator[list[Role]]:
    async with AsyncExitStack() as stack:
        yield [await _open(stack, name, wiring, settings) for name in names]


async def _open(stack: AsyncExitStack, name: RoleName, wiring: Wiring, settings: Settings) -> Role:
    """A role is imported only by a process that plays it: an api image has no engines."""
    match name:
        case "api":
            from headrace.api.opening import open_role as open_api

            return await stack.enter_async_context(open_api(wiring, settings))
        case "dispatcher":
            from headrace.dispatcher.opening import open_role as open_dispatcher

            return await stack.enter_async_context(open_dispatcher(wiring, settings))
        case "gpu-worker":
            from headrace.gpu_worker.opening import open_role as open_worker

            return await stack.enter_async_context(open_worker(wiring, settings))
        case _:
            assert_never(name)
