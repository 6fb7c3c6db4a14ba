"""Images shifted, rotated and scaled at random."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
from numpy.random import Generator

from fastconv.layers.augmentation.base import Factor, RandomImages, interval
from fastconv.layers.augmentation.resampling import FILL_MODES, INTERPOLATIONS, Samples
from fastconv.layers.base import LayerOptions
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array

__all__ = ["RandomRotation", "RandomTranslation", "RandomZoom"]


class _Resampled(RandomImages):
    """A layer that reads each image at other places; a subclass says where."""

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(seed, data_format, **options)
        for argument, value, known in (
            ("fill_mode", fill_mode, FILL_MODES),
            ("interpolation", interpolation, INTERPOLATIONS),
        ):
            if value not in known:
                raise ValueError(f"{argument}: got {value!r}, expected one of {', '.join(known)}")
        self.fill_mode, self.interpolation = fill_mode, interpolation
        self.fill_value = float(fill_value)

    def matrices(self, rng: Generator, count: int, height: int, width: int) -> Array:
        """Return (count, 2, 3): from the place in an output, from its centre, to that in x."""
        raise NotImplementedError(f"{type(self).__name__} does not define matrices")

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the images, at training read elsewhere."""
        images = self.images(x)
        if not training:
            return x
        count, height, width, _ = images.shape
        matrices = self.matrices(self.generator(), count, height, width)
        samples = self._samples(images.shape, matrices)
        self._save(samples)
        return self.put(samples.read(images))

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient, taken back to where the images were read."""
        (samples,) = self._saved()
        return self.put(samples.adjoint(self.images(grad))) if need_input_grad else None

    def _samples(self, shape: tuple[int, ...], matrices: Array) -> Samples:
        _, height, width, _ = shape
        middle = np.array([(height - 1) / 2, (width - 1) / 2])
        places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)
        centred = places - middle
        moved = np.einsum("nab,ijb->naij", matrices[:, :, :2], centred)
        moved += (matrices[:, :, 2] + middle)[:, :, None, None]
        return Samples(
            shape, moved[:, 0], moved[:, 1], self.interpolation, self.fill_mode, self.fill_value
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "fill_mode": self.fill_mode,
            "interpolation": self.interpolation,
            "fill_value": self.fill_value,
        }


@register_layer
class RandomTranslation(_Resampled):
    """Shift each image by a part of its height and width.

    Parameters
    ----------
    height_factor, width_factor : float or (float, float)
        A number f stands for (-f, f). Drawn evenly from the interval; positive is down, and to
        the right.
    fill_mode : {"reflect", "wrap", "constant", "nearest"}
        What is beyond the border: see `fastconv.layers.augmentation.resampling`.
    interpolation : {"bilinear", "nearest"}
        Between pixels.
    seed : int, optional
        As of `Dropout`.
    fill_value : float
        Of ``"constant"``.
    data_format : str, optional
        ``"channels_last"``, the default, or ``"channels_first"``.
    **options
        See `Layer`.

    Examples
    --------
    >>> layer = RandomTranslation(0, (0.5, 0.5), fill_mode="constant")
    >>> layer(np.array([[[[1.0], [2.0]]]]), training=True)[0, 0, :, 0]
    array([0., 1.], dtype=float32)
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.height_factor = interval("height_factor", height_factor, 1)
        self.width_factor = interval("width_factor", width_factor, 1)

    def matrices(self, rng: Generator, count: int, height: int, width: int) -> Array:
        """Return the shifts."""
        result = np.tile(np.eye(2, 3), (count, 1, 1))
        result[:, 0, 2] = -rng.uniform(*self.height_factor, count) * height
        result[:, 1, 2] = -rng.uniform(*self.width_factor, count) * width
        return result

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "height_factor": list(self.height_factor),
            "width_factor": list(self.width_factor),
        }


@register_layer
class RandomRotation(_Resampled):
    """Rotate each image around its centre.

    Parameters
    ----------
    factor : float or (float, float)
        Of a full turn; positive is counter-clockwise. A number f stands for (-f, f).
    fill_mode, interpolation, seed, fill_value, data_format, **options
        See `RandomTranslation`.

    Examples
    --------
    >>> layer = RandomRotation((0.25, 0.25))
    >>> layer(np.arange(4.0).reshape(1, 2, 2, 1), training=True)[0, :, :, 0].round(3)
    array([[1., 3.],
           [0., 2.]], dtype=float32)
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.factor = interval("factor", factor, 1)

    def matrices(self, rng: Generator, count: int, height: int, width: int) -> Array:
        """Return the rotations."""
        angle = 2 * np.pi * rng.uniform(*self.factor, count)
        cos, sin, zero = np.cos(angle), np.sin(angle), np.zeros(count)
        return np.stack([cos, sin, zero, -sin, cos, zero], -1).reshape(count, 2, 3)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "factor": list(self.factor)}


@register_layer
class RandomZoom(_Resampled):
    """Scale each image around its centre.

    Parameters
    ----------
    height_factor : float or (float, float)
        Positive is smaller: at 0.2 the output shows 20 % more. A number f stands for (-f, f);
        above -1.
    width_factor : float or (float, float), optional
        By default both axes are scaled alike, by `height_factor`.
    fill_mode, interpolation, seed, fill_value, data_format, **options
        See `RandomTranslation`.

    Examples
    --------
    >>> layer = RandomZoom((-0.5, -0.5), interpolation="nearest")
    >>> layer(np.arange(4.0).reshape(1, 1, 4, 1), training=True)[0, 0, :, 0]
    array([1., 1., 2., 2.], dtype=float32)
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.height_factor = _scales("height_factor", height_factor)
        self.width_factor = None if width_factor is None else _scales("width_factor", width_factor)

    def matrices(self, rng: Generator, count: int, height: int, width: int) -> Array:
        """Return the scales."""
        result = np.zeros((count, 2, 3))
        result[:, 0, 0] = 1 + rng.uniform(*self.height_factor, count)
        result[:, 1, 1] = result[:, 0, 0]
        if self.width_factor is not None:
            result[:, 1, 1] = 1 + rng.uniform(*self.width_factor, count)
        return result

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "height_factor": list(self.height_factor),
            "width_factor": None if self.width_factor is None else list(self.width_factor),
        }


def _scales(argument: str, factor: Factor) -> tuple[float, float]:
    """Return (lower, upper), where -1 would scale an image to infinity."""
    ends = interval(argument, factor, 1)
    if ends[0] == -1:
        raise ValueError(f"{argument}: got {factor!r}, expected numbers above -1")
    return ends
