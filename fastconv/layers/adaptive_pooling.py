"""Pooling to given sizes, and over everything."""

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
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
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


class _Adaptive(Layer):
    """Pooling to `sizes`; see `AdaptiveAveragePooling2D` for the windows."""

    rank: ClassVar[int]
    maximum: ClassVar[bool]

    def __init__(
        self, sizes: tuple[int, ...], data_format: str | None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        self.sizes = sizes
        self.data_format = windows.data_format(data_format)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the mean, or the largest element, of each window."""
        view = windows.channels_first(x) if self._last else x
        where: Array | None = None
        if training and self.maximum:
            y, where = _MAX[self.rank][0](view, self.sizes, return_indices=True)
        else:
            y = (_MAX if self.maximum else _AVERAGE)[self.rank][0](view, self.sizes)
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
        channels, _ = windows.split_shape(input_shape, self.rank, self.data_format, self.name)
        return windows.join_shape(input_shape[0], channels, self.sizes, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}

    @property
    def _last(self) -> bool:
        return self.data_format == "channels_last"


class _ToSize(_Adaptive):
    """Pooling to the extents that the user gives."""

    def __init__(
        self,
        output_size: int | Sequence[int],
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            windows.sizes(output_size, self.rank, "output_size"), data_format, **options
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "output_size": list(self.sizes)}


class _Global(_Adaptive):
    """Pooling to one value a channel, without the spatial axes unless they are to be kept."""

    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__((1,) * self.rank, data_format, **options)
        self.keepdims = bool(keepdims)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the mean, or the largest element, of each channel."""
        y = super().forward(x, training)
        return y if self.keepdims else y.reshape(len(y), y.shape[-1] if self._last else y.shape[1])

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient of the input."""
        if not self.keepdims:
            ones = (1,) * self.rank
            channels = grad.shape[1:]
            shape = (*ones, *channels) if self._last else (*channels, *ones)
            grad = grad.reshape(len(grad), *shape)
        return super().backward(grad, need_input_grad)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, channels), or with `keepdims` extents of 1 as well."""
        shape = super().compute_output_shape(input_shape)
        channels = shape[-1] if self._last else shape[1]
        return shape if self.keepdims else (shape[0], channels)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "keepdims": self.keepdims}


@register_layer
class AdaptiveAveragePooling1D(_ToSize):
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
class AdaptiveAveragePooling2D(_ToSize):
    """Average pooling to `output_size`: (N, H, W, C) to (N, *output_size, C).

    Output o of an axis is the mean of its inputs floor(o n / out) to ceil((o + 1) n / out) - 1:
    windows differ by one element at most, and overlap where n is no multiple of out.

    Parameters
    ----------
    output_size : int or sequence of int
        Extents of the output.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Examples
    --------
    >>> AdaptiveAveragePooling2D((6, 1)).compute_output_shape((None, 13, 13, 256))
    (None, 6, 1, 256)
    """

    rank = 2
    maximum = False


@register_layer
class AdaptiveAveragePooling3D(_ToSize):
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
class AdaptiveMaxPooling1D(_ToSize):
    """Max pooling to `output_size`, in the windows of `AdaptiveAveragePooling2D`.

    Examples
    --------
    >>> AdaptiveMaxPooling1D(2)([[[1], [3], [5]]])[0, :, 0]
    array([3., 5.], dtype=float32)
    """

    rank = 1
    maximum = True


@register_layer
class AdaptiveMaxPooling2D(_ToSize):
    """Max pooling to `output_size`, in the windows of `AdaptiveAveragePooling2D`.

    Examples
    --------
    >>> AdaptiveMaxPooling2D(1)(np.arange(4.0).reshape(1, 2, 2, 1))[0, 0, 0]
    array([3.], dtype=float32)
    """

    rank = 2
    maximum = True


@register_layer
class AdaptiveMaxPooling3D(_ToSize):
    """Max pooling to `output_size`, in the windows of `AdaptiveAveragePooling2D`.

    Examples
    --------
    >>> AdaptiveMaxPooling3D(1)(np.arange(8.0).reshape(1, 2, 2, 2, 1))[0, 0, 0, 0]
    array([7.], dtype=float32)
    """

    rank = 3
    maximum = True


@register_layer
class GlobalAveragePooling1D(_Global):
    """The mean of each channel: (N, length, C) to (N, C); see `GlobalAveragePooling2D`.

    Examples
    --------
    >>> GlobalAveragePooling1D()([[[1], [2], [6]]])
    array([[3.]], dtype=float32)
    """

    rank = 1
    maximum = False


@register_layer
class GlobalAveragePooling2D(_Global):
    """The mean of each channel: (N, H, W, C) to (N, C).

    Parameters
    ----------
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    keepdims : bool
        Whether the result is (N, 1, 1, C), or (N, C, 1, 1) channels-first.
    **options
        See `Layer`.

    Notes
    -----
    Source: M. Lin, Q. Chen, S. Yan, Network in network, ICLR 2014, arXiv 1312.4400.

    Examples
    --------
    >>> GlobalAveragePooling2D()(np.ones((2, 7, 7, 3))).shape
    (2, 3)
    """

    rank = 2
    maximum = False


@register_layer
class GlobalAveragePooling3D(_Global):
    """The mean of each channel: (N, D, H, W, C) to (N, C); see `GlobalAveragePooling2D`.

    Examples
    --------
    >>> GlobalAveragePooling3D(keepdims=True)(np.ones((2, 3, 4, 5, 6))).shape
    (2, 1, 1, 1, 6)
    """

    rank = 3
    maximum = False


@register_layer
class GlobalMaxPooling1D(_Global):
    """The largest element of each channel: (N, length, C) to (N, C).

    See `GlobalAveragePooling2D`.

    Examples
    --------
    >>> GlobalMaxPooling1D()([[[1], [2], [6]]])
    array([[6.]], dtype=float32)
    """

    rank = 1
    maximum = True


@register_layer
class GlobalMaxPooling2D(_Global):
    """The largest element of each channel: (N, H, W, C) to (N, C).

    See `GlobalAveragePooling2D`.

    Examples
    --------
    >>> GlobalMaxPooling2D()(np.ones((2, 7, 7, 3))).shape
    (2, 3)
    """

    rank = 2
    maximum = True


@register_layer
class GlobalMaxPooling3D(_Global):
    """The largest element of each channel: (N, D, H, W, C) to (N, C).

    See `GlobalAveragePooling2D`.

    Examples
    --------
    >>> GlobalMaxPooling3D()(np.ones((2, 3, 4, 5, 6))).shape
    (2, 6)
    """

    rank = 3
    maximum = True
