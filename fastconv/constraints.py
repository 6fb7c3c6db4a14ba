"""What parameters are made to obey after each step of an optimizer, under Keras' names.

A constraint takes a parameter in Keras' order of axes, (kernel..., in, out) or (in, out), and
returns it changed. Norms are over `axis`: 0, the default, is the inputs of a dense layer;
(0, 1, 2) the filter of a two-dimensional convolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np

from fastconv.identifiers import resolve
from fastconv.layers.types import Array

__all__ = [
    "Constraint",
    "Identifier",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "get",
    "serialize",
]

#: Added to norms under a division; Keras' epsilon.
EPSILON = 1e-7


class Constraint:
    """Base class: a subclass defines `__call__`, and `get_config` if it has arguments.

    Examples
    --------
    >>> class Binary(Constraint):
    ...     def __call__(self, weight):
    ...         return np.sign(weight)
    >>> Binary()(np.array([0.5, -3.0]))
    array([ 1., -1.])
    """

    def __call__(self, weight: Array) -> Array:
        """Return the parameter as it has to be."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a constraint with these arguments."""
        return cls(**config)


class NonNeg(Constraint):
    """w = max(w, 0).

    Examples
    --------
    >>> NonNeg()(np.array([1.0, -2.0]))
    array([1., 0.])
    """

    def __call__(self, weight: Array) -> Array:
        """Return the parameter, negative elements set to 0."""
        clipped: Array = np.maximum(weight, weight.dtype.type(0))
        return clipped


class _Norm(Constraint):
    """A constraint of the Euclidean norm over some axes."""

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        axes = tuple(axis) if isinstance(axis, Iterable) else (axis,)
        if not all(isinstance(a, int | np.integer) for a in axes):
            raise ValueError(f"axis: got {axis!r}, expected an integer or a sequence of integers")
        self.axis = tuple(map(int, axes)) if isinstance(axis, Iterable) else int(axes[0])

    def norms(self, weight: Array) -> Array:
        """Return the norms, broadcast to the parameter."""
        total: Array = np.square(weight).sum(self.axis, keepdims=True)
        return np.sqrt(total)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"axis": self.axis if isinstance(self.axis, int) else list(self.axis)}


class MinMaxNorm(_Norm):
    """Scale towards a norm of at least `min_value` and at most `max_value`.

    w *= (rate * clip(norm) + (1 - rate) * norm) / (norm + 1e-7).

    Examples
    --------
    >>> MinMaxNorm(0.0, 1.0)(np.array([3.0, 4.0])).round(3)
    array([0.6, 0.8])
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        super().__init__(axis)
        if not 0 <= min_value <= max_value:
            raise ValueError(
                f"min_value: got {min_value!r}, expected a number in [0, max_value], {max_value!r}"
            )
        if not 0 <= rate <= 1:
            raise ValueError(f"rate: got {rate!r}, expected a number in [0, 1]")
        self.min_value, self.max_value, self.rate = float(min_value), float(max_value), float(rate)

    def __call__(self, weight: Array) -> Array:
        """Return the parameter, scaled."""
        norm = self.norms(weight)
        wanted = self.rate * np.clip(norm, self.min_value, self.max_value) + (1 - self.rate) * norm
        scaled: Array = weight * (wanted / (norm + EPSILON))
        return scaled.astype(weight.dtype, copy=False)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            **super().get_config(),
        }


class MaxNorm(_Norm):
    """Scale to a norm of at most `max_value`.

    Source: N. Srivastava et al., Dropout: a simple way to prevent neural networks from
    overfitting, JMLR 15, 2014, section 5.1.

    Examples
    --------
    >>> MaxNorm(2.5)(np.array([3.0, 4.0])).round(3)
    array([1.5, 2. ])
    """

    def __init__(self, max_value: float = 2.0, axis: int | Sequence[int] = 0) -> None:
        super().__init__(axis)
        if not max_value >= 0:
            raise ValueError(f"max_value: got {max_value!r}, expected a non-negative number")
        self.max_value = float(max_value)

    def __call__(self, weight: Array) -> Array:
        """Return the parameter, scaled."""
        norm = self.norms(weight)
        scaled: Array = weight * (np.minimum(norm, self.max_value) / (norm + EPSILON))
        return scaled.astype(weight.dtype, copy=False)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"max_value": self.max_value, **super().get_config()}


class UnitNorm(_Norm):
    """Scale to a norm of 1.

    Examples
    --------
    >>> UnitNorm()(np.array([3.0, 4.0])).round(3)
    array([0.6, 0.8])
    """

    def __call__(self, weight: Array) -> Array:
        """Return the parameter, scaled."""
        scaled: Array = weight / (self.norms(weight) + weight.dtype.type(EPSILON))
        return scaled


#: What the arguments of layers take.
Identifier: TypeAlias = str | Constraint | Mapping[str, Any] | None

_BY_NAME: dict[str, type[Constraint]] = {
    "max_norm": MaxNorm,
    "min_max_norm": MinMaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
}


def get(identifier: Identifier) -> Constraint | None:
    """Return the constraint that a name, a `serialize`d one or an object stands for.

    Examples
    --------
    >>> get("max_norm").get_config(), get(None)
    ({'max_value': 2.0, 'axis': 0}, None)
    """
    if identifier is None:
        return None
    return resolve("constraint", identifier, Constraint, _BY_NAME, "None, a Constraint")


def serialize(constraint: Constraint | None) -> dict[str, Any] | None:
    """Return what `get` makes an equal constraint of; plain enough for JSON.

    Examples
    --------
    >>> serialize(MaxNorm(3))
    {'class_name': 'MaxNorm', 'config': {'max_value': 3.0, 'axis': 0}}
    """
    if constraint is None:
        return None
    return {"class_name": type(constraint).__name__, "config": constraint.get_config()}
