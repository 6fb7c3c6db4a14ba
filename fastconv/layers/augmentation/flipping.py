"""Images mirrored at random."""

from __future__ import annotations

from typing import Any, Unpack

from fastconv.layers.augmentation.base import RandomImages
from fastconv.layers.base import LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array

__all__ = ["RandomFlip"]


@register_layer
class RandomFlip(RandomImages):
    """Mirror each image with probability one half, along one axis or each of both.

    Parameters
    ----------
    mode : {"horizontal", "vertical", "horizontal_and_vertical"}
        Left and right, top and bottom, or both, each with a draw of its own.
    seed : int, optional
        As of `Dropout`.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Examples
    --------
    >>> images = np.arange(8.0).reshape(4, 1, 2, 1)
    >>> RandomFlip("horizontal", seed=1)(images, training=True)[:, 0, :, 0].tolist()
    [[0.0, 1.0], [3.0, 2.0], [4.0, 5.0], [6.0, 7.0]]
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(seed, data_format, **options)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise ValueError(
                f"mode: got {mode!r}, expected 'horizontal', 'vertical' or "
                "'horizontal_and_vertical'"
            )
        self.mode = mode

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the images, at training flipped."""
        images = self.images(x)
        if not training:
            return x
        flips = self.generator().random((2, len(images))) < 0.5
        flips[0] &= "vertical" in self.mode
        flips[1] &= "horizontal" in self.mode
        self._save(flips)
        return self.put(_flipped(images, flips))

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient, flipped back."""
        (flips,) = self._saved()
        return self.put(_flipped(self.images(grad), flips)) if need_input_grad else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "mode": self.mode}


def _flipped(images: Array, flips: Array) -> Array:
    """Flip the rows of the images that flips[0] marks, the columns of those of flips[1]."""
    y = images.copy(order="K")
    y[flips[0]] = y[flips[0]][:, ::-1]
    y[flips[1]] = y[flips[1]][:, :, ::-1]
    return y
