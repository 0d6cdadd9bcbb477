"""What this door takes: OpenAI's requests, as far as there is somebody to heed them.

What would change an answer, and nobody here would heed, is refused; what changes none (`metadata`,
`store`, ...) is taken and left alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

MOST_CHOICES: Final = 8
MOST_PROMPTS: Final = 16
MOST_INPUTS: Final = 2048
_LONGEST: Final = 200_000


def _one_as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _parts_as_text(value: object) -> object:
    """Parts of text are one text; other parts are for models that look or listen."""
    if not isinstance(value, list):
        return value
    texts = [
        part.get("text") for part in value if isinstance(part, dict) and part.get("type") == "text"
    ]
    if len(texts) != len(value) or not all(isinstance(text, str) for text in texts):
        raise PydanticCustomError("unsupported_parameter", "may have parts of type 'text' alone")
    return "".join(map(str, texts))


def _no_tokens(value: object) -> object:
    """Numbers are tokens of another model's vocabulary."""
    if isinstance(value, list) and any(isinstance(each, int | list) for each in value):
        raise PydanticCustomError("unsupported_parameter", "takes text here, not tokens")
    return _one_as_list(value)


def _only(*neutral: object) -> BeforeValidator:
    """For what nobody here heeds: good only as what it would be if it were left out."""

    def check(value: object) -> object:
        if value is not None and value not in neutral:
            raise PydanticCustomError("unsupported_parameter", "is not supported here")
        return value

    return BeforeValidator(check)


_OFF: Final = _only(0)  # which False is equal to
_Line: TypeAlias = Annotated[str, Field(min_length=1, max_length=_LONGEST)]
_SOME_TEXT: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "object"}},
            {"type": "null"},
        ]
    }
)


def _texts(most: int) -> WithJsonSchema:
    text = {"type": "string", "minLength": 1}
    many = {"type": "array", "items": text, "minItems": 1, "maxItems": most}
    return WithJsonSchema({"anyOf": [text, many]})


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CancelledAfter(_Asked):
    cancel_after: float = Field(ge=0, le=86_400, description="Seconds without any watcher.")


class _Request(_Asked):
    model: str = Field(min_length=1, max_length=128)
    user: str | None = None
    on_disconnect: Literal["cancel", "continue"] | CancelledAfter = Field(
        "cancel",
        description="Not OpenAI's: what becomes of the work when the connection ends before it.",
    )


class StreamOptions(_Asked):
    include_usage: bool = False
    include_obfuscation: bool | None = None


class _Writing(_Request):
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = 1
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=64)]],
            Field(max_length=4),
            BeforeValidator(_one_as_list),
        ]
        | None
    ) = None
    logit_bias: Annotated[dict[str, JsonValue] | None, _only({})] = None
    metadata: dict[str, JsonValue] | None = None
    store: bool | None = None
    service_tier: str | None = None

    @model_validator(mode="after")
    def _usage_of_a_stream(self) -> Any:
        if self.stream_options is not None and not self.stream:
            raise PydanticCustomError("stream_options", "stream_options go with stream alone")
        return self


class ToolFunction(_Asked):
    name: str
    arguments: str


class ToolCall(_Asked):
    id: str
    type: Literal["function"] = "function"
    function: ToolFunction
    index: int | None = None


class ChatMessage(_Asked):
    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: Annotated[str | None, BeforeValidator(_parts_as_text), _SOME_TEXT] = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None  # as answers have it, which are sent back as they came
    annotations: list[JsonValue] | None = None
    audio: Annotated[JsonValue, _only()] = None
    function_call: Annotated[JsonValue, _only()] = None


class ResponseFormat(_Asked):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, JsonValue] | None = None


class ChatRequest(_Writing):
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=256)]
    max_completion_tokens: int | None = Field(None, ge=1)
    tools: Annotated[list[dict[str, JsonValue]], Field(max_length=128)] | None = None
    tool_choice: str | dict[str, JsonValue] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: Annotated[bool | None, _OFF] = None
    top_logprobs: Annotated[int | None, _only(0)] = None
    modalities: Annotated[list[str] | None, _only(["text"])] = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class CompletionRequest(_Writing):
    prompt: Annotated[
        list[_Line],
        Field(min_length=1, max_length=MOST_PROMPTS),
        BeforeValidator(_no_tokens),
        _texts(MOST_PROMPTS),
    ]
    best_of: Annotated[int | None, _only(1)] = None
    echo: Annotated[bool | None, _OFF] = None
    suffix: Annotated[str | None, _only()] = None
    logprobs: Annotated[int | None, _only()] = None


class EmbeddingRequest(_Request):
    input: Annotated[
        list[_Line],
        Field(min_length=1, max_length=MOST_INPUTS),
        BeforeValidator(_no_tokens),
        _texts(MOST_INPUTS),
    ]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = Field(None, ge=1)


class ImageRequest(_Request):
    prompt: Annotated[str, Field(min_length=1, max_length=_LONGEST)]
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = 1
    size: Annotated[str, Field(pattern=r"^(auto|\d{1,5}x\d{1,5})$")] | None = "auto"
    response_format: Literal["url", "b64_json"] | None = "url"
    background: Annotated[str | None, _only("auto")] = None
    moderation: str | None = None
    output_compression: Annotated[int | None, _only(100)] = None
    output_format: Annotated[str | None, _only("png")] = None
    partial_images: Annotated[int | None, _only(0)] = None
    quality: Annotated[str | None, _only("auto", "standard")] = None
    stream: Annotated[bool | None, _OFF] = None
    style: Annotated[str | None, _only()] = None
