"""Parts of images: from the middle, and from anywhere."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from fastconv.layers import windows
from fastconv.layers.augmentation.base import RandomImages
from fastconv.layers.base import LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["CenterCrop", "RandomCrop"]


@register_layer
class RandomCrop(RandomImages):
    """A part of each image, while training from anywhere, at inference from the middle.

    (N, H, W, C) to (N, height, width, C). The images must be as large at least (Keras enlarges
    those that are not).

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
        (self.height,) = windows.sizes(height, 1, "height")
        (self.width,) = windows.sizes(width, 1, "width")

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the parts."""
        images = self.images(x)
        self.compute_output_shape(x.shape)
        count, height, width, _ = images.shape
        free = height - self.height, width - self.width
        if training and self.draws:
            rng = self.generator()
            corner = np.stack([rng.integers(0, f + 1, count) for f in free])
        else:
            corner = np.stack([np.full(count, f // 2) for f in free])
        if training:
            self._save(corner, images.shape)
        return self.put(images[self._places(corner)])

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient at the parts, zeros around."""
        corner, shape = self._saved()
        if not need_input_grad:
            return None
        dx = np.zeros(shape, grad.dtype)
        dx[self._places(corner)] = self.images(grad)
        return self.put(dx)

    #: Whether training draws.
    draws = True

    def _places(self, corner: Array) -> tuple[Array, Array, Array]:
        """Return the indices of the parts in (N, H, W)."""
        rows = corner[0][:, None] + np.arange(self.height)
        columns = corner[1][:, None] + np.arange(self.width)
        return np.arange(len(rows))[:, None, None], rows[:, :, None], columns[:, None, :]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with height and width replaced."""
        channels, spatial = windows.split_shape(input_shape, 2, self.data_format, self.name)
        wanted = (self.height, self.width)
        if any(e is not None and e < w for e, w in zip(spatial, wanted, strict=True)):
            raise ValueError(
                f"{self.name}: got an input of shape {input_shape}, expected at least "
                f"{self.height} x {self.width} pixels"
            )
        return windows.join_shape(input_shape[0], channels, wanted, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "height": self.height, "width": self.width}


@register_layer
class CenterCrop(RandomCrop):
    """The middle of each image: (N, H, W, C) to (N, height, width, C).

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

    draws = False

    def __init__(
        self,
        height: int,
        width: int,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(height, width, 0, data_format, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["seed"]
        return config
