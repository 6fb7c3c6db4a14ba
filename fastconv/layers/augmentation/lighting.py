"""Images made brighter or darker, and of more or less contrast, at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from fastconv.layers.augmentation.base import Factor, RandomImages, interval, numbers
from fastconv.layers.base import LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array

__all__ = ["RandomBrightness", "RandomContrast"]


class _Clipped(RandomImages):
    """A layer whose results are clipped to a range."""

    def __init__(
        self,
        value_range: Sequence[float],
        seed: int | None,
        data_format: str | None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(seed, data_format, **options)
        ends = numbers("value_range", value_range, "(lower, upper)")
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise ValueError(f"value_range: got {value_range!r}, expected (lower, upper)")
        self.value_range = ends[0], ends[1]

    def clip(self, y: Array) -> tuple[Array, Array]:
        """Return the clipped images, and where nothing was."""
        lower, upper = (y.dtype.type(end) for end in self.value_range)
        return np.clip(y, lower, upper), (y >= lower) & (y <= upper)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "value_range": list(self.value_range)}


@register_layer
class RandomBrightness(_Clipped):
    """Add to each image a number drawn evenly, and clip: y = clip(x + draw * (upper - lower)).

    Parameters
    ----------
    factor : float or (float, float)
        What is drawn from: within [-1, 1], of the range of values. A number f is (-f, f).
    value_range : (float, float)
        (lower, upper), of the values.
    seed : int, optional
        As of `Dropout`.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Examples
    --------
    >>> layer = RandomBrightness((0.5, 0.5), (0.0, 1.0))
    >>> layer(np.array([[[[0.1], [0.8]]]]), training=True)[0, 0, :, 0]
    array([0.6, 1. ], dtype=float32)
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0.0, 255.0),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(value_range, seed, data_format, **options)
        self.factor = interval("factor", factor, 1)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the images, at training brighter or darker."""
        images = self.images(x)
        if not training:
            return x
        drawn = self.generator().uniform(*self.factor, (len(images), 1, 1, 1))
        span = self.value_range[1] - self.value_range[0]
        y, inside = self.clip(images + (drawn * span).astype(x.dtype))
        self._save(inside)
        return self.put(y)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient where nothing was clipped."""
        (inside,) = self._saved()
        return self.put(self.images(grad) * inside) if need_input_grad else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "factor": list(self.factor)}


@register_layer
class RandomContrast(_Clipped):
    """Scale each image around its mean, channel by channel: y = clip((x - mean) * draw + mean).

    Parameters
    ----------
    factor : float or (float, float)
        (lower, upper): drawn evenly from [1 - lower, 1 + upper]; lower at most 1. A number f is
        (f, f).
    value_range, seed, data_format, **options
        See `RandomBrightness`.

    Examples
    --------
    >>> layer = RandomContrast((0.5, -0.5))
    >>> layer(np.array([[[[0.0], [8.0]]]]), training=True)[0, 0, :, 0]
    array([2., 6.], dtype=float32)
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0.0, 255.0),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(value_range, seed, data_format, **options)
        expected = "a number in [0, 1], or (lower, upper) with -lower <= upper and lower <= 1"
        ends = numbers("factor", factor, expected)
        lower, upper = ends[0], ends[-1]
        if not -upper <= lower <= 1:
            raise ValueError(f"factor: got {factor!r}, expected {expected}")
        self.factor = lower, upper

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the images, at training of more or less contrast."""
        images = self.images(x)
        if not training:
            return x
        lower, upper = self.factor
        drawn = self.generator().uniform(1 - lower, 1 + upper, (len(images), 1, 1, 1))
        scale = drawn.astype(x.dtype)
        mean = images.mean((1, 2), keepdims=True)
        y, inside = self.clip((images - mean) * scale + mean)
        self._save(inside, scale)
        return self.put(y)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient where nothing was clipped, also through the mean."""
        inside, scale = self._saved()
        if not need_input_grad:
            return None
        dy = self.images(grad) * inside
        dx: Array = dy * scale + (1 - scale) * dy.mean((1, 2), keepdims=True)
        return self.put(dx)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "factor": list(self.factor)}
