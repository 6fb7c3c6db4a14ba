"""The functions that the `activation` argument of a layer can name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastconv import functional, grad
from fastconv.layers.types import Array

__all__ = ["LINEAR", "RELU", "SOFTMAX", "Nonlinearity", "get"]


@dataclass(frozen=True)
class Nonlinearity:
    """A function whose gradient follows from its output.

    Attributes
    ----------
    name : str
        Keras' name.
    forward : callable
        (x, axis) to y; the axis, of the channels, matters to softmax only.
    backward : callable
        (gradient of y, y, axis) to the gradient of x.
    epilogue : str or None
        What a convolution or a dense kernel calls it, where it can apply it while storing.
    """

    name: str
    forward: Callable[[Array, int], Array]
    backward: Callable[[Array, Array, int], Array]
    epilogue: str | None = None


LINEAR = Nonlinearity("linear", lambda x, axis: x, lambda dy, y, axis: dy)
RELU = Nonlinearity(
    "relu",
    lambda x, axis: functional.relu(x),
    lambda dy, y, axis: grad.relu_backward(dy, y),
    epilogue="relu",
)
SOFTMAX = Nonlinearity(
    "softmax",
    lambda x, axis: functional.softmax(x, axis),
    lambda dy, y, axis: grad.softmax_backward(dy, y, axis),
)

_BY_NAME = {f.name: f for f in (LINEAR, RELU, SOFTMAX)}


def get(identifier: str | Nonlinearity | None) -> Nonlinearity:
    """Return the function of this name; None is linear.

    Examples
    --------
    >>> get("relu").name, get(None).name
    ('relu', 'linear')
    >>> get("rule")
    Traceback (most recent call last):
        ...
    ValueError: activation: got 'rule', expected None or one of linear, relu, softmax
    """
    if identifier is None:
        return LINEAR
    if isinstance(identifier, Nonlinearity):
        return identifier
    found = _BY_NAME.get(identifier) if isinstance(identifier, str) else None
    if found is None:
        raise ValueError(
            f"activation: got {identifier!r}, expected None or one of {', '.join(_BY_NAME)}"
        )
    return found
