"""Layers that add or multiply by normal noise while training, against overfitting."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from fastconv.layers.base import LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.seeded import Rated, Seeded
from fastconv.layers.types import Array

__all__ = ["GaussianDropout", "GaussianNoise"]


@register_layer
class GaussianNoise(Seeded):
    """y = x + noise while training, normal with this standard deviation; at inference y = x.

    Examples
    --------
    >>> layer = GaussianNoise(0.1, seed=0)
    >>> bool(0.09 < layer(np.zeros(10000), training=True).std() < 0.11)
    True
    """

    def __init__(
        self, stddev: float, seed: int | None = None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(seed, **options)
        if not 0 <= stddev < float("inf"):
            raise ValueError(f"stddev: got {stddev!r}, expected a non-negative number")
        self.stddev = float(stddev)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input, at training with noise."""
        if not training:
            return x
        noise = np.random.default_rng(self.next_draw()).standard_normal(x.shape, x.dtype)
        y: Array = x + x.dtype.type(self.stddev) * noise
        return y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient."""
        return grad

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "stddev": self.stddev}


@register_layer
class GaussianDropout(Rated):
    """y = x * noise while training, normal around 1; at inference y = x.

    The variance is rate / (1 - rate), that of `Dropout`'s factors.

    Notes
    -----
    Source: N. Srivastava et al., Dropout, JMLR 15, 2014, section 10.

    Examples
    --------
    >>> layer = GaussianDropout(0.5, seed=0)
    >>> bool(0.9 < layer(np.ones(10000), training=True).std() < 1.1)
    True
    """

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the input, at training with noise."""
        if not training:
            return x
        seed = self.next_draw()
        self._save(seed)
        return x * self._noise(seed, x)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient, with the same noise."""
        (seed,) = self._saved()
        dx: Array = grad * self._noise(seed, grad)
        return dx

    def _noise(self, seed: int, like: Array) -> Array:
        stddev = like.dtype.type((self.rate / (1 - self.rate)) ** 0.5)
        noise = np.random.default_rng(seed).standard_normal(like.shape, like.dtype)
        factors: Array = like.dtype.type(1) + stddev * noise
        return factors
