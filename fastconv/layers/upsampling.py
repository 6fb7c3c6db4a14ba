"""Images made larger by whole factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
        channels, spatial = windows.split_shape(input_shape, self.rank, self.data_format, self.name)
        out = tuple(None if e is None else e * s for e, s in zip(spatial, self.size, strict=True))
        return windows.join_shape(input_shape[0], channels, out, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "size": list(self.size), "data_format": self.data_format}

    @property
    def _axes(self) -> list[tuple[int, int]]:
        """The spatial axes, with their factors."""
        first = 1 if self.data_format == "channels_last" else 2
        return [(first + i, size) for i, size in enumerate(self.size)]


@register_layer
class UpSampling1D(UpSampling):
    """Each step repeated `size` times: (N, length, C) to (N, length * size, C).

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

    ``"nearest"`` repeats each pixel. ``"bilinear"`` interpolates between the centres of pixels:
    output o lies at (o + 1/2) / size - 1/2, clamped to the image, along each axis.

    Parameters
    ----------
    size : int or sequence of int
        The factors.
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
        if interpolation not in ("nearest", "bilinear"):
            raise ValueError(
                f"interpolation: got {interpolation!r}, expected 'nearest' or 'bilinear'"
            )
        self.interpolation = interpolation

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the larger images."""
        if self.interpolation == "nearest":
            return super().forward(x, training)
        for axis, size in self._axes:
            x = _along(_between(x.shape[axis], size, x.dtype), x, axis)
        return x

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return for each pixel the sum over the outputs that it is part of, by its weights."""
        if self.interpolation == "nearest" or not need_input_grad:
            return super().backward(grad, need_input_grad)
        for axis, size in self._axes:
            grad = _along(_between(grad.shape[axis] // size, size, grad.dtype).T, grad, axis)
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


def _between(extent: int, size: int, dtype: np.dtype[Any]) -> Array:
    """Return the matrix (extent * size, extent) that interpolates linearly along an axis."""
    at = np.clip((np.arange(extent * size) + 0.5) / size - 0.5, 0, extent - 1)
    low = np.floor(at).astype(int)
    matrix = np.zeros((extent * size, extent), dtype)
    rows = np.arange(len(at))
    np.add.at(matrix, (rows, low), 1 - (at - low))
    np.add.at(matrix, (rows, np.minimum(low + 1, extent - 1)), at - low)
    return matrix


def _along(matrix: Array, x: Array, axis: int) -> Array:
    """Multiply an axis by a matrix."""
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    columns = x.reshape(math.prod(before), x.shape[axis], math.prod(after))
    product: Array = matrix @ columns
    return product.reshape(*before, len(matrix), *after)
