"""OpenVINO, forward only: plain call; tuned, latency mode, shared and reused tensors, both layouts.

The filter is a constant, so compiling the model packs it once. float32 throughout: on CPUs
with bf16 OpenVINO would otherwise compute in that.
Used by every command: ``python -m benchmarks --peers openvino``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problems import Layer, Operands, aligned_empty, channels_last
from . import Contender

NAME = "openvino"
_threads = 1


def version() -> str:
    """Return the installed version."""
    import openvino

    return str(openvino.__version__).partition("-")[0]


def setup(threads: int) -> None:
    """Remember the thread count for the models to come."""
    global _threads
    _threads = threads


def contenders(layer: Layer, operands: Operands, computation: str, tuned: bool) -> list[Contender]:
    """Return one compiled model's inference."""
    if computation not in ("forward", "average"):
        return []
    if tuned:
        return [_tuned(layer, operands, computation, last) for last in (False, True)]
    compiled = _compiled(_model(layer, operands, computation), {})
    return [
        Contender(NAME, "call", lambda: compiled([operands.input]), lambda out: np.array(out[0]))
    ]


def _compiled(model: Any, properties: dict[str, Any]) -> Any:
    import openvino

    properties |= {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": _threads}
    return openvino.Core().compile_model(model, "CPU", properties)


def _tuned(layer: Layer, operands: Operands, computation: str, last: bool) -> Contender:
    import openvino

    model = _model(layer, operands, computation)
    source, target = operands.input, aligned_empty(layer.output_shape)
    if last:
        model = _with_channels_last(model, layer)
        source, target = (np.moveaxis(channels_last(a), 1, -1) for a in (source, target))
    properties = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    request = _compiled(model, properties).create_infer_request()
    request.set_input_tensor(openvino.Tensor(source, shared_memory=True))
    request.set_output_tensor(openvino.Tensor(target, shared_memory=True))
    held = (source, target)  # the tensors only borrow the memory

    def result(_: Any) -> np.ndarray:
        return np.moveaxis(held[1], -1, 1) if last else held[1]

    return Contender(NAME, "channels_last" if last else "planar", request.infer, result)


def _with_channels_last(model: Any, layer: Layer) -> Any:
    """Have the outside of the model channels-last: the inside is OpenVINO's own affair."""
    from openvino.preprocess import PrePostProcessor

    space = "DHW"[3 - layer.ndim :]
    outside = PrePostProcessor(model)
    for end in (outside.input(), outside.output()):
        end.tensor().set_layout(_layout(f"N{space}C"))
        end.model().set_layout(_layout(f"NC{space}"))
    return outside.build()


def _layout(letters: str) -> Any:
    import openvino

    return openvino.Layout(letters)


def _model(layer: Layer, operands: Operands, computation: str) -> Any:
    import openvino
    from openvino import opset8

    x = opset8.parameter(layer.input_shape, np.float32)
    stride, padding = list(layer.stride), list(layer.padding)
    dilation, kernel = list(layer.dilation), list(layer.kernel)
    if computation == "average":
        node = opset8.avg_pool(x, stride, padding, padding, kernel, exclude_pad=False)
    elif layer.kind == "pool":
        node = opset8.max_pool(x, stride, dilation, padding, padding, kernel).output(0)
    elif layer.groups == 1:
        node = opset8.convolution(x, operands.weight, stride, padding, padding, dilation)
    else:
        shape = (layer.groups, layer.oc // layer.groups, *layer.weight_shape[1:])
        weight = operands.weight.reshape(shape)
        node = opset8.group_convolution(x, weight, stride, padding, padding, dilation)
    return openvino.Model([node], [x], layer.name)
