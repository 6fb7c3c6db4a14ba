"""Images made larger by whole factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Unpack

import numpy as np

from fastconv import functional
from fastconv.layers import windows
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["UpSampling1D", "UpSampling2D", "UpSampling3D"]

_MEAN: dict[int, Callable[..., Array]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}

_INTERPOLATIONS = ("nearest", "bilinear")


class UpSampling(Layer):
    """What UpSampling1D, 2D and 3D share: each element repeated along the spatial axes."""

    rank: ClassVar[int]

    def __init__(
        self,
        size: int | Sequence[int] = 2,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.size = windows.sizes(size, self.rank, "size")
        self.data_format = windows.data_format(data_format)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input, each element repeated."""
        self._split(x.shape)
        y = x
        for axis, times in self._axes:
            y = np.repeat(y, times, axis) if times > 1 else y
        return y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return for each element the sum over its copies: their mean times their number."""
        if not need_input_grad:
            return None
        last = self.data_format == "channels_last"
        dx = _MEAN[self.rank](windows.channels_first(grad) if last else grad, self.size)
        dx *= grad.dtype.type(math.prod(self.size))
        return windows.channels_last(dx) if last else dx

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with its spatial extents multiplied."""
        channels, spatial = self._split(input_shape)
        out = tuple(None if e is None else e * s for e, s in zip(spatial, self.size, strict=True))
        return windows.join_shape(input_shape[0], channels, out, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "size": list(self.size), "data_format": self.data_format}

    def _split(self, shape: Shape) -> tuple[int | None, Shape]:
        return windows.split_shape(shape, self.rank, self.data_format, self.name)

    @property
    def _axes(self) -> list[tuple[int, int]]:
        """The spatial axes, with their factors."""
        first = 1 if self.data_format == "channels_last" else 2
        return [(first + i, size) for i, size in enumerate(self.size)]


@register_layer
class UpSampling1D(UpSampling):
    """Each step repeated `size` times: (N, length, C) to (N, length * size, C).

    As in Keras it is channels-last only.

    Examples
    --------
    >>> UpSampling1D(2)([[[1], [2]]])[0, :, 0]
    array([1., 1., 2., 2.], dtype=float32)
    """

    rank = 1

    def __init__(self, size: int = 2, **options: Unpack[LayerOptions]) -> None:
        super().__init__(size, None, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["data_format"]
        return {**config, "size": self.size[0]}


@register_layer
class UpSampling2D(UpSampling):
    """Images made larger: (N, H, W, C) to (N, H * size[0], W * size[1], C).

    ``"nearest"`` repeats each pixel: y[n, h, w, c] = x[n, h // size[0], w // size[1], c].
    ``"bilinear"`` interpolates between the centres of pixels: output o lies at
    (o + 1/2) / size - 1/2, clamped to the image, along each axis. The other interpolations of
    Keras, bicubic and Lanczos, are not available.

    Parameters
    ----------
    size : int or sequence of int
        The factors; one integer for both axes.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    interpolation : {"nearest", "bilinear"}
        See above.
    **options
        See `Layer`.

    Examples
    --------
    >>> UpSampling2D((1, 2), interpolation="bilinear")([[[[0], [4]]]])[0, 0, :, 0]
    array([0., 1., 3., 4.], dtype=float32)
    """

    rank = 2

    def __init__(
        self,
        size: int | Sequence[int] = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(size, data_format, **options)
        if not isinstance(interpolation, str) or interpolation.lower() not in _INTERPOLATIONS:
            raise ValueError(
                f"interpolation: got {interpolation!r}, expected 'nearest' or 'bilinear'"
            )
        self.interpolation = interpolation.lower()

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the larger images."""
        if self.interpolation == "nearest":
            return super().forward(x, training)
        self._split(x.shape)
        for axis, size in self._axes:
            x = _interpolated(x, axis, size)
        return x

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return for each pixel the sum over the outputs that it is part of, by its weights."""
        if self.interpolation == "nearest" or not need_input_grad:
            return super().backward(grad, need_input_grad)
        for axis, size in self._axes:
            grad = _interpolated_backward(grad, axis, size)
        return grad

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "interpolation": self.interpolation}


@register_layer
class UpSampling3D(UpSampling):
    """Each voxel repeated: (N, D, H, W, C) to (N, D * size[0], H * size[1], W * size[2], C).

    The arguments are `size` and `data_format` of `UpSampling2D`.

    Examples
    --------
    >>> UpSampling3D((1, 2, 3)).compute_output_shape((None, 4, 4, 4, 2))
    (None, 4, 8, 12, 2)
    """

    rank = 3


def _parts(size: int) -> Iterator[tuple[int, float, slice, slice]]:
    """Yield what outputs are sums of: (phase, weight, outputs, inputs).

    Output ``size * i + phase`` lies between the centres of pixel i and of one neighbour, always
    at the same place, so that slices of whole images serve. Beside the border the neighbour is
    the pixel itself.
    """
    for phase in range(size):
        shift = (phase + 0.5) / size - 0.5
        yield phase, 1 - abs(shift), slice(None), slice(None)
        if shift < 0:
            yield phase, -shift, slice(1, None), slice(None, -1)
            yield phase, -shift, slice(None, 1), slice(None, 1)
        elif shift > 0:
            yield phase, shift, slice(None, -1), slice(1, None)
            yield phase, shift, slice(-1, None), slice(-1, None)


def _interpolated(x: Array, axis: int, size: int) -> Array:
    """Return an array made larger along an axis."""
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    y: Array = np.zeros((*before, size, *after), x.dtype)
    every: tuple[Any, ...] = (slice(None),) * axis
    for phase, weight, outputs, inputs in _parts(size):
        y[(*every, outputs, phase)] += weight * x[(*every, inputs)]
    return y.reshape(*before[:-1], before[-1] * size, *after)


def _interpolated_backward(grad: Array, axis: int, size: int) -> Array:
    """Return the gradient of the input of `_interpolated`."""
    before, after = grad.shape[:axis], grad.shape[axis + 1 :]
    extent = grad.shape[axis] // size
    dy = grad.reshape(*before, extent, size, *after)
    dx: Array = np.zeros((*before, extent, *after), grad.dtype)
    every: tuple[Any, ...] = (slice(None),) * axis
    for phase, weight, outputs, inputs in _parts(size):
        dx[(*every, inputs)] += weight * dy[(*every, outputs, phase)]
    return dx
