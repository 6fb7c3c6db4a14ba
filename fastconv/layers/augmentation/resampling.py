"""Images read between their pixels and beyond their borders.

y[n, i, j] = sum over the pixels p near (rows[n, i, j], columns[n, i, j]) of weight * x[n, p]

With ``"nearest"`` it is the one nearest pixel, with ``"bilinear"`` the four around. Pixels beyond
the border are others of the image, or `fill_value`:

========== =======================
fill_mode  beyond (a b c d)
========== =======================
constant   f f f (a b c d) f f f
nearest    a a a (a b c d) d d d
reflect    c b a (a b c d) d c b
wrap       b c d (a b c d) a b c
========== =======================
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastconv.layers.types import Array

__all__ = ["FILL_MODES", "INTERPOLATIONS", "Samples"]

FILL_MODES = ("constant", "nearest", "reflect", "wrap")
INTERPOLATIONS = ("nearest", "bilinear")


class Samples:
    """Places in images (N, H, W, C), given as rows and columns (N, OH, OW).

    Examples
    --------
    >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
    >>> places = np.full((1, 1, 1), 0.5), np.full((1, 1, 1), 0.5)
    >>> Samples(x.shape, *places, "bilinear", "constant", 0.0).read(x).item()
    1.5
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        rows: Array,
        columns: Array,
        interpolation: str,
        fill_mode: str,
        fill_value: float,
    ) -> None:
        self.shape = shape
        self.rows, self.columns = rows, columns
        self.interpolation, self.fill_mode, self.fill_value = interpolation, fill_mode, fill_value

    def read(self, images: Array) -> Array:
        """Return the images at these places."""
        count, height, width, channels = self.shape
        pixels = images.reshape(count * height * width, channels)
        y = np.zeros((*self.rows.shape, channels), images.dtype)
        for at, weight, inside in self._pixels():
            values = pixels[at]
            if self.fill_mode == "constant":
                values[~inside] = self.fill_value
            y += weight.astype(images.dtype)[..., None] * values
        return y

    def adjoint(self, grad: Array) -> Array:
        """Return for each pixel the sum over the places that it is read at, by its weights."""
        count, height, width, channels = self.shape
        size = count * height * width
        dx = np.zeros((size, channels), grad.dtype)
        for at, weight, inside in self._pixels():
            flat, factor = at.ravel(), (weight * inside).ravel()
            for c in range(channels):
                dx[:, c] += np.bincount(flat, factor * grad[..., c].ravel(), size)
        return dx.reshape(self.shape)

    def _pixels(self) -> Iterator[tuple[Array, Array, Array]]:
        """Yield each neighbour's number, its weight, and whether it is inside the image."""
        count, height, width, _ = self.shape
        first = (np.arange(count) * height * width)[:, None, None]
        if self.interpolation == "nearest":
            rows, columns = np.rint(self.rows).astype(int), np.rint(self.columns).astype(int)
            corners = [(rows, columns, np.ones(rows.shape))]
        else:
            top, left = np.floor(self.rows), np.floor(self.columns)
            down, right = self.rows - top, self.columns - left
            corners = [
                (
                    top.astype(int) + i,
                    left.astype(int) + j,
                    (down if i else 1 - down) * (right if j else 1 - right),
                )
                for i in (0, 1)
                for j in (0, 1)
            ]
        for rows, columns, weight in corners:
            inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            if self.fill_mode != "constant":
                inside = np.ones(inside.shape, bool)
            rows, columns = self._moved(rows, height), self._moved(columns, width)
            yield first + rows * width + columns, weight, inside

    def _moved(self, at: Array, extent: int) -> Array:
        """Return the pixel of the image that stands for one beyond the border."""
        if self.fill_mode == "wrap":
            return at % extent
        if self.fill_mode == "reflect":
            at = at % (2 * extent)
            return np.where(at < extent, at, 2 * extent - 1 - at)
        return np.clip(at, 0, extent - 1)
