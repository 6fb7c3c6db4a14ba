"""Zeros around images, and images without their borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias, Unpack

import numpy as np

from fastconv.layers import windows
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = [
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]

Border: TypeAlias = int | Sequence[int | Sequence[int]]


class _Border(Layer):
    """A layer that adds or takes away (before, after) of each spatial axis."""

    rank: ClassVar[int]

    def __init__(
        self,
        argument: str,
        border: Border,
        data_format: str | None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        if self.rank == 1 and isinstance(border, Sequence) and len(border) == 2:
            border = (border,)  # type: ignore[assignment] # (before, after), as in Keras
        try:
            pairs = windows.padding(border, self.rank) if not isinstance(border, str) else ""
        except ValueError:
            pairs = ""
        if isinstance(pairs, str):
            raise ValueError(
                f"{argument}: got {border!r}, expected a non-negative integer, or {self.rank} "
                "integers or (before, after) pairs"
            )
        self.border = pairs
        self.data_format = windows.data_format(data_format)

    def _slices(self, extents: Sequence[int]) -> tuple[slice, ...]:
        """Return what is inside the border of an array of this layer's data format."""
        inner = [
            slice(before, extent - after)
            for (before, after), extent in zip(self.border, extents, strict=True)
        ]
        if self.data_format == "channels_last":
            return (slice(None), *inner, slice(None))
        return (slice(None), slice(None), *inner)

    def _spatial(self, shape: Sequence[int]) -> Sequence[int]:
        return shape[1:-1] if self.data_format == "channels_last" else shape[2:]

    def _pad(self, x: Array) -> Array:
        inner = self._spatial(x.shape)
        outer = [e + b + a for e, (b, a) in zip(inner, self.border, strict=True)]
        last = self.data_format == "channels_last"
        shape = (len(x), *outer, x.shape[-1]) if last else (*x.shape[:2], *outer)
        y = np.zeros(shape, x.dtype)
        y[self._slices(outer)] = x
        return y

    def _crop(self, x: Array) -> Array:
        return np.ascontiguousarray(x[self._slices(self._spatial(x.shape))])

    def _moved(self, input_shape: Shape, sign: int) -> Shape:
        channels, spatial = windows.split_shape(input_shape, self.rank, self.data_format, self.name)
        out = tuple(
            None if e is None else e + sign * (b + a)
            for e, (b, a) in zip(spatial, self.border, strict=True)
        )
        if any(extent is not None and extent < 1 for extent in out):
            raise ValueError(
                f"{self.name}: got an input of shape {input_shape}, of which cropping by "
                f"{self.border} leaves nothing"
            )
        return windows.join_shape(input_shape[0], channels, out, self.data_format)


class _ZeroPadding(_Border):
    """See `ZeroPadding2D`."""

    def __init__(
        self,
        padding: Border = 1,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__("padding", padding, data_format, **options)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input with zeros around it."""
        return self._pad(x)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return what of the gradient is inside."""
        return self._crop(grad) if need_input_grad else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with the padding added."""
        return self._moved(input_shape, 1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        pairs = [list(pair) for pair in self.border]
        return {**super().get_config(), "padding": pairs, "data_format": self.data_format}


class _Cropping(_Border):
    """See `Cropping2D`."""

    def __init__(
        self,
        cropping: Border = 0,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__("cropping", cropping, data_format, **options)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return what of the input is inside."""
        return self._crop(x)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient with zeros around it."""
        return self._pad(grad) if need_input_grad else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with the border taken away."""
        return self._moved(input_shape, -1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        pairs = [list(pair) for pair in self.border]
        return {**super().get_config(), "cropping": pairs, "data_format": self.data_format}


@register_layer
class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after: (N, length, C) to (N, length + before + after, C).

    `padding` is one integer for both, or (before, after).

    Examples
    --------
    >>> ZeroPadding1D((0, 2)).compute_output_shape((None, 10, 3))
    (None, 12, 3)
    """

    rank = 1


@register_layer
class ZeroPadding2D(_ZeroPadding):
    """Zeros around images: (N, H, W, C) to (N, H + top + bottom, W + left + right, C).

    Parameters
    ----------
    padding : int or sequence
        One integer for all sides, one for each axis, or a (before, after) pair for each.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Examples
    --------
    >>> ZeroPadding2D(((1, 0), (2, 2))).compute_output_shape((None, 4, 4, 3))
    (None, 5, 8, 3)
    """

    rank = 2


@register_layer
class ZeroPadding3D(_ZeroPadding):
    """Zeros around volumes; see `ZeroPadding2D`.

    Examples
    --------
    >>> ZeroPadding3D((0, 1, 1)).compute_output_shape((None, 4, 4, 4, 3))
    (None, 4, 6, 6, 3)
    """

    rank = 3


@register_layer
class Cropping1D(_Cropping):
    """Without some elements before and after: (N, length, C) to (N, length - both, C).

    `cropping` is one integer for both, or (before, after).

    Examples
    --------
    >>> Cropping1D((0, 2)).compute_output_shape((None, 10, 3))
    (None, 8, 3)
    """

    rank = 1


@register_layer
class Cropping2D(_Cropping):
    """Images without their borders: (N, H, W, C) to (N, H - top - bottom, W - left - right, C).

    Parameters
    ----------
    cropping : int or sequence
        One integer for all sides, one for each axis, or a (before, after) pair for each.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Examples
    --------
    >>> Cropping2D(((1, 0), (2, 2))).compute_output_shape((None, 5, 8, 3))
    (None, 4, 4, 3)
    """

    rank = 2


@register_layer
class Cropping3D(_Cropping):
    """Volumes without their borders; see `Cropping2D`.

    Examples
    --------
    >>> Cropping3D((0, 1, 1)).compute_output_shape((None, 4, 6, 6, 3))
    (None, 4, 4, 4, 3)
    """

    rank = 3
