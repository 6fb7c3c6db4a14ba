"""Softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike


def softmax(input: ArrayLike, dim: SupportsIndex, *, out: Array | None = None) -> Array:
    """Softmax along a dimension: ``exp(x - max(x)) / sum(exp(x - max(x)))``.

    Parameters
    ----------
    input : array of 1 to 5 dimensions
        Float32 or float64.
    dim : int
        The dimension to normalise; negative ones count from the end.
    out : array of the shape of `input`, optional
        Where to write the result; may be `input` itself.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    J. S. Bridle, Training stochastic model recognition algorithms as networks can lead to
    maximum mutual information estimation of parameters, NIPS 1989.

    Examples
    --------
    >>> softmax(np.log([1.0, 2.0, 5.0]), 0)
    array([0.125, 0.25 , 0.625])
    """
    return _core.softmax(input, dim, False, out)


def log_softmax(input: ArrayLike, dim: SupportsIndex, *, out: Array | None = None) -> Array:
    """Logarithm of `softmax`, without its rounding: ``x - max(x) - log(sum(exp(x - max(x))))``.

    The parameters, errors and sources are those of `softmax`.

    Examples
    --------
    >>> log_softmax(np.zeros((1, 4)), -1).round(4)
    array([[-1.3863, -1.3863, -1.3863, -1.3863]])
    """
    return _core.softmax(input, dim, True, out)
