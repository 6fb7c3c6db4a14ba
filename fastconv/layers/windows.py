"""What the arguments of a sliding window mean: sizes, padding, data format, output shape."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from fastconv.layers.types import Array, Shape

__all__ = [
    "Padding",
    "channels_first",
    "channels_last",
    "data_format",
    "join_shape",
    "leftovers",
    "output_sizes",
    "padding",
    "room",
    "sizes",
    "split_shape",
]

#: "valid", "same", or (before, after) for each dimension.
Padding: TypeAlias = str | tuple[tuple[int, int], ...]


def _is_int(value: object, least: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return False
    return int(value) >= least


def sizes(value: int | Sequence[int], rank: int, argument: str) -> tuple[int, ...]:
    """Return one positive integer per dimension.

    Examples
    --------
    >>> sizes(2, 3, "strides"), sizes((1, 2), 2, "strides")
    ((2, 2, 2), (1, 2))
    >>> sizes(0, 2, "strides")
    Traceback (most recent call last):
        ...
    ValueError: strides: got 0, expected a positive integer or 2 of them
    """
    values = (value,) * rank if isinstance(value, int | np.integer) else value
    if not isinstance(values, Sequence) or isinstance(values, str):
        values = ()
    if len(values) != rank or not all(_is_int(v, 1) for v in values):
        expected = f" or {rank} of them" if rank > 1 else ""
        raise ValueError(f"{argument}: got {value!r}, expected a positive integer{expected}")
    return tuple(int(v) for v in values)


def padding(value: str | int | Sequence[int | Sequence[int]], rank: int) -> Padding:
    """Return "valid", "same", or (before, after) for each dimension.

    Examples
    --------
    >>> padding("SAME", 2), padding(1, 2), padding([2, (0, 1)], 2)
    ('same', ((1, 1), (1, 1)), ((2, 2), (0, 1)))
    """
    if isinstance(value, str):
        if value.lower() in ("valid", "same"):
            return value.lower()
    elif _is_int(value, 0):
        return ((int(value), int(value)),) * rank  # type: ignore[arg-type]
    elif isinstance(value, Sequence) and len(value) == rank:
        pairs = [p if isinstance(p, Sequence) else (p, p) for p in value]
        if all(len(p) == 2 and all(_is_int(v, 0) for v in p) for p in pairs):
            return tuple((int(p[0]), int(p[1])) for p in pairs)
    raise ValueError(
        f"padding: got {value!r}, expected 'valid', 'same', a non-negative integer, or {rank} "
        "integers or (before, after) pairs"
    )


def data_format(value: str | None) -> str:
    """Return ``"channels_last"``, the default, or ``"channels_first"``."""
    if value is None:
        return "channels_last"
    if value not in ("channels_last", "channels_first"):
        raise ValueError(
            f"data_format: got {value!r}, expected 'channels_last' or 'channels_first'"
        )
    return value


def split_shape(shape: Shape, rank: int, format: str, layer: str) -> tuple[int | None, Shape]:
    """Return the channels and the spatial extents of an input's shape.

    Examples
    --------
    >>> split_shape((None, 28, 28, 3), 2, "channels_last", "conv2d")
    (3, (28, 28))
    >>> split_shape((None, 3, 28, 28), 2, "channels_first", "conv2d")
    (3, (28, 28))
    """
    if len(shape) != rank + 2:
        names = ["height", "width"] if rank == 2 else ["length"] if rank == 1 else []
        names = names or ["depth", "height", "width"]
        names = [*names, "channels"] if format == "channels_last" else ["channels", *names]
        raise ValueError(
            f"{layer}: got an input of shape {shape}, expected (batch, {', '.join(names)})"
        )
    return (shape[-1], shape[1:-1]) if format == "channels_last" else (shape[1], shape[2:])


def join_shape(batch: int | None, channels: int | None, spatial: Shape, format: str) -> Shape:
    """Put together what `split_shape` took apart."""
    if format == "channels_last":
        return (batch, *spatial, channels)
    return (batch, channels, *spatial)


def _free(
    spatial: Shape, kernel: Sequence[int], stride: Sequence[int], pad: Padding, dil: Sequence[int]
) -> list[int | None]:
    """How far the window can move in each dimension: padded extent minus the window's."""
    free: list[int | None] = []
    for i, extent in enumerate(spatial):
        if extent is None:
            free.append(None)
            continue
        if pad == "same":
            free.append((-(-extent // stride[i]) - 1) * stride[i])
            continue
        before, after = (0, 0) if isinstance(pad, str) else pad[i]
        free.append(extent + before + after - (dil[i] * (kernel[i] - 1) + 1))
    return free


def output_sizes(
    spatial: Shape,
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Padding,
    dilation: Sequence[int],
    layer: str,
) -> Shape:
    """Return (in + before + after - dilation (kernel - 1) - 1) // stride + 1 per dimension.

    With padding "same" that is ceil(in / stride). None stays None.

    Examples
    --------
    >>> output_sizes((227, 55), (11, 3), (4, 2), "valid", (1, 1), "conv")
    (55, 27)
    """
    free = _free(spatial, kernel, stride, pad, dilation)
    if any(f is not None and f < 0 for f in free):
        raise ValueError(
            f"{layer}: the window of {tuple(kernel)}, dilated by {tuple(dilation)}, does not fit "
            f"into the input of {tuple(spatial)} with padding {pad!r}"
        )
    return tuple(None if f is None else f // s + 1 for f, s in zip(free, stride, strict=True))


def leftovers(
    spatial: Shape,
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Padding,
    dilation: Sequence[int],
) -> list[str]:
    """Return one note per dimension in which the stride does not fit evenly.

    Examples
    --------
    >>> leftovers((7,), (3,), (3,), "valid", (1,))
    ['stride 3 does not fit 7: the last 1 is left out']
    >>> leftovers((7,), (3,), (2,), "valid", (1,))
    []
    """
    free = _free(spatial, kernel, stride, pad, dilation)
    notes = []
    for i, f in enumerate(free):
        if f is not None and f % stride[i]:
            left = f % stride[i]
            notes.append(
                f"stride {stride[i]} does not fit {spatial[i]}: "
                f"the last {left} {'is' if left == 1 else 'are'} left out"
            )
    return notes


@functools.cache
def _channels_first_axes(ndim: int) -> tuple[int, ...]:
    return 0, ndim - 1, *range(1, ndim - 1)


@functools.cache
def _channels_last_axes(ndim: int) -> tuple[int, ...]:
    return 0, *range(2, ndim), 1


def channels_first(x: Array) -> Array:
    """View (N, spatial..., C) as (N, C, spatial...)."""
    return x.transpose(_channels_first_axes(x.ndim))


def channels_last(x: Array) -> Array:
    """View (N, C, spatial...) as (N, spatial..., C)."""
    return x.transpose(_channels_last_axes(x.ndim))


def room(x: Array, shape: Shape) -> Array | None:
    """Return memory for a kernel's result, where its operand leaves the layout open; or None.

    A result has the layout of its operand, x (N, spatial..., C). With one channel or one pixel
    that could be either, and left to choose, the result would be planar and meet channels-last
    arrays in the next elementwise operation, which is slow on such pairs.

    Parameters
    ----------
    x : ndarray
        The operand.
    shape : tuple of int
        The result's, (N, spatial..., C); the array returned is its view as `channels_first`.
    """
    if x.shape[-1] > 1 and max(x.shape[1:-1]) > 1:
        return None
    return channels_first(np.empty(tuple(extent or 0 for extent in shape), x.dtype))
