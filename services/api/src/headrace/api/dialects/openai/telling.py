"""From what jobs made to OpenAI's answers: pure."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from headrace.api.dialects.openai import views
from headrace.core.job import Job

Output: TypeAlias = Mapping[str, Any]


def chat_view(jobs: Sequence[Job], outputs: Sequence[Output]) -> views.ChatView:
    choices = [
        views.ChatChoice(index=index, message=_message(output), finish_reason=finish_of(output))
        for index, output in enumerate(outputs)
    ]
    return views.ChatView(
        id=chat_id(jobs),
        created=created(jobs),
        model=jobs[0].spec.model,
        choices=choices,
        usage=usage(outputs, a_prompt=len(outputs)),
    )


def completion_view(
    jobs: Sequence[Job], outputs: Sequence[Output], *, a_prompt: int
) -> views.CompletionView:
    """`a_prompt`: so many of the outputs share one."""
    choices = [
        views.CompletionChoice(index=index, text=text_of(output), finish_reason=finish_of(output))
        for index, output in enumerate(outputs)
    ]
    return views.CompletionView(
        id=completion_id(jobs),
        created=created(jobs),
        model=jobs[0].spec.model,
        choices=choices,
        usage=usage(outputs, a_prompt=a_prompt),
    )


def embeddings_view(
    jobs: Sequence[Job], outputs: Sequence[Output], *, as_base64: bool
) -> views.EmbeddingsView:
    vectors = [vector for output in outputs for vector in output["embeddings"]]
    tokens = sum(output.get("usage", {}).get("prompt_tokens", 0) for output in outputs)
    return views.EmbeddingsView(
        data=[
            views.Embedding(index=index, embedding=_packed(vector) if as_base64 else vector)
            for index, vector in enumerate(vectors)
        ],
        model=jobs[0].spec.model,
        usage=views.EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
    )


def usage(outputs: Sequence[Output], *, a_prompt: int) -> views.Usage | None:
    """Each prompt counts once, however many choices it has. None: somebody did not count."""
    counts = [_counted(output) for output in outputs]
    if None in counts:
        return None
    told = [count for count in counts if count is not None]
    read = sum(prompt for prompt, _ in told[::a_prompt])
    written = sum(written for _, written in told)
    return views.Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


def _counted(output: Output) -> tuple[int, int] | None:
    match output:
        case {"usage": {"prompt_tokens": int(read), "completion_tokens": int(written)}}:
            return read, written
        case _:
            return None


def text_of(output: Output) -> str:
    return str(output.get("text", ""))


def finish_of(output: Output) -> str:
    return str(output.get("finish_reason", "stop"))


def calls_of(output: Output) -> list[dict[str, Any]]:
    return list(output.get("tool_calls", ()))


def chat_id(jobs: Sequence[Job]) -> str:
    return f"chatcmpl-{jobs[0].id}"


def completion_id(jobs: Sequence[Job]) -> str:
    return f"cmpl-{jobs[0].id}"


def created(jobs: Sequence[Job]) -> int:
    at = jobs[0].created_at
    return 0 if at is None else int(at.timestamp())


def _message(output: Output) -> views.AnswerMessage:
    calls = calls_of(output)
    if not calls:
        return views.AnswerMessage(content=text_of(output))
    called = [views.CalledTool.model_validate(call) for call in calls]
    return views.AnswerMessage(content=text_of(output) or None, tool_calls=called)


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def pictures_of(output: Output) -> Iterator[str]:
    """Ids of the blobs that an engine made, which are its pictures."""
    match output:
        case {"image": {"blob": str(blob)}}:
            yield blob
        case {"images": [*images]}:
            yield from (image["blob"] for image in images)
        case _:
            pass
