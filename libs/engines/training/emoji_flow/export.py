"""Writes a checkpoint as the ONNX file that Headrace ships: weights in 8 bits, one scale a channel.

`python -m emoji_flow.export CHECKPOINT_FOLDER TARGET_FOLDER`. The weights are made 32-bit again once,
when the file is loaded; arithmetic is not quantised. The difference is printed.
"""

import argparse
import io
import json
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from emoji_flow.network import EmojiNet, Shape
from headrace.engines.image.words import WORDS_PER_HALF

INPUTS: Final = ("noisy", "time", "ids", "weights")
_WORTH_PACKING: Final = 4096


def main() -> None:
    args = _arguments()
    words = json.loads((args.checkpoint / "vocabulary.json").read_text())
    kept = torch.load(args.checkpoint / "average.pt", weights_only=True)
    net = EmojiNet(Shape(len(words))).eval()
    net.load_state_dict(kept["weights"])
    whole = _graph(net, len(words))
    packed = pack(whole)
    onnx.checker.check_model(packed, full_check=True)
    args.target.mkdir(parents=True, exist_ok=True)
    (args.target / "emoji_flow.onnx").write_bytes(packed.SerializeToString())
    (args.target / "vocabulary.json").write_text(json.dumps(words, indent=0) + "\n")
    size = sum(path.stat().st_size for path in args.target.glob("*.*"))
    print(f"step {kept['step']} loss {kept['loss']:.4f}; {size / 1e6:.2f} MB")
    print(
        f"8-bit weights change the answer by {_difference(whole, packed, len(words)):.2%} of its size"
    )


def pack(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every large weight as int8 times a scale of its output channel."""
    packed = onnx.ModelProto()
    packed.CopyFrom(model)
    graph, unpacking = packed.graph, []
    for weight in list(graph.initializer):
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _WORTH_PACKING:
            continue
        graph.initializer.remove(weight)
        unpacking += _unpacking(graph, weight.name, values)
    nodes = [*unpacking, *graph.node]
    for thing in (*nodes, *graph.value_info, *graph.initializer, graph, packed):
        del thing.metadata_props[:]  # traces of the exporting machine
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return packed


def _unpacking(
    graph: onnx.GraphProto, name: str, values: NDArray[np.float32]
) -> list[onnx.NodeProto]:
    """Cast and multiply, which the runtime folds away while loading."""
    axis = _channel_axis(graph, name)
    rest = tuple(a for a in range(values.ndim) if a != axis)
    scale = np.maximum(np.abs(values).max(rest, keepdims=True) / 127, 1e-12).astype(np.float32)
    small = np.clip(np.round(values / scale), -127, 127).astype(np.int8)
    graph.initializer.append(numpy_helper.from_array(small, f"{name}.int8"))
    graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
    return [
        helper.make_node("Cast", [f"{name}.int8"], [f"{name}.cast"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.cast", f"{name}.scale"], [name]),
    ]


def _channel_axis(graph: onnx.GraphProto, name: str) -> int:
    """Where the output channel lies: last in a matrix that the exporter turned, else first."""
    turned = any(node.op_type == "MatMul" and name in node.input for node in graph.node)
    return 1 if turned else 0


def _graph(net: EmojiNet, words: int) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1, max=64)
    held = io.BytesIO()
    program = torch.onnx.export(
        net,
        _example(words),
        input_names=list(INPUTS),
        output_names=["clean"],
        dynamic_shapes=tuple({0: batch} for _ in INPUTS),
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # noqa: S101 -- only the older exporter returns nothing
    program.optimize()
    program.save(held)
    return onnx.load_from_string(held.getvalue())


def _example(words: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    ids = torch.randint(0, words, (2, 2, WORDS_PER_HALF))
    return (
        torch.randn(2, 3, 64, 64),
        torch.tensor([0.1, 0.7]),
        ids,
        torch.rand(2, 2, WORDS_PER_HALF),
    )


def _difference(whole: onnx.ModelProto, packed: onnx.ModelProto, words: int) -> float:
    given = {name: value.numpy() for name, value in zip(INPUTS, _example(words), strict=True)}
    full, small = (
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)[0]
        for model in (whole, packed)
    )
    return float(np.abs(full - small).mean() / np.abs(full).mean())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
