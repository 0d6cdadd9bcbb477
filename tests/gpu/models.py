"""Makes one model in a folder, in a process that lets go of the device: text|image SIZE FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from headrace.testkit.torch_models import (
    LLAMA_3B,
    SD15,
    ImageSize,
    TextSize,
    make_image_model,
    make_text_model,
)


def main(kind: str, size: str, folder: Path) -> int:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    docs = Path(__file__).resolve().parents[2] / "docs"
    if kind == "text":
        texts = (each.read_text() for each in sorted(docs.glob("*.md")))
        wanted = LLAMA_3B if size == "3b" else TextSize(window=4096)
        return make_text_model(folder, texts, wanted, device)
    return make_image_model(folder, SD15 if size == "sd15" else ImageSize(), device)


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
