"""Initializers whose variance the shape of the parameter gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastconv.initializers.drawn import CUT_STDDEV, Drawn, cut_normal

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a shape (kernel..., in, out); a vector counts as both."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


class VarianceScaling(Drawn):
    """Variance `scale` / n, n being fan_in, fan_out or their mean.

    Parameters
    ----------
    scale : float
        Positive.
    mode : {"fan_in", "fan_out", "fan_avg"}
        What n is.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        The first is redrawn beyond two standard deviations, and scaled to the variance.
    seed : int, optional
        See above.

    Examples
    --------
    >>> x = VarianceScaling(2.0, "fan_out", "uniform", seed=0)((100, 50))
    >>> bool((abs(x) <= (6 / 50) ** 0.5).all())
    True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if not scale > 0:
            raise ValueError(f"scale: got {scale!r}, expected a positive number")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"mode: got {mode!r}, expected 'fan_in', 'fan_out' or 'fan_avg'")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                f"distribution: got {distribution!r}, expected 'truncated_normal', "
                "'untruncated_normal' or 'uniform'"
            )
        self.scale, self.mode, self.distribution = float(scale), mode, distribution

    def draw(self, rng: Generator, count: int, shape: Sequence[int]) -> NDArray[np.float64]:
        """Draw the values."""
        fan_in, fan_out = _fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(n, 1.0))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * stddev
            return rng.uniform(-limit, limit, count)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, stddev, count)
        return cut_normal(rng, count) * (stddev / CUT_STDDEV)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "seed": self.seed,
        }


class _Scaled(VarianceScaling):
    """A choice of scale, mode and distribution that has a name."""

    choice: ClassVar[tuple[float, str, str]]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self.choice, seed)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"seed": self.seed}


class GlorotUniform(_Scaled):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)); Glorot & Bengio 2010, equation 16.

    Examples
    --------
    >>> bool((abs(GlorotUniform(seed=0)((5, 5, 1, 6))) <= (6 / 175) ** 0.5).all())
    True
    """

    choice = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Cut normal of variance 2 / (fan_in + fan_out); Glorot & Bengio 2010, equation 12.

    Examples
    --------
    >>> float(abs(GlorotNormal(seed=0)((50, 50)).std() * 50**0.5 - 1)) < 0.05
    True
    """

    choice = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform in +-sqrt(6 / fan_in); He et al. 2015, equation 10.

    Examples
    --------
    >>> bool((abs(HeUniform(seed=0)((24, 10))) <= 0.5).all())
    True
    """

    choice = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Cut normal of variance 2 / fan_in; He et al. 2015, equation 10.

    Examples
    --------
    >>> float(abs(HeNormal(seed=0)((50, 50)).std() * 25**0.5 - 1)) < 0.05
    True
    """

    choice = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform in +-sqrt(3 / fan_in); LeCun et al. 1998.

    Examples
    --------
    >>> bool((abs(LecunUniform(seed=0)((12, 10))) <= 0.5).all())
    True
    """

    choice = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Cut normal of variance 1 / fan_in; LeCun et al. 1998.

    Examples
    --------
    >>> float(abs(LecunNormal(seed=0)((50, 50)).std() * 50**0.5 - 1)) < 0.05
    True
    """

    choice = (1.0, "fan_in", "truncated_normal")
