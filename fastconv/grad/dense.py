"""Gradients of dense layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastconv import _core
from fastconv.functional.dense import as_rows

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike


def linear_input(grad_output: ArrayLike, weight: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `linear` with respect to its input: (..., out) to (..., in).

    ``dx[..., i] = sum over o of dy[..., o] * weight[o, i]``

    Parameters
    ----------
    grad_output : array of shape (..., out)
        Gradient of the output.
    weight : array of shape (out, in)
        As it was given to `linear`.
    out : array of shape (..., in), optional
        Where to write the result.

    Returns
    -------
    array of shape (..., in)

    Raises
    ------
    TypeError, ValueError
        As for `linear`.

    Examples
    --------
    >>> linear_input(np.array([[1.0, 1.0]]), np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]))
    array([[11., 22., 33.]])
    """
    if np.ndim(grad_output) <= 2:
        return _core.linear_backward_input(grad_output, weight, out)
    lead = np.shape(grad_output)[:-1]
    rows = None if out is None else as_rows(out, "out", lead, writable=True)
    dx = _core.linear_backward_input(as_rows(grad_output, "grad_output", lead), weight, rows)
    return dx.reshape(*lead, dx.shape[1]) if out is None else out


def linear_weight(input: ArrayLike, grad_output: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `linear` with respect to its weight: to (out, in).

    ``dweight[o, i] = sum over all rows of dy[..., o] * input[..., i]``

    Parameters
    ----------
    input : array of shape (..., in)
        As it was given to `linear`.
    grad_output : array of shape (..., out)
        Gradient of the output.
    out : array of shape (out, in), optional
        Where to write the result.

    Returns
    -------
    array of shape (out, in)
        Contiguous.

    Raises
    ------
    TypeError, ValueError
        As for `linear`.

    Examples
    --------
    >>> linear_weight(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0], [10.0]]))
    array([[31., 42.]])
    """
    if np.ndim(input) > 2:
        lead = np.shape(input)[:-1]
        input = as_rows(input, "input", lead)
        grad_output = as_rows(grad_output, "grad_output", lead)
    return _core.linear_backward_weight(grad_output, input, out)


def linear_bias(grad_output: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `linear` with respect to its bias: (..., out) to (out,).

    ``dbias[o] = sum over all rows of dy[..., o]``

    Parameters
    ----------
    grad_output : array of shape (..., out)
        Gradient of the output.
    out : array of shape (out,), optional
        Where to write the result.

    Returns
    -------
    array of shape (out,)

    Raises
    ------
    TypeError, ValueError
        As for `linear`.

    Examples
    --------
    >>> linear_bias(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([4., 6.])
    """
    if np.ndim(grad_output) > 2:
        grad_output = as_rows(grad_output, "grad_output", np.shape(grad_output)[:-1])
    return _core.conv_backward_bias(0, grad_output, out)
