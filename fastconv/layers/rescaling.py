"""Layers that bring images into the range that a network expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array

__all__ = ["Normalization", "Rescaling"]


@register_layer
class Rescaling(Layer):
    """y = x * scale + offset.

    Parameters
    ----------
    scale, offset : float or sequence of float
        One number, or one for each index of the last axis.
    **options
        See `Layer`.

    Examples
    --------
    >>> Rescaling(1 / 255)(np.array([[0, 255]], np.uint8))
    array([[0., 1.]], dtype=float32)
    """

    def __init__(
        self,
        scale: float | Sequence[float],
        offset: float | Sequence[float] = 0.0,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.scale, self.offset = np.asarray(scale, np.float64), np.asarray(offset, np.float64)
        for argument, value in (("scale", self.scale), ("offset", self.offset)):
            if value.ndim > 1 or not np.isfinite(value).all():
                raise ValueError(
                    f"{argument}: got {value}, expected a number or a sequence of them"
                )

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the rescaled input."""
        y: Array = x * self.scale.astype(x.dtype)
        y += self.offset.astype(x.dtype)
        return y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient times scale."""
        dx: Array = grad * self.scale.astype(grad.dtype)
        return dx

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "scale": self.scale.tolist(),
            "offset": self.offset.tolist(),
        }


@register_layer
class Normalization(Layer):
    """y = (x - mean) / sqrt(variance), or back again, for each index of `axis`.

    Parameters
    ----------
    axis : int, sequence of int or None
        The axes that have a mean of their own for each index; None: one for all.
    mean, variance : array_like, optional
        With the shape of these axes. Without, `adapt` computes them.
    invert : bool
        Whether to return x * sqrt(variance) + mean instead.
    **options
        See `Layer`.

    Examples
    --------
    >>> layer = Normalization()
    >>> layer.adapt(np.array([[0.0, 1.0], [2.0, 5.0]]))
    >>> layer(np.array([[0.0, 1.0]]))
    array([[-1., -1.]], dtype=float32)
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: ArrayLike | None = None,
        variance: ArrayLike | None = None,
        invert: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        if (mean is None) != (variance is None):
            raise ValueError("variance: expected mean and variance, or neither")
        self.axis = axis if axis is None or isinstance(axis, int) else tuple(axis)
        self.mean = None if mean is None else np.asarray(mean, np.float64)
        self.variance = None if variance is None else np.asarray(variance, np.float64)
        self.invert = bool(invert)

    def adapt(self, data: ArrayLike) -> None:
        """Take mean and variance of these inputs."""
        x = np.asarray(data, np.float64)
        kept = self._kept(x.ndim)
        over = tuple(axis for axis in range(x.ndim) if axis not in kept)
        self.mean, self.variance = x.mean(over), x.var(over)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the normalized input."""
        mean, scale = self._broadcast(x)
        if self.invert:
            y: Array = x * scale + mean
            return y
        y = (x - mean) * scale
        return y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient, scaled likewise."""
        dx: Array = grad * self._broadcast(grad)[1]
        return dx

    def _kept(self, rank: int) -> tuple[int, ...]:
        if self.axis is None:
            return ()
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        return tuple(sorted(axis % rank for axis in axes))

    def _broadcast(self, x: Array) -> tuple[Array, Array]:
        """Return the mean, and what to multiply by, shaped to the input."""
        if self.mean is None or self.variance is None:
            raise RuntimeError(f"layer {self.name!r}: adapt(data) it first, or give mean, variance")
        kept = self._kept(x.ndim)
        shape = [x.shape[axis] if axis in kept else 1 for axis in range(x.ndim)]
        mean, variance = (
            np.broadcast_to(v, [x.shape[axis] for axis in kept]).reshape(shape)
            for v in (self.mean, self.variance)
        )
        stddev = np.maximum(np.sqrt(variance), 1e-7)
        scale = stddev if self.invert else 1 / stddev
        return mean.astype(x.dtype), scale.astype(x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "axis": self.axis if self.axis is None or isinstance(self.axis, int) else [*self.axis],
            "mean": None if self.mean is None else self.mean.tolist(),
            "variance": None if self.variance is None else self.variance.tolist(),
            "invert": self.invert,
        }
