"""Gradients of convolution and transposed convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike, Padding, Shape, Size, Weight


def conv1d_input(
    input_size: Shape,
    weight: Weight,
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
    weight: Weight,
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
        Filters, or a `PackedWeight` of them.
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
    weight: Weight,
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
