"""Gradients of `fastconv.functional`, under the names of ``torch.nn.grad``.

Each function maps the gradient of an output, `grad_output`, to that of an input. Windows are
given as they were to the forward function, in every form of padding. Unbatched arrays,
memory layouts, dtypes, ``out`` and errors are as there, too; a new input gradient takes the
memory layout of `grad_output`, a new weight gradient is contiguous.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from fastconv import _core
from fastconv.functional import (
    as_rows,
    check_reduction,
    fold,
    sample_count,
    spatial_ndim,
    unfold,
)

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike, Padding, Reduction, Shape, Size

__all__ = [
    "conv1d_bias",
    "conv1d_input",
    "conv1d_weight",
    "conv2d_bias",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_bias",
    "conv3d_input",
    "conv3d_weight",
    "cross_entropy_backward",
    "fold_backward",
    "linear_bias",
    "linear_input",
    "linear_weight",
    "log_softmax_backward",
    "max_pool1d_backward",
    "max_pool2d_backward",
    "max_pool3d_backward",
    "max_unpool1d_backward",
    "max_unpool2d_backward",
    "max_unpool3d_backward",
    "relu_backward",
    "softmax_backward",
    "unfold_backward",
]


# ---- convolution


def conv1d_input(
    input_size: Shape,
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `conv1d` with respect to its input: (N, OC, OL) to (N, IC, L).

    The equation, parameters and errors are those of `conv2d_input`, with one spatial
    dimension.

    Examples
    --------
    >>> dy = np.ones((1, 1, 3))
    >>> conv1d_input((1, 1, 4), np.array([[[1.0, 10.0]]]), dy)
    array([[[ 1., 11., 11., 10.]]])
    """
    return _core.conv_backward_input(
        1, input_size, weight, grad_output, stride, padding, dilation, groups, out
    )


def conv2d_input(
    input_size: Shape,
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `conv2d` with respect to its input: (N, OC, OH, OW) to (N, IC, IH, IW).

    ``dx[n, ic, ih, iw] = sum of dy[n, oc, oh, ow] * weight[oc, ic, kh, kw]`` over oc of the
    group and all oh, kh with ``oh * stride - padding + kh * dilation = ih``, likewise ow, kw.

    Parameters
    ----------
    input_size : tuple of int
        (N, IC, IH, IW), or (IC, IH, IW) for one image.
    weight : array of shape (OC, IC / groups, KH, KW)
        Filters.
    grad_output : array of shape (N, OC, OH, OW) or (OC, OH, OW)
        Gradient of the output.
    stride, padding, dilation, groups
        As they were given to `conv2d`.
    out : array of shape `input_size`, optional
        Where to write the result.

    Returns
    -------
    array of shape `input_size`
        In the memory layout of `grad_output`.

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    Examples
    --------
    >>> dy = np.ones((1, 1, 2, 2))
    >>> conv2d_input((1, 1, 3, 3), np.ones((1, 1, 2, 2)), dy)[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    return _core.conv_backward_input(
        2, input_size, weight, grad_output, stride, padding, dilation, groups, out
    )


def conv3d_input(
    input_size: Shape,
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `conv3d` with respect to its input: (N, OC, OD, OH, OW) to (N, IC, ...).

    The equation, parameters and errors are those of `conv2d_input`, with three spatial
    dimensions.

    Examples
    --------
    >>> conv3d_input((1, 3, 4, 4, 4), np.ones((2, 3, 2, 2, 2)), np.ones((1, 2, 3, 3, 3))).shape
    (1, 3, 4, 4, 4)
    """
    return _core.conv_backward_input(
        3, input_size, weight, grad_output, stride, padding, dilation, groups, out
    )


def conv1d_weight(
    input: ArrayLike,
    weight_size: Shape,
    grad_output: ArrayLike,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `conv1d` with respect to its weight: to (OC, IC / groups, K).

    The equation, parameters and errors are those of `conv2d_weight`, with one spatial
    dimension.

    Examples
    --------
    >>> x = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    >>> conv1d_weight(x, (1, 1, 2), np.ones((1, 1, 3)))
    array([[[6., 9.]]])
    """
    return _core.conv_backward_weight(
        1, input, weight_size, grad_output, stride, padding, dilation, groups, out
    )


def conv2d_weight(
    input: ArrayLike,
    weight_size: Shape,
    grad_output: ArrayLike,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `conv2d` with respect to its weight: to (OC, IC / groups, KH, KW).

    ``dweight[oc, ic, kh, kw] = sum over n, oh, ow of dy[n, oc, oh, ow] *
    input[n, ic, oh * stride - padding + kh * dilation, ow * ...]``

    Parameters
    ----------
    input : array of shape (N, IC, IH, IW) or (IC, IH, IW)
        As it was given to `conv2d`.
    weight_size : tuple of int
        (OC, IC / groups, KH, KW).
    grad_output : array of shape (N, OC, OH, OW) or (OC, OH, OW)
        Gradient of the output.
    stride, padding, dilation, groups
        As they were given to `conv2d`.
    out : array of shape `weight_size`, optional
        Where to write the result.

    Returns
    -------
    array of shape `weight_size`
        Contiguous.

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d_weight(x, (1, 1, 2, 2), np.ones((1, 1, 2, 2)))[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    return _core.conv_backward_weight(
        2, input, weight_size, grad_output, stride, padding, dilation, groups, out
    )


def conv3d_weight(
    input: ArrayLike,
    weight_size: Shape,
    grad_output: ArrayLike,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `conv3d` with respect to its weight: to (OC, IC / groups, KD, KH, KW).

    The equation, parameters and errors are those of `conv2d_weight`, with three spatial
    dimensions.

    Examples
    --------
    >>> conv3d_weight(np.ones((1, 3, 4, 4, 4)), (2, 3, 2, 2, 2), np.ones((1, 2, 3, 3, 3)))[0, 0, 0]
    array([[27., 27.],
           [27., 27.]])
    """
    return _core.conv_backward_weight(
        3, input, weight_size, grad_output, stride, padding, dilation, groups, out
    )


def conv1d_bias(grad_output: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `conv1d` with respect to its bias: (N, OC, OL) to (OC,).

    The equation, parameters and errors are those of `conv2d_bias`, with one spatial
    dimension.

    Examples
    --------
    >>> conv1d_bias(np.ones((2, 3, 4)))
    array([8., 8., 8.])
    """
    return _core.conv_backward_bias(1, grad_output, out)


def conv2d_bias(grad_output: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `conv2d` with respect to its bias: (N, OC, OH, OW) to (OC,).

    ``dbias[oc] = sum over n, oh, ow of dy[n, oc, oh, ow]``

    Parameters
    ----------
    grad_output : array of shape (N, OC, OH, OW) or (OC, OH, OW)
        Gradient of the output.
    out : array of shape (OC,), optional
        Where to write the result.

    Returns
    -------
    array of shape (OC,)

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    Examples
    --------
    >>> conv2d_bias(np.ones((2, 3, 4, 4)))
    array([32., 32., 32.])
    """
    return _core.conv_backward_bias(2, grad_output, out)


def conv3d_bias(grad_output: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `conv3d` with respect to its bias: (N, OC, OD, OH, OW) to (OC,).

    The equation, parameters and errors are those of `conv2d_bias`, with three spatial
    dimensions.

    Examples
    --------
    >>> conv3d_bias(np.ones((1, 2, 3, 3, 3)))
    array([27., 27.])
    """
    return _core.conv_backward_bias(3, grad_output, out)


# ---- dense


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


# ---- windows


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


# ---- elementwise, softmax, loss


def relu_backward(grad_output: ArrayLike, output: ArrayLike, *, out: Array | None = None) -> Array:
    """Gradient of `relu`: `grad_output` where `output` > 0, else 0.

    Parameters
    ----------
    grad_output : array of at most 5 dimensions
        Gradient of the output.
    output : array of the same shape
        What `relu` returned, or a kernel with ``activation="relu"``. Where it is NaN the
        gradient passes.
    out : array of the same shape, optional
        Where to write the result; may be `grad_output` itself.

    Returns
    -------
    array of the shape and memory layout of `grad_output`

    Raises
    ------
    TypeError, ValueError
        As for `relu`.

    Examples
    --------
    >>> relu_backward(np.array([1.0, 2.0, 3.0]), np.array([0.0, 5.0, 0.0]))
    array([0., 2., 0.])
    """
    return _core.relu_backward(grad_output, output, out)


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


def cross_entropy_backward(
    input: ArrayLike,
    target: ArrayLike,
    grad_output: Any = None,
    *,
    ignore_index: SupportsIndex = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    out: Array | None = None,
) -> Array:
    """Gradient of `cross_entropy` with respect to the logits: to (N, C, d...).

    ``dx[n, c, d] = (softmax(input)[n, c, d] - q[n, c, d]) * dloss[n, d]``, where dloss is
    `grad_output`, for the mean divided by the number of samples that count.

    Parameters
    ----------
    input, target
        As they were given to `cross_entropy`.
    grad_output : float, or array of the shape of `target`, optional
        Gradient of the loss; an array for ``reduction="none"`` only. 1 by default.
    ignore_index, reduction, label_smoothing
        As they were given to `cross_entropy`.
    out : array of the shape of `input`, optional
        Where to write the result.

    Returns
    -------
    array of the shape and memory layout of `input`

    Raises
    ------
    TypeError, ValueError
        As for `cross_entropy`.

    Examples
    --------
    >>> logits = np.log(np.array([[0.5, 0.25, 0.25]]))
    >>> cross_entropy_backward(logits, np.array([1]))
    array([[ 0.5 , -0.75,  0.25]])
    """
    check_reduction(reduction)
    if reduction == "none" and grad_output is not None:
        grad_loss = grad_output
    else:
        try:
            scale = 1.0 if grad_output is None else float(grad_output)
        except TypeError:
            raise TypeError(f"grad_output: expected a number, got {grad_output!r}") from None
        if reduction == "mean":
            scale /= max(sample_count(target, ignore_index), 1)
        dtype = np.asarray(input).dtype
        grad_loss = np.broadcast_to(np.asarray(scale, dtype), np.shape(target))
    return _core.cross_entropy_backward(
        grad_loss, input, target, ignore_index, label_smoothing, out
    )
