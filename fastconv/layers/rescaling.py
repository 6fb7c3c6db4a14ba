"""Layers that bring images into the range that a network expects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["Normalization", "Rescaling"]

#: The least standard deviation that is divided by, as in Keras.
EPSILON = 1e-7


@register_layer
class Rescaling(Layer):
    """y = x * scale + offset.

    Parameters
    ----------
    scale, offset : float or array_like
        One number; or one for each index of the last axis; or an array that broadcasts to the
        input, such as (C, 1, 1) for channels before height and width.
    **options
        See `Layer`.

    Examples
    --------
    >>> Rescaling(1 / 255)(np.array([[0, 255]], np.uint8))
    array([[0., 1.]], dtype=float32)
    """

    def __init__(
        self,
        scale: ArrayLike,
        offset: ArrayLike = 0.0,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.scale, self.offset = _numbers("scale", scale), _numbers("offset", offset)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the same shape, to which scale and offset have to broadcast."""
        for argument, value in (("scale", self.scale), ("offset", self.offset)):
            extents = zip(reversed(value.shape), reversed(input_shape), strict=False)
            if value.ndim > len(input_shape) or any(n not in (1, e or n) for n, e in extents):
                raise ValueError(
                    f"{argument}: got shape {value.shape}, which does not broadcast to the input "
                    f"of {self.name!r}, {input_shape}"
                )
        return input_shape

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the rescaled input."""
        self.compute_output_shape(x.shape)
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

    Mean and variance are given, or taken of data by `adapt`; training does not change them.

    Parameters
    ----------
    axis : int, sequence of int or None
        The axes that have a mean of their own for each index; None: one for all.
    mean, variance : array_like, optional
        With the shape of these axes, or one that broadcasts to it. Without, `adapt` computes
        them.
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
        axes = axis if isinstance(axis, Sequence) else () if axis is None else (axis,)
        if not all(isinstance(a, int | np.integer) and not isinstance(a, bool) for a in axes):
            raise ValueError(f"axis: got {axis!r}, expected an integer, some, or None")
        self.axis = tuple(int(a) for a in axes)
        if (mean is None) != (variance is None):
            raise ValueError("variance: expected mean and variance, or neither")
        self.mean = None if mean is None else _numbers("mean", mean)
        self.variance = None if variance is None else _numbers("variance", variance)
        if self.variance is not None and (self.variance < 0).any():
            raise ValueError(f"variance: got {variance!r}, expected no negative numbers")
        self.invert = bool(invert)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the same shape, which has to have the axes."""
        self._kept(len(input_shape))
        return input_shape

    def adapt(self, data: ArrayLike | Iterable[Any]) -> None:
        """Take mean and variance of these inputs.

        Parameters
        ----------
        data : array_like, or iterable of arrays
            All inputs in one, or batches of them; a batch may also be (inputs, targets).

        Examples
        --------
        >>> layer = Normalization(None)
        >>> layer.adapt(np.array([[float(i)], [float(i + 1)]]) for i in (0, 2))
        >>> layer.mean, layer.variance
        (array(1.5), array(1.25))
        """
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for x in _batches(data):
            kept = self._kept(x.ndim)
            over = tuple(axis for axis in range(x.ndim) if axis not in kept)
            size = math.prod(x.shape[axis] for axis in over)
            if not x.size:
                continue
            its_mean, its_variance = x.mean(over, np.float64), x.var(over, np.float64)
            if count and its_mean.shape != mean.shape:
                raise ValueError(
                    f"data: got a batch with extents {its_mean.shape} of axis {self.axis}, after "
                    f"one with {mean.shape}"
                )
            apart = its_mean - mean
            squares = squares + its_variance * size + apart**2 * (count * size / (count + size))
            mean = mean + apart * (size / (count + size))
            count += size
        if not count:
            raise ValueError("data: got no inputs, expected some")
        self.mean, self.variance = np.asarray(mean), np.asarray(squares / count)

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
        if not all(-rank <= axis < rank for axis in self.axis):
            raise ValueError(f"axis: got {self.axis}, but the input has {rank} axes")
        return tuple(sorted({axis % rank for axis in self.axis}))

    def _broadcast(self, x: Array) -> tuple[Array, Array]:
        """Return the mean, and what to multiply by, shaped to the input."""
        if self.mean is None or self.variance is None:
            raise RuntimeError(f"layer {self.name!r}: adapt(data) it first, or give mean, variance")
        kept = self._kept(x.ndim)
        extents = tuple(x.shape[axis] for axis in kept)
        shape = [extent if axis in kept else 1 for axis, extent in enumerate(x.shape)]
        try:
            mean, variance = (
                np.broadcast_to(v, extents).reshape(shape) for v in (self.mean, self.variance)
            )
        except ValueError:
            raise ValueError(
                f"mean: got shape {self.mean.shape}, variance of {self.variance.shape}; expected "
                f"{extents}, the input's extents of axis {self.axis}"
            ) from None
        stddev = np.maximum(np.sqrt(variance), EPSILON)
        scale = stddev if self.invert else 1 / stddev
        return mean.astype(x.dtype), scale.astype(x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, and what `adapt` found in their place."""
        return {
            **super().get_config(),
            "axis": list(self.axis),
            "invert": self.invert,
            "mean": None,
            "variance": None,
            **self.get_state(),
        }

    def get_state(self) -> dict[str, Any]:
        """Return what `adapt` found."""
        if self.mean is None or self.variance is None:
            return {}
        return {"mean": self.mean.tolist(), "variance": self.variance.tolist()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Bring back what `get_state` returned."""
        if "mean" in state:
            self.mean = _numbers("mean", state["mean"])
            self.variance = _numbers("variance", state["variance"])


def _numbers(argument: str, value: ArrayLike) -> Array:
    """Return finite numbers as float64."""
    try:
        numbers = np.asarray(value)
    except ValueError:  # sequences of different lengths
        numbers = np.asarray(None)
    if numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
        raise ValueError(f"{argument}: got {value!r}, expected a number or an array of them")
    return numbers.astype(np.float64)


def _batches(data: ArrayLike | Iterable[Any]) -> Iterator[Array]:
    """Yield one array, or the inputs of each batch."""
    if hasattr(data, "shape") or (isinstance(data, Sequence) and not any(map(_is_batch, data))):
        yield np.asarray(data)
    else:
        for batch in data:  # type: ignore[union-attr]
            yield np.asarray(batch[0] if isinstance(batch, tuple) else batch)


def _is_batch(x: Any) -> bool:
    inputs = x[0] if isinstance(x, tuple) and x else x
    return getattr(inputs, "ndim", 0) > 0
