"""Layers that set elements or channels to 0 while training, against overfitting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Unpack

from fastconv import functional, grad
from fastconv.layers import windows
from fastconv.layers.base import LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.seeded import Rated
from fastconv.layers.types import Array

__all__ = [
    "AlphaDropout",
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
]


class _Dropping(Rated):
    """A layer that sets elements to 0; a subclass says with which kernels."""

    kernels: ClassVar[tuple[Callable[..., Array], Callable[..., Array]]]

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input, at training with elements dropped."""
        if not training:
            return x
        seed = self.next_draw()
        self._save(seed)
        return self._put(self.kernels[0](self._view(x), self.rate, seed=seed))

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient, dropped and scaled likewise."""
        (seed,) = self._saved()
        if not need_input_grad:
            return None
        return self._put(self.kernels[1](self._view(grad), self.rate, seed=seed))

    def _view(self, x: Array) -> Array:
        return x

    def _put(self, x: Array) -> Array:
        return x


@register_layer
class Dropout(_Dropping):
    """Set elements to 0 with probability `rate` while training, and scale up the rest.

    y = x * m / (1 - rate), m = 1 with probability 1 - rate, else 0, so that the expectation
    stays (inverted dropout). At inference y = x.

    Parameters
    ----------
    rate : float
        In [0, 1).
    seed : int, optional
        With it the masks are the same in every run; without, it is drawn from the stream of
        `fastconv.utils.set_random_seed`. The mask of training step k depends on seed and k
        only, and both are part of a checkpoint, so that training continues as if it had not
        stopped.
    **options
        See `Layer`.

    Notes
    -----
    Source: N. Srivastava et al., Dropout: a simple way to prevent neural networks from
    overfitting, JMLR 15, 2014.

    Examples
    --------
    >>> layer = Dropout(0.5, seed=1)
    >>> sorted(set(layer(np.ones((4, 8)), training=True).ravel().tolist()))
    [0.0, 2.0]
    >>> bool((layer(np.ones((4, 8))) == 1).all())
    True
    """

    kernels = (functional.dropout, grad.dropout_backward)


@register_layer
class AlphaDropout(_Dropping):
    """Dropout that keeps mean and variance of what SELU puts out: see `fastconv.functional`.

    Parameters are those of `Dropout`.

    Notes
    -----
    Source: G. Klambauer et al., Self-normalizing neural networks, NIPS 2017, arXiv 1706.02515.

    Examples
    --------
    >>> AlphaDropout(0.1, seed=1)(np.zeros((3, 5)), training=True).shape
    (3, 5)
    """

    kernels = (functional.alpha_dropout, grad.alpha_dropout_backward)


class _SpatialDropout(_Dropping):
    """Dropout of whole channels, in either data format."""

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(rate, seed, **options)
        self.data_format = windows.data_format(data_format)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}

    def _view(self, x: Array) -> Array:
        return windows.channels_first(x) if self.data_format == "channels_last" else x

    def _put(self, x: Array) -> Array:
        return windows.channels_last(x) if self.data_format == "channels_last" else x


@register_layer
class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of (N, length, C); see `SpatialDropout2D`.

    Examples
    --------
    >>> y = SpatialDropout1D(0.5, seed=0)(np.ones((1, 4, 3)), training=True)
    >>> bool((y == y[:, :1]).all())
    True
    """

    kernels = (functional.dropout1d, grad.dropout1d_backward)


@register_layer
class SpatialDropout2D(_SpatialDropout):
    """Set whole channels of (N, H, W, C) to 0 with probability `rate`, and scale up the rest.

    Neighbouring pixels are alike: a pixel dropped alone could be guessed from those around it.

    Parameters
    ----------
    rate, seed, **options
        See `Dropout`.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.

    Notes
    -----
    Source: J. Tompson et al., Efficient object localization using convolutional networks,
    CVPR 2015, arXiv 1411.4280.

    Examples
    --------
    >>> y = SpatialDropout2D(0.5, seed=0)(np.ones((1, 4, 4, 3)), training=True)
    >>> bool((y == y[:, :1, :1]).all())
    True
    """

    kernels = (functional.dropout2d, grad.dropout2d_backward)


@register_layer
class SpatialDropout3D(_SpatialDropout):
    """Dropout of whole channels of (N, D, H, W, C); see `SpatialDropout2D`.

    Examples
    --------
    >>> y = SpatialDropout3D(0.5, seed=0)(np.ones((1, 2, 2, 2, 3)), training=True)
    >>> bool((y == y[:, :1, :1, :1]).all())
    True
    """

    kernels = (functional.dropout3d, grad.dropout3d_backward)
