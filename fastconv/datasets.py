"""Images to train with, and what prepares images for a model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.utils import import_extra

__all__ = ["augment", "load_digits", "resize"]

_Array = NDArray[Any]


def load_digits() -> tuple[tuple[_Array, _Array], tuple[_Array, _Array]]:
    """Return ``(x_train, y_train), (x_test, y_test)``: handwritten digits, 8 x 8.

    The 1797 images of scikit-learn's `load_digits`, which come with that package (the
    ``train`` extra): real digits of 43 people, each pixel the number of ink points in a 4 x 4
    square of a 32 x 32 bitmap, here divided by 16. Bright ink on a dark ground, filling the
    height.

    Held out is every fifth image of the list sorted by class (stably: within a class in the
    order of the data set), from the first on. So each class gives a fifth, and the split
    depends on no random generator.

    Returns
    -------
    x : ndarray of float32, shape (1437, 8, 8, 1) and (360, 8, 8, 1)
        Between 0 and 1.
    y : ndarray of int64, shape (1437,) and (360,)
        0 to 9.

    Notes
    -----
    Source: E. Alpaydin, C. Kaynak, Optical recognition of handwritten digits, UCI Machine
    Learning Repository, 1998.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_digits()
    >>> x_train.shape, x_test.shape, np.bincount(y_test).tolist()
    ((1437, 8, 8, 1), (360, 8, 8, 1), [36, 36, 36, 36, 37, 36, 36, 36, 35, 36])
    """
    digits = import_extra("sklearn.datasets", "load_digits()", "scikit-learn").load_digits()
    x = (digits.images[..., np.newaxis] / 16).astype(np.float32)
    y = digits.target.astype(np.int64)
    order = np.argsort(y, kind="stable")
    held_out = np.zeros(len(y), bool)
    held_out[order[::5]] = True
    return (x[~held_out], y[~held_out]), (x[held_out], y[held_out])


def resize(images: ArrayLike, size: tuple[int, int]) -> _Array:
    """Return images (N, H, W, C) at another size, interpolated linearly.

    Pixels are squares whose centres have the value; beyond the outermost centres the edge is
    repeated. For larger sizes: where the image shrinks, pixels in between are skipped.

    Examples
    --------
    >>> resize(np.array([0.0, 1.0]).reshape(1, 1, 2, 1), (1, 4)).ravel()
    array([0.  , 0.25, 0.75, 1.  ])
    """
    x = np.asarray(images)
    return np.ascontiguousarray(_stretch(_stretch(x, size[0], 1), size[1], 2))


def augment(
    images: ArrayLike,
    seed: int | tuple[int, ...],
    rotation: float = 10.0,
    scale: float = 0.1,
    shift: float = 0.05,
) -> _Array:
    """Return images (N, H, W, C), each turned, scaled and shifted a little, at random.

    Parameters
    ----------
    images : array_like
        Dark at the edges: what comes in from outside is 0.
    seed : int or tuple of int
        The same seed gives the same images.
    rotation : float
        Largest angle, in degrees.
    scale : float
        Largest change of height and of width, each for itself; 0.1 is 10 %.
    shift : float
        Largest shift in each direction, in heights and widths.

    Examples
    --------
    >>> augment(np.ones((3, 8, 8, 1), np.float32), seed=0).shape
    (3, 8, 8, 1)
    """
    x = np.asarray(images)
    count, height, width, _ = x.shape
    rng = np.random.default_rng(seed)
    angle = np.deg2rad(rng.uniform(-rotation, rotation, count))[:, None, None]
    zoom = 1 + rng.uniform(-scale, scale, (2, count, 1, 1))
    move = rng.uniform(-shift, shift, (2, count, 1, 1))
    v, u = np.meshgrid(  # of each pixel of the result, -0.5 to 0.5 from edge to edge
        (np.arange(height) + 0.5) / height - 0.5,
        (np.arange(width) + 0.5) / width - 0.5,
        indexing="ij",
    )
    row = (np.cos(angle) * v - np.sin(angle) * u) * zoom[0] + move[0]
    column = (np.sin(angle) * v + np.cos(angle) * u) * zoom[1] + move[1]
    return _sample(x, (row + 0.5) * height - 0.5, (column + 0.5) * width - 0.5)


def _stretch(x: _Array, new: int, axis: int) -> _Array:
    """Return x with `new` places along an axis, interpolated linearly."""
    size = x.shape[axis]
    at = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, size - 1)
    below = at.astype(np.intp)
    above = np.minimum(below + 1, size - 1)
    part = (at - below).astype(x.dtype).reshape(-1, *[1] * (x.ndim - axis - 1))
    y: _Array = x.take(below, axis) * (1 - part) + x.take(above, axis) * part
    return y


def _sample(x: _Array, row: _Array, column: _Array) -> _Array:
    """Return x[n] (H, W, C) at the places row[n], column[n] (H', W'), linearly; 0 outside."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    row = np.clip(row + 1, 0, x.shape[1] + 1)
    column = np.clip(column + 1, 0, x.shape[2] + 1)
    i = np.minimum(row.astype(np.intp), x.shape[1])
    j = np.minimum(column.astype(np.intp), x.shape[2])
    a = (row - i)[..., None].astype(x.dtype)
    b = (column - j)[..., None].astype(x.dtype)
    n = np.arange(len(x))[:, None, None]
    top = padded[n, i, j] * (1 - b) + padded[n, i, j + 1] * b
    bottom = padded[n, i + 1, j] * (1 - b) + padded[n, i + 1, j + 1] * b
    y: _Array = top * (1 - a) + bottom * a
    return y
