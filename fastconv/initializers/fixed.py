"""Initializers that draw nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.initializers.base import Initializer

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


class Constant(Initializer):
    """All elements equal `value`.

    Examples
    --------
    >>> Constant(3.0)((2, 2))
    array([[3., 3.],
           [3., 3.]], dtype=float32)
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = float(value)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        return np.full(shape, self.value, dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"value": self.value}


class Zeros(Initializer):
    """All elements 0.

    Examples
    --------
    >>> Zeros()((3,))
    array([0., 0., 0.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """All elements 1.

    Examples
    --------
    >>> Ones()((3,))
    array([1., 1., 1.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        return np.ones(shape, dtype)


class Identity(Initializer):
    """The identity matrix times `gain`; for matrices only.

    Examples
    --------
    >>> Identity(2.0)((2, 2))
    array([[2., 0.],
           [0., 2.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = float(gain)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        if len(shape) != 2:
            raise ValueError(f"shape: got {tuple(shape)}, expected two extents")
        return np.asarray(self.gain * np.eye(shape[0], shape[1]), dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"gain": self.gain}
