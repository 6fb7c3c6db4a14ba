"""The functions that the `activation` argument of a layer can name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fastconv import functional, grad
from fastconv.layers.types import Array

__all__ = [
    "LINEAR",
    "RELU",
    "SOFTMAX",
    "Nonlinearity",
    "elu",
    "get",
    "leaky_relu",
    "rectifier",
    "softmax",
]

Epilogue: TypeAlias = str | tuple[Any, ...]


@dataclass(frozen=True)
class Nonlinearity:
    """A function whose gradient follows from its output, or from its input.

    A layer computes ``z`` with `epilogue_of` applied by its kernel, and then
    ``y, kept = finish(z, ...)``; it keeps `kept` for `backward`.

    Attributes
    ----------
    name : str
        Keras' name.
    forward : callable
        (x, axis) to y; the axis, of the channels, matters to softmax only.
    backward : callable
        (gradient of y, y or x, axis) to the gradient of x.
    epilogue : str, tuple or None
        What a convolution or a dense kernel calls it, where it can apply it while storing.
    from_input : bool
        Whether `backward` takes x, because y does not tell.
    """

    name: str
    forward: Callable[[Array, int], Array]
    backward: Callable[[Array, Array, int], Array]
    epilogue: Epilogue | None = None
    from_input: bool = False

    def epilogue_of(self, training: bool) -> Epilogue | None:
        """Return what the kernel shall apply; nothing if `backward` will need the input."""
        return None if training and self.from_input else self.epilogue

    def finish(self, z: Array, axis: int, applied: bool) -> tuple[Array, Array | None]:
        """Return the output, and what `backward` takes; `applied`: the kernel did it."""
        if self is LINEAR:
            return z, None
        y = z if applied else self.forward(z, axis)
        return y, z if self.from_input else y


def _of(
    name: str,
    forward: Callable[..., Array],
    backward: Callable[..., Array],
    epilogue: Epilogue | None = None,
    *parameters: Any,
    from_input: bool = False,
) -> Nonlinearity:
    """Return a function of `fastconv.functional`, with its parameters."""
    return Nonlinearity(
        name,
        lambda x, axis: forward(x, *parameters),
        lambda dy, kept, axis: backward(dy, kept, *parameters),
        epilogue,
        from_input,
    )


def leaky_relu(negative_slope: float = 0.2) -> Nonlinearity:
    """Return x for x > 0, negative_slope * x else.

    Examples
    --------
    >>> leaky_relu(0.5).forward(np.array([-2.0, 2.0]), -1)
    array([-1.,  2.])
    """
    if not 0 <= negative_slope < float("inf"):
        raise ValueError(f"negative_slope: got {negative_slope!r}, expected a non-negative number")
    slope = float(negative_slope)
    epilogue = ("leaky_relu", slope)
    return _of("leaky_relu", functional.leaky_relu, grad.leaky_relu_backward, epilogue, slope)


def elu(alpha: float = 1.0) -> Nonlinearity:
    """Return x for x > 0, alpha * (exp(x) - 1) else.

    Examples
    --------
    >>> elu(2.0).forward(np.array([-np.inf, 2.0]), -1)
    array([-2.,  2.])
    """
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"alpha: got {alpha!r}, expected a non-negative number")
    epilogue = ("elu", float(alpha))
    return _of("elu", functional.elu, grad.elu_backward, epilogue, float(alpha))


def softmax(axis: int) -> Nonlinearity:
    """Return exp(x) / sum(exp(x)) along this axis, whatever that of the channels is."""
    return Nonlinearity(
        "softmax",
        lambda x, _: functional.softmax(x, axis),
        lambda dy, y, _: grad.softmax_backward(dy, y, axis),
    )


def rectifier(
    max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0
) -> Nonlinearity:
    """Return max_value for x >= max_value, x from threshold on, negative_slope * (x - threshold).

    Examples
    --------
    >>> rectifier(6.0, 0.5, 1.0).forward(np.array([-1.0, 3.0, 9.0]), -1)
    array([-1.,  3.,  6.])
    """
    for argument, value in (("max_value", max_value), ("negative_slope", negative_slope)):
        if value is not None and not value >= 0:
            raise ValueError(f"{argument}: got {value!r}, expected a non-negative number")
    if not threshold >= 0:
        raise ValueError(f"threshold: got {threshold!r}, expected a non-negative number")
    if threshold == 0 and max_value is None:
        return leaky_relu(negative_slope) if negative_slope else RELU
    if threshold == 0 and negative_slope == 0:
        epilogue = ("clipped_relu", 0.0, max_value)
        return _of("relu", functional.hardtanh, grad.hardtanh_backward, epilogue, 0.0, max_value)
    most = np.inf if max_value is None else max_value

    def forward(x: Array, axis: int) -> Array:
        low = x.dtype.type(negative_slope) * (x - x.dtype.type(threshold))
        y: Array = np.where(x >= most, x.dtype.type(most), np.where(x >= threshold, x, low))
        return np.where(np.isnan(x), x, y)

    def backward(dy: Array, x: Array, axis: int) -> Array:
        slope = np.where(x >= threshold, x.dtype.type(1), x.dtype.type(negative_slope))
        dx: Array = dy * np.where(x >= most, x.dtype.type(0), slope)
        return dx

    return Nonlinearity("relu", forward, backward, from_input=True)


def _sigmoid_backward(dy: Array, x: Array) -> Array:
    """Return the gradient of log(sigmoid(x)): dy * sigmoid(-x)."""
    dx: Array = dy * functional.sigmoid(-x)
    return dx


def _softsign(x: Array) -> Array:
    y: Array = x / (1 + np.abs(x))
    return y


def _softsign_backward(dy: Array, x: Array) -> Array:
    dx: Array = dy / np.square(1 + np.abs(x))
    return dx


LINEAR = Nonlinearity("linear", lambda x, axis: x, lambda dy, y, axis: dy)
RELU = _of("relu", functional.relu, grad.relu_backward, "relu")
SOFTMAX = Nonlinearity(
    "softmax",
    lambda x, axis: functional.softmax(x, axis),
    lambda dy, y, axis: grad.softmax_backward(dy, y, axis),
)

_ALL = (
    LINEAR,
    RELU,
    SOFTMAX,
    leaky_relu(),
    elu(),
    _of("celu", functional.elu, grad.elu_backward, "elu"),
    _of("exponential", np.exp, np.multiply),
    _of("gelu", functional.gelu, grad.gelu_backward, "gelu", from_input=True),
    _of("hard_sigmoid", functional.hardsigmoid, grad.hardsigmoid_backward, "hardsigmoid"),
    _of("hard_silu", functional.hardswish, grad.hardswish_backward, "hardswish", from_input=True),
    _of("hard_tanh", functional.hardtanh, grad.hardtanh_backward, "hardtanh"),
    _of(
        "log_sigmoid",
        lambda x: -functional.softplus(-x, 1.0, np.inf),
        _sigmoid_backward,
        from_input=True,
    ),
    Nonlinearity(
        "log_softmax",
        lambda x, axis: functional.log_softmax(x, axis),
        lambda dy, y, axis: grad.log_softmax_backward(dy, y, axis),
    ),
    _of("mish", functional.mish, grad.mish_backward, "mish", from_input=True),
    _of("relu6", functional.relu6, grad.relu6_backward, "relu6"),
    _of("selu", functional.selu, grad.selu_backward, "selu"),
    _of("sigmoid", functional.sigmoid, grad.sigmoid_backward, "sigmoid"),
    _of("silu", functional.silu, grad.silu_backward, "silu", from_input=True),
    _of("softplus", functional.softplus, grad.softplus_backward, "softplus", from_input=True),
    _of("softsign", _softsign, _softsign_backward, from_input=True),
    _of("tanh", functional.tanh, grad.tanh_backward, "tanh"),
)
_ALIASES = {"hard_swish": "hard_silu", "swish": "silu"}
_BY_NAME = {f.name: f for f in _ALL}


def get(identifier: str | Nonlinearity | None) -> Nonlinearity:
    """Return the function of this name; None is linear.

    Examples
    --------
    >>> get("swish").name, get(None).name
    ('silu', 'linear')
    """
    if identifier is None:
        return LINEAR
    if isinstance(identifier, Nonlinearity):
        return identifier
    name = _ALIASES.get(identifier, identifier) if isinstance(identifier, str) else None
    found = None if name is None else _BY_NAME.get(name)
    if found is None:
        names = ", ".join(sorted([*_BY_NAME, *_ALIASES]))
        raise ValueError(f"activation: got {identifier!r}, expected None or one of {names}")
    return found
