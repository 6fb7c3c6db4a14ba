"""The names that annotations of functional and grad share; imported by type checkers only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastconv._core import PackedWeight

#: Whatever NumPy can view: buffer protocol, ``__array__``, ``__dlpack__`` on the CPU.
ArrayLike: TypeAlias = npt.ArrayLike
#: Filters of a convolution.
Weight: TypeAlias = ArrayLike | PackedWeight
#: float32 or float64; of convolutions also bfloat16, which is ml_dtypes' to name.
Array: TypeAlias = npt.NDArray[np.floating[Any]]
#: Flat positions in a plane.
Indices: TypeAlias = npt.NDArray[np.int64]
#: Positions in a pooling window.
Argmax: TypeAlias = npt.NDArray[np.uint8]
#: uint8 or int8.
Quantized: TypeAlias = npt.NDArray[np.integer[Any]]
#: One integer for all spatial dimensions, or one each.
Size: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
#: The same, or None for a dimension that stays as it is.
OutputSize: TypeAlias = SupportsIndex | Sequence[SupportsIndex | None]
#: A whole shape.
Shape: TypeAlias = Sequence[SupportsIndex]
Padding: TypeAlias = (
    Size | Sequence[tuple[SupportsIndex, SupportsIndex]] | Literal["valid", "same"] | str
)
#: A name, or a tuple of a name and its parameters.
Activation: TypeAlias = str | tuple[str | float, ...] | None
Reduction: TypeAlias = Literal["mean", "sum", "none"]
