"""How calls are computed: on how many threads, how precisely, with which instructions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import SupportsIndex

from fastconv import _core

__all__ = [
    "available_isas",
    "get_num_threads",
    "isa",
    "precision",
    "set_isa",
    "set_num_threads",
    "threads",
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
