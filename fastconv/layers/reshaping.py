"""Layers that move values without changing them."""

from __future__ import annotations

import math
from typing import Any, Unpack

from fastconv.layers import windows
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["Flatten"]


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
        known = [extent for extent in input_shape[1:] if extent is not None]
        unknown = len(known) < len(input_shape) - 1
        return (input_shape[0], None if unknown else math.prod(known))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}
