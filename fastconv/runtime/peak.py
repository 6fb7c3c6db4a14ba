"""What this machine can do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal, SupportsIndex

import numpy as np

from fastconv import _core
from fastconv.runtime.execution import threads

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["measure_peak"]


def measure_peak(
    probe: Literal["fma", "micro_kernel"] = "fma",
    *,
    dtype: npt.DTypeLike = np.float32,
    seconds: float = 0.1,
    num_threads: SupportsIndex | None = None,
) -> float:
    """Measure what the CPU can do, and what the library's micro-kernel makes of it.

    Parameters
    ----------
    probe : {"fma", "micro_kernel"}
        Independent multiply-adds in registers, which is the peak; or the matrix kernel
        behind the convolutions, on packed operands in the caches.
    dtype : dtype
        float32 or float64.
    seconds : float
        About how long to measure: more than 0 and at most 60.
    num_threads : int, optional
        As for `threads`; by default `get_num_threads`.

    Returns
    -------
    float
        Floating-point operations a second, of all threads together.

    Raises
    ------
    ValueError
        If an argument is out of range.
    TypeError
        If `dtype` is neither float32 nor float64.

    Examples
    --------
    >>> measure_peak(seconds=0.01) > 0
    True
    """
    if probe not in ("fma", "micro_kernel"):
        raise ValueError(f"probe: expected 'fma' or 'micro_kernel', got {probe!r}")
    if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype: expected float32 or float64, got {np.dtype(dtype)}")
    limit = contextlib.nullcontext() if num_threads is None else threads(num_threads)
    with limit:
        return _core.measure(probe == "micro_kernel", np.dtype(dtype) == np.float64, seconds)
