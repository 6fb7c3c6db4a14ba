"""The rectifier whose slope is learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from fastconv import constraints, initializers, regularizers
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["PReLU"]


@register_layer
class PReLU(Layer):
    """y = x for x > 0, alpha * x else; alpha is learned, one for each element of the input.

    Parameters
    ----------
    alpha_initializer, alpha_regularizer, alpha_constraint
        See `fastconv.initializers`, `fastconv.regularizers` and `fastconv.constraints`.
    shared_axes : sequence of int, optional
        Axes, from 1 on, along which alpha is the same: (1, 2) leaves one a channel of
        channels-last images.
    **options
        See `Layer`.

    Notes
    -----
    Source: K. He et al., Delving deep into rectifiers, ICCV 2015, arXiv 1502.01852.

    Examples
    --------
    >>> layer = PReLU("ones", shared_axes=(1,))
    >>> layer([[-2.0, 3.0]]), layer.count_params()
    (array([[-2.,  3.]], dtype=float32), 1)
    """

    def __init__(
        self,
        alpha_initializer: str | initializers.Initializer = "zeros",
        alpha_regularizer: regularizers.Identifier = None,
        alpha_constraint: constraints.Identifier = None,
        shared_axes: Sequence[int] | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = None if shared_axes is None else tuple(int(a) for a in shared_axes)
        if self.shared_axes is not None and min(self.shared_axes, default=1) < 1:
            raise ValueError(f"shared_axes: got {shared_axes!r}, expected axes from 1 on")

    def build(self, input_shape: Shape) -> None:
        """Create alpha: the shape of an input, 1 along the shared axes."""
        shape = [
            1 if self.shared_axes and axis in self.shared_axes else extent
            for axis, extent in enumerate(input_shape)
        ][1:]
        known = [extent for extent in shape if extent is not None]
        if len(known) < len(shape):
            raise ValueError(
                f"{self.name}: got an input of shape {input_shape}, expected its extents to be "
                "known but along shared_axes"
            )
        self.add_weight(
            "alpha",
            known,
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the output."""
        if training:
            self._save(x)
        y: Array = np.where(x > 0, x, x * self.weight("alpha").array)
        return y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Add to the gradient of alpha; return that of the input."""
        (x,) = self._saved()
        alpha = self.weight("alpha")
        if self.trainable:
            shared = tuple(a + 1 for a, e in enumerate(alpha.array.shape) if e == 1)
            below = np.where(x > 0, x.dtype.type(0), x) * grad
            alpha.accumulate(below.sum((0, *shared), keepdims=True).reshape(alpha.array.shape))
        if not need_input_grad:
            return None
        dx: Array = np.where(x > 0, grad, grad * alpha.array)
        return dx

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": constraints.serialize(self.alpha_constraint),
            "shared_axes": None if self.shared_axes is None else list(self.shared_axes),
        }
