"""Max pooling and unpooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

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
