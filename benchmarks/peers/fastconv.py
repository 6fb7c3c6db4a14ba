"""fastconv itself, with the channels outermost (planar) and innermost (channels_last).

Used by every command: ``python -m benchmarks``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..problems import Layer, Operands, channels_last, indices_of, picked_by
from . import Contender

NAME = "fastconv"
#: What the variants with packed filters end with.
PACKED = " packed"


def version() -> str:
    """Return the installed version."""
    import fastconv

    return str(fastconv.__version__)


def setup(threads: int) -> None:
    """Fix the thread count."""
    from fastconv import runtime

    runtime.set_num_threads(threads)


def contenders(layer: Layer, operands: Operands, computation: str, tuned: bool) -> list[Contender]:
    """Return the call in both layouts; tuned, forward also with filters packed beforehand."""
    from fastconv import functional

    planar = (operands.input, operands.weight, operands.grad_output)
    last = [channels_last(a) if a.ndim > 2 else a for a in planar]
    result = _result(layer, operands, computation)
    found = []
    for variant, (x, weight, grad) in (("planar", planar), ("channels_last", last)):
        found.append(Contender(NAME, variant, call(layer, computation, x, weight, grad), result))
        if tuned and layer.kind == "conv" and computation == "forward":
            packed = functional.PackedWeight(weight)
            made = call(layer, computation, x, packed, grad)
            found.append(Contender(NAME, variant + PACKED, made, result))
    return found


def reference(layer: Layer, operands: Operands, computation: str) -> np.ndarray:
    """Compute the result by the naive loops, in float64."""
    from fastconv import runtime

    arrays = [a.astype(np.float64) for a in vars(operands).values()]
    with runtime.use_isa("reference"):
        out = call(layer, computation, *arrays)()
    return _result(layer, operands, computation)(out)


def _result(layer: Layer, operands: Operands, computation: str) -> Callable[[Any], np.ndarray]:
    if computation == "forward_indices":
        return lambda out: picked_by(out[1], layer, operands)
    if computation == "forward_argmax":
        return lambda out: picked_by(indices_of(out[1], layer), layer, operands)
    return np.asarray


def call(
    layer: Layer, computation: str, x: np.ndarray, weight: Any, grad: np.ndarray
) -> Callable[[], Any]:
    """Return the call of one computation, on arrays of any layout; filters may be packed."""
    if layer.kind == "pool":
        return _pool(layer, computation, x, grad)
    from fastconv import functional
    from fastconv import grad as gradients

    nd = f"{layer.ndim}d"
    options: tuple[Any, ...] = (layer.stride, layer.padding, layer.dilation, layer.groups)
    convolve = getattr(functional, f"conv{nd}")
    to_weight = getattr(gradients, f"conv{nd}_weight")
    if layer.transposed:  # its gradients are those of the convolution with the roles exchanged
        if computation == "forward":
            upward = getattr(functional, f"conv_transpose{nd}")
            window = (layer.stride, layer.padding, 0, layer.groups, layer.dilation)
            return lambda: upward(x, weight, None, *window)
        if computation == "backward_input":
            return lambda: convolve(grad, weight, None, *options)
        return lambda: to_weight(grad, weight.shape, x, *options)
    if computation == "forward":
        return lambda: convolve(x, weight, None, *options)
    if computation == "backward_input":
        to_input = getattr(gradients, f"conv{nd}_input")
        return lambda: to_input(x.shape, weight, grad, *options)
    return lambda: to_weight(x, weight.shape, grad, *options)


def _pool(layer: Layer, computation: str, x: np.ndarray, grad: np.ndarray) -> Callable[[], Any]:
    from fastconv import functional
    from fastconv import grad as gradients

    window = (layer.kernel, layer.stride, layer.padding)
    pool = functional.max_pool2d
    if computation == "backward":
        _, indices = pool(x, *window, return_indices=True)
        return lambda: gradients.max_pool2d_backward(grad, indices, x.shape)
    if computation == "backward_argmax":
        _, argmax = pool(x, *window, return_argmax=True)
        return lambda: gradients.max_pool2d_argmax_backward(grad, argmax, x.shape, *window)
    return {
        "forward": lambda: pool(x, *window),
        "forward_indices": lambda: pool(x, *window, return_indices=True),
        "forward_argmax": lambda: pool(x, *window, return_argmax=True),
        "average": lambda: functional.avg_pool2d(x, *window),
        "average_backward": lambda: gradients.avg_pool2d_backward(grad, x.shape, *window),
    }[computation]
