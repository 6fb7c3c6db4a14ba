"""A network of fastconv as others take it: an ONNX model, and a function of PyTorch.

Used by ``python -m benchmarks networks``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastconv import layers
from fastconv.layers import Layer
from fastconv.models import Functional, Model


def calls(model: Model) -> Iterator[tuple[Layer, list[str], str]]:
    """Yield each layer with the names of its inputs and its output; the first is ``x``."""
    if not isinstance(model, Functional):
        before = "x"
        for layer in model.layers:
            yield layer, [before], layer.name
            before = layer.name
        return
    names = {model.inputs[0]: "x"}
    for node in model.graph:
        if node.inputs:
            names[node.outputs[0]] = node.layer.name
            yield node.layer, [names[value] for value in node.inputs], node.layer.name


def window(layer: Any, size: tuple[int, ...]) -> dict[str, Any]:
    """Return kernel, strides and padding as attributes of ONNX."""
    found: dict[str, Any] = {"kernel_shape": size, "strides": layer.strides}
    if layer.padding == "same":
        found["auto_pad"] = "SAME_UPPER"
    elif layer.padding != "valid":
        found["pads"] = [pair[end] for end in (0, 1) for pair in layer.padding]
    return found


def onnx_model(model: Model, batch: int) -> bytes:
    """Return the model for (batch, channels, height, width)."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = [], []

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def constants(layer: Layer, *names: str) -> list[str]:
        found = [n for n in names if n in layer.named_parameters()]
        for n in found:
            weights.append(numpy_helper.from_array(layer.weight(n).array, f"{layer.name}/{n}"))
        return [f"{layer.name}/{n}" for n in found]

    last = "x"
    for layer, inputs, output in calls(model):
        last = output
        activation = getattr(layer, "activation", None)
        plain = (
            f"{output}/sum" if activation is not None and activation.name != "linear" else output
        )
        match layer:
            case layers.Conv2D():
                inputs = [*inputs, *constants(layer, "kernel", "bias")]
                node("Conv", inputs, plain, group=layer.groups, **window(layer, layer.kernel_size))
            case layers.Dense():
                node("Gemm", [*inputs, *constants(layer, "kernel", "bias")], plain, transB=1)
            case layers.Activation():
                plain = inputs[0]
            case layers.MaxPooling2D():
                node("MaxPool", inputs, output, **window(layer, layer.pool_size))
            case layers.GlobalAveragePooling2D():
                node("GlobalAveragePool", inputs, f"{output}/kept")
                node("Flatten", [f"{output}/kept"], output)
            case layers.LocalResponseNormalization():
                options = {"alpha": layer.alpha * layer.size, "beta": layer.beta, "bias": layer.k}
                node("LRN", inputs, output, size=layer.size, **options)
            case layers.BatchNormalization():
                names = constants(layer, "gamma", "beta", "moving_mean", "moving_variance")
                node("BatchNormalization", [*inputs, *names], output, epsilon=layer.epsilon)
            case layers.Flatten():
                node("Transpose", inputs, f"{output}/last", perm=[0, 2, 3, 1])
                node("Flatten", [f"{output}/last"], output)
            case layers.Concatenate():
                node("Concat", inputs, output, axis=1)
            case layers.Add():
                node("Add", inputs, output)
            case layers.Dropout():
                node("Identity", inputs, output)
            case _:
                raise NotImplementedError(type(layer).__name__)
        if plain != output and activation is not None:
            kind = {"relu": "Relu", "softmax": "Softmax"}[activation.name]
            node(kind, [plain], output, **({"axis": 1} if kind == "Softmax" else {}))
    height, width, channels = model.input_shape[1:]
    shape = (batch, channels, height, width)
    graph = helper.make_graph(
        nodes,
        model.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, (batch, model.output_shape[-1]))],
        weights,
    )
    opset = helper.make_opsetid("", 17)
    made = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return bytes(made.SerializeToString())


def torch_function(model: Model) -> Callable[[Any], Any]:
    """Return a module of PyTorch that takes and returns tensors."""
    import torch
    from torch.nn import functional as F

    steps = list(calls(model))

    class Network(torch.nn.Module):
        """The layers, one after the other."""

        def __init__(self) -> None:
            super().__init__()
            for name, p in model.named_parameters().items():
                self.register_buffer(name.replace("/", "__"), torch.from_numpy(p.array.copy()))

        def forward(self, x: Any) -> Any:
            values = {"x": x}
            for layer, inputs, output in steps:
                values[output] = self.apply_layer(layer, [values[name] for name in inputs])
            return values[output]

        def weight(self, layer: Layer, name: str) -> Any:
            return getattr(self, f"{layer.name}__{name}", None)

        def apply_layer(self, layer: Layer, given: list[Any]) -> Any:
            x = given[0]
            match layer:
                case layers.Conv2D():
                    kernel, bias = self.weight(layer, "kernel"), self.weight(layer, "bias")
                    x, pads = padded(x, layer, layer.kernel_size, 0.0)
                    y = F.conv2d(x, kernel, bias, layer.strides, pads, groups=layer.groups)
                case layers.Dense():
                    y = F.linear(x, self.weight(layer, "kernel"), self.weight(layer, "bias"))
                case layers.Activation():
                    y = x
                case layers.MaxPooling2D():
                    x, pads = padded(x, layer, layer.pool_size, -torch.inf)
                    return F.max_pool2d(x, layer.pool_size, layer.strides, pads)
                case layers.GlobalAveragePooling2D():
                    return x.mean((2, 3))
                case layers.LocalResponseNormalization():
                    alpha = layer.alpha * layer.size
                    return F.local_response_norm(x, layer.size, alpha, layer.beta, layer.k)
                case layers.BatchNormalization():
                    names = ("moving_mean", "moving_variance", "gamma", "beta")
                    return F.batch_norm(
                        x, *(self.weight(layer, name) for name in names), eps=layer.epsilon
                    )
                case layers.Flatten():
                    return x.permute(0, 2, 3, 1).flatten(1)
                case layers.Concatenate():
                    return torch.cat(given, 1)
                case layers.Add():
                    return given[0] + given[1]
                case layers.Dropout():
                    return x
                case _:
                    raise NotImplementedError(type(layer).__name__)
            if layer.activation.name == "relu":
                return torch.relu(y)
            return torch.softmax(y, 1) if layer.activation.name == "softmax" else y

    def padded(x: Any, layer: Any, size: tuple[int, ...], value: float) -> tuple[Any, list[int]]:
        """Return the input and the padding that the call can do itself; else pad before."""
        if layer.padding == "valid":
            return x, [0, 0]
        pairs = layer.padding
        if pairs == "same":
            pairs = []
            for extent, k, s in zip(x.shape[2:], size, layer.strides, strict=True):
                total = max((-(-int(extent) // s) - 1) * s + k - int(extent), 0)
                pairs.append((total // 2, total - total // 2))
        if all(before == after for before, after in pairs):
            return x, [before for before, _ in pairs]
        flat = [end for pair in reversed(pairs) for end in pair]
        return F.pad(x, flat, value=value), [0, 0]

    return Network().eval()


def channels_first(x: np.ndarray) -> np.ndarray:
    """Return images (N, H, W, C) as (N, C, H, W)."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))
