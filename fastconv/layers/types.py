"""The names that annotations in layers, models and training share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Shape"]

#: Values of a layer: float32 or float64.
Array: TypeAlias = NDArray[Any]
#: A shape with its batch dimension; None stands for any extent.
Shape: TypeAlias = tuple[int | None, ...]

#: What a model may compute in.
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
