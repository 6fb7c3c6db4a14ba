"""Which algorithm computes a convolution, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Padding, Size

__all__ = [
    "Computation",
    "DataFormat",
    "Operand",
    "Plan",
    "as_plan",
    "blank",
    "explain",
    "operands",
]

Computation: TypeAlias = Literal["forward", "backward_input", "backward_weight", "conv_transpose"]
DataFormat: TypeAlias = Literal["channels_first", "channels_last"]
#: An array, or the shape of one.
Operand: TypeAlias = npt.NDArray[Any] | tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What a convolution does; see `explain`.

    Attributes
    ----------
    computation : str
        As it was given.
    algorithm : str
        ``"winograd"``, or direct summation: ``"direct"`` with vectors along the output
        channels, ``"positions"`` along a row of outputs, ``"depthwise"`` along the channels;
        ``"reference"`` for the naive instruction set.
    reason : str
        Why, with the figures. For bfloat16 that is computed by the float32 kernels it begins
        ``"in float32"``.
    relative_cost : float
        By the model; direct summation costs 1.
    multiplications, direct_multiplications : int
        Of one image, by this algorithm and by direct summation.
    workspace : int
        Bytes of scratch, for this batch and the present number of threads.
    packed_size : int
        Bytes that a `functional.PackedWeight` keeps for it; 0 if there is nothing to keep.
    number : int
        Of the algorithm, in the C interface.
    """

    computation: str
    algorithm: str
    reason: str
    relative_cost: float
    multiplications: int
    direct_multiplications: int
    workspace: int
    packed_size: int
    number: int

    def __str__(self) -> str:
        return f"{self.computation}: {self.algorithm}, {self.reason}"


def explain(
    computation: Computation,
    input: Operand,
    weight: Operand,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    dtype: npt.DTypeLike | None = None,
    data_format: DataFormat = "channels_first",
    precision: Literal["high", "highest"] | None = None,
) -> Plan:
    """Say which algorithm computes a convolution, and why.

    Nothing is computed. The choice depends on the shapes, the dtype, the layout, the precision
    and the instruction set, never on N and the number of threads.

    Parameters
    ----------
    computation : {"forward", "backward_input", "backward_weight", "conv_transpose"}
        `conv2d`, one of its gradients, or `conv_transpose2d`; likewise in one and three
        dimensions.
    input : array or tuple of int
        The input of the convolution, also for its gradients, or its shape: (N, IC, spatial...).
    weight : array or tuple of int
        The filters or their shape, whose length says how many spatial dimensions there are.
    stride, padding, dilation, groups
        As for `functional.conv2d`.
    dtype : dtype, optional
        Of operands that are given as shapes: that of the other operand, else float32. Also
        ``"bfloat16"``, where ml_dtypes is installed.
    data_format : {"channels_first", "channels_last"}
        How an input that is given as a shape lies in memory. The shape itself is
        (N, IC, spatial...) always.
    precision : {"high", "highest"}, optional
        As in `runtime.precision`; the present one if not given.

    Returns
    -------
    Plan
        Its text is one line.

    Raises
    ------
    TypeError, ValueError
        As for `functional.conv2d`, and for a value that is none of those above.

    References
    ----------
    A. Lavin, S. Gray, Fast algorithms for convolutional neural networks, arXiv:1509.09308.

    Examples
    --------
    >>> plan = explain("forward", (1, 256, 56, 56), (64, 256, 1, 1))
    >>> plan.algorithm, plan.multiplications == 64 * 256 * 56 * 56
    ('direct', True)
    >>> print(plan)
    forward: direct, vectors along the outputs: a filter of one tap has no transform
    """
    x, w = operands(input, weight, dtype, data_format)
    found = _core.conv_plan(
        computation, x, w, stride, padding, dilation, groups, precision, algorithm=0
    )
    assert found is not None  # no particular algorithm was asked for
    return as_plan(computation, found)


def as_plan(computation: str, found: dict[str, Any]) -> Plan:
    """Return what the library found, with names."""
    return Plan(
        computation,
        found["name"],
        found["reason"],
        found["relative_cost"],
        found["multiplications"],
        found["direct_multiplications"],
        found["workspace"],
        found["packed_size"],
        found["algorithm"],
    )


def operands(
    input: Operand, weight: Operand, dtype: npt.DTypeLike | None, data_format: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return arrays in place of shapes: of the right strides, but without memory of their own."""
    if data_format not in ("channels_first", "channels_last"):
        raise ValueError(
            f"data_format: expected 'channels_first' or 'channels_last', got {data_format!r}"
        )
    if dtype is None:
        given = [a for a in (input, weight) if not isinstance(a, tuple)]
        dtype = np.asarray(given[0]).dtype if given else np.float32
    if isinstance(dtype, str) and dtype == "bfloat16":  # a name that NumPy learns from ml_dtypes
        from ml_dtypes import bfloat16 as dtype
    if isinstance(input, tuple):
        input = blank("input", input, np.dtype(dtype), data_format == "channels_last")
    if isinstance(weight, tuple):
        weight = blank("weight", weight, np.dtype(dtype), False)
    return input, weight


def blank(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], channels_last: bool
) -> npt.NDArray[Any]:
    """Return an array of this shape and these strides, without memory of its own."""
    extents = _core.sizes(shape, len(shape), name)
    if min(extents, default=0) < 0:
        raise ValueError(f"{name}: expected a shape without negative extents, got {shape}")
    order = (*range(2, len(extents)), 1) if channels_last else range(1, len(extents))
    strides, step = [0] * len(extents), dtype.itemsize
    for axis in reversed((0, *order)):
        if axis < len(extents):
            strides[axis] = step
            step *= max(extents[axis], 1)
    return np.lib.stride_tricks.as_strided(np.zeros(1, dtype), extents, strides, writeable=False)
