"""What the layers share that change images at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, Unpack

import numpy as np
from numpy.random import Generator

from fastconv.layers import windows
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.seeded import Seeded
from fastconv.layers.types import Array

__all__ = ["Factor", "ImageLayer", "RandomImages", "interval", "numbers"]

#: One number f for [-f, f], or its ends.
Factor: TypeAlias = float | Sequence[float]


class ImageLayer(Layer):
    """A layer for images in either data format; a subclass works on (N, H, W, C)."""

    def __init__(self, data_format: str | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.data_format = windows.data_format(data_format)

    def images(self, x: Array) -> Array:
        """View an array of this layer's data format as (N, H, W, C)."""
        windows.split_shape(x.shape, 2, self.data_format, self.name)
        return x if self.data_format == "channels_last" else windows.channels_last(x)

    def put(self, x: Array) -> Array:
        """View (N, H, W, C) in this layer's data format."""
        return x if self.data_format == "channels_last" else windows.channels_first(x)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}


class RandomImages(Seeded, ImageLayer):
    """An `ImageLayer` that draws for each image of a batch.

    The draws of training step k depend on the seed and on k only.
    """

    def __init__(
        self, seed: int | None, data_format: str | None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(seed, **options)
        self.data_format = windows.data_format(data_format)

    def generator(self) -> Generator:
        """Return the stream of the next training step."""
        return np.random.default_rng(self.next_draw())


def numbers(argument: str, value: Factor, expected: str) -> tuple[float, ...]:
    """Return one finite number, or two, as floats.

    Examples
    --------
    >>> numbers("factor", 1, "a number"), numbers("factor", [0, 0.5], "two")
    ((1.0,), (0.0, 0.5))
    """
    given: Any = value.tolist() if isinstance(value, np.ndarray) else value
    values = given if isinstance(given, Sequence) and len(given) == 2 else [given]
    known = int | float | np.integer | np.floating
    if not all(isinstance(v, known) and np.isfinite(v) for v in values):
        raise ValueError(f"{argument}: got {value!r}, expected {expected}")
    return tuple(float(v) for v in values)


def interval(argument: str, factor: Factor, most: float) -> tuple[float, float]:
    """Return (lower, upper), within [-most, most].

    Examples
    --------
    >>> interval("factor", 0.2, 1), interval("factor", (0.5, 0), 1)
    ((-0.2, 0.2), (0.0, 0.5))
    """
    expected = f"a number in [{-most:g}, {most:g}], or (lower, upper) in it"
    ends = numbers(argument, factor, expected)
    if len(ends) == 1:
        ends = -abs(ends[0]), abs(ends[0])
    if max(map(abs, ends)) > most:
        raise ValueError(f"{argument}: got {factor!r}, expected {expected}")
    return min(ends), max(ends)
