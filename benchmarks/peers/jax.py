"""JAX: jitted, planar as it comes; tuned, channels innermost as well.

Each gradient is its own jitted function, so that XLA drops what is not asked for.
Used by every command: ``python -m benchmarks --peers jax``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..problems import Layer, Operands
from . import Contender

NAME = "jax"


def version() -> str:
    """Return the installed version."""
    import jax

    return str(jax.__version__)


def setup(threads: int) -> None:
    """Have nothing to do: XLA counts the CPUs that the process may use (and NPROC)."""


def contenders(layer: Layer, operands: Operands, computation: str, tuned: bool) -> list[Contender]:
    """Return the planar program, and where tuned the channels-last one."""
    made = [_contender(layer, operands, computation, last=False)]
    if tuned:
        made.append(_contender(layer, operands, computation, last=True))
    return [contender for contender in made if contender is not None]


def _contender(layer: Layer, operands: Operands, computation: str, last: bool) -> Contender | None:
    import jax

    if computation in ("forward_indices", "forward_argmax"):
        return None
    if layer.kind == "conv":
        made = _convolution(layer, last)
    else:
        made = _pool(layer, last, average=computation.startswith("average"))
    to_data, from_data = _moves(last)
    x, grad = (jax.device_put(to_data(a)) for a in (operands.input, operands.grad_output))
    weight = jax.device_put(_filter(operands.weight, last)) if layer.kind == "conv" else None
    back = from_data
    if computation == "backward_weight":
        if last:
            back = _filter_back
        program = jax.jit(lambda x, w, g: jax.vjp(lambda v: made(x, v), w)[1](g)[0])
    elif computation in ("forward", "average"):
        program = jax.jit(lambda x, w, g: made(x, w))
    else:
        program = jax.jit(lambda x, w, g: jax.vjp(lambda v: made(v, w), x)[1](g)[0])
    compiled = program.lower(x, weight, grad).compile()
    return Contender(
        NAME,
        "channels_last" if last else "planar",
        lambda: compiled(x, weight, grad).block_until_ready(),
        lambda out: back(np.asarray(out)),
        contends=True,
    )


def _convolution(layer: Layer, last: bool) -> Callable[[Any, Any], Any]:
    from jax import lax

    space = "DHW"[3 - layer.ndim :]
    numbers = (
        (f"N{space}C", f"{space}IO", f"N{space}C")
        if last
        else (f"NC{space}", f"OI{space}", f"NC{space}")
    )
    padding = [(p, p) for p in layer.padding]

    def convolve(x: Any, weight: Any) -> Any:
        return lax.conv_general_dilated(
            x,
            weight,
            layer.stride,
            padding,
            rhs_dilation=layer.dilation,
            dimension_numbers=numbers,
            feature_group_count=layer.groups,
        )

    return convolve


def _pool(layer: Layer, last: bool, average: bool) -> Callable[[Any, Any], Any]:
    from jax import lax

    def window(values: tuple[Any, ...], fill: Any) -> tuple[Any, ...]:
        return (fill, *values, fill) if last else (fill, fill, *values)

    padding = window(tuple((p, p) for p in layer.padding), (0, 0))

    windows = (window(layer.kernel, 1), window(layer.stride, 1), padding)

    def pool(x: Any, _: Any) -> Any:
        if average:
            return lax.reduce_window(x, 0.0, lax.add, *windows) / math.prod(layer.kernel)
        return lax.reduce_window(x, -np.inf, lax.max, *windows)

    return pool


def _moves(last: bool) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    if not last:
        return (lambda a: a), (lambda a: a)
    return (
        lambda a: np.ascontiguousarray(np.moveaxis(a, 1, -1)),
        lambda a: np.moveaxis(a, -1, 1),
    )


def _filter(weight: np.ndarray, last: bool) -> np.ndarray:
    """(OC, IC, k...) to (k..., IC, OC)."""
    if not last:
        return weight
    return np.ascontiguousarray(np.moveaxis(weight, (1, 0), (-2, -1)))


def _filter_back(weight: np.ndarray) -> np.ndarray:
    """(k..., IC, OC) to (OC, IC, k...)."""
    return np.moveaxis(weight, (-2, -1), (1, 0))
