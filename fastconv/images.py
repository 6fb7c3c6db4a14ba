"""Image files to inputs of a model. Needs the ``train`` extra."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.datasets import resize
from fastconv.utils import import_extra

__all__ = ["read_digit", "read_image"]

#: Part of the full brightness that a pixel needs to count as ink.
INK = 0.25


def read_image(path: str | os.PathLike[str]) -> Any:
    """Return an image file as a Pillow image in RGB.

    What is transparent shows the white of paper, or black where the picture would vanish on
    white.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it is no image that Pillow can read, naming the file.
    """
    pillow = import_extra("PIL.Image", "reading an image", "pillow")
    try:
        with pillow.open(path) as file:
            image = file.convert("RGBA")
    except FileNotFoundError:
        raise FileNotFoundError(f"{os.fspath(path)}: no such file") from None
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's readers raise
        raise ValueError(f"{os.fspath(path)}: not a readable image ({error})") from error
    for ground in ("white", "black"):
        flat = pillow.new("RGBA", image.size, ground)
        flat.alpha_composite(image)
        flat = flat.convert("RGB")
        if any(low < high for low, high in flat.getextrema()):
            break
    return flat


def read_digit(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    raster: int | None = None,
    invert: bool | None = None,
) -> NDArray[np.float32]:
    """Return one digit as a model wants it: bright ink on a dark ground, in 0 to 1.

    The picture becomes grey, is inverted if it is dark on bright, and its darkest and brightest
    values become 0 and 1. With `raster`, as the digits of `fastconv.datasets.load_digits` were
    made: cut to the ink (what is brighter than a quarter), put in the middle of a square of its
    longer side, averaged over raster x raster squares, and enlarged to `size`; a picture of
    just raster x raster pixels is taken as it is. Without, it is only resized.

    Parameters
    ----------
    path : path-like
        Whatever Pillow reads.
    size : tuple of int
        Height and width.
    raster : int, optional
        Resolution of the images that the model was trained with, before they were enlarged.
    invert : bool, optional
        Whether the picture is dark on bright; by default, whether the pixels along its edges
        are brighter than the middle between its darkest and its brightest one.

    Returns
    -------
    ndarray of float32, shape (height, width, 1)

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_image`; and where all pixels are alike.
    """
    grey = np.asarray(read_image(path).convert("L"), dtype=np.float32)
    low, high = float(grey.min()), float(grey.max())
    if low == high:
        raise ValueError(f"{os.fspath(path)}: all pixels are alike, expected a digit")
    grey = (grey - low) / (high - low)
    if invert is None:
        edges = [grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]]
        invert = float(np.median(np.concatenate(edges))) > 0.5
    if invert:
        grey = 1 - grey
    if raster is None:
        grey = _average(grey, size)
    elif grey.shape != (raster, raster):
        grey = _average(_cut(grey), (raster, raster))
    image: NDArray[np.float32] = resize(grey[np.newaxis, ..., np.newaxis], size)[0]
    return image


def _cut(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the smallest square, in steps of its sides, around the ink."""
    rows = np.flatnonzero((grey > INK).any(1))
    columns = np.flatnonzero((grey > INK).any(0))
    ink = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(ink.shape)
    top, left = (side - ink.shape[0]) // 2, (side - ink.shape[1]) // 2
    square = np.zeros((side, side), np.float32)
    square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return square


def _average(grey: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the means over the squares that the new pixels cover."""
    pillow = import_extra("PIL.Image", "reading an image", "pillow")
    image = pillow.fromarray(grey).resize(size[::-1], pillow.Resampling.BOX)
    averaged: NDArray[np.float32] = np.asarray(image, dtype=np.float32)
    return averaged
