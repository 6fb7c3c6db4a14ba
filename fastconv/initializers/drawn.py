"""Initializers whose distribution their arguments give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.initializers.base import Initializer
from fastconv.utils import next_seed

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import DTypeLike, NDArray

#: Elements drawn at a time: 512 KiB in float64, which stay in a cache until they are rounded. The
#: 103 million of VGG's first dense layer take 0.7 s so, and 1.9 s in one piece.
_PIECE = 1 << 16


class Drawn(Initializer):
    """An initializer that draws each element alone; a subclass says how, given a generator."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def draw(self, rng: Generator, count: int, shape: Sequence[int]) -> NDArray[np.float64]:
        """Return so many elements of an array of this shape."""
        raise NotImplementedError

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        rng = np.random.default_rng(next_seed() if self.seed is None else self.seed)
        values = np.empty(math.prod(shape), dtype)
        for start in range(0, len(values), _PIECE):
            count = min(_PIECE, len(values) - start)
            values[start : start + count] = self.draw(rng, count, shape)
        return values.reshape(tuple(shape))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"seed": self.seed}


class RandomNormal(Drawn):
    """Normal with this mean and standard deviation.

    Examples
    --------
    >>> float(abs(RandomNormal(stddev=0.05, seed=0)((1000,)).std() - 0.05)) < 0.002
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = float(mean)
        self.stddev = float(stddev)

    def draw(self, rng: Generator, count: int, shape: Sequence[int]) -> NDArray[np.float64]:
        """Draw the values."""
        return rng.normal(self.mean, self.stddev, count)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class RandomUniform(Drawn):
    """Uniform between `minval` and `maxval`.

    Examples
    --------
    >>> bool((abs(RandomUniform(seed=0)((1000,))) <= 0.05).all())
    True
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval = float(minval)
        self.maxval = float(maxval)

    def draw(self, rng: Generator, count: int, shape: Sequence[int]) -> NDArray[np.float64]:
        """Draw the values."""
        return rng.uniform(self.minval, self.maxval, count)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed}


# Standard deviation of a unit normal that is cut at -2 and 2:
# sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)), phi the density and Phi the distribution function.
CUT_STDDEV = math.sqrt(
    1.0 - 4.0 * math.exp(-2.0) / math.sqrt(2.0 * math.pi) / math.erf(math.sqrt(2.0))
)


def cut_normal(rng: Generator, count: int) -> NDArray[np.float64]:
    """Draw from a unit normal, again where a value lies beyond 2."""
    values = rng.standard_normal(count)
    while (beyond := np.abs(values) > 2.0).any():
        values[beyond] = rng.standard_normal(int(beyond.sum()))
    return values


class TruncatedNormal(Drawn):
    """Normal with this mean and standard deviation, redrawn beyond two of them.

    Examples
    --------
    >>> bool((abs(TruncatedNormal(stddev=0.05, seed=0)((1000,))) <= 0.1).all())
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = float(mean)
        self.stddev = float(stddev)

    def draw(self, rng: Generator, count: int, shape: Sequence[int]) -> NDArray[np.float64]:
        """Draw the values."""
        return self.mean + self.stddev * cut_normal(rng, count)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class Orthogonal(Initializer):
    """A matrix (all axes but the last, last) whose rows or columns are orthogonal, of norm `gain`.

    A. M. Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks, ICLR 2014, arXiv 1312.6120.

    Examples
    --------
    >>> q = Orthogonal(seed=0)((3, 3), "float64")
    >>> bool(np.allclose(q.T @ q, np.eye(3)))
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain = float(gain)
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        if len(shape) < 2:
            raise ValueError(f"shape: got {tuple(shape)}, expected two extents or more")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        rng = np.random.default_rng(next_seed() if self.seed is None else self.seed)
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diag(r))  # makes it unique, and so evenly distributed
        values = self.gain * (q if rows >= columns else q.T).reshape(tuple(shape))
        return values.astype(dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"gain": self.gain, "seed": self.seed}
