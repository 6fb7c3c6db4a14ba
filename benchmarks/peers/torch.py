"""PyTorch: contiguous as it comes; tuned, every memory format.

Used by every command: ``python -m benchmarks --peers torch``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..problems import Layer, Operands, picked_by
from . import Contender

NAME = "torch"


def version() -> str:
    """Return the installed version."""
    import torch

    return str(torch.__version__)


def setup(threads: int) -> None:
    """Fix the thread count; nothing here needs autograd, the gradients are called by name."""
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)


def contenders(layer: Layer, operands: Operands, computation: str, tuned: bool) -> list[Contender]:
    """Return the plain call, and where tuned the same with the channels innermost."""
    import torch

    tensors = [torch.from_numpy(a).clone() for a in vars(operands).values()]
    found = [_contender(layer, operands, computation, "contiguous", tensors)]
    if tuned:
        found.append(_channels_last(layer, operands, computation, tensors))
    return found


def call(
    layer: Layer, computation: str, x: np.ndarray, weight: np.ndarray, grad: np.ndarray
) -> Callable[[], Any]:
    """Return the call of one convolution, on arrays of either memory format."""
    import torch

    operands = Operands(x, weight, grad)
    tensors = [
        torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)  # no name of its own in NumPy
        if a.dtype.name == "bfloat16"
        else torch.from_numpy(a)
        for a in vars(operands).values()
    ]
    return _contender(layer, operands, computation, "", tensors).call


def _channels_last(
    layer: Layer, operands: Operands, computation: str, tensors: list[Any]
) -> Contender:
    import torch

    if layer.ndim == 1:  # PyTorch has no such format for 3-D tensors: an image of height 1
        flat = layer
        layer = replace(
            layer,
            spatial=(1, *layer.spatial),
            kernel=(1, *layer.kernel),
            stride=(1, *layer.stride),
            padding=(0, *layer.padding),
            dilation=(1, *layer.dilation),
        )
        tensors = [t.unsqueeze(2) if t.ndim == 3 else t for t in tensors]
    else:
        flat = None
    form = torch.channels_last_3d if layer.ndim == 3 else torch.channels_last
    tensors = [t.contiguous(memory_format=form) if t.ndim > 2 else t for t in tensors]
    made = _contender(layer, operands, computation, "channels_last", tensors)
    if flat is None:
        return made
    return Contender(made.peer, made.variant, made.call, lambda out: made.result(out).squeeze(2))


def _contender(
    layer: Layer, operands: Operands, computation: str, variant: str, tensors: list[Any]
) -> Contender:
    if layer.kind == "pool":
        return _pool(layer, operands, computation, variant, tensors)
    import torch

    x, weight, grad = tensors
    options = (
        list(layer.stride),
        list(layer.padding),
        list(layer.dilation),
        layer.transposed,
        [0] * layer.ndim,
        layer.groups,
    )
    if computation == "forward":
        function = torch.ops.aten.convolution.default
        arguments: tuple[Any, ...] = (x, weight, None, *options)
    else:
        function = torch.ops.aten.convolution_backward.default
        mask = [computation == "backward_input", computation == "backward_weight", False]
        arguments = (grad, x, weight, None, *options, mask)
    pick = {"forward": None, "backward_input": 0, "backward_weight": 1}[computation]

    def result(out: Any) -> np.ndarray:
        return (out if pick is None else out[pick]).numpy()

    return Contender(NAME, variant, lambda: function(*arguments), result)


def _pool(
    layer: Layer, operands: Operands, computation: str, variant: str, tensors: list[Any]
) -> Contender:
    """Max pooling knows int64 indices only: what it remembers for its gradient, too."""
    import torch

    assert layer.ndim == 2
    x, _, grad = tensors
    window = (list(layer.kernel), list(layer.stride), list(layer.padding))
    most, mean = (*window, [1, 1], False), (*window, False, True)
    aten = torch.ops.aten
    with_indices = aten.max_pool2d_with_indices.default

    def plain(call: Callable[[], Any]) -> Contender:
        return Contender(NAME, variant, call, lambda out: out.numpy())

    if computation in ("backward", "backward_argmax"):
        backward = aten.max_pool2d_with_indices_backward.default
        indices = with_indices(x, *most)[1]
        return plain(lambda: backward(grad, x, *most, indices))
    if computation in ("forward_indices", "forward_argmax"):
        return Contender(
            NAME,
            variant,
            lambda: with_indices(x, *most),
            lambda out: picked_by(out[1].numpy(), layer, operands),
        )
    if computation == "average":
        return plain(lambda: aten.avg_pool2d.default(x, *mean))
    if computation == "average_backward":
        return plain(lambda: aten.avg_pool2d_backward.default(grad, x, *mean, None))
    return plain(lambda: torch.max_pool2d(x, *most))


def reference(layer: Layer, operands: Operands, computation: str) -> np.ndarray:
    """Compute the result in float64."""
    import torch

    tensors = [torch.from_numpy(a).double() for a in vars(operands).values()]
    made = _contender(layer, operands, computation, "float64", tensors)
    with torch.no_grad():
        return made.result(made.call())
