"""Dense layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Activation, Array, ArrayLike


def linear(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    activation: Activation = None,
    residual: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """Dense layer: (..., in) and (out, in) to (..., out).

    ``out[..., o] = bias[o] + sum over i of input[..., i] * weight[o, i]``

    Parameters
    ----------
    input : array of shape (..., in)
        Any number of leading dimensions, none included.
    weight : array of shape (out, in)
        In the dtype of `input`.
    bias : array of shape (out,), optional
        Added to every row.
    activation, residual, out
        As for `conv2d`. With more than one leading dimension, those of `out` must lie in
        memory so that they can be viewed as one.

    Returns
    -------
    array of shape (..., out)
        Contiguous.

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    Examples
    --------
    >>> linear(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0], [0.0, -1.0]]), np.array([0.5, 0.5]))
    array([[ 3.5, -1.5]])
    """
    if np.ndim(input) <= 2:
        return _core.linear_forward(input, weight, bias, activation, residual, out)
    lead = np.shape(input)[:-1]
    y = _core.linear_forward(
        as_rows(input, "input", lead),
        weight,
        bias,
        activation,
        None if residual is None else as_rows(residual, "residual", lead),
        None if out is None else as_rows(out, "out", lead, writable=True),
    )
    return y.reshape(*lead, y.shape[1]) if out is None else out


def as_rows(value: ArrayLike, name: str, lead: tuple[int, ...], writable: bool = False) -> Array:
    """Flatten the leading dimensions, which must be `lead`: (..., features) to (rows, features)."""
    array: Array = np.asarray(value)
    if array.shape[:-1] != lead:
        raise ValueError(f"{name}: expected leading dimensions {lead}, got shape {array.shape}")
    rows = array.reshape(math.prod(lead), array.shape[-1])
    if writable and array.size > 0 and not np.may_share_memory(rows, value):
        raise ValueError(f"{name}: expected an array whose leading dimensions form one")
    return rows
