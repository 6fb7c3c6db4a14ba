"""Checks for layers of your own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.layers.base import Layer
from fastconv.layers.types import Array

__all__ = ["check_gradients", "numerical_gradient"]

#: Of central differences: their error is of the order of its square, and of 1e-16 over it.
STEP = 1e-6


def numerical_gradient(function: Callable[[], float], array: Array) -> Array:
    """Return the gradient of a number that depends on an array, by central differences.

    Parameters
    ----------
    function : callable
        Returns the number; reads `array`, which is changed meanwhile, and restored.
    array : ndarray
        float64.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> numerical_gradient(lambda: float((x**3).sum()), x).round(6)
    array([ 3., 12.])
    """
    if array.dtype != np.float64:
        raise TypeError(f"array: got {array.dtype}, expected float64")
    gradient = np.empty_like(array)
    for at in np.ndindex(array.shape):
        before = array[at]
        array[at] = before + STEP
        above = function()
        array[at] = before - STEP
        below = function()
        array[at] = before
        gradient[at] = (above - below) / (2 * STEP)
    return gradient


def check_gradients(
    layer: Layer,
    inputs: Any,
    *,
    training: bool = False,
    seed: int = 0,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> None:
    """Compare a layer's gradients with central differences, in float64.

    The outputs are weighted at random and summed; the gradients of that number with respect to
    every input and every trainable parameter have to agree.

    Parameters
    ----------
    layer : Layer
        With ``dtype="float64"``.
    inputs : array_like, or list of them for a layer that takes a list
        Away from where the layer has a kink, such as 0 for a rectifier. A few dozen elements:
        each takes two forward passes.
    training : bool
        Whether the differences are of ``forward(..., training=True)``, for a layer such as batch
        normalization that computes something else then. One that draws cannot be checked so.
    seed : int
        Of the weights.
    rtol, atol : float
        As in ``numpy.testing.assert_allclose``.

    Raises
    ------
    AssertionError
        Naming the input or the parameter whose gradient is wrong.

    Examples
    --------
    >>> from fastconv.layers import Conv2D, Layer
    >>> x = np.random.default_rng(0).standard_normal((2, 5, 5, 2))
    >>> check_gradients(Conv2D(3, 3, activation="tanh", dtype="float64"), x)
    >>> class Wrong(Layer):
    ...     def forward(self, x, training=False):
    ...         return 2 * x
    ...     def backward(self, grad, need_input_grad=True):
    ...         return grad
    >>> check_gradients(Wrong(dtype="float64"), x)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    AssertionError: ...gradient of input 0...
    """
    if layer.dtype != np.float64:
        raise ValueError(f"layer: got one of {layer.dtype}, expected dtype='float64'")
    several = isinstance(inputs, list | tuple)
    arrays = [np.array(x, np.float64) for x in (inputs if several else [inputs])]
    x: Any = arrays if several else arrays[0]
    shapes: Any = [a.shape for a in arrays] if several else x.shape
    layer.build(shapes)
    layer.clear_gradients()
    outputs = _listed(layer.forward(x, training=True))
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(y.shape) for y in outputs]
    gradients = layer.backward(weights if len(weights) > 1 else weights[0])  # type: ignore[arg-type]

    def number() -> float:
        try:
            found = _listed(layer.forward(x, training=training))
        finally:
            layer.release()
        return float(sum((y * w).sum() for y, w in zip(found, weights, strict=True)))

    pairs = [
        (f"input {i}", given, array)
        for i, (given, array) in enumerate(zip(_listed(gradients), arrays, strict=True))
    ]
    pairs += [(name, p.grad, p.value) for name, p in layer.trainable_parameters().items()]
    for name, given, array in pairs:
        expected = numerical_gradient(number, array)
        found = np.zeros_like(expected) if given is None else given
        np.testing.assert_allclose(
            found, expected, rtol=rtol, atol=atol, err_msg=f"gradient of {name}"
        )


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]
