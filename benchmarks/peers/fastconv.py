"""fastconv itself, with the channels outermost (planar) and innermost (channels_last).

Used by every command: ``python -m benchmarks``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..problems import Layer, Operands, channels_last, picked_by
from . import Contender

NAME = "fastconv"


def version() -> str:
    """Return the installed version."""
    import fastconv

    return str(fastconv.__version__)


def setup(threads: int) -> None:
    """Fix the thread count."""
    from fastconv import runtime

    runtime.set_num_threads(threads)


def contenders(layer: Layer, operands: Operands, computation: str, tuned: bool) -> list[Contender]:
    """Return the call in both layouts; there is nothing to tune."""
    planar = (operands.input, operands.weight, operands.grad_output)
    last = [channels_last(a) if a.ndim > 2 else a for a in planar]
    found = []
    for variant, arrays in (("planar", planar), ("channels_last", last)):
        call = _call(layer, computation, *arrays)
        result = np.asarray
        if computation == "forward_indices":

            def result(out: Any) -> np.ndarray:
                return picked_by(out[1], layer, operands)

        found.append(Contender(NAME, variant, call, result))
    return found


def reference(layer: Layer, operands: Operands, computation: str) -> np.ndarray:
    """Compute the result by the naive loops, in float64."""
    from fastconv import runtime

    arrays = [a.astype(np.float64) for a in vars(operands).values()]
    with runtime.use_isa("reference"):
        out = _call(layer, computation, *arrays)()
    return picked_by(out[1], layer, operands) if computation == "forward_indices" else out


def _call(
    layer: Layer, computation: str, x: np.ndarray, weight: np.ndarray, grad: np.ndarray
) -> Callable[[], Any]:
    from fastconv import functional
    from fastconv import grad as gradients

    nd = f"{layer.ndim}d"
    window = (layer.stride, layer.padding)
    if layer.kind == "pool":
        pool = getattr(functional, f"max_pool{nd}")
        if computation == "backward":
            _, indices = pool(x, layer.kernel, *window, return_indices=True)
            backward = getattr(gradients, f"max_pool{nd}_backward")
            return lambda: backward(grad, indices, x.shape)
        with_indices = computation == "forward_indices"
        return lambda: pool(x, layer.kernel, *window, return_indices=with_indices)
    options: tuple[Any, ...] = (*window, 1, layer.groups)
    if computation == "forward":
        convolve = getattr(functional, f"conv{nd}")
        return lambda: convolve(x, weight, None, *options)
    if computation == "backward_input":
        to_input = getattr(gradients, f"conv{nd}_input")
        return lambda: to_input(x.shape, weight, grad, *options)
    to_weight = getattr(gradients, f"conv{nd}_weight")
    return lambda: to_weight(x, weight.shape, grad, *options)
