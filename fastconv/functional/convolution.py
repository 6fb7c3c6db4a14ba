"""Convolution and transposed convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Activation, Array, ArrayLike, Padding, Size, Weight


def conv1d(
    input: ArrayLike,
    weight: Weight,
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
    weight: Weight,
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
        Filters, in the dtype of `input`; or a `PackedWeight` of them.
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
    activation : str or tuple, optional
        Applied to the sum while it is stored: ``"relu"``, ``"leaky_relu"``, ``"relu6"``,
        ``"clipped_relu"``, ``"hardtanh"``, ``"sigmoid"``, ``"tanh"``, ``"silu"``, ``"gelu"``,
        ``"gelu_tanh"``, ``"elu"``, ``"selu"``, ``"softplus"``, ``"hardsigmoid"``,
        ``"hardswish"`` or ``"mish"``. Other parameters than the defaults of the functions of
        these names come in a tuple: ``("leaky_relu", 0.2)``, ``("clipped_relu", 0.0, 20.0)``
        (the bounds, by default 0 and 6).
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
        If a dtype is none of float32, float64 and bfloat16, the dtypes differ, or an argument is of
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
    weight: Weight,
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
    weight: Weight,
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
    weight: Weight,
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
        Filters, in the dtype of `input`; or a `PackedWeight` of them.
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
    weight: Weight,
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
