"""Signals, images and volumes without their borders."""

from __future__ import annotations

from typing import Unpack

from fastconv.layers.base import LayerOptions
from fastconv.layers.bordering import Border, Bordering
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["Cropping1D", "Cropping2D", "Cropping3D"]


class Cropping(Bordering):
    """What Cropping1D, 2D and 3D share; see `Cropping2D`."""

    argument = "cropping"

    def __init__(
        self,
        cropping: Border = 1,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(cropping, data_format, **options)

    @property
    def cropping(self) -> tuple[tuple[int, int], ...]:
        """(before, after) of each axis."""
        return self.border

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return what of the input is inside."""
        self.compute_output_shape(x.shape)
        return self._crop(x)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient with zeros around it."""
        return self._pad(grad) if need_input_grad else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with the border taken away."""
        shape = self._moved(input_shape, -1)
        if any(extent is not None and extent < 1 for extent in shape[1:]):
            raise ValueError(
                f"{self.name}: got an input of shape {input_shape}, of which cropping by "
                f"{self.border} leaves nothing"
            )
        return shape


@register_layer
class Cropping1D(Cropping):
    """Without some steps before and after: (N, length, C) to (N, length - both, C).

    `cropping` is one integer for both, 1 by default, or (before, after); the other arguments
    are those of `Cropping2D`.

    Examples
    --------
    >>> Cropping1D((0, 2))([[[1], [3], [2], [0]]])[0, :, 0]
    array([1., 3.], dtype=float32)
    """

    rank = 1


@register_layer
class Cropping2D(Cropping):
    """Images without their borders: (N, H, W, C) to (N, H - top - bottom, W - left - right, C).

    y[n, h, w, c] = x[n, h + top, w + left, c].

    Parameters
    ----------
    cropping : int or sequence
        One integer for all sides, one for each axis, or a (before, after) pair for each:
        ((top, bottom), (left, right)). Nothing by default, as in Keras, where only the layers
        for signals and volumes crop 1 by default.
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

    def __init__(
        self,
        cropping: Border = 0,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(cropping, data_format, **options)


@register_layer
class Cropping3D(Cropping):
    """Volumes without their borders: (N, D, H, W, C), each spatial extent smaller by both sides.

    The arguments are those of `Cropping2D`; by default 1 is cropped on every side.

    Examples
    --------
    >>> Cropping3D((0, 1, 1)).compute_output_shape((None, 4, 6, 6, 3))
    (None, 4, 4, 4, 3)
    """

    rank = 3
