"""The pool behind outputs and scratch."""

from __future__ import annotations

from typing import NamedTuple

from fastconv import _core

__all__ = ["PoolStats", "pool_stats", "trim"]


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
