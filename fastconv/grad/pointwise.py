"""Gradients of softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike


def softmax_backward(
    grad_output: ArrayLike, output: ArrayLike, dim: SupportsIndex, *, out: Array | None = None
) -> Array:
    """Gradient of `softmax`: ``dx = y * (dy - sum(dy * y))``, y the output.

    Parameters
    ----------
    grad_output : array of 1 to 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `softmax` returned.
    dim : int
        As it was given to `softmax`.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `softmax`.

    Examples
    --------
    >>> softmax_backward(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 0)
    array([ 0.25, -0.25])
    """
    return _core.softmax_backward(grad_output, output, dim, False, out)


def log_softmax_backward(
    grad_output: ArrayLike, output: ArrayLike, dim: SupportsIndex, *, out: Array | None = None
) -> Array:
    """Gradient of `log_softmax`: ``dx = dy - exp(y) * sum(dy)``, y the output.

    The parameters, errors and layouts are those of `softmax_backward`.

    Examples
    --------
    >>> log_softmax_backward(np.array([1.0, 0.0]), np.log([0.5, 0.5]), 0)
    array([ 0.5, -0.5])
    """
    return _core.softmax_backward(grad_output, output, dim, True, out)
