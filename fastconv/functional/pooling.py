"""Max pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Argmax, Array, ArrayLike, Indices, Padding, Size


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
    return_argmax: Literal[False] = ...,
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
    return_argmax: Literal[True],
    out: Array | None = ...,
) -> tuple[Array, Argmax]: ...


def max_pool1d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    return_argmax: bool = False,
    out: Array | None = None,
) -> Array | tuple[Array, Indices] | tuple[Array, Argmax]:
    """Largest element of each window of a signal: (N, C, L) to (N, C, OL).

    The equation, parameters, errors and sources are those of `max_pool2d`, with one spatial
    dimension.

    Examples
    --------
    >>> max_pool1d(np.array([[[1, 3, 2, 0]]], np.float32), 2, return_indices=True)
    (array([[[3., 2.]]], dtype=float32), array([[[1, 2]]]))
    """
    return _core.max_pool_forward(
        1,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
        return_argmax,
        out,
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
    return_argmax: Literal[False] = ...,
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
    return_argmax: Literal[True],
    out: Array | None = ...,
) -> tuple[Array, Argmax]: ...


def max_pool2d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    return_argmax: bool = False,
    out: Array | None = None,
) -> Array | tuple[Array, Indices] | tuple[Array, Argmax]:
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
        Also return where in the image the largest elements are.
    return_argmax : bool
        Also return where in their windows they are: an eighth of the memory of indices, and
        all that `grad.max_pool2d_argmax_backward` needs. Windows of at most 255 elements.
    out : array of the shape of the output, optional
        Where to write the values.

    Returns
    -------
    values : array of shape (N, C, OH, OW) or (C, OH, OW)
        In the memory layout of `input`.
    indices : int64 array of the same shape, if asked for
        Flat positions ``ih * IW + iw`` in the unpadded plane.
    argmax : uint8 array of the same shape, if asked for
        Flat positions ``kh * KW + kw`` in the window; 255 for one that lies in the padding.

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`; if both indices and argmax are asked for, or the argmax of a window of
        more than 255 elements.

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
    >>> max_pool2d(image, 2, return_argmax=True)[1][0]
    array([[3, 3],
           [3, 3]], dtype=uint8)
    """
    return _core.max_pool_forward(
        2,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
        return_argmax,
        out,
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
    return_argmax: Literal[False] = ...,
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
    return_argmax: Literal[True],
    out: Array | None = ...,
) -> tuple[Array, Argmax]: ...


def max_pool3d(
    input: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    return_argmax: bool = False,
    out: Array | None = None,
) -> Array | tuple[Array, Indices] | tuple[Array, Argmax]:
    """Largest element of each window of a volume: (N, C, ID, IH, IW) to (N, C, OD, OH, OW).

    The equation, parameters, errors and sources are those of `max_pool2d`, with three
    spatial dimensions; the indices are ``(id * IH + ih) * IW + iw``.

    Examples
    --------
    >>> max_pool3d(np.zeros((1, 2, 7, 7, 7)), 2, ceil_mode=True).shape
    (1, 2, 4, 4, 4)
    """
    return _core.max_pool_forward(
        3,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
        return_argmax,
        out,
    )
