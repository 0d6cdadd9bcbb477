"""Run by the interpreter of an environment that has `horde-sdk`: its simple client, unmodified, against AI_HORDE_URL."""

from __future__ import annotations

from horde_sdk.ai_horde_api.ai_horde_clients import (  # type: ignore[import-not-found]  # in that environment alone
    AIHordeAPISimpleClient,
)
from horde_sdk.ai_horde_api.apimodels import (  # type: ignore[import-not-found]
    ImageGenerateAsyncRequest,
    ImageGenerationInputPayload,
    ModelGenerationInputKobold,
    TextGenerateAsyncRequest,
)

ANONYMOUS = "0000000000"


def main() -> None:
    client = AIHordeAPISimpleClient()
    client.heartbeat_request()
    client.get_news()
    assert [each.name for each in client.image_status_models_all()] == ["emoji-flow"]
    assert list(client.image_status_models_single("nobody/has it")) == []
    client.image_stats_totals()
    client.image_stats_models()
    client.text_stats_totals()
    client.text_stats_models()
    draw(client)
    write(client)


def draw(client: AIHordeAPISimpleClient) -> None:
    image = {
        "apikey": ANONYMOUS,
        "prompt": "a cat at night",
        "models": ["emoji-flow"],
        "params": ImageGenerationInputPayload(n=2, width=128, height=128, steps=10, seed="42"),
    }
    client.image_generate_request_dry_run(ImageGenerateAsyncRequest(**image, dry_run=True))
    status, _ = client.image_generate_request(ImageGenerateAsyncRequest(**image))
    pictures = [client.download_image_from_generation(each) for each in status.generations]
    assert [each.size for each in pictures] == [(128, 128)] * 2
    inline, _ = client.image_generate_request(ImageGenerateAsyncRequest(**image, r2=False))
    assert client.parse_image_from_base64(inline.generations[0].img).size == (128, 128)


def write(client: AIHordeAPISimpleClient) -> None:
    text = TextGenerateAsyncRequest(
        apikey=ANONYMOUS,
        prompt="The capital of France is",
        models=["smollm2-135m-instruct"],
        params=ModelGenerationInputKobold(max_length=16),
    )
    status, _ = client.text_generate_request(text)
    assert status.generations[0].text


if __name__ == "__main__":
    main()
