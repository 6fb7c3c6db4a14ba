"""Average pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv import _core

if TYPE_CHECKING:
    from typing import SupportsIndex

    from fastconv._typing import Array, ArrayLike, Padding, Size


def avg_pool1d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: SupportsIndex | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Mean of each window of a signal: (N, C, L) to (N, C, OL).

    The equation, parameters, errors and sources are those of `avg_pool2d`, with one spatial
    dimension.

    Examples
    --------
    >>> avg_pool1d(np.array([[[1, 3, 2, 0]]], np.float32), 2)
    array([[[2., 1.]]], dtype=float32)
    """
    return _core.avg_pool_forward(
        1,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        out,
    )


def avg_pool2d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: SupportsIndex | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Mean of each window of an image: (N, C, IH, IW) to (N, C, OH, OW).

    ``out[n, c, oh, ow] = sum over kh, kw of
    input[n, c, oh * stride - padding + kh, ow * stride - padding + kw] / divisor``

    Padding is zeros. Large windows are summed in parts, so that the error stays that of a sum
    of few terms.

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
    ceil_mode : bool
        Keep a last window that is only partly inside, unless it would begin beyond the
        image and its padding before.
    count_include_pad : bool
        Whether the divisor counts the elements of the window in the padding; those beyond it,
        in the last window of `ceil_mode`, it never counts.
    divisor_override : int, optional
        The divisor of all windows, instead.
    out : array of the shape of the output, optional
        Where to write the values.

    Returns
    -------
    array of shape (N, C, OH, OW) or (C, OH, OW)
        In the memory layout of `input`.

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    References
    ----------
    Y. LeCun et al., Gradient-based learning applied to document recognition, Proceedings of
    the IEEE 86 (11), 1998.

    Examples
    --------
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    >>> avg_pool2d(image, 2)[0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    >>> avg_pool2d(np.ones((1, 2, 2)), 2, padding=1, count_include_pad=False)[0]
    array([[1., 1.],
           [1., 1.]])
    """
    return _core.avg_pool_forward(
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        out,
    )


def avg_pool3d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: SupportsIndex | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Mean of each window of a volume: (N, C, ID, IH, IW) to (N, C, OD, OH, OW).

    The equation, parameters, errors and sources are those of `avg_pool2d`, with three spatial
    dimensions.

    Examples
    --------
    >>> avg_pool3d(np.zeros((1, 2, 7, 7, 7)), 2, ceil_mode=True).shape
    (1, 2, 4, 4, 4)
    """
    return _core.avg_pool_forward(
        3,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        out,
    )
