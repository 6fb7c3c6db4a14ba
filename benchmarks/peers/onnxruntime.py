"""ONNX Runtime, forward only: plain run; tuned, bound input and reused output.

The filter is an initializer, so the session packs it once: an inference engine at its best.
Used by every command: ``python -m benchmarks --peers onnxruntime``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problems import Layer, Operands
from . import Contender

NAME = "onnxruntime"
_threads = 1


def version() -> str:
    """Return the installed version; needs ``onnx`` to write the one-node model."""
    import onnx  # noqa: F401
    import onnxruntime

    return str(onnxruntime.__version__)


def setup(threads: int) -> None:
    """Remember the thread count for the sessions to come."""
    global _threads
    _threads = threads


def contenders(layer: Layer, operands: Operands, computation: str, tuned: bool) -> list[Contender]:
    """Return one session's run."""
    if computation not in ("forward", "average"):
        return []
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    # Spin while a run lasts, but not into the neighbour's turn.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        _model(layer, operands, computation), options, providers=["CPUExecutionProvider"]
    )
    if not tuned:
        feed = {"x": operands.input}
        return [Contender(NAME, "run", lambda: session.run(None, feed), lambda out: out[0])]
    source = onnxruntime.OrtValue.ortvalue_from_numpy(operands.input)
    target = onnxruntime.OrtValue.ortvalue_from_shape_and_type(layer.output_shape, np.float32)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", source)
    binding.bind_ortvalue_output("y", target)
    return [
        Contender(
            NAME,
            "io_binding",
            lambda: session.run_with_iobinding(binding),
            lambda _: target.numpy(),
        )
    ]


def _model(layer: Layer, operands: Operands, computation: str) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    attributes: dict[str, Any] = {
        "kernel_shape": layer.kernel,
        "strides": layer.stride,
        "pads": (*layer.padding, *layer.padding),
    }
    initializers = []
    if layer.kind == "conv":
        initializers.append(numpy_helper.from_array(operands.weight, "w"))
        attributes |= {"group": layer.groups, "dilations": layer.dilation}
        node = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    elif computation == "average":
        node = helper.make_node("AveragePool", ["x"], ["y"], count_include_pad=1, **attributes)
    else:
        node = helper.make_node("MaxPool", ["x"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        layer.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, layer.input_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, layer.output_shape)],
        initializers,
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return bytes(model.SerializeToString())
