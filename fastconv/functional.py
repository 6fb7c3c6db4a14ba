"""Operations on arrays, under the names and with the arguments of ``torch.nn.functional``.

Arrays in, arrays out. Arguments are whatever NumPy can view without a copy (the buffer
protocol, ``__array__``, ``__dlpack__`` on the CPU), in float32 or float64 and all of one
dtype; read-only, strided, reversed and broadcast arrays are fine. The logical order of
dimensions is always (N, C, spatial...); memory layout is a matter of strides: channels-last
data is passed as a transposed view, and a new output takes the layout of the input. Its
memory is 64-byte aligned and comes from a pool that reuses it (`runtime.pool_stats`). With
``out`` the result is written there and `out` itself is returned.

The gradients are in `fastconv.grad`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, overload

import numpy as np

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import (
        Activation,
        Array,
        ArrayLike,
        Indices,
        Padding,
        Reduction,
        Size,
    )

__all__ = [
    "col2im",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "fold",
    "im2col",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "relu",
    "softmax",
    "unfold",
]


# ---- convolution


def conv1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    activation: Activation = None,
    residual: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """Convolve signals: (N, IC, L) and (OC, IC / groups, K) to (N, OC, OL).

    ``out[n, oc, o] = bias[oc] + sum over ic, k of
    input[n, ic, o * stride - padding + k * dilation] * weight[oc, ic, k]``

    The parameters, errors and sources are those of `conv2d`, with one spatial dimension.

    Examples
    --------
    >>> signal = np.array([[[0, 0, 1, 1, 1, 0, 1, 0, 0, 0]]], np.float32)
    >>> edges = np.array([[[-1, 1, -1]]], np.float32)
    >>> conv1d(signal, edges)[0, 0]
    array([-1.,  0., -1.,  0., -2.,  1., -1.,  0.], dtype=float32)
    """
    return _core.conv_forward(
        1, input, weight, bias, stride, padding, dilation, groups, activation, residual, out
    )


def conv2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    activation: Activation = None,
    residual: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """Convolve images: (N, IC, IH, IW) and (OC, IC / groups, KH, KW) to (N, OC, OH, OW).

    Cross-correlation, as in every framework: the filter is not flipped.

    ``out[n, oc, oh, ow] = bias[oc] + sum over ic, kh, kw of
    input[n, ic, oh * stride - padding + kh * dilation, ow * ...] * weight[oc, ic, kh, kw]``,
    where ic runs over the channels of oc's group and positions outside the image count as 0.
    ``OH = (IH + padding before and after - dilation * (KH - 1) - 1) // stride + 1``.

    Parameters
    ----------
    input : array of shape (N, IC, IH, IW) or (IC, IH, IW)
        Images, or one image; only N may be 0.
    weight : array of shape (OC, IC / groups, KH, KW)
        Filters, in the dtype of `input`.
    bias : array of shape (OC,), optional
        Added to every position of a channel.
    stride : int or tuple of int
        Step of the window.
    padding : int, tuple or str
        Zeros around the image: one int for all sides; one per dimension; a (before, after)
        pair per dimension; ``"valid"``, none; or ``"same"``, so that
        ``OH = ceil(IH / stride)``, the odd one after, as in TensorFlow.
    dilation : int or tuple of int
        Distance between the taps of a filter; 1 is dense.
    groups : int
        Splits the channels: filters of group g see the g-th part of the input channels.
        ``groups=IC`` is a depthwise convolution.
    activation : {"relu"}, optional
        Applied to the sum while it is stored.
    residual : array of the shape of the output, optional
        Added to the sum before the activation.
    out : array of the shape of the output, optional
        Where to write the result; it must not overlap the operands (but may be `residual`).

    Returns
    -------
    array of shape (N, OC, OH, OW) or (OC, OH, OW)
        In the memory layout of `input`: channels-last for channels-last, else contiguous.

    Raises
    ------
    TypeError
        If a dtype is neither float32 nor float64, the dtypes differ, or an argument is of
        the wrong kind.
    ValueError
        If a rank, a shape or a value does not fit the others; the text names the argument.

    References
    ----------
    V. Dumoulin, F. Visin, A guide to convolution arithmetic for deep learning,
    arXiv:1603.07285, 2016.

    Examples
    --------
    >>> image = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> conv2d(image, np.ones((1, 1, 2, 2), np.float32))[0, 0]
    array([[ 8., 12.],
           [20., 24.]], dtype=float32)
    >>> conv2d(image, np.ones((8, 1, 3, 3), np.float32), stride=2, padding="same").shape
    (1, 8, 2, 2)
    """
    return _core.conv_forward(
        2, input, weight, bias, stride, padding, dilation, groups, activation, residual, out
    )


def conv3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: SupportsIndex = 1,
    *,
    activation: Activation = None,
    residual: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """Convolve volumes: (N, IC, ID, IH, IW), (OC, IC / groups, KD, KH, KW) to (N, OC, ...).

    The equation, parameters, errors and sources are those of `conv2d`, with three spatial
    dimensions.

    Examples
    --------
    >>> volume = np.ones((2, 3, 4, 5, 6))
    >>> conv3d(volume, np.ones((8, 3, 2, 2, 2)), stride=(1, 1, 2)).shape
    (2, 8, 3, 4, 3)
    """
    return _core.conv_forward(
        3, input, weight, bias, stride, padding, dilation, groups, activation, residual, out
    )


def conv_transpose1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    groups: SupportsIndex = 1,
    dilation: Size = 1,
    *,
    activation: Activation = None,
    residual: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """Transposed convolution of signals: (N, IC, L), (IC, OC / groups, K) to (N, OC, OL).

    The equation, parameters, errors and sources are those of `conv_transpose2d`, with one
    spatial dimension.

    Examples
    --------
    >>> taps = np.array([[[1, 10, 100]]], np.float32)
    >>> conv_transpose1d(np.array([[[1, 2, 3]]], np.float32), taps)[0, 0]
    array([  1.,  12., 123., 230., 300.], dtype=float32)
    """
    return _core.conv_transpose_forward(
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        activation,
        residual,
        out,
    )


def conv_transpose2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    groups: SupportsIndex = 1,
    dilation: Size = 1,
    *,
    activation: Activation = None,
    residual: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """Transposed convolution of images: (N, IC, IH, IW), (IC, OC / groups, KH, KW) to (N, OC, ...).

    The input gradient of `conv2d`, called forward: every input position adds its filter,
    scaled, to the output.

    ``out[n, oc, ih * stride - padding + kh * dilation, iw * ...] +=
    input[n, ic, ih, iw] * weight[ic, oc, kh, kw]``, then the bias, the residual and the
    activation. ``OH = (IH - 1) * stride - padding before and after + dilation * (KH - 1) +
    output_padding + 1``.

    Its gradients need no functions of their own: that of the input is `conv2d` of the output
    gradient with the same weight and window, that of the weight is `grad.conv2d_weight` with
    input and output gradient exchanged.

    Parameters
    ----------
    input : array of shape (N, IC, IH, IW) or (IC, IH, IW)
        Images, or one image; only N may be 0.
    weight : array of shape (IC, OC / groups, KH, KW)
        Filters, in the dtype of `input`.
    bias : array of shape (OC,), optional
        Added to every position of a channel.
    stride, dilation : int or tuple of int
        Of the convolution this one is the transpose of.
    padding : int, tuple or str
        As for `conv2d`: what is cut off the output. ``"same"`` does not determine an output
        size and is refused.
    output_padding : int or tuple of int
        Extends the output on its far side, to choose among the sizes that the convolution
        maps to the size of `input`; less than the stride or the dilation.
    groups : int
        As for `conv2d`.
    activation, residual, out
        As for `conv2d`.

    Returns
    -------
    array of shape (N, OC, OH, OW) or (OC, OH, OW)
        In the memory layout of `input`.

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    M. D. Zeiler et al., Deconvolutional networks, CVPR 2010.

    Examples
    --------
    >>> x = np.ones((1, 1, 2, 2), np.float32)
    >>> conv_transpose2d(x, np.ones((1, 1, 2, 2), np.float32))[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]], dtype=float32)
    """
    return _core.conv_transpose_forward(
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        activation,
        residual,
        out,
    )


def conv_transpose3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    groups: SupportsIndex = 1,
    dilation: Size = 1,
    *,
    activation: Activation = None,
    residual: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """Transposed convolution of volumes: (N, IC, ID, IH, IW) to (N, OC, OD, OH, OW).

    The equation, parameters, errors and sources are those of `conv_transpose2d`, with three
    spatial dimensions.

    Examples
    --------
    >>> conv_transpose3d(np.ones((1, 2, 3, 3, 3)), np.ones((2, 4, 2, 2, 2)), stride=2).shape
    (1, 4, 6, 6, 6)
    """
    return _core.conv_transpose_forward(
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        activation,
        residual,
        out,
    )


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


# ---- windows


@overload
def max_pool1d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = ...,
    padding: Padding = ...,
    dilation: Size = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    out: Array | None = ...,
) -> Array: ...
@overload
def max_pool1d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = ...,
    padding: Padding = ...,
    dilation: Size = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    out: Array | None = ...,
) -> tuple[Array, Indices]: ...
def max_pool1d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: Array | None = None,
) -> Array | tuple[Array, Indices]:
    """Largest element of each window of a signal: (N, C, L) to (N, C, OL).

    The equation, parameters, errors and sources are those of `max_pool2d`, with one spatial
    dimension.

    Examples
    --------
    >>> max_pool1d(np.array([[[1, 3, 2, 0]]], np.float32), 2, return_indices=True)
    (array([[[3., 2.]]], dtype=float32), array([[[1, 2]]]))
    """
    return _core.max_pool_forward(
        1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, out
    )


@overload
def max_pool2d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = ...,
    padding: Padding = ...,
    dilation: Size = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    out: Array | None = ...,
) -> Array: ...
@overload
def max_pool2d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = ...,
    padding: Padding = ...,
    dilation: Size = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    out: Array | None = ...,
) -> tuple[Array, Indices]: ...
def max_pool2d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: Array | None = None,
) -> Array | tuple[Array, Indices]:
    """Largest element of each window of an image: (N, C, IH, IW) to (N, C, OH, OW).

    ``out[n, c, oh, ow] = max over kh, kw of
    input[n, c, oh * stride - padding + kh * dilation, ow * ...]``

    Padding counts as minus infinity. A NaN in a window wins. On ties the first element in
    row-major order is the one that the indices name.

    Parameters
    ----------
    input : array of shape (N, C, IH, IW) or (C, IH, IW)
        Images, or one image; only N may be 0.
    kernel_size : int or tuple of int
        Size of the window.
    stride : int or tuple of int, optional
        Step of the window; by default its size.
    padding : int, tuple or str
        The forms are those of `conv2d`; at most half the window.
    dilation : int or tuple of int
        Distance between the elements of a window.
    ceil_mode : bool
        Keep a last window that is only partly inside, unless it would begin beyond the
        image and its padding before.
    return_indices : bool
        Also return where the largest elements are.
    out : array of the shape of the output, optional
        Where to write the values.

    Returns
    -------
    values : array of shape (N, C, OH, OW) or (C, OH, OW)
        In the memory layout of `input`.
    indices : int64 array of the same shape, if asked for
        Flat positions ``ih * IW + iw`` in the unpadded plane.

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    M. Ranzato et al., Unsupervised learning of invariant feature hierarchies with
    applications to object recognition, CVPR 2007.

    Examples
    --------
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    >>> values, indices = max_pool2d(image, 2, return_indices=True)
    >>> values[0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    >>> indices[0].tolist()
    [[5, 7], [13, 15]]
    """
    return _core.max_pool_forward(
        2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, out
    )


@overload
def max_pool3d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = ...,
    padding: Padding = ...,
    dilation: Size = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    out: Array | None = ...,
) -> Array: ...
@overload
def max_pool3d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = ...,
    padding: Padding = ...,
    dilation: Size = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    out: Array | None = ...,
) -> tuple[Array, Indices]: ...
def max_pool3d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: Array | None = None,
) -> Array | tuple[Array, Indices]:
    """Largest element of each window of a volume: (N, C, ID, IH, IW) to (N, C, OD, OH, OW).

    The equation, parameters, errors and sources are those of `max_pool2d`, with three
    spatial dimensions; the indices are ``(id * IH + ih) * IW + iw``.

    Examples
    --------
    >>> max_pool3d(np.zeros((1, 2, 7, 7, 7)), 2, ceil_mode=True).shape
    (1, 2, 4, 4, 4)
    """
    return _core.max_pool_forward(
        3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, out
    )


def max_unpool1d(
    input: ArrayLike,
    indices: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Size | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Put values back where `max_pool1d` found them: (N, C, L) to (N, C, OL), zero elsewhere.

    The equation, parameters, errors and sources are those of `max_unpool2d`, with one
    spatial dimension.

    Examples
    --------
    >>> max_unpool1d(np.array([[[3.0, 2.0]]]), np.array([[[1, 2]]]), 2)
    array([[[0., 3., 2., 0.]]])
    """
    size = _unpooled_size(1, input, kernel_size, stride, padding, output_size)
    return _core.max_unpool(1, input, indices, size, out)


def max_unpool2d(
    input: ArrayLike,
    indices: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Size | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Put values back where `max_pool2d` found them: (N, C, IH, IW) to (N, C, OH, OW).

    ``out[n, c, indices[n, c, i]] = input[n, c, i]``, with planes seen as flat, and 0
    elsewhere. Where an index repeats, the last in row-major order wins.

    Parameters
    ----------
    input : array of shape (N, C, IH, IW) or (C, IH, IW)
        Values.
    indices : int64 array of the shape of `input`
        Flat positions in the planes of the output, as `max_pool2d` returns them.
    kernel_size, stride, padding : int or tuple of int
        Of the pooling to undo.
    output_size : tuple of int, optional
        (OH, OW), or the shape of the whole output. By default
        ``OH = (IH - 1) * stride - 2 * padding + kernel_size``, the smallest that fits.
    out : array of the shape of the output, optional
        Where to write the result.

    Returns
    -------
    array of shape (N, C, OH, OW) or (C, OH, OW)
        In the memory layout of `input`.

    Raises
    ------
    TypeError
        As for `conv2d`, and if the indices are not int64.
    ValueError
        If shapes do not fit or an index is outside the plane.

    References
    ----------
    M. D. Zeiler, R. Fergus, Visualizing and understanding convolutional networks, ECCV 2014.

    Examples
    --------
    >>> values, indices = max_pool2d(np.eye(4)[None], 2, return_indices=True)
    >>> max_unpool2d(values, indices, 2)[0]
    array([[1., 0., 0., 0.],
           [0., 0., 0., 0.],
           [0., 0., 1., 0.],
           [0., 0., 0., 0.]])
    """
    size = _unpooled_size(2, input, kernel_size, stride, padding, output_size)
    return _core.max_unpool(2, input, indices, size, out)


def max_unpool3d(
    input: ArrayLike,
    indices: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Size | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Put values back where `max_pool3d` found them: (N, C, ID, IH, IW) to (N, C, OD, OH, OW).

    The equation, parameters, errors and sources are those of `max_unpool2d`, with three
    spatial dimensions.

    Examples
    --------
    >>> max_unpool3d(np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 1), np.int64), 2).shape
    (1, 2, 2, 2)
    """
    size = _unpooled_size(3, input, kernel_size, stride, padding, output_size)
    return _core.max_unpool(3, input, indices, size, out)


def _unpooled_size(
    spatial_ndim: int,
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    output_size: Size | None,
) -> Any:
    """Spatial output size of unpooling: what was asked for, or the smallest that pools to it."""
    shape = np.shape(input)
    lead = len(shape) - spatial_ndim
    if output_size is not None:
        if not isinstance(output_size, (tuple, list)) or len(output_size) != len(shape):
            return output_size
        if tuple(output_size[:lead]) != shape[:lead]:
            raise ValueError(
                f"output_size: expected {shape[:lead]} before the spatial sizes, "
                f"as input has, got {output_size}"
            )
        return output_size[lead:]
    spatial = ((1,) * spatial_ndim + shape)[-spatial_ndim:]  # the library reports a wrong rank
    kernels = _core.sizes(kernel_size, spatial_ndim, "kernel_size")
    strides = kernels if stride is None else _core.sizes(stride, spatial_ndim, "stride")
    paddings = _core.sizes(padding, spatial_ndim, "padding")
    return tuple(
        (i - 1) * s - 2 * p + k
        for i, k, s, p in zip(spatial, kernels, strides, paddings, strict=True)
    )


def unfold(
    input: ArrayLike,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Padding = 0,
    stride: Size = 1,
    *,
    out: Array | None = None,
) -> Array:
    """Lay out every window as a column (im2col): (N, C, IH, IW) to (N, C * KH * KW, OH * OW).

    ``out[n, (c * KH + kh) * KW + kw, oh * OW + ow] =
    input[n, c, oh * stride - padding + kh * dilation, ow * ...]``, 0 outside the image. With
    it a convolution is a matrix product: ``weight.reshape(OC, -1) @ unfold(input, ...)``.

    Parameters
    ----------
    input : array of shape (N, C, spatial...) or (C, spatial...)
        Signals, images or volumes; only N may be 0.
    kernel_size : int or tuple of int
        Size of the window. Its length says how many dimensions are spatial: 1, 2 or 3; an
        int means 2, as in PyTorch.
    dilation, padding, stride : int or tuple
        As for `conv2d`.
    out : array of the shape of the output, optional
        Where to write the result.

    Returns
    -------
    array of shape (N, C * KH * KW, OH * OW) or (C * KH * KW, OH * OW)

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    K. Chellapilla, S. Puri, P. Simard, High performance convolutional neural networks for
    document processing, 2006.

    Examples
    --------
    >>> image = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    >>> unfold(image, 2)
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]], dtype=float32)
    >>> unfold(np.array([[[1.0, 2.0, 3.0]]]), (2,))[0]
    array([[1., 2.],
           [2., 3.]])
    """
    return _core.im2col(
        spatial_ndim(kernel_size), input, kernel_size, dilation, padding, stride, out
    )


def fold(
    input: ArrayLike,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Padding = 0,
    stride: Size = 1,
    *,
    out: Array | None = None,
) -> Array:
    """Sum columns back to where `unfold` took them from (col2im), its transpose.

    (N, C * KH * KW, OH * OW) to (N, C, IH, IW):
    ``out[n, c, oh * stride - padding + kh * dilation, ow * ...] +=
    input[n, (c * KH + kh) * KW + kw, oh * OW + ow]``, and what falls into the padding is
    dropped.

    Parameters
    ----------
    input : array of shape (N, C * KH * KW, OH * OW) or (C * KH * KW, OH * OW)
        Columns.
    output_size : int or tuple of int
        (IH, IW).
    kernel_size, dilation, padding, stride
        As for `unfold`.
    out : array of the shape of the output, optional
        Where to write the result.

    Returns
    -------
    array of shape (N, C, IH, IW) or (C, IH, IW)

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    As for `unfold`.

    Examples
    --------
    >>> columns = unfold(np.ones((1, 3, 3)), 2)
    >>> fold(columns, 3, 2)[0]  # how many windows each pixel is in
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    return _core.col2im(
        spatial_ndim(kernel_size), input, output_size, kernel_size, dilation, padding, stride, out
    )


def spatial_ndim(kernel_size: Size) -> int:
    """Return how many spatial dimensions a window of unfold and fold has."""
    if not isinstance(kernel_size, (tuple, list)):
        return 2
    if not 1 <= len(kernel_size) <= 3:
        raise ValueError(f"kernel_size: expected an int or 1 to 3 of them, got {kernel_size!r}")
    return len(kernel_size)


im2col = unfold
col2im = fold


# ---- elementwise, softmax, loss


def relu(input: ArrayLike, *, out: Array | None = None) -> Array:
    """Rectifier: ``out = max(input, 0)``; NaN stays NaN.

    Parameters
    ----------
    input : array of at most 5 dimensions
        Float32 or float64.
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
    V. Nair, G. E. Hinton, Rectified linear units improve restricted Boltzmann machines,
    ICML 2010.

    Examples
    --------
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return _core.relu(input, out)


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


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    *,
    ignore_index: SupportsIndex = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy of logits with class labels: (N, C, d...) and (N, d...).

    ``loss[n] = -sum over c of q[n, c] * log_softmax(input)[n, c]``, where q is 1 for the
    target class and 0 elsewhere; with label smoothing s, ``(1 - s) * q + s / C``.

    Parameters
    ----------
    input : array of shape (N, C, d...) or (C,)
        Unnormalised scores of C classes.
    target : int64 array of shape (N, d...) or ()
        Class labels in [0, C), or `ignore_index`.
    ignore_index : int
        Samples with this label have no loss and do not count in the mean.
    reduction : {"mean", "sum", "none"}
        Of the losses of all samples; the mean of no samples is NaN.
    label_smoothing : float
        In [0, 1].

    Returns
    -------
    scalar of the dtype of `input`, or array of the shape of `target` for ``"none"``

    Raises
    ------
    TypeError
        As for `conv2d`, and if the target is not int64.
    ValueError
        As for `conv2d`, and if a target is neither a class nor `ignore_index`.

    References
    ----------
    C. Szegedy et al., Rethinking the Inception architecture for computer vision, CVPR 2016,
    for label smoothing.

    Examples
    --------
    >>> logits = np.log(np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]))
    >>> cross_entropy(logits, np.array([0, 1]), reduction="none").round(4)
    array([0.6931, 1.3863])
    >>> round(float(cross_entropy(logits, np.array([0, 1]))), 4)
    1.0397
    """
    check_reduction(reduction)
    losses = _core.cross_entropy(input, target, ignore_index, label_smoothing)
    if reduction == "none":
        return losses
    total = losses.sum(dtype=np.float64)
    if reduction == "mean":
        counted = sample_count(target, ignore_index)
        total = total / counted if counted > 0 else np.nan
    return losses.dtype.type(total)


def sample_count(target: ArrayLike, ignore_index: SupportsIndex) -> int:
    """Return how many samples have a loss."""
    return int(np.count_nonzero(np.asarray(target) != ignore_index))


def check_reduction(reduction: str) -> None:
    """Raise ValueError unless `reduction` is one that the losses know."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")
