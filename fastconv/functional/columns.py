"""Sliding windows as columns, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike, Padding, Size


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
