"""Gradients of average pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv import _core

if TYPE_CHECKING:
    from typing import SupportsIndex

    from fastconv._typing import Array, ArrayLike, Padding, Shape, Size


def avg_pool1d_backward(
    grad_output: ArrayLike,
    input_size: Shape,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: SupportsIndex | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `avg_pool1d`: (N, C, OL) to (N, C, L).

    The equation, parameters and errors are those of `avg_pool2d_backward`, with one spatial
    dimension.

    Examples
    --------
    >>> avg_pool1d_backward(np.array([[[2.0, 4.0]]]), (1, 1, 5), 2)
    array([[[1., 1., 2., 2., 0.]]])
    """
    return _core.avg_pool_backward(
        1,
        grad_output,
        input_size,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        out,
    )


def avg_pool2d_backward(
    grad_output: ArrayLike,
    input_size: Shape,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: SupportsIndex | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `avg_pool2d`: (N, C, OH, OW) to (N, C, IH, IW).

    ``dx[n, c, i] = sum of dy[n, c, o] / divisor(o)`` over the windows o that contain i.

    Parameters
    ----------
    grad_output : array of shape (N, C, OH, OW) or (C, OH, OW)
        Gradient of the output.
    input_size : tuple of int
        (N, C, IH, IW) or (C, IH, IW).
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As they were given to `avg_pool2d`.
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
    >>> avg_pool2d_backward(np.array([[[4.0, 8.0]]]), (1, 2, 4), 2)[0]
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    """
    return _core.avg_pool_backward(
        2,
        grad_output,
        input_size,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        out,
    )


def avg_pool3d_backward(
    grad_output: ArrayLike,
    input_size: Shape,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: SupportsIndex | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `avg_pool3d`: (N, C, OD, OH, OW) to (N, C, ID, IH, IW).

    The equation, parameters and errors are those of `avg_pool2d_backward`, with three spatial
    dimensions.

    Examples
    --------
    >>> avg_pool3d_backward(np.ones((1, 1, 1, 1)), (1, 2, 2, 2), 2).shape
    (1, 2, 2, 2)
    """
    return _core.avg_pool_backward(
        3,
        grad_output,
        input_size,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        out,
    )


def adaptive_avg_pool1d_backward(
    grad_output: ArrayLike, input_size: Shape, *, out: Array | None = None
) -> Array:
    """Gradient of `adaptive_avg_pool1d`: (N, C, OL) to (N, C, L).

    The equation, parameters and errors are those of `adaptive_avg_pool2d_backward`, with one
    spatial dimension.

    Examples
    --------
    >>> adaptive_avg_pool1d_backward(np.array([[[2.0, 4.0]]]), (1, 1, 3))
    array([[[1., 3., 2.]]])
    """
    return _core.adaptive_avg_pool_backward(1, grad_output, input_size, out)


def adaptive_avg_pool2d_backward(
    grad_output: ArrayLike, input_size: Shape, *, out: Array | None = None
) -> Array:
    """Gradient of `adaptive_avg_pool2d`: (N, C, OH, OW) to (N, C, IH, IW).

    ``dx[n, c, i] = sum of dy[n, c, o] / size(o)`` over the windows o that contain i. The
    gradient of `adaptive_max_pool2d` is `max_pool2d_backward`.

    Parameters
    ----------
    grad_output : array of shape (N, C, OH, OW) or (C, OH, OW)
        Gradient of the output.
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
    TypeError, ValueError
        As for `conv2d`.

    Examples
    --------
    >>> adaptive_avg_pool2d_backward(np.array([[[6.0]]]), (1, 2, 3))[0]
    array([[1., 1., 1.],
           [1., 1., 1.]])
    """
    return _core.adaptive_avg_pool_backward(2, grad_output, input_size, out)


def adaptive_avg_pool3d_backward(
    grad_output: ArrayLike, input_size: Shape, *, out: Array | None = None
) -> Array:
    """Gradient of `adaptive_avg_pool3d`: (N, C, OD, OH, OW) to (N, C, ID, IH, IW).

    The equation, parameters and errors are those of `adaptive_avg_pool2d_backward`, with
    three spatial dimensions.

    Examples
    --------
    >>> adaptive_avg_pool3d_backward(np.ones((1, 1, 1, 1)), (1, 2, 2, 2)).shape
    (1, 2, 2, 2)
    """
    return _core.adaptive_avg_pool_backward(3, grad_output, input_size, out)
