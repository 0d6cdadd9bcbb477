"""onnxruntime sessions as our engines want them: on the CPU, few threads, and telling nobody."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

# The library brings a telemetry that uploads by itself. What runs here is nobody else's business.
onnxruntime.disable_telemetry_events()


def open_session(model: Path | bytes, *, threads: int) -> onnxruntime.InferenceSession:
    """A model from a file, or from its bytes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
