"""The library itself: threads, instruction sets, memory, where it is installed.

All of this is about speed, never about results: the bits of a result do not depend on the
number of threads. Instruction sets may differ in the last bits.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, SupportsIndex, TextIO

import numpy as np

from fastconv import _core

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "PoolStats",
    "available_isas",
    "get_cmake_dir",
    "get_config",
    "get_include",
    "get_library_dir",
    "get_num_threads",
    "isa",
    "measure_peak",
    "pool_stats",
    "precision",
    "set_isa",
    "set_num_threads",
    "show_config",
    "threads",
    "trim",
    "use_isa",
]


# ---- threads


def get_num_threads() -> int:
    """Return how many threads a call made here may use.

    Without `set_num_threads` and `threads` it is what ``FASTCONV_NUM_THREADS`` says, else
    ``OMP_NUM_THREADS``, else the number of CPUs that affinity and the cgroup quota leave to
    this process.

    Examples
    --------
    >>> get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def set_num_threads(num_threads: SupportsIndex) -> None:
    """Set how many threads calls may use, in the whole process.

    Parameters
    ----------
    num_threads : int
        1 to 4096.

    Raises
    ------
    ValueError
        If `num_threads` is out of range.

    Examples
    --------
    >>> set_num_threads(get_num_threads())
    """
    _core.set_num_threads(num_threads)


@contextlib.contextmanager
def threads(num_threads: SupportsIndex) -> Iterator[None]:
    """Limit the calls that this Python thread makes inside the ``with`` block.

    Other Python threads are not affected, so that each worker of a pool can have its own
    limit.

    Parameters
    ----------
    num_threads : int
        1 to 4096.

    Raises
    ------
    ValueError
        If `num_threads` is out of range.

    Examples
    --------
    >>> with threads(1):
    ...     get_num_threads()
    1
    """
    before = _core.limit_threads(num_threads)
    try:
        yield
    finally:
        _core.limit_threads(before)


# ---- precision


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Choose the precision of the calls that this Python thread makes inside the ``with`` block.

    Parameters
    ----------
    name : {"high", "highest"}
        ``"high"``, the default outside: float32 convolutions may use fast algorithms (Winograd's)
        whose largest error stays below 1e-4 of the largest output. ``"highest"``: direct
        summation throughout. float64 is summed directly either way.

    Raises
    ------
    ValueError
        If `name` is neither.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import functional as F
    >>> x, w = np.ones((1, 16, 8, 8), np.float32), np.ones((16, 16, 3, 3), np.float32)
    >>> with precision("highest"):
    ...     y = F.conv2d(x, w)
    >>> bool((y == 144).all())
    True
    """
    before = _core.choose_precision(name)
    try:
        yield
    finally:
        _core.choose_precision(before)


# ---- instruction sets


def available_isas() -> tuple[str, ...]:
    """Return the instruction sets that this build has and this CPU runs, the best first.

    The last one is always ``"reference"``: naive loops that accumulate in double precision,
    to compare with.

    Examples
    --------
    >>> available_isas()[-1]
    'reference'
    """
    return _core.available_isas()


def isa() -> str:
    """Return the active instruction set.

    It is the best available one, unless ``FASTCONV_ISA`` in the environment or `set_isa`
    chose another.

    Examples
    --------
    >>> isa() in available_isas()
    True
    """
    return _core.isa()


def set_isa(name: str | None) -> None:
    """Select the instruction set for the whole process.

    Parameters
    ----------
    name : str or None
        One of `available_isas`; None returns to ``FASTCONV_ISA`` or the best one.

    Raises
    ------
    RuntimeError
        If this build does not have it or this CPU does not run it.

    Examples
    --------
    >>> set_isa(None)
    """
    _core.set_isa(name)


@contextlib.contextmanager
def use_isa(name: str | None) -> Iterator[None]:
    """Select the instruction set, of the whole process, inside the ``with`` block.

    Parameters
    ----------
    name : str or None
        As for `set_isa`.

    Raises
    ------
    RuntimeError
        If this build does not have it or this CPU does not run it.

    Examples
    --------
    >>> with use_isa("reference"):
    ...     isa()
    'reference'
    """
    before = _core.isa()
    _core.set_isa(name)
    try:
        yield
    finally:
        _core.set_isa(before)


# ---- memory


class PoolStats(NamedTuple):
    """Bytes of the output pool.

    Attributes
    ----------
    in_use : int
        In arrays that are alive and in the scratch of running calls.
    cached : int
        Kept for reuse; `trim` gives them back.
    """

    in_use: int
    cached: int


def pool_stats() -> PoolStats:
    """Return how much memory the pool behind outputs and scratch holds.

    Examples
    --------
    >>> pool_stats().in_use >= 0
    True
    """
    return PoolStats(*_core.pool_stats())


def trim() -> int:
    """Return the pool's unused memory to the operating system.

    Returns
    -------
    int
        The number of bytes given back.

    Examples
    --------
    >>> _ = trim()
    >>> pool_stats().cached
    0
    """
    return _core.trim()


# ---- what this machine can do


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


# ---- where things are


def get_include() -> str:
    """Return the directory to compile with, for ``#include "fastconv/fastconv.h"``.

    Examples
    --------
    >>> os.path.isfile(os.path.join(get_include(), "fastconv", "fastconv.h"))
    True
    """
    return os.path.join(_installed(), "include")


def get_library_dir() -> str:
    """Return the directory of ``libfastconv``.

    Examples
    --------
    >>> os.path.isdir(get_library_dir())
    True
    """
    return os.path.join(_installed(), "lib")


def get_cmake_dir() -> str:
    """Return the directory of the CMake package: ``find_package(fastconv PATHS ...)``.

    Examples
    --------
    >>> os.path.isfile(os.path.join(get_cmake_dir(), "fastconvConfig.cmake"))
    True
    """
    return os.path.join(_installed(), "lib", "cmake", "fastconv")


def _installed() -> str:
    # Beside the compiled module; in an editable install the Python files are elsewhere.
    return os.path.dirname(os.path.abspath(_core.__file__))


def get_config() -> dict[str, str]:
    """Return what there is to know about this installation and the active settings.

    Examples
    --------
    >>> get_config()["isa"] == isa()
    True
    """
    config = {
        "fastconv": _core.version(),
        "isa": isa(),
        "available isas": ", ".join(available_isas()),
        "threads": str(get_num_threads()),
        "library": get_library_dir(),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
    }
    for line in _core.build_info().splitlines():
        key, _, value = line.partition(": ")
        config[f"build {key}"] = value
    return config


def show_config(file: TextIO | None = None) -> str:
    """Return `get_config` as text, one setting a line, and print it if told where.

    Parameters
    ----------
    file : text file, optional
        Where to print it, for example ``sys.stdout``.

    Examples
    --------
    >>> show_config().splitlines()[0].startswith("fastconv: ")
    True
    """
    text = "\n".join(f"{key}: {value}" for key, value in get_config().items())
    if file is not None:
        print(text, file=file)
    return text
