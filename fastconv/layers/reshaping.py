"""Layers that move values without changing them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from fastconv.layers import windows
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["Flatten", "Permute", "RepeatVector", "Reshape"]


@register_layer
class Flatten(Layer):
    """(N, ...) to (N, product of the rest), in row-major order.

    With ``data_format="channels_first"`` channels are moved last before, as in Keras, so that
    a dense layer behind it sees the same order in either format.

    Examples
    --------
    >>> Flatten().compute_output_shape((None, 7, 7, 64))
    (None, 3136)
    """

    def __init__(self, data_format: str | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.data_format = windows.data_format(data_format)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input with one row for each of its elements."""
        if self.data_format == "channels_first" and x.ndim > 2:
            x = windows.channels_last(x)
        if training:
            self._save(x.shape)
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient in the shape of the input."""
        (shape,) = self._saved()
        dx = grad.reshape(shape)
        if self.data_format == "channels_first" and dx.ndim > 2:
            dx = windows.channels_first(dx)
        return dx

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, product of the other extents)."""
        return (input_shape[0], _product(input_shape[1:]))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}


@register_layer
class Reshape(Layer):
    """(N, ...) to (N, *target_shape), in row-major order.

    Parameters
    ----------
    target_shape : sequence of int
        Without the batch; one of them may be -1, what is left.
    **options
        See `Layer`.

    Examples
    --------
    >>> Reshape((2, -1)).compute_output_shape((None, 12))
    (None, 2, 6)
    """

    def __init__(self, target_shape: Sequence[int], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        extents = _integers(target_shape)
        if extents is None or any(e < 1 and e != -1 for e in extents) or extents.count(-1) > 1:
            raise ValueError(
                f"target_shape: got {target_shape!r}, expected positive integers, one of which "
                "may be -1"
            )
        self.target_shape = extents

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input in the new shape."""
        if training:
            self._save(x.shape)
        return x.reshape(x.shape[0], *(e or 0 for e in self.compute_output_shape(x.shape)[1:]))

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient in the shape of the input."""
        (shape,) = self._saved()
        return grad.reshape(shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, *target_shape), -1 replaced."""
        size, known = _product(input_shape[1:]), math.prod(abs(e) for e in self.target_shape)
        whole = -1 not in self.target_shape
        if size is not None and (size != known if whole else size % known):
            raise ValueError(
                f"{self.name}: got an input of shape {input_shape}, which does not fit into "
                f"target_shape, {self.target_shape}"
            )
        rest = None if size is None else size // known
        return (input_shape[0], *(rest if e == -1 else e for e in self.target_shape))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "target_shape": list(self.target_shape)}


@register_layer
class Permute(Layer):
    """Axes in another order: y's axis i is x's axis dims[i - 1]; axis 0, the batch, stays.

    Parameters
    ----------
    dims : sequence of int
        1, 2, ... up to the number of axes beside the batch, in the new order.
    **options
        See `Layer`.

    Examples
    --------
    >>> Permute((2, 1)).compute_output_shape((None, 10, 64))
    (None, 64, 10)
    """

    def __init__(self, dims: Sequence[int], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        axes = _integers(dims)
        if axes is None or sorted(axes) != list(range(1, len(axes) + 1)):
            raise ValueError(
                f"dims: got {dims!r}, expected the axes beside the batch, 1 and up, each once"
            )
        self.dims = axes

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input with its axes permuted."""
        self._check(x.shape)
        return x.transpose(0, *self.dims)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient with its axes put back."""
        return grad.transpose(np.argsort((0, *self.dims)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the extents in the new order."""
        self._check(input_shape)
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "dims": list(self.dims)}

    def _check(self, shape: Shape) -> None:
        if len(shape) != len(self.dims) + 1:
            raise ValueError(
                f"{self.name}: got an input of shape {shape}, expected {len(self.dims)} axes "
                "beside the batch"
            )


@register_layer
class RepeatVector(Layer):
    """(N, features) to (N, n, features), n times the same.

    Parameters
    ----------
    n : int
        How many times.
    **options
        See `Layer`.

    Examples
    --------
    >>> RepeatVector(3).compute_output_shape((None, 32))
    (None, 3, 32)
    """

    def __init__(self, n: int, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        (self.n,) = windows.sizes(n, 1, "n")

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input, repeated."""
        self.compute_output_shape(x.shape)
        return np.repeat(x[:, None], self.n, axis=1)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the sum of the gradients."""
        dx: Array = grad.sum(1)
        return dx

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, n, features)."""
        if len(input_shape) != 2:
            raise ValueError(
                f"{self.name}: got an input of shape {input_shape}, expected (batch, features)"
            )
        return (input_shape[0], self.n, input_shape[1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "n": self.n}


def _product(extents: Shape) -> int | None:
    known = [extent for extent in extents if extent is not None]
    return None if len(known) < len(extents) else math.prod(known)


def _integers(values: Sequence[int]) -> tuple[int, ...] | None:
    """Return integers as a tuple, or None where they are something else."""
    try:
        return tuple(operator.index(value) for value in values)
    except TypeError:
        return None
