"""Pooling to a given output size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from fastconv import _core

if TYPE_CHECKING:
    from fastconv._typing import Array, ArrayLike, Indices, OutputSize


def adaptive_avg_pool1d(
    input: ArrayLike, output_size: OutputSize, *, out: Array | None = None
) -> Array:
    """Means of a signal: (N, C, L) to (N, C, OL) of any OL.

    The equation, parameters and errors are those of `adaptive_avg_pool2d`, with one spatial
    dimension.

    Examples
    --------
    >>> adaptive_avg_pool1d(np.array([[[1.0, 2.0, 3.0]]]), 2)
    array([[[1.5, 2.5]]])
    """
    result: Array = _core.adaptive_pool_forward(1, False, input, output_size, False, out)
    return result


def adaptive_avg_pool2d(
    input: ArrayLike, output_size: OutputSize, *, out: Array | None = None
) -> Array:
    """Means of an image: (N, C, IH, IW) to (N, C, OH, OW) of any OH and OW.

    ``out[n, c, oh, ow]`` is the mean of ``input[n, c]`` over the rows from
    ``floor(oh * IH / OH)`` to before ``ceil((oh + 1) * IH / OH)``, and columns likewise.

    Parameters
    ----------
    input : array of shape (N, C, IH, IW) or (C, IH, IW)
        Images, or one image; only N may be 0.
    output_size : int or tuple of int or None
        (OH, OW), or one int for both; None is the size of the input. 1 is global pooling.
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
    M. Lin, Q. Chen, S. Yan, Network in network, ICLR 2014 (global pooling).

    Examples
    --------
    >>> image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    >>> adaptive_avg_pool2d(image, 1)
    array([[[5.5]]], dtype=float32)
    >>> adaptive_avg_pool2d(image, (2, None))[0]
    array([[2., 3., 4., 5.],
           [6., 7., 8., 9.]], dtype=float32)
    """
    result: Array = _core.adaptive_pool_forward(2, False, input, output_size, False, out)
    return result


def adaptive_avg_pool3d(
    input: ArrayLike, output_size: OutputSize, *, out: Array | None = None
) -> Array:
    """Means of a volume: (N, C, ID, IH, IW) to (N, C, OD, OH, OW) of any size.

    The equation, parameters and errors are those of `adaptive_avg_pool2d`, with three spatial
    dimensions.

    Examples
    --------
    >>> adaptive_avg_pool3d(np.zeros((1, 2, 7, 7, 7)), (1, 2, 3)).shape
    (1, 2, 1, 2, 3)
    """
    result: Array = _core.adaptive_pool_forward(3, False, input, output_size, False, out)
    return result


@overload
def adaptive_max_pool1d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[False] = ...,
    *,
    out: Array | None = ...,
) -> Array: ...


@overload
def adaptive_max_pool1d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[True],
    *,
    out: Array | None = ...,
) -> tuple[Array, Indices]: ...


def adaptive_max_pool1d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    out: Array | None = None,
) -> Array | tuple[Array, Indices]:
    """Largest elements of a signal: (N, C, L) to (N, C, OL) of any OL.

    The equation, parameters and errors are those of `adaptive_max_pool2d`, with one spatial
    dimension.

    Examples
    --------
    >>> adaptive_max_pool1d(np.array([[[1.0, 3.0, 2.0]]]), 2, True)
    (array([[[3., 3.]]]), array([[[1, 1]]]))
    """
    result: Array | tuple[Array, Indices] = _core.adaptive_pool_forward(
        1, True, input, output_size, return_indices, out
    )
    return result


@overload
def adaptive_max_pool2d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[False] = ...,
    *,
    out: Array | None = ...,
) -> Array: ...


@overload
def adaptive_max_pool2d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[True],
    *,
    out: Array | None = ...,
) -> tuple[Array, Indices]: ...


def adaptive_max_pool2d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    out: Array | None = None,
) -> Array | tuple[Array, Indices]:
    """Largest elements of an image: (N, C, IH, IW) to (N, C, OH, OW) of any OH and OW.

    The windows are those of `adaptive_avg_pool2d`; NaN, ties and indices are as for
    `max_pool2d`, and so is the gradient, `grad.max_pool2d_backward`.

    Parameters
    ----------
    input : array of shape (N, C, IH, IW) or (C, IH, IW)
        Images, or one image; only N may be 0.
    output_size : int or tuple of int or None
        (OH, OW), or one int for both; None is the size of the input.
    return_indices : bool
        Also return where in the image the largest elements are.
    out : array of the shape of the output, optional
        Where to write the values.

    Returns
    -------
    values : array of shape (N, C, OH, OW) or (C, OH, OW)
        In the memory layout of `input`.
    indices : int64 array of the same shape, if asked for
        Flat positions ``ih * IW + iw``.

    Raises
    ------
    TypeError, ValueError
        As for `conv2d`.

    Examples
    --------
    >>> image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    >>> adaptive_max_pool2d(image, 2)[0]
    array([[ 5.,  7.],
           [ 9., 11.]], dtype=float32)
    """
    result: Array | tuple[Array, Indices] = _core.adaptive_pool_forward(
        2, True, input, output_size, return_indices, out
    )
    return result


@overload
def adaptive_max_pool3d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[False] = ...,
    *,
    out: Array | None = ...,
) -> Array: ...


@overload
def adaptive_max_pool3d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[True],
    *,
    out: Array | None = ...,
) -> tuple[Array, Indices]: ...


def adaptive_max_pool3d(
    input: ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    out: Array | None = None,
) -> Array | tuple[Array, Indices]:
    """Largest elements of a volume: (N, C, ID, IH, IW) to (N, C, OD, OH, OW) of any size.

    The equation, parameters and errors are those of `adaptive_max_pool2d`, with three spatial
    dimensions.

    Examples
    --------
    >>> adaptive_max_pool3d(np.zeros((1, 2, 7, 7, 7)), (1, 2, 3)).shape
    (1, 2, 1, 2, 3)
    """
    result: Array | tuple[Array, Indices] = _core.adaptive_pool_forward(
        3, True, input, output_size, return_indices, out
    )
    return result
