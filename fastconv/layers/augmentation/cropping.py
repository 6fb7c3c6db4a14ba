"""Parts of images: from the middle, and from anywhere."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from fastconv.layers import windows
from fastconv.layers.augmentation.base import ImageLayer, RandomImages
from fastconv.layers.augmentation.resampling import Samples
from fastconv.layers.base import LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["CenterCrop", "RandomCrop"]


class _Cropping(ImageLayer):
    """What CenterCrop and RandomCrop share: one says where, this takes the parts."""

    height: int
    width: int

    def _set_size(self, height: int, width: int) -> None:
        (self.height,) = windows.sizes(height, 1, "height")
        (self.width,) = windows.sizes(width, 1, "width")

    def corners(self, count: int, free: tuple[int, int], training: bool) -> Array:
        """Return (2, count): the first row and column of each part, at most those of `free`."""
        return np.repeat([[extent // 2] for extent in free], count, 1)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the parts."""
        images = self.images(x)
        count, height, width, _ = images.shape
        free = height - self.height, width - self.width
        parts: _Parts | Samples
        if min(free) >= 0:
            parts = _Parts(images.shape, self.corners(count, free, training), self._size)
        else:
            parts = _enlarged(images.shape, self._size)
        if training:
            self._save(parts)
        return self.put(parts.read(images))

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient at the parts, zeros around."""
        (parts,) = self._saved()
        return self.put(parts.adjoint(self.images(grad))) if need_input_grad else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with height and width replaced."""
        channels, _ = windows.split_shape(input_shape, 2, self.data_format, self.name)
        return windows.join_shape(input_shape[0], channels, self._size, self.data_format)

    def notes(self, input_shape: Shape) -> list[str]:
        """Say where the images are too small."""
        _, spatial = windows.split_shape(input_shape, 2, self.data_format, self.name)
        if all(e is None or e >= wanted for e, wanted in zip(spatial, self._size, strict=True)):
            return []
        return [f"images of {spatial} are smaller than {self._size}, and enlarged"]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "height": self.height, "width": self.width}

    @property
    def _size(self) -> tuple[int, int]:
        return self.height, self.width


@register_layer
class CenterCrop(_Cropping):
    """The middle of each image: (N, H, W, C) to (N, height, width, C).

    y[n, i, j] = x[n, (H - height) // 2 + i, (W - width) // 2 + j]. Of images that are smaller, it
    is the largest part with these proportions, resized between the centres of pixels.

    Parameters
    ----------
    height, width : int
        Extents of the part.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Examples
    --------
    >>> CenterCrop(1, 2)(np.arange(12.0).reshape(1, 3, 4, 1))[0, 0, :, 0]
    array([5., 6.], dtype=float32)
    """

    def __init__(
        self,
        height: int,
        width: int,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self._set_size(height, width)


@register_layer
class RandomCrop(RandomImages, _Cropping):
    """A part of each image, while training from anywhere, at inference from the middle.

    (N, H, W, C) to (N, height, width, C). Each image has a draw of its own. What a model sees at
    inference has the scale that it was trained with: it is `CenterCrop`, also for images that
    are smaller.

    Parameters
    ----------
    height, width : int
        Extents of the part.
    seed : int, optional
        As of `Dropout`.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Notes
    -----
    Source: A. Krizhevsky, I. Sutskever, G. E. Hinton, ImageNet classification with deep
    convolutional neural networks, NIPS 2012, section 4.1.

    Examples
    --------
    >>> RandomCrop(24, 24).compute_output_shape((None, 32, 32, 3))
    (None, 24, 24, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(seed, data_format, **options)
        self._set_size(height, width)

    def corners(self, count: int, free: tuple[int, int], training: bool) -> Array:
        """Return corners from anywhere while training, else the middle's."""
        if not training:
            return super().corners(count, free, training)
        rng = self.generator()
        return np.stack([rng.integers(0, extent + 1, count) for extent in free])


class _Parts:
    """Parts of images (N, H, W, C) that begin at these corners."""

    def __init__(self, shape: tuple[int, ...], corners: Array, size: tuple[int, int]) -> None:
        rows, columns = (
            first[:, None] + np.arange(extent) for first, extent in zip(corners, size, strict=True)
        )
        self.shape = shape
        self.at = np.arange(len(rows))[:, None, None], rows[:, :, None], columns[:, None, :]

    def read(self, images: Array) -> Array:
        """Return the parts."""
        parts: Array = images[self.at]
        return parts

    def adjoint(self, grad: Array) -> Array:
        """Return zeros, and this at the parts."""
        dx = np.zeros(self.shape, grad.dtype)
        dx[self.at] = grad
        return dx


def _enlarged(shape: tuple[int, ...], size: tuple[int, int]) -> Samples:
    """Return the places of the largest part in the middle with the proportions of `size`."""
    count, height, width, _ = shape
    part = (
        max(min(height, width * size[0] // size[1]), 1),
        max(min(width, height * size[1] // size[0]), 1),
    )
    places = []
    for extent, kept, wanted in zip((height, width), part, size, strict=True):
        first = (extent - kept) // 2
        centres = (np.arange(wanted) + 0.5) * kept / wanted - 0.5
        places.append(first + np.clip(centres, 0, kept - 1))
    rows, columns = (
        np.broadcast_to(at, (count, *size)) for at in (places[0][:, None], places[1][None, :])
    )
    return Samples(shape, rows, columns, "bilinear", "nearest", 0.0)
