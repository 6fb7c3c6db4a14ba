"""Pooling over everything, in one, two and three dimensions."""

from __future__ import annotations

from typing import Any, Unpack

from fastconv.layers.adaptive_pooling import AdaptivePooling
from fastconv.layers.base import LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = [
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
]


class GlobalPooling(AdaptivePooling):
    """What global pools share: one window, and no spatial axes unless they are to be kept."""

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
        config = super().get_config()
        del config["output_size"]
        return {**config, "keepdims": self.keepdims}


@register_layer
class GlobalAveragePooling1D(GlobalPooling):
    """The mean of each channel: (N, length, C) to (N, C); see `GlobalAveragePooling2D`.

    Examples
    --------
    >>> GlobalAveragePooling1D()([[[1], [2], [6]]])
    array([[3.]], dtype=float32)
    """

    rank = 1
    maximum = False


@register_layer
class GlobalAveragePooling2D(GlobalPooling):
    """The mean of each channel: (N, H, W, C) to (N, C).

    y[n, c] = sum over h, w of x[n, h, w, c] / (H W).

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
class GlobalAveragePooling3D(GlobalPooling):
    """The mean of each channel: (N, D, H, W, C) to (N, C); see `GlobalAveragePooling2D`.

    Examples
    --------
    >>> GlobalAveragePooling3D(keepdims=True)(np.ones((2, 3, 4, 5, 6))).shape
    (2, 1, 1, 1, 6)
    """

    rank = 3
    maximum = False


@register_layer
class GlobalMaxPooling1D(GlobalPooling):
    """The largest element of each channel: (N, length, C) to (N, C).

    See `GlobalMaxPooling2D`.

    Examples
    --------
    >>> GlobalMaxPooling1D()([[[1], [2], [6]]])
    array([[6.]], dtype=float32)
    """

    rank = 1
    maximum = True


@register_layer
class GlobalMaxPooling2D(GlobalPooling):
    """The largest element of each channel: (N, H, W, C) to (N, C).

    y[n, c] = max over h, w of x[n, h, w, c]. NaN wins; on ties the gradient goes to the first
    element in row-major order. The arguments are those of `GlobalAveragePooling2D`.

    Examples
    --------
    >>> GlobalMaxPooling2D()(np.ones((2, 7, 7, 3))).shape
    (2, 3)
    """

    rank = 2
    maximum = True


@register_layer
class GlobalMaxPooling3D(GlobalPooling):
    """The largest element of each channel: (N, D, H, W, C) to (N, C).

    See `GlobalMaxPooling2D`.

    Examples
    --------
    >>> GlobalMaxPooling3D()(np.ones((2, 3, 4, 5, 6))).shape
    (2, 6)
    """

    rank = 3
    maximum = True
