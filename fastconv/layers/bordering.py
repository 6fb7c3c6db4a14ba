"""What padding and cropping share: a border, and arrays with it and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias, Unpack

import numpy as np

from fastconv.layers import windows
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.types import Array, Shape

__all__ = ["Border", "Bordering"]

#: One integer for all sides, one for each axis, or (before, after) for each axis.
Border: TypeAlias = int | Sequence[int | Sequence[int]]


class Bordering(Layer):
    """A layer that adds or takes away (before, after) of each spatial axis.

    Subclasses name the argument that says how much.
    """

    rank: ClassVar[int]
    argument: ClassVar[str]

    def __init__(
        self, border: Border, data_format: str | None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        self.border = _pairs(border, self.rank, self.argument)
        self.data_format = windows.data_format(data_format)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        pairs = [list(pair) for pair in self.border]
        return {**super().get_config(), self.argument: pairs, "data_format": self.data_format}

    def _pad(self, x: Array) -> Array:
        """Return an array with the border, of zeros, around it."""
        shape = self._moved(x.shape, 1)
        y = np.zeros([extent or 0 for extent in shape], x.dtype)
        y[self._inside(y.shape)] = x
        return y

    def _crop(self, x: Array) -> Array:
        """Return what of an array is inside the border."""
        return np.ascontiguousarray(x[self._inside(x.shape)])

    def _inside(self, shape: tuple[int, ...]) -> tuple[slice, ...]:
        first = 1 if self.data_format == "channels_last" else 2
        slices = [slice(None)] * len(shape)
        for axis, (before, after) in enumerate(self.border, first):
            slices[axis] = slice(before, shape[axis] - after)
        return tuple(slices)

    def _moved(self, shape: Shape, sign: int) -> Shape:
        """Return a shape with the border added, or for a `sign` of -1 taken away."""
        channels, spatial = windows.split_shape(shape, self.rank, self.data_format, self.name)
        out = tuple(
            None if extent is None else extent + sign * (before + after)
            for extent, (before, after) in zip(spatial, self.border, strict=True)
        )
        return windows.join_shape(shape[0], channels, out, self.data_format)


def _pairs(border: Border, rank: int, argument: str) -> tuple[tuple[int, int], ...]:
    """Return (before, after) for each axis."""
    value = border
    if rank == 1 and isinstance(border, Sequence) and len(border) == 2:
        value = [border]  # type: ignore[list-item] # (before, after), as in Keras
    try:
        pairs = windows.padding(value, rank)
    except ValueError:
        pairs = ""
    if isinstance(pairs, str):
        several = "(before, after)" if rank == 1 else f"{rank} integers or (before, after) pairs"
        raise ValueError(
            f"{argument}: got {border!r}, expected a non-negative integer, or {several}"
        )
    return pairs
