"""Between this door's words and jobs: a message and its answer are one job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID, uuid5

from headrace.api.auth import Caller
from headrace.api.dialects.conversations import schemas
from headrace.api.dialects.conversations.schemas import MessageRequest, Role
from headrace.contracts.ids import JobId
from headrace.contracts.messages import EngineCard
from headrace.contracts.producing import OUTSIDE
from headrace.core.job import Job, State
from headrace.core.ports.store import IdempotencyKey, Query
from headrace.core.usecases.submit import Submission

REMEMBERED_TURNS: Final = 20
REMEMBERED_BYTES: Final = 8 * 1024  # a small model reads no more
_OUTSIDE: Final = EngineCard(lane=OUTSIDE, kind="outside", models=["outside"], input_schema={})
_TEXT: Final = "text"


@dataclass(frozen=True, slots=True)
class Turn:
    """A job of this conversation, its input and output read in full."""

    job: Job
    input: Mapping[str, Any]
    output: Mapping[str, Any] | None

    @property
    def asked(self) -> str | None:
        match self.input:
            case {"messages": [*_, {"role": "user", "content": str(content)}]}:
                return content
            case _:
                return None

    @property
    def answer(self) -> Any:
        if self.output is None:
            return None
        return self.output.get("text", self.output)


def submission(
    asked: MessageRequest,
    *,
    caller: Caller,
    conversation: str,
    before: Sequence[Turn],
    key: IdempotencyKey | None,
    trace: str | None,
) -> Submission:
    messages = [*remembered(before), {"role": "user", "content": asked.content}]
    outside = asked.producer == "outside"
    return Submission(
        tenant=caller.tenant,
        kind=_OUTSIDE.kind if outside else _TEXT,
        model=None if outside else asked.model,
        card=_OUTSIDE if outside else None,
        input={**asked.options, "messages": messages},
        timeout_s=asked.timeout,
        cancel_after_s=_cancel_after(asked.on_disconnect),
        conversation=conversation,
        idempotency=key,
        api_key=caller.api_key,
        trace=trace,
    )


def remembered(before: Sequence[Turn]) -> list[dict[str, str]]:
    """What was said before, as far back as there is room; turns oldest first."""
    said: list[dict[str, str]] = []
    room = REMEMBERED_BYTES
    for turn in reversed(before):
        if turn.asked is None or not isinstance(turn.answer, str):
            continue
        room -= len(turn.asked.encode()) + len(turn.answer.encode())
        if room < 0:
            break
        said[:0] = [_message("user", turn.asked), _message("assistant", turn.answer)]
    return said


def _message(role: Role, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _cancel_after(asked: Literal["continue"] | schemas.LeftFor) -> float | None:
    return None if asked == "continue" else asked.cancel_after


def turns_of(conversation: str, *, before: Job | None = None, limit: int, ended: bool) -> Query:
    """The newest first; one more than asked for tells whether there are earlier ones."""
    older = None
    if before is not None and before.created_at is not None:
        older = (before.created_at, before.id)
    return Query(
        conversation=conversation,
        state=State.SUCCEEDED if ended else None,
        before=older,
        limit=limit,
    )


def task_view(job: Job, conversation: str) -> schemas.TaskView:
    stream = f"/stream/{job.id}"
    links = schemas.TaskLinks(
        stream=stream,
        stop=f"{stream}/stop",
        messages=f"/conversations/{conversation}/messages",
        job=f"/jobs/{job.id}",
    )
    return schemas.TaskView(
        task_id=job.id,
        message_id=_message_id(job.id, "assistant"),
        conversation_id=conversation,
        links=links,
    )


def message_views(turn: Turn) -> list[schemas.MessageView]:
    """What was asked, and what was answered or will be."""
    if turn.asked is None:
        return []  # an input that went with its blob
    job = turn.job
    return [
        schemas.MessageView(
            id=_message_id(job.id, "user"),
            role="user",
            content=turn.asked,
            task_id=job.id,
            state=job.state.value,
            error=None,
            created_at=job.created_at,
        ),
        schemas.MessageView(
            id=_message_id(job.id, "assistant"),
            role="assistant",
            content=turn.answer,
            task_id=job.id,
            state=job.state.value,
            error=job.error,
            created_at=job.finished_at,
        ),
    ]


def _message_id(task: JobId, role: Role) -> str:
    """As unguessable as the task's, from which it follows: no row has to remember it."""
    return str(uuid5(UUID(task), role))
