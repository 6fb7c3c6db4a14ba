"""Gradients of max pooling and unpooling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike, Padding, Shape, Size


def max_pool1d_backward(
    grad_output: ArrayLike, indices: ArrayLike, input_size: Shape, *, out: Array | None = None
) -> Array:
    """Gradient of `max_pool1d`: (N, C, OL) to (N, C, L).

    The equation, parameters and errors are those of `max_pool2d_backward`, with one spatial
    dimension.

    Examples
    --------
    >>> max_pool1d_backward(np.ones((1, 1, 2)), np.array([[[1, 1]]]), (1, 1, 4))
    array([[[0., 2., 0., 0.]]])
    """
    return _core.max_pool_backward(1, grad_output, indices, input_size, out)


def max_pool2d_backward(
    grad_output: ArrayLike, indices: ArrayLike, input_size: Shape, *, out: Array | None = None
) -> Array:
    """Gradient of `max_pool2d`: (N, C, OH, OW) to (N, C, IH, IW).

    ``dx[n, c, indices[n, c, o]] += dy[n, c, o]``, with planes seen as flat: each output's
    gradient goes where its maximum was.

    Parameters
    ----------
    grad_output : array of shape (N, C, OH, OW) or (C, OH, OW)
        Gradient of the values.
    indices : int64 array of the same shape
        As `max_pool2d` returned them.
    input_size : tuple of int
        (N, C, IH, IW) or (C, IH, IW).
    out : array of shape `input_size`, optional
        Where to write the result.

    Returns
    -------
    array of shape `input_size`
        In the memory layout of `grad_output`.

    Raises
    ------
    TypeError
        As for `conv2d`, and if the indices are not int64.
    ValueError
        If shapes do not fit or an index is outside the plane.

    Examples
    --------
    >>> x = np.arange(16.0).reshape(1, 4, 4)
    >>> from fastconv.functional import max_pool2d
    >>> _, indices = max_pool2d(x, 2, return_indices=True)
    >>> max_pool2d_backward(np.ones((1, 2, 2)), indices, x.shape)[0]
    array([[0., 0., 0., 0.],
           [0., 1., 0., 1.],
           [0., 0., 0., 0.],
           [0., 1., 0., 1.]])
    """
    return _core.max_pool_backward(2, grad_output, indices, input_size, out)


def max_pool3d_backward(
    grad_output: ArrayLike, indices: ArrayLike, input_size: Shape, *, out: Array | None = None
) -> Array:
    """Gradient of `max_pool3d`: (N, C, OD, OH, OW) to (N, C, ID, IH, IW).

    The equation, parameters and errors are those of `max_pool2d_backward`, with three
    spatial dimensions.

    Examples
    --------
    >>> indices = np.zeros((1, 1, 1, 1), np.int64)
    >>> max_pool3d_backward(np.ones((1, 1, 1, 1)), indices, (1, 2, 2, 2)).shape
    (1, 2, 2, 2)
    """
    return _core.max_pool_backward(3, grad_output, indices, input_size, out)


def max_pool1d_argmax_backward(
    grad_output: ArrayLike,
    argmax: ArrayLike,
    input_size: Shape,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `max_pool1d` from its argmax: (N, C, OL) to (N, C, L).

    The equation, parameters and errors are those of `max_pool2d_argmax_backward`, with one
    spatial dimension.

    Examples
    --------
    >>> argmax = np.array([[[1, 0]]], np.uint8)
    >>> max_pool1d_argmax_backward(np.ones((1, 1, 2)), argmax, (1, 1, 4), 2)
    array([[[0., 1., 1., 0.]]])
    """
    return _core.max_pool_backward_argmax(
        1,
        grad_output,
        argmax,
        input_size,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        out,
    )


def max_pool2d_argmax_backward(
    grad_output: ArrayLike,
    argmax: ArrayLike,
    input_size: Shape,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `max_pool2d` from its argmax: (N, C, OH, OW) to (N, C, IH, IW).

    ``dx[n, c, ih, iw] = sum of dy[n, c, oh, ow]`` over the windows whose argmax
    ``kh * KW + kw`` is at ``oh * stride - padding + kh * dilation = ih``, and columns
    likewise. The result is that of `max_pool2d_backward`, bit for bit, for a fraction of the
    memory traffic.

    Parameters
    ----------
    grad_output : array of shape (N, C, OH, OW) or (C, OH, OW)
        Gradient of the values.
    argmax : uint8 array of the same shape
        As `max_pool2d` returned it with ``return_argmax=True``. A position that is not in the
        image gets no gradient.
    input_size : tuple of int
        (N, C, IH, IW) or (C, IH, IW).
    kernel_size, stride, padding, dilation, ceil_mode
        As they were given to `max_pool2d`.
    out : array of shape `input_size`, optional
        Where to write the result.

    Returns
    -------
    array of shape `input_size`
        In the memory layout of `grad_output`.

    Raises
    ------
    TypeError
        As for `conv2d`, and if the argmax is not uint8.
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> x = np.arange(16.0).reshape(1, 4, 4)
    >>> from fastconv.functional import max_pool2d
    >>> _, argmax = max_pool2d(x, 2, return_argmax=True)
    >>> max_pool2d_argmax_backward(np.ones((1, 2, 2)), argmax, x.shape, 2)[0]
    array([[0., 0., 0., 0.],
           [0., 1., 0., 1.],
           [0., 0., 0., 0.],
           [0., 1., 0., 1.]])
    """
    return _core.max_pool_backward_argmax(
        2,
        grad_output,
        argmax,
        input_size,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        out,
    )


def max_pool3d_argmax_backward(
    grad_output: ArrayLike,
    argmax: ArrayLike,
    input_size: Shape,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `max_pool3d` from its argmax: (N, C, OD, OH, OW) to (N, C, ID, IH, IW).

    The equation, parameters and errors are those of `max_pool2d_argmax_backward`, with three
    spatial dimensions; the argmax is ``(kd * KH + kh) * KW + kw``.

    Examples
    --------
    >>> argmax = np.zeros((1, 1, 1, 1), np.uint8)
    >>> max_pool3d_argmax_backward(np.ones((1, 1, 1, 1)), argmax, (1, 2, 2, 2), 2).shape
    (1, 2, 2, 2)
    """
    return _core.max_pool_backward_argmax(
        3,
        grad_output,
        argmax,
        input_size,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        out,
    )


def max_unpool1d_backward(grad_output: ArrayLike, indices: ArrayLike) -> Array:
    """Gradient of `max_unpool1d`: (N, C, OL) to (N, C, L).

    The equation, parameters and errors are those of `max_unpool2d_backward`, with one
    spatial dimension.

    Examples
    --------
    >>> max_unpool1d_backward(np.array([[[0.0, 1.0, 2.0, 3.0]]]), np.array([[[1, 2]]]))
    array([[[1., 2.]]])
    """
    return _max_unpool_backward(1, grad_output, indices)


def max_unpool2d_backward(grad_output: ArrayLike, indices: ArrayLike) -> Array:
    """Gradient of `max_unpool2d`: (N, C, OH, OW) to (N, C, IH, IW).

    ``dx[n, c, i] = dy[n, c, indices[n, c, i]]``, with planes seen as flat. As in PyTorch,
    each occurrence of a repeated index gets the gradient.

    Parameters
    ----------
    grad_output : array of shape (N, C, OH, OW) or (C, OH, OW)
        Gradient of the output.
    indices : int64 array of shape (N, C, IH, IW) or (C, IH, IW)
        As they were given to `max_unpool2d`.

    Returns
    -------
    array of the shape of `indices`
        Contiguous.

    Raises
    ------
    TypeError
        If the indices are not int64.
    ValueError
        If shapes do not fit or an index is outside the plane.

    Examples
    --------
    >>> dy = np.arange(16.0).reshape(1, 4, 4)
    >>> max_unpool2d_backward(dy, np.array([[[5, 7], [13, 15]]]))[0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    return _max_unpool_backward(2, grad_output, indices)


def max_unpool3d_backward(grad_output: ArrayLike, indices: ArrayLike) -> Array:
    """Gradient of `max_unpool3d`: (N, C, OD, OH, OW) to (N, C, ID, IH, IW).

    The equation, parameters and errors are those of `max_unpool2d_backward`, with three
    spatial dimensions.

    Examples
    --------
    >>> max_unpool3d_backward(np.ones((1, 2, 2, 2)), np.zeros((1, 1, 1, 1), np.int64)).shape
    (1, 1, 1, 1)
    """
    return _max_unpool_backward(3, grad_output, indices)


def _max_unpool_backward(nd: int, grad_output: ArrayLike, indices: ArrayLike) -> Array:
    dy, at = np.asarray(grad_output), np.asarray(indices)
    if dy.dtype not in (np.float32, np.float64):
        raise TypeError(f"grad_output: expected float32 or float64, got {dy.dtype}")
    if at.dtype != np.int64:
        raise TypeError(f"indices: expected int64, got {at.dtype}")
    if dy.ndim not in (nd + 1, nd + 2):
        raise ValueError(f"grad_output: expected {nd + 1} or {nd + 2} dimensions, got {dy.shape}")
    lead = dy.shape[:-nd]
    if at.ndim != dy.ndim or at.shape[:-nd] != lead:
        raise ValueError(
            f"indices: expected {dy.ndim} dimensions that begin with {lead}, got shape {at.shape}"
        )
    plane = math.prod(dy.shape[-nd:])
    if at.size > 0 and (at.min() < 0 or at.max() >= plane):
        raise ValueError(f"indices: expected positions in [0, {plane})")
    flat = at.reshape(*lead, math.prod(at.shape[-nd:]))
    return np.take_along_axis(dy.reshape(*lead, plane), flat, axis=-1).reshape(at.shape)
