"""What this door tells, in OpenAI's words, and its place in the API description."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class ErrorBody(_Told):
    message: str
    type: str
    param: str | None = Field(description="Of the request, such as `messages[0].role`.")
    code: str | None


class OpenAiErrorView(_Told):
    error: ErrorBody


class Usage(_Told):
    """In tokens of the model itself."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CalledFunction(_Told):
    name: str
    arguments: str


class CalledTool(_Told):
    id: str
    type: Literal["function"]
    function: CalledFunction


class AnswerMessage(_Told):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[CalledTool] | None = None


class ChatChoice(_Told):
    index: int
    message: AnswerMessage
    logprobs: None = None
    finish_reason: str


class ChatView(_Told):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage | None = Field(description="Null where the model's server does not tell.")


class CompletionChoice(_Told):
    index: int
    text: str
    logprobs: None = None
    finish_reason: str


class CompletionView(_Told):
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None


class EmbeddingUsage(_Told):
    prompt_tokens: int
    total_tokens: int


class Embedding(_Told):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(
        description="As base64: its numbers as 32-bit floats, least byte first."
    )


class EmbeddingsView(_Told):
    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class Picture(_Told):
    b64_json: str | None = None
    url: str | None = Field(None, description="Good for an hour, for whoever has it.")


class PicturesView(_Told):
    created: int
    data: list[Picture]


class OneModel(_Told):
    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Always 0: nobody here knows when a model was made.")
    owned_by: str
    kind: str = Field(description="Not OpenAI's: `text`, `embedding` or `image`.")


class ModelList(_Told):
    object: Literal["list"] = "list"
    data: list[OneModel]
