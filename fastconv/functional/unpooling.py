"""Max unpooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike, Size


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
