"""First values of parameters, under Keras' names.

An initializer is called with a shape in Keras' order, (kernel..., in, out) for a convolution
and (in, out) for a dense layer, and a dtype. With ``seed`` it returns the same values at
every call; without, each call takes its seed from the stream that
`fastconv.utils.set_random_seed` starts. Values are drawn in float64 and rounded, so float32
and float64 models of the same seed start alike.

With fan_in = prod(kernel) * in and fan_out = prod(kernel) * out:

=============== ============================================= ======================
class           distribution                                  source
=============== ============================================= ======================
GlorotUniform   uniform in +-sqrt(6 / (fan_in + fan_out))     Glorot & Bengio 2010
GlorotNormal    normal, variance 2 / (fan_in + fan_out), cut  Glorot & Bengio 2010
HeUniform       uniform in +-sqrt(6 / fan_in)                 He et al. 2015
HeNormal        normal, variance 2 / fan_in, cut              He et al. 2015
LecunUniform    uniform in +-sqrt(3 / fan_in)                 LeCun et al. 1998
LecunNormal     normal, variance 1 / fan_in, cut              LeCun et al. 1998
=============== ============================================= ======================

"Cut": redrawn beyond two standard deviations of the uncut normal, and scaled so that the
variance is what the table says, as Keras does.

X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural
networks, AISTATS 2010. K. He et al., Delving deep into rectifiers, ICCV 2015,
arXiv 1502.01852. Y. LeCun, L. Bottou, G. B. Orr, K.-R. Mueller, Efficient BackProp, in Neural
networks: tricks of the trade, 1998, section 4.6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastconv.utils import next_seed

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import DTypeLike, NDArray

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
    "serialize",
]


class Initializer:
    """Base class: ``initializer(shape, dtype)`` returns an array.

    A subclass overrides `__call__`, and `get_config` where its constructor has arguments.

    Examples
    --------
    >>> class Half(Initializer):
    ...     def __call__(self, shape, dtype="float32"):
    ...         return np.full(shape, 0.5, dtype)
    >>> Half()((2,))
    array([0.5, 0.5], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Initializer:
        """Return an initializer with these arguments."""
        return cls(**config)


class Constant(Initializer):
    """All elements equal `value`.

    Examples
    --------
    >>> Constant(3.0)((2, 2))
    array([[3., 3.],
           [3., 3.]], dtype=float32)
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = float(value)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        return np.full(shape, self.value, dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"value": self.value}


class Zeros(Initializer):
    """All elements 0.

    Examples
    --------
    >>> Zeros()((3,))
    array([0., 0., 0.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """All elements 1.

    Examples
    --------
    >>> Ones()((3,))
    array([1., 1., 1.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        return np.ones(shape, dtype)


#: Elements drawn at a time: 512 KiB in float64, which stay in a cache until they are rounded. The
#: 103 million of VGG's first dense layer take 0.7 s so, and 1.9 s in one piece.
_PIECE = 1 << 16


class _Random(Initializer):
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


class RandomNormal(_Random):
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


class RandomUniform(_Random):
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


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a shape (kernel..., in, out); a vector counts as both."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


# Standard deviation of a unit normal that is cut at -2 and 2:
# sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)), phi the density and Phi the distribution function.
_CUT_STDDEV = math.sqrt(
    1.0 - 4.0 * math.exp(-2.0) / math.sqrt(2.0 * math.pi) / math.erf(math.sqrt(2.0))
)


def _cut_normal(rng: Generator, count: int) -> NDArray[np.float64]:
    """Draw from a unit normal, again where a value lies beyond 2."""
    values = rng.standard_normal(count)
    while (beyond := np.abs(values) > 2.0).any():
        values[beyond] = rng.standard_normal(int(beyond.sum()))
    return values


class TruncatedNormal(_Random):
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
        return self.mean + self.stddev * _cut_normal(rng, count)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class VarianceScaling(_Random):
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
        return _cut_normal(rng, count) * (stddev / _CUT_STDDEV)

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


class Identity(Initializer):
    """The identity matrix times `gain`; for matrices only.

    Examples
    --------
    >>> Identity(2.0)((2, 2))
    array([[2., 0.],
           [0., 2.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = float(gain)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Return an array of this shape and dtype."""
        if len(shape) != 2:
            raise ValueError(f"shape: got {tuple(shape)}, expected two extents")
        return np.asarray(self.gain * np.eye(shape[0], shape[1]), dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"gain": self.gain}


_BY_NAME: dict[str, type[Initializer]] = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "identity": Identity,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "ones": Ones,
    "orthogonal": Orthogonal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "zeros": Zeros,
}
_BY_CLASS_NAME = {cls.__name__: cls for cls in _BY_NAME.values()}


def get(identifier: str | Initializer | Mapping[str, Any]) -> Initializer:
    """Return the initializer that a name, a `serialize`d one or an object stands for.

    Examples
    --------
    >>> type(get("he_normal")).__name__, type(get("HeNormal")).__name__
    ('HeNormal', 'HeNormal')
    >>> get("he")
    Traceback (most recent call last):
        ...
    ValueError: initializer: got 'he', expected an Initializer or one of constant, \
glorot_normal, glorot_uniform, he_normal, he_uniform, identity, lecun_normal, lecun_uniform, ones, \
orthogonal, random_normal, random_uniform, truncated_normal, variance_scaling, zeros
    """
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, Mapping):
        cls = _BY_CLASS_NAME.get(identifier.get("class_name", ""))
        if cls is not None:
            return cls.from_config(identifier.get("config", {}))
    elif isinstance(identifier, str):
        cls = _BY_NAME.get(identifier) or _BY_CLASS_NAME.get(identifier)
        if cls is not None:
            return cls()
    raise ValueError(
        f"initializer: got {identifier!r}, expected an Initializer or one of {', '.join(_BY_NAME)}"
    )


def serialize(initializer: Initializer) -> dict[str, Any]:
    """Return what `get` makes an equal initializer of; plain enough for JSON.

    Examples
    --------
    >>> serialize(HeUniform(seed=3))
    {'class_name': 'HeUniform', 'config': {'seed': 3}}
    """
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}
