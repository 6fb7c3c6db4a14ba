"""Gradients of sliding windows as columns, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastconv import _core
from fastconv.functional.columns import fold, spatial_ndim, unfold

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike, Padding, Shape, Size


def unfold_backward(
    grad_output: ArrayLike,
    input_size: Shape,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Padding = 0,
    stride: Size = 1,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `unfold`, which is `fold`: (N, C * KH * KW, OH * OW) to (N, C, IH, IW).

    Parameters
    ----------
    grad_output : array of shape (N, C * KH * KW, OH * OW) or (C * KH * KW, OH * OW)
        Gradient of the columns.
    input_size : tuple of int
        The whole shape of the input of `unfold`.
    kernel_size, dilation, padding, stride
        As they were given to `unfold`.
    out : array of shape `input_size`, optional
        Where to write the result.

    Returns
    -------
    array of shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As for `fold`.

    Examples
    --------
    >>> unfold_backward(np.ones((4, 4)), (1, 3, 3), 2)[0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    nd = spatial_ndim(kernel_size)
    rank = nd + (1 if np.ndim(grad_output) == 2 else 2)
    size = _core.sizes(input_size, rank, "input_size", False)
    dx = fold(grad_output, size[-nd:], kernel_size, dilation, padding, stride, out=out)
    if dx.shape != size:
        raise ValueError(f"input_size: expected {dx.shape}, from the other arguments, got {size}")
    return dx


def fold_backward(
    grad_output: ArrayLike,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Padding = 0,
    stride: Size = 1,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `fold`, which is `unfold`: (N, C, IH, IW) to (N, C * KH * KW, OH * OW).

    Parameters
    ----------
    grad_output : array of shape (N, C, IH, IW) or (C, IH, IW)
        Gradient of the output of `fold`.
    kernel_size, dilation, padding, stride
        As they were given to `fold`.
    out : array of the shape of the columns, optional
        Where to write the result.

    Returns
    -------
    array of shape (N, C * KH * KW, OH * OW) or (C * KH * KW, OH * OW)

    Raises
    ------
    TypeError, ValueError
        As for `unfold`.

    Examples
    --------
    >>> fold_backward(np.arange(4.0).reshape(1, 2, 2), 1)
    array([[0., 1., 2., 3.]])
    """
    return unfold(grad_output, kernel_size, dilation, padding, stride, out=out)
