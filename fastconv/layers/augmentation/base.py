"""What the layers share that change images at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, Unpack

import numpy as np
from numpy.random import Generator

from fastconv.layers import windows
from fastconv.layers.base import LayerOptions
from fastconv.layers.regularization import Seeded
from fastconv.layers.types import Array

__all__ = ["Factor", "RandomImages", "interval"]

#: One number f for [-f, f], or (lower, upper).
Factor: TypeAlias = float | Sequence[float]


class RandomImages(Seeded):
    """A layer that draws for each image of a batch; a subclass works on (N, H, W, C).

    The draws of training step k depend on the seed and on k only.
    """

    def __init__(
        self, seed: int | None, data_format: str | None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(seed, **options)
        self.data_format = windows.data_format(data_format)

    def images(self, x: Array) -> Array:
        """View an array of this layer's data format as (N, H, W, C)."""
        if x.ndim != 4:
            raise ValueError(
                f"{self.name}: got an input of shape {x.shape}, expected (batch, height, width, "
                "channels), or channels before height"
            )
        return x if self.data_format == "channels_last" else windows.channels_last(x)

    def put(self, x: Array) -> Array:
        """View (N, H, W, C) in this layer's data format."""
        return x if self.data_format == "channels_last" else windows.channels_first(x)

    def generator(self) -> Generator:
        """Return the stream of the next training step."""
        return np.random.default_rng(self.next_draw())

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}


def interval(argument: str, factor: Factor) -> tuple[float, float]:
    """Return (lower, upper).

    Examples
    --------
    >>> interval("factor", 0.2), interval("factor", (0, 0.5))
    ((-0.2, 0.2), (0.0, 0.5))
    """
    if isinstance(factor, int | float):
        ends = (-abs(float(factor)), abs(float(factor)))
    else:
        values = tuple(float(f) for f in factor)
        if len(values) != 2:
            raise ValueError(f"{argument}: got {factor!r}, expected a number or two")
        ends = values[0], values[1]
    if not (np.isfinite(ends).all() and ends[0] <= ends[1]):
        raise ValueError(f"{argument}: got {factor!r}, expected a number, or (lower, upper)")
    return ends
