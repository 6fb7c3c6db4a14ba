"""Zeros around signals, images and volumes."""

from __future__ import annotations

from typing import Unpack

from fastconv.layers.base import LayerOptions
from fastconv.layers.bordering import Border, Bordering
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"]


class ZeroPadding(Bordering):
    """What ZeroPadding1D, 2D and 3D share; see `ZeroPadding2D`."""

    argument = "padding"

    def __init__(
        self,
        padding: Border = 1,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(padding, data_format, **options)

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """(before, after) of each axis."""
        return self.border

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input with zeros around it."""
        return self._pad(x)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return what of the gradient is inside."""
        return self._crop(grad) if need_input_grad else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with the padding added."""
        return self._moved(input_shape, 1)


@register_layer
class ZeroPadding1D(ZeroPadding):
    """Zeros before and after: (N, length, C) to (N, before + length + after, C).

    `padding` is one integer for both, or (before, after); the other arguments are those of
    `ZeroPadding2D`.

    Examples
    --------
    >>> ZeroPadding1D((0, 2))([[[1], [3]]])[0, :, 0]
    array([1., 3., 0., 0.], dtype=float32)
    """

    rank = 1


@register_layer
class ZeroPadding2D(ZeroPadding):
    """Zeros around images: (N, H, W, C) to (N, top + H + bottom, left + W + right, C).

    y[n, h, w, c] = x[n, h - top, w - left, c] inside, and 0 outside.

    Parameters
    ----------
    padding : int or sequence
        One integer for all sides, one for each axis, or a (before, after) pair for each:
        ((top, bottom), (left, right)).
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
class ZeroPadding3D(ZeroPadding):
    """Zeros around volumes: (N, D, H, W, C), each spatial extent larger by its padding.

    The arguments are those of `ZeroPadding2D`.

    Examples
    --------
    >>> ZeroPadding3D((0, 1, 1)).compute_output_shape((None, 4, 4, 4, 3))
    (None, 4, 6, 6, 3)
    """

    rank = 3
