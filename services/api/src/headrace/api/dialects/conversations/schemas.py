"""What this door takes and tells, and its place in the API description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

MAX_CONTENT: Final = 100_000

Role: TypeAlias = Literal["user", "assistant"]
ChunkType: TypeAlias = Literal[
    "text",
    "progress",
    "preview",
    "segment",
    "log",
    "metric",
    "cancelling",
    "restart",
    "reset",
    "complete",
    "failed",
    "cancelled",
]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class LeftFor(_Asked):
    cancel_after: float = Field(ge=0, le=86_400, description="Seconds without any watcher.")


class MessageRequest(_Asked):
    content: Annotated[str, Field(min_length=1, max_length=MAX_CONTENT)]
    model: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="Of kind `text`; its first one unless named.",
    )
    producer: Literal["worker", "outside"] = Field(
        "worker",
        description="`outside`: a process of yours answers, and writes chunks with `headrace.streams`.",
    )
    options: dict[str, JsonValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Beside the messages, for the engine: `max_tokens`, `temperature`, ...",
        examples=[{"max_tokens": 60}],
    )
    timeout: float = Field(3600.0, gt=0, le=86_400, description="Seconds the answer may take.")
    on_disconnect: Literal["continue"] | LeftFor = Field(
        "continue", description="What becomes of the answer when its last watcher has left."
    )

    @field_validator("options")
    @classmethod
    def _no_messages(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if "messages" in value:
            raise ValueError("messages are this conversation's own")
        return value


class TaskLinks(_Told):
    stream: str
    stop: str
    messages: str
    job: str


class TaskView(_Told):
    task_id: str
    message_id: str = Field(description="Of the answer, which is there in full when it has ended.")
    conversation_id: str
    links: TaskLinks


class MessageView(_Told):
    id: str
    role: Role
    content: JsonValue = Field(description="Null while there is no answer, or where it failed.")
    task_id: str
    state: str = Field(description="Of the task: `succeeded` is an answer that is complete.")
    error: dict[str, Any] | None
    created_at: datetime | None


class MessagesView(_Told):
    messages: list[MessageView] = Field(description="In the order they were said.")
    before: str | None = Field(
        description="Ask with it for earlier ones; null: these are the first."
    )


class StoppedView(_Told):
    task_id: str
    state: str


class ChunkView(_Told):
    """One event's data."""

    chunk_index: int = Field(description="Counts from 0; again from 0 after `restart`.")
    chunk_type: ChunkType
    content: JsonValue
