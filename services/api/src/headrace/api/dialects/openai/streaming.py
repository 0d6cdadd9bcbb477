"""An answer as it is written: the jobs' frames, as a stream that OpenAI's clients read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

from starlette.types import Receive, Send

from headrace.api.deps import ApiDeps
from headrace.api.dialects.openai import chunks, errors, telling
from headrace.api.dialects.openai.answering import NO_ANSWER, Begun, let_go, output_of, watching_of
from headrace.api.direct import DirectBody
from headrace.api.gateways.sse import EventStream, EventStreamResponse, Wording
from headrace.api.gateways.watching import Batches, find
from headrace.api.problems import Problem, Refused
from headrace.contracts.frames import Entry
from headrace.core.errors import HeadraceError
from headrace.core.job import Job, State
from headrace.core.ports.streams import Take

_WORDING: Final = Wording(chunks.hello, chunks.events, chunks.events, chunks.farewell)
_UNREAD: Final = Problem(503, "unavailable", "Try again shortly", "The answer cannot be read now.")


def streamed(
    deps: ApiDeps, begun: Begun, *, chat: bool, counted: bool, a_prompt: int
) -> EventStreamResponse:
    """Choices one after the other, each as it comes; they are made side by side where there is room."""
    form = chunks.form_of(begun.jobs, chat=chat, counted=counted)
    answer = _Answer(deps, begun, form, a_prompt)
    return EventStreamResponse(answer, begun.headers)


class _Answer:
    def __init__(self, deps: ApiDeps, begun: Begun, form: chunks.Form, a_prompt: int) -> None:
        self._deps, self._begun, self._form = deps, begun, form
        self._a_prompt = a_prompt
        self._over = False

    async def run(self, receive: Receive, send: Send, direct: DirectBody | None = None) -> None:
        deps = self._deps
        stream = EventStream(
            self._watched, stopping=deps.stopping, limits=deps.limits, wording=_WORDING
        )
        try:
            await stream.run(receive, send, direct)
        finally:
            if not (self._over or deps.stopping.is_set()):
                await asyncio.shield(let_go(deps, self._begun))

    async def _watched(self, tell: Take) -> Batches:
        made: list[telling.Output] = []
        try:
            for index, job in enumerate(self._begun.jobs):
                async with aclosing(self._choice(index, job, made, tell)) as batches:
                    async for batch in batches:
                        yield batch
        except Refused as error:
            yield [chunks.error_entry(error.problem)]
        except HeadraceError:
            yield [chunks.error_entry(_UNREAD)]
        else:
            self._over = True
            yield [*self._form.usage(made, a_prompt=self._a_prompt), chunks.DONE]

    async def _choice(
        self, index: int, job: Job, made: list[telling.Output], tell: Take
    ) -> Batches:
        spoken = chunks.Spoken()

        def tell_live(entries: Sequence[Entry]) -> bool:
            heard = spoken.hear_live(entries)
            if heard is None:
                return False
            pieces = [self._form.piece(index, text, of.position) for of, text in heard]
            if pieces and not tell(pieces):
                return False
            spoken.told(heard)
            return True

        yield list(self._form.opening(index))
        watching = watching_of(self._deps, self._begun.call, job)
        async with aclosing(watching(tell_live)) as batches:
            async for batch in batches:
                heard = ((entry, spoken.hear(entry)) for entry in batch)
                yield [self._form.piece(index, text, of.position) for of, text in heard if text]
                if batch and batch[-1].terminal:
                    output = await self._made(job)
                    made.append(output)
                    rest = spoken.rest(telling.text_of(output))
                    yield list(self._form.closing(index, output, rest, batch[-1].position))
                    return
        raise Refused(NO_ANSWER)

    async def _made(self, job: Job) -> dict[str, Any]:
        """Raises Refused when it ended otherwise."""
        ended = await find(self._deps, job.tenant, job.id)
        if ended.state is not State.SUCCEEDED:
            raise Refused(errors.of_job(ended, self._begun.here))
        return await output_of(self._deps, ended)
