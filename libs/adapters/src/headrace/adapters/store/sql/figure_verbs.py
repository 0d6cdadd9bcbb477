"""The part of the port's transaction that counts; how is told in `figures`."""

from __future__ import annotations

from headrace.adapters.store.sql import figures
from headrace.adapters.store.sql.session import Session
from headrace.core.ports.figures import ModelLoad, Tally


class FigureVerbs:
    _session: Session

    async def tallies(self) -> list[Tally]:
        return await figures.tallies(self._session)

    async def model_loads(self) -> list[ModelLoad]:
        return await figures.model_loads(self._session)
