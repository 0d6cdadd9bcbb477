"""A causal language model in memory. Imported with the first model, since torch comes with it.

`generate` asks after each token whether to go on. That is where the token is told, and where a wish to
stop is seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from jinja2 import TemplateError

from headrace.engines.engine import BadInput, Work
from headrace.engines.text.asked import Asked, TextInput, conversation
from headrace.engines.text.pieces import Spelling, UntilStop
from headrace.engines.text.telling import Telling
from headrace.engines.torch_device import TorchDevice

_LONGEST: Final = 2048  # tokens of an answer

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


class Causal:
    def __init__(self, folder: Path, device: TorchDevice) -> None:
        """Only safetensors are read: nothing in a folder is ever executed or unpickled."""
        self._device = device.device
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=device.dtype
        )
        self._model.to(self._device).eval()

    def write(self, work: Work[TextInput], seed: int) -> dict[str, Any]:
        given = work.input
        prompt = self._prompt(given)
        work.progress(0.0, step=0, steps=len(prompt), stage="reading")
        answer = _Answer(work, self._decode, self._ends, self._room(given, len(prompt)))
        ids = torch.tensor([prompt], device=self._device)
        torch.manual_seed(seed)
        with torch.inference_mode():
            self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=answer.most,
                pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id or 0,
                logits_processor=transformers.LogitsProcessorList(_penalties(given, len(prompt))),
                stopping_criteria=transformers.StoppingCriteriaList([answer.hear]),
                **_sampling(given),
            )
        return answer.output(prompt_tokens=len(prompt), seed=seed)

    def _prompt(self, given: TextInput) -> list[int]:
        if given.raw:
            return list(self._tokenizer(given.prompt).input_ids)
        said = conversation(given, given.messages)
        if self._tokenizer.chat_template is None:
            lines = [f"{each['role']}: {each['content']}" for each in said]
            return list(self._tokenizer("\n".join([*lines, "assistant:"])).input_ids)
        try:
            text = self._tokenizer.apply_chat_template(
                said, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:  # some models want roles to take turns, or know no system
            raise BadInput("messages", f"are not what this model reads: {error}") from error
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _room(self, given: TextInput, prompt: int) -> int:
        wanted = given.max_tokens or _LONGEST
        config = self._model.config.get_text_config()
        window: int | None = getattr(config, "max_position_embeddings", None)
        if window is None:
            return wanted
        if prompt >= window:
            field = "prompt" if given.messages is None else "messages"
            raise BadInput(field, f"has {prompt} tokens; this model reads {window}")
        return min(wanted, int(window) - prompt)

    @property
    def _ends(self) -> frozenset[int]:
        ends = self._model.generation_config.eos_token_id
        if ends is None:
            return frozenset()
        return frozenset([ends] if isinstance(ends, int) else ends)

    def _decode(self, tokens: Any) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))


class _Answer:
    def __init__(
        self,
        work: Work[TextInput],
        decode: Callable[[Any], str],
        ends: frozenset[int],
        most: int,
    ) -> None:
        self.most = most
        self._telling = Telling(work, most)
        self._spelling = Spelling(decode)
        self._until = UntilStop(work.input.stop)
        self._work, self._ends = work, ends
        self._ended = False
        self._written = 0
        self._first_at = self._last_at = time.perf_counter()

    def hear(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """True for each sequence that shall end; there is one."""
        token = int(ids[0, -1])
        self._written += 1
        self._last_at = time.perf_counter()
        if self._written == 1:
            self._first_at = self._last_at
        self._ended = token in self._ends
        self._work.check()
        self._tell("" if self._ended else self._spelling.add(token))
        return torch.tensor([self._ended or self._until.stopped], device=ids.device)

    def output(self, *, prompt_tokens: int, seed: int) -> dict[str, Any]:
        self._tell(self._spelling.rest())
        if rest := self._until.rest():
            self._telling.piece(rest)
        spent = self._last_at - self._first_at
        tokens_per_s = round((self._written - 1) / spent, 2) if spent else 0.0
        self._telling.done(tokens_per_s)
        return {
            "text": self._telling.text,
            "finish_reason": "stop" if self._ended or self._until.stopped else "length",
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": self._written},
            "seed": seed,
            "tokens_per_s": tokens_per_s,
        }

    def _tell(self, text: str) -> None:
        if not self._until.stopped and (piece := self._until.add(text)):
            self._telling.piece(piece)


def _sampling(given: Asked) -> dict[str, Any]:
    """What the caller says nothing of is as the model's own folder has it."""
    if given.temperature == 0:
        return {"do_sample": False}
    told = {"temperature": given.temperature, "top_p": given.top_p}
    asked = {name: value for name, value in told.items() if value is not None}
    return {"do_sample": True, **asked} if asked else {}


def _penalties(given: Asked, prompt: int) -> list[Callable[..., torch.Tensor]]:
    """OpenAI's: once for a token that was written before, and again for each time that it was."""
    presence, frequency = given.presence_penalty or 0.0, given.frequency_penalty or 0.0
    if not presence and not frequency:
        return []

    def weighed(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        written = ids[:, prompt:]
        ones = torch.ones_like(written, dtype=scores.dtype)
        times = torch.zeros_like(scores).scatter_add_(1, written, ones)
        return scores - presence * (times > 0) - frequency * times

    return [weighed]
