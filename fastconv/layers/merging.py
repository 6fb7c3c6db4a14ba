"""Layers that make one value of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.fusion import InferenceForm, Sum
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"]


class Merge(Layer):
    """A layer called on a list of values; a subclass defines `merge` and `parts`.

    Shapes are broadcast as NumPy does, the batch included.
    """

    def as_input(self, x: Any) -> list[Array]:
        """Return the list, as arrays of this layer's dtype."""
        if not isinstance(x, list | tuple) or not x:
            raise TypeError(f"{self.name}: got {type(x).__name__}, expected a list of arrays")
        return [np.asarray(value, dtype=self.dtype) for value in x]

    def merge(self, xs: Sequence[Array]) -> Array:
        """Return the output."""
        raise NotImplementedError(f"{type(self).__name__} does not define merge")

    def parts(self, grad: Array, xs: Sequence[Array]) -> list[Array]:
        """Return the gradient of each input, not yet summed over what was broadcast."""
        raise NotImplementedError(f"{type(self).__name__} does not define parts")

    def forward(self, x: Any, training: bool = False) -> Array:
        """Return the output, and with `training` keep the inputs."""
        if training:
            self._save(x)
        return self.merge(x)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Any:
        """Return the list of the inputs' gradients."""
        (xs,) = self._saved()
        if not need_input_grad:
            return None
        return [_unbroadcast(d, x.shape) for d, x in zip(self.parts(grad, xs), xs, strict=True)]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape that all the inputs' are broadcast to."""
        shapes = self._shapes(input_shape)
        rank = max(map(len, shapes))
        axes = zip(*[(1,) * (rank - len(s)) + tuple(s) for s in shapes], strict=True)
        result: list[int | None] = []
        for extents in axes:
            known = {e for e in extents if e not in (None, 1)}
            if len(known) > 1:
                raise ValueError(f"{self.name}: got inputs of shapes {shapes}, which do not match")
            result.append(known.pop() if known else None if None in extents else 1)
        return tuple(result)

    def multiply_adds(self, input_shape: Any) -> int:
        """Return the operations: one an element and input after the first."""
        shapes = self._shapes(input_shape)
        elements = math.prod(e or 0 for e in self.compute_output_shape(shapes)[1:])
        return elements * (len(shapes) - 1)

    def _shapes(self, input_shape: Any) -> list[Shape]:
        if not isinstance(input_shape, list) or not input_shape:
            raise ValueError(f"{self.name}: got one input, expected a list of them")
        return input_shape


def _unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which an input of this shape was repeated."""
    if grad.shape == shape:
        return grad
    extra = grad.ndim - len(shape)
    axes = [i + extra for i, e in enumerate(shape) if e == 1 and grad.shape[i + extra] != 1]
    summed: Array = grad.sum((*range(extra), *axes), keepdims=True)
    return summed.reshape(shape)


def _fold(operation: np.ufunc, xs: Sequence[Array]) -> Array:
    """Combine the inputs from the left, with one new array however many they are."""
    if len(xs) == 1:
        return xs[0]
    y: Array = operation(xs[0], xs[1])
    for x in xs[2:]:
        y = operation(y, x, out=y if y.shape == np.broadcast_shapes(y.shape, x.shape) else None)
    return y


@register_layer
class Add(Merge):
    """y = the sum of the inputs, elementwise.

    Examples
    --------
    >>> Add()([[1.0, 2.0], [10.0, 20.0]])
    array([11., 22.], dtype=float32)
    """

    def merge(self, xs: Sequence[Array]) -> Array:
        """Return the sum."""
        return _fold(np.add, xs)

    def inference_form(self) -> InferenceForm:
        """Return the sum, which a convolution before it can add while storing."""
        return Sum()

    def parts(self, grad: Array, xs: Sequence[Array]) -> list[Array]:
        """Return the gradient for each."""
        return [grad] * len(xs)


@register_layer
class Subtract(Merge):
    """y = the first of two inputs minus the second.

    Examples
    --------
    >>> Subtract()([[1.0, 2.0], [10.0, 20.0]])
    array([ -9., -18.], dtype=float32)
    """

    def merge(self, xs: Sequence[Array]) -> Array:
        """Return the difference."""
        return xs[0] - xs[1]

    def parts(self, grad: Array, xs: Sequence[Array]) -> list[Array]:
        """Return the gradient, and its negative."""
        return [grad, -grad]

    def _shapes(self, input_shape: Any) -> list[Shape]:
        shapes = super()._shapes(input_shape)
        if len(shapes) != 2:
            raise ValueError(f"{self.name}: got {len(shapes)} inputs, expected 2")
        return shapes


@register_layer
class Multiply(Merge):
    """y = the product of the inputs, elementwise.

    Examples
    --------
    >>> Multiply()([[1.0, 2.0], [10.0, 20.0]])
    array([10., 40.], dtype=float32)
    """

    def merge(self, xs: Sequence[Array]) -> Array:
        """Return the product."""
        return _fold(np.multiply, xs)

    def parts(self, grad: Array, xs: Sequence[Array]) -> list[Array]:
        """Return the gradient times all the other inputs."""
        others = [[x for j, x in enumerate(xs) if j != i] for i in range(len(xs))]
        return [_fold(np.multiply, [grad, *rest]) for rest in others]


@register_layer
class Average(Merge):
    """y = the mean of the inputs, elementwise.

    Examples
    --------
    >>> Average()([[1.0, 2.0], [3.0, 6.0]])
    array([2., 4.], dtype=float32)
    """

    def merge(self, xs: Sequence[Array]) -> Array:
        """Return the mean."""
        mean: Array = _fold(np.add, xs) * self.dtype.type(1 / len(xs))
        return mean

    def parts(self, grad: Array, xs: Sequence[Array]) -> list[Array]:
        """Return the gradient over the number of inputs, for each."""
        return [grad * self.dtype.type(1 / len(xs))] * len(xs)


class _Extreme(Merge):
    """The gradient goes to the first of the inputs that the output equals."""

    def parts(self, grad: Array, xs: Sequence[Array]) -> list[Array]:
        """Return the gradient where an input was chosen, 0 elsewhere."""
        y = self.merge(xs)
        taken = np.zeros(y.shape, bool)
        found = []
        for x in xs:
            chosen = ((x == y) | (np.isnan(x) & np.isnan(y))) & ~taken
            taken |= chosen
            found.append(np.where(chosen, grad, self.dtype.type(0)))
        return found


@register_layer
class Maximum(_Extreme):
    """y = the largest of the inputs, elementwise; NaN wins.

    Examples
    --------
    >>> Maximum()([[1.0, 20.0], [10.0, 2.0]])
    array([10., 20.], dtype=float32)
    """

    def merge(self, xs: Sequence[Array]) -> Array:
        """Return the maximum."""
        return _fold(np.maximum, xs)


@register_layer
class Minimum(_Extreme):
    """y = the smallest of the inputs, elementwise; NaN wins.

    Examples
    --------
    >>> Minimum()([[1.0, 20.0], [10.0, 2.0]])
    array([1., 2.], dtype=float32)
    """

    def merge(self, xs: Sequence[Array]) -> Array:
        """Return the minimum."""
        return _fold(np.minimum, xs)


@register_layer
class Concatenate(Merge):
    """The inputs side by side along `axis`, where their extents may differ.

    Parameters
    ----------
    axis : int
        By default the last one, of the channels.
    **options
        See `Layer`.

    Examples
    --------
    >>> Concatenate()([[[1.0]], [[2.0, 3.0]]])
    array([[1., 2., 3.]], dtype=float32)
    """

    def __init__(self, axis: int = -1, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.axis = int(axis)

    def merge(self, xs: Sequence[Array]) -> Array:
        """Return the inputs in one array."""
        return np.concatenate(xs, axis=self.axis)

    def parts(self, grad: Array, xs: Sequence[Array]) -> list[Array]:
        """Return each input's part of the gradient."""
        ends = np.cumsum([x.shape[self.axis] for x in xs])[:-1]
        return [np.ascontiguousarray(part) for part in np.split(grad, ends, axis=self.axis)]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape of the inputs, with the sum of their extents along the axis."""
        shapes = self._shapes(input_shape)
        rank = len(shapes[0])
        if not -rank <= self.axis < rank or self.axis % rank == 0:
            raise ValueError(f"axis: got {self.axis}, expected one of {rank} axes but the batch")
        at = self.axis % rank
        first = shapes[0]
        for shape in shapes[1:]:
            if len(shape) != rank or any(
                i != at and None not in (a, b) and a != b
                for i, (a, b) in enumerate(zip(first, shape, strict=True))
            ):
                raise ValueError(
                    f"{self.name}: got inputs of shapes {shapes}, which differ beside axis {at}"
                )
        extents = [shape[at] for shape in shapes]
        total = None if None in extents else sum(e or 0 for e in extents)
        return (*first[:at], total, *first[at + 1 :])

    def multiply_adds(self, input_shape: Any) -> int:
        """Return 0: values are moved only."""
        return 0

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "axis": self.axis}
