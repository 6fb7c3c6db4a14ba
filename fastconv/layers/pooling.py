"""What pools share, and max pooling in one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

from fastconv import functional, grad
from fastconv.layers import windows
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Pooling"]

#: Pooling, and its gradients from an argmax and from indices.
_KERNELS: dict[int, tuple[Callable[..., Any], Callable[..., Array], Callable[..., Array]]] = {
    1: (functional.max_pool1d, grad.max_pool1d_argmax_backward, grad.max_pool1d_backward),
    2: (functional.max_pool2d, grad.max_pool2d_argmax_backward, grad.max_pool2d_backward),
    3: (functional.max_pool3d, grad.max_pool3d_argmax_backward, grad.max_pool3d_backward),
}

#: The largest window whose positions fit an argmax.
_MOST_OF_ARGMAX = 255


class Pooling(Layer):
    """What max and average pooling share; see `MaxPooling2D` for the arguments."""

    rank: ClassVar[int]

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str | int | Sequence[int | Sequence[int]] = "valid",
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.pool_size = windows.sizes(pool_size, self.rank, "pool_size")
        self.strides = (
            self.pool_size if strides is None else windows.sizes(strides, self.rank, "strides")
        )
        self.padding = windows.padding(padding, self.rank)
        self.data_format = windows.data_format(data_format)
        if not isinstance(self.padding, str) and any(
            max(pair) > size // 2 for pair, size in zip(self.padding, self.pool_size, strict=True)
        ):
            raise ValueError(
                f"padding: got {padding!r}, expected at most half of pool_size, {self.pool_size}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape with its spatial extents pooled."""
        channels, spatial = self._split(input_shape)
        out = windows.output_sizes(spatial, *self._geometry, self.name)
        return windows.join_shape(input_shape[0], channels, out, self.data_format)

    def notes(self, input_shape: Shape) -> list[str]:
        """Say where a stride does not fit."""
        return windows.leftovers(self._split(input_shape)[1], *self._geometry)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
        }

    def _view(self, x: Array) -> Array:
        """View an array of this layer's data format as (N, C, spatial...)."""
        return windows.channels_first(x) if self.data_format == "channels_last" else x

    def _put(self, x: Array) -> Array:
        """View (N, C, spatial...) in this layer's data format."""
        return windows.channels_last(x) if self.data_format == "channels_last" else x

    def _room(self, grad: Array, shape: Shape) -> Array | None:
        return windows.room(grad, shape) if self.data_format == "channels_last" else None

    def _split(self, shape: Shape) -> tuple[int | None, Shape]:
        return windows.split_shape(shape, self.rank, self.data_format, self.name)

    @property
    def _window(self) -> tuple[tuple[int, ...], tuple[int, ...], windows.Padding]:
        return self.pool_size, self.strides, self.padding

    @property
    def _geometry(
        self,
    ) -> tuple[tuple[int, ...], tuple[int, ...], windows.Padding, tuple[int, ...]]:
        return *self._window, (1,) * self.rank


class MaxPooling(Pooling):
    """What MaxPooling1D, 2D and 3D share."""

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the largest element of each window."""
        self._split(x.shape)
        view = self._view(x)
        pool = _KERNELS[self.rank][0]
        if not training:
            return self._put(pool(view, *self._window))
        compact = math.prod(self.pool_size) <= _MOST_OF_ARGMAX
        y, where = pool(view, *self._window, return_indices=not compact, return_argmax=compact)
        self._save(where, view.shape, x.shape)
        return self._put(y)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient of the input: each output's goes where its maximum was."""
        where, size, shape = self._saved()
        if not need_input_grad:
            return None
        dy, out = self._view(grad), self._room(grad, shape)
        _, from_argmax, from_indices = _KERNELS[self.rank]
        if math.prod(self.pool_size) <= _MOST_OF_ARGMAX:
            return self._put(from_argmax(dy, where, size, *self._window, out=out))
        return self._put(from_indices(dy, where, size, out=out))


@register_layer
class MaxPooling1D(MaxPooling):
    """Max pooling over one dimension: (N, length, C) to (N, out_length, C).

    The arguments are those of `MaxPooling2D`.

    Examples
    --------
    >>> MaxPooling1D()([[[1], [3], [2], [0]]])[0, :, 0]
    array([3., 2.], dtype=float32)
    """

    rank = 1


@register_layer
class MaxPooling2D(MaxPooling):
    """Max pooling over two dimensions: (N, H, W, C) to (N, OH, OW, C).

    y[n, oh, ow, c] = max over i, j of x[n, oh * stride + i, ow * stride + j, c]. NaN wins; on
    ties the gradient goes to the first element in row-major order; padding counts as minus
    infinity.

    Parameters
    ----------
    pool_size : int or sequence of int
        Size of the window.
    strides : int or sequence of int, optional
        Steps of the window; by default its size.
    padding : str, int or sequence
        ``"valid"``, ``"same"``, or explicit, as for `Conv2D`; at most half the window.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Notes
    -----
    Source: K. Yamaguchi et al., A neural network for speaker-independent isolated word
    recognition, ICSLP 1990.

    Examples
    --------
    >>> MaxPooling2D(3, strides=2).compute_output_shape((None, 55, 55, 96))
    (None, 27, 27, 96)
    """

    rank = 2


@register_layer
class MaxPooling3D(MaxPooling):
    """Max pooling over three dimensions: (N, D, H, W, C) to (N, OD, OH, OW, C).

    The arguments are those of `MaxPooling2D`.

    Examples
    --------
    >>> MaxPooling3D((1, 2, 2)).compute_output_shape((None, 16, 8, 8, 4))
    (None, 16, 4, 4, 4)
    """

    rank = 3
