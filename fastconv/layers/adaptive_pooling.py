"""Pooling to given sizes, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

from fastconv import functional
from fastconv import grad as gradients
from fastconv.layers import windows
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = [
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "AdaptivePooling",
]

_AVERAGE: dict[int, tuple[Callable[..., Any], Callable[..., Array]]] = {
    1: (functional.adaptive_avg_pool1d, gradients.adaptive_avg_pool1d_backward),
    2: (functional.adaptive_avg_pool2d, gradients.adaptive_avg_pool2d_backward),
    3: (functional.adaptive_avg_pool3d, gradients.adaptive_avg_pool3d_backward),
}
_MAX: dict[int, tuple[Callable[..., Any], Callable[..., Array]]] = {
    1: (functional.adaptive_max_pool1d, gradients.max_pool1d_backward),
    2: (functional.adaptive_max_pool2d, gradients.max_pool2d_backward),
    3: (functional.adaptive_max_pool3d, gradients.max_pool3d_backward),
}


class AdaptivePooling(Layer):
    """What adaptive pools, and with an `output_size` of 1 global ones, share.

    See `AdaptiveAveragePooling2D` for the windows.
    """

    rank: ClassVar[int]
    maximum: ClassVar[bool]

    def __init__(
        self,
        output_size: int | Sequence[int],
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.output_size = windows.sizes(output_size, self.rank, "output_size")
        self.data_format = windows.data_format(data_format)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the mean, or the largest element, of each window."""
        self._split(x.shape)
        view = windows.channels_first(x) if self._last else x
        where: Array | None = None
        if training and self.maximum:
            y, where = _MAX[self.rank][0](view, self.output_size, return_indices=True)
        else:
            y = (_MAX if self.maximum else _AVERAGE)[self.rank][0](view, self.output_size)
        if training:
            self._save(where, view.shape, x.shape)
        return windows.channels_last(y) if self._last else y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient of the input."""
        where, size, shape = self._saved()
        if not need_input_grad:
            return None
        dy = windows.channels_first(grad) if self._last else grad
        out = windows.room(grad, shape) if self._last else None
        if self.maximum:
            dx = _MAX[self.rank][1](dy, where, size, out=out)
        else:
            dx = _AVERAGE[self.rank][1](dy, size, out=out)
        return windows.channels_last(dx) if self._last else dx

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape with the spatial extents replaced."""
        channels, _ = self._split(input_shape)
        return windows.join_shape(input_shape[0], channels, self.output_size, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "output_size": list(self.output_size),
            "data_format": self.data_format,
        }

    def _split(self, shape: Shape) -> tuple[int | None, Shape]:
        return windows.split_shape(shape, self.rank, self.data_format, self.name)

    @property
    def _last(self) -> bool:
        return self.data_format == "channels_last"


@register_layer
class AdaptiveAveragePooling1D(AdaptivePooling):
    """Average pooling to `output_size`: (N, length, C) to (N, output_size, C).

    See `AdaptiveAveragePooling2D`.

    Examples
    --------
    >>> AdaptiveAveragePooling1D(2)([[[1], [3], [5]]])[0, :, 0]
    array([2., 4.], dtype=float32)
    """

    rank = 1
    maximum = False


@register_layer
class AdaptiveAveragePooling2D(AdaptivePooling):
    """Average pooling to `output_size`: (N, H, W, C) to (N, *output_size, C).

    Output o of an axis is the mean of its inputs floor(o n / out) to ceil((o + 1) n / out) - 1:
    windows differ by one element at most, and overlap where n is no multiple of out. An output
    may be larger than the input, which repeats elements.

    Parameters
    ----------
    output_size : int or sequence of int
        Extents of the output; one integer for all axes.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Notes
    -----
    Source: K. He, X. Zhang, S. Ren, J. Sun, Spatial pyramid pooling in deep convolutional
    networks for visual recognition, ECCV 2014, arXiv 1406.4729.

    Examples
    --------
    >>> AdaptiveAveragePooling2D((6, 1)).compute_output_shape((None, 13, 13, 256))
    (None, 6, 1, 256)
    """

    rank = 2
    maximum = False


@register_layer
class AdaptiveAveragePooling3D(AdaptivePooling):
    """Average pooling to `output_size`: (N, D, H, W, C) to (N, *output_size, C).

    See `AdaptiveAveragePooling2D`.

    Examples
    --------
    >>> AdaptiveAveragePooling3D(2).compute_output_shape((None, 5, 6, 7, 3))
    (None, 2, 2, 2, 3)
    """

    rank = 3
    maximum = False


@register_layer
class AdaptiveMaxPooling1D(AdaptivePooling):
    """Max pooling to `output_size`: (N, length, C) to (N, output_size, C).

    See `AdaptiveMaxPooling2D`.

    Examples
    --------
    >>> AdaptiveMaxPooling1D(2)([[[1], [3], [5]]])[0, :, 0]
    array([3., 5.], dtype=float32)
    """

    rank = 1
    maximum = True


@register_layer
class AdaptiveMaxPooling2D(AdaptivePooling):
    """Max pooling to `output_size`: (N, H, W, C) to (N, *output_size, C).

    The windows and arguments are those of `AdaptiveAveragePooling2D`; NaN wins, and on ties the
    gradient goes to the first element in row-major order.

    Examples
    --------
    >>> AdaptiveMaxPooling2D(1)(np.arange(4.0).reshape(1, 2, 2, 1))[0, 0, 0]
    array([3.], dtype=float32)
    """

    rank = 2
    maximum = True


@register_layer
class AdaptiveMaxPooling3D(AdaptivePooling):
    """Max pooling to `output_size`: (N, D, H, W, C) to (N, *output_size, C).

    See `AdaptiveMaxPooling2D`.

    Examples
    --------
    >>> AdaptiveMaxPooling3D(1)(np.arange(8.0).reshape(1, 2, 2, 2, 1))[0, 0, 0, 0]
    array([7.], dtype=float32)
    """

    rank = 3
    maximum = True
