"""Run by the interpreter of an environment that has `horde-sdk`: a worker's loop of its own requests, against AI_HORDE_URL.

Arguments: the worker's key and its model. It draws one picture and writes one text, and hands each in twice.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import requests
from horde_sdk.ai_horde_api.ai_horde_clients import (  # type: ignore[import-not-found]  # in that environment alone
    AIHordeAPIManualClient,
)
from horde_sdk.ai_horde_api.apimodels import (  # type: ignore[import-not-found]
    FindUserRequest,
    ImageGenerateJobPopRequest,
    ImageGenerationJobSubmitRequest,
    ModifyWorkerRequest,
    SingleWorkerNameDetailsRequest,
    TextGenerateJobPopRequest,
    TextGenerationJobSubmitRequest,
)
from horde_sdk.generic_api.apimodels import (  # type: ignore[import-not-found]
    RequestErrorResponse,
)

WEBP = b"RIFF\x10\x00\x00\x00WEBP-and-the-rest"


def main(key: str, model: str) -> None:
    client = AIHordeAPIManualClient()
    image = ImageGenerateJobPopRequest(
        apikey=key, name="drawer of the sdk", models=[model], max_pixels=1 << 20
    )
    text = TextGenerateJobPopRequest(apikey=key, name="writer of the sdk", models=[model])
    _as_a_worker_starts(client, key, image)
    job = popped(client, image)
    assert job.payload.prompt == "a red fox"
    assert job.payload.ddim_steps == 20
    assert requests.put(str(job.r2_uploads[0]), data=WEBP, timeout=10).status_code == 200
    submit = ImageGenerationJobSubmitRequest(
        apikey=key, id=job.ids[0], generation="R2", state="ok", seed=7
    )
    _twice(client, submit)
    job = popped(client, text)
    assert job.payload.max_length == 20
    submit = TextGenerationJobSubmitRequest(
        apikey=key, id=job.ids[0], generation=" upon a time", state="ok"
    )
    _twice(client, submit)


def _as_a_worker_starts(client: Any, key: str, pop: Any) -> None:
    """Who is heard of for the first time is registered; then it looks itself up, and is set to work."""
    first = answered(client, pop)
    assert first.ids == []
    me = answered(client, SingleWorkerNameDetailsRequest(apikey=key, worker_name=pop.name))
    assert (me.name, me.maintenance_mode) == (pop.name, False)
    answered(client, ModifyWorkerRequest(apikey=key, worker_id=me.id_, maintenance=False))
    answered(client, FindUserRequest(apikey=key))
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def popped(client: Any, pop: Any) -> Any:
    deadline, pause = time.monotonic() + 60, threading.Event()
    while time.monotonic() < deadline:
        job = answered(client, pop)
        if job.ids:
            return job
        pause.wait(0.2)
    raise AssertionError("nothing came")


def answered(client: Any, request: Any) -> Any:
    answer = client.submit_request(request, request.get_default_success_response_type())
    assert not isinstance(answer, RequestErrorResponse), answer
    return answer


def _twice(client: Any, submit: Any) -> None:
    assert answered(client, submit).reward >= 0
    again = client.submit_request(submit, submit.get_default_success_response_type())
    assert isinstance(again, RequestErrorResponse)
    assert "already submitted" in again.message


if __name__ == "__main__":
    main(*sys.argv[1:])
