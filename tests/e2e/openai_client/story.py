"""What a user of the official `openai` package does, unmodified; run in an environment of its own.

`python story.py BASE_URL KEY` prints what came of it as JSON; `test_openai.py` says what that should be. With the
name of a file as well, what was sent is written there: `tests/golden/openai/exchange.json` is such a file.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import openai  # type: ignore[import-not-found]  # in an environment of its own

CHAT, EMBEDDING, IMAGE = "smollm2-135m-instruct", "all-minilm-l6-v2", "emoji-flow"
QUESTION: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]},
]
LONG = "river " * 5000
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
JSON_OF_A_PERSON = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
SAME: Any = {"model": CHAT, "messages": QUESTION, "temperature": 0.8, "seed": 7, "max_tokens": 24}


def models(client: Any) -> Any:
    return {
        "listed": sorted(model.id for model in client.models.list()),
        "one": client.models.retrieve(CHAT).id,
    }


def chat(client: Any) -> Any:
    raw = client.chat.completions.with_raw_response.create(**SAME)
    answer = raw.parse()
    return {
        "job": raw.headers["x-headrace-job"],
        "id": answer.id,
        "text": answer.choices[0].message.content,
        "finish": answer.choices[0].finish_reason,
        "usage": answer.usage.to_dict(),
    }


def chat_in_pieces(client: Any) -> Any:
    chunks = list(
        client.chat.completions.create(**SAME, stream=True, stream_options={"include_usage": True})
    )
    return heard(chunks)


async def chat_async(client: Any) -> Any:
    stream = await client.chat.completions.create(
        **SAME, stream=True, stream_options={"include_usage": True}
    )
    return heard([chunk async for chunk in stream])


def heard(chunks: list[Any]) -> Any:
    told = [chunk.choices[0] for chunk in chunks if chunk.choices]
    return {
        "roles": [choice.delta.role for choice in told if choice.delta.role],
        "text": "".join(choice.delta.content or "" for choice in told),
        "pieces": sum(bool(choice.delta.content) for choice in told),
        "finish": [choice.finish_reason for choice in told if choice.finish_reason],
        "usage": chunks[-1].usage.to_dict(),
    }


def choices(client: Any) -> Any:
    answer = client.chat.completions.create(**{**SAME, "n": 2})
    again = client.chat.completions.create(**{**SAME, "n": 2, "stream": True})
    streamed: dict[int, str] = {}
    for chunk in again:
        for choice in chunk.choices:
            said = streamed.get(choice.index, "")
            streamed[choice.index] = said + (choice.delta.content or "")
    return {
        "texts": [choice.message.content for choice in answer.choices],
        "streamed": [streamed[index] for index in sorted(streamed)],
        "prompt_tokens": answer.usage.prompt_tokens,
    }


def structured(client: Any) -> Any:
    answer = client.chat.completions.create(
        model=CHAT,
        messages=[{"role": "user", "content": "Describe a person."}],
        response_format=JSON_OF_A_PERSON,
        temperature=0,
        max_tokens=80,
    )
    return json.loads(answer.choices[0].message.content)


def completions(client: Any) -> Any:
    asked: Any = {"model": CHAT, "temperature": 0, "max_tokens": 8}
    prompts = ["Once upon a time", "One two three"]
    answer = client.completions.create(prompt=prompts, **asked)
    streamed = client.completions.create(prompt=prompts[0], stream=True, **asked)
    return {
        "texts": [choice.text for choice in answer.choices],
        "streamed": "".join(chunk.choices[0].text for chunk in streamed),
        "usage": answer.usage.to_dict(),
    }


def embeddings(client: Any) -> Any:
    texts = ["a cat", "a feline animal", "a graphics processing unit"]
    packed = client.embeddings.create(model=EMBEDDING, input=texts)  # as base64, by itself
    plain = client.embeddings.create(model=EMBEDDING, input=texts, encoding_format="float")
    short = client.embeddings.create(model=EMBEDDING, input=texts[0], dimensions=64)
    many = client.embeddings.create(model=EMBEDDING, input=["word"] * 70)
    first, second, third = (each.embedding for each in plain.data)
    return {
        "difference": max(
            abs(a - b)
            for one, other in zip(packed.data, plain.data, strict=True)
            for a, b in zip(one.embedding, other.embedding, strict=True)
        ),
        "dimensions": [len(first), len(short.data[0].embedding)],
        "near": sum(a * b for a, b in zip(first, second, strict=True)),
        "far": sum(a * b for a, b in zip(first, third, strict=True)),
        "indices": [each.index for each in many.data] == list(range(70)),
        "usage": plain.usage.to_dict(),
    }


def images(client: Any) -> Any:
    asked: Any = {"model": IMAGE, "prompt": "a red apple", "size": "128x128"}
    here = client.images.generate(**asked, n=2, response_format="b64_json")
    there = client.images.generate(**asked)
    with urllib.request.urlopen(there.data[0].url) as answer:  # noqa: S310  # of our own server
        fetched = answer.read()
    return {
        "base64": [each.b64_json[:11] for each in here.data],
        "fetched": fetched[:4].hex(),
        "link": there.data[0].url,
    }


def left_early(client: Any) -> Any:
    with client.chat.completions.with_streaming_response.create(
        **{
            **SAME,
            "max_tokens": 2000,
            "messages": [{"role": "user", "content": "Tell a long story."}],
        },
        stream=True,
    ) as response:
        for line in response.iter_lines():
            if '"content":"' in line and '"content":""' not in line:
                break
        return response.headers["x-headrace-job"]


def refusals(client: Any) -> Any:
    hello = [{"role": "user", "content": "Hi"}]
    create = client.chat.completions.create
    stranger = client.with_options(api_key="nobody-has-this-key")
    return {
        "key": refusal(stranger.models.list),
        "model": refusal(lambda: create(model="gpt-none", messages=hello)),
        "no such model": refusal(lambda: client.models.retrieve("gpt-none")),
        "value": refusal(lambda: create(model=CHAT, messages=hello, temperature=9)),
        "tools": refusal(lambda: create(model=CHAT, messages=hello, tools=[TOOL])),
        "role": refusal(lambda: create(model=CHAT, messages=[{"role": "cook", "content": "Hi"}])),
        "too long": refusal(
            lambda: create(model=CHAT, messages=[{"role": "user", "content": LONG}])
        ),
        "size": refusal(lambda: client.images.generate(model=IMAGE, prompt="a cat", size="7x7")),
        "speech": refusal(lambda: client.audio.speech.create(model="a", voice="b", input="c")),
    }


def refusal(call: Any) -> Any:
    try:
        call()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code, error.param]
    return None


def main(base_url: str, key: str, record: str | None = None) -> None:
    exchange: list[Any] = []

    def note(response: Any) -> None:
        request, body = response.request, None
        if request.content and LONG not in request.content.decode():
            body = json.loads(request.content)
        call = f"{request.method} {request.url.path}"
        exchange.append({"call": call, "body": body, "status": response.status_code})

    http = openai.DefaultHttpxClient(event_hooks={"response": [note]})
    client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, http_client=http)
    beside = openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0)
    told: dict[str, Any] = {
        part.__name__: part(client)
        for part in (
            models, chat, chat_in_pieces, choices, structured, completions,
            embeddings, images, left_early, refusals,
        )
    }  # fmt: skip
    told["chat_async"] = asyncio.run(chat_async(beside))
    told["version"] = openai.__version__
    if record is not None:
        whole = [each for each in exchange if each["body"] or each["call"].startswith("GET")]
        Path(record).write_text(json.dumps(whole, indent=1) + "\n")
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
