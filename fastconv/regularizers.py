"""What the size of parameters adds to the loss, under Keras' names.

A layer takes one for its kernel or bias; `fit` and `evaluate` add the penalties of the
trainable parameters to the loss that they report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeAlias

import numpy as np

from fastconv.identifiers import resolve
from fastconv.layers.types import Array

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "Identifier",
    "OrthogonalRegularizer",
    "Regularizer",
    "get",
    "serialize",
]


class Regularizer:
    """Base class: a subclass defines `value_and_grad`, and `get_config` if it has arguments.

    Examples
    --------
    >>> class Sum(Regularizer):
    ...     def value_and_grad(self, weight):
    ...         return float(weight.sum()), np.ones_like(weight)
    >>> Sum()(np.ones(3))
    3.0
    """

    def __call__(self, weight: Array) -> float:
        """Return the penalty of a parameter, given in Keras' order of axes."""
        return self.value_and_grad(np.asarray(weight))[0]

    def value_and_grad(self, weight: Array) -> tuple[float, Array]:
        """Return the penalty and its gradient."""
        raise NotImplementedError(f"{type(self).__name__} does not define value_and_grad")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a regularizer with these arguments."""
        return cls(**config)


class L1L2(Regularizer):
    """l1 * sum(|w|) + l2 * sum(w^2); the sums are computed in float64.

    Examples
    --------
    >>> L1L2(l1=1.0, l2=10.0)([1.0, -2.0])
    53.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = (_factor(name, value) for name, value in (("l1", l1), ("l2", l2)))

    def value_and_grad(self, weight: Array) -> tuple[float, Array]:
        """Return the penalty and its gradient, l1 * sign(w) + 2 * l2 * w."""
        value = 0.0
        grad = np.zeros_like(weight)
        if self.l1:
            value += self.l1 * float(np.abs(weight).sum(dtype=np.float64))
            grad += weight.dtype.type(self.l1) * np.sign(weight)
        if self.l2:
            value += self.l2 * float(np.square(weight).sum(dtype=np.float64))
            grad += weight.dtype.type(2 * self.l2) * weight
        return value, grad

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 * sum(|w|).

    Examples
    --------
    >>> L1(0.5)([1.0, -2.0])
    1.5
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"l1": self.l1}


class L2(L1L2):
    """l2 * sum(w^2).

    Examples
    --------
    >>> L2(0.5)([1.0, -2.0])
    2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """factor times the mean of |cos| between different rows (or columns) of a matrix.

    With u_i = w_i / max(|w_i|, 1e-12), the penalty is factor * sum over i < j of |u_i . u_j|,
    divided by the number of those pairs; computed in float64. A single row costs nothing.

    Examples
    --------
    >>> OrthogonalRegularizer(1.0)([[1.0, 0.0], [0.0, 2.0]])
    0.0
    >>> OrthogonalRegularizer(1.0)([[1.0, 0.0], [3.0, 0.0]])
    1.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(f"mode: got {mode!r}, expected 'rows' or 'columns'")
        self.mode = mode

    def value_and_grad(self, weight: Array) -> tuple[float, Array]:
        """Return the penalty and its gradient."""
        if weight.ndim != 2:
            raise ValueError(f"weight: got the shape {weight.shape}, expected a matrix")
        vectors = (weight if self.mode == "rows" else weight.T).astype(np.float64)
        pairs = len(vectors) * (len(vectors) - 1) / 2
        if not pairs:
            return 0.0, np.zeros_like(weight)
        norms = np.maximum(np.sqrt(np.square(vectors).sum(1, keepdims=True)), 1e-12)
        units = vectors / norms
        cosines = units @ units.T
        np.fill_diagonal(cosines, 0.0)
        scale = self.factor / pairs
        # d|u_i . u_j| = sign * u_j . du_i, and du_i = (dw_i - u_i (u_i . dw_i)) / |w_i|.
        towards = scale * np.sign(cosines) @ units
        grad = (towards - units * (towards * units).sum(1, keepdims=True)) / norms
        grad = (grad if self.mode == "rows" else grad.T).astype(weight.dtype)
        return 0.5 * scale * float(np.abs(cosines).sum()), grad

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"factor": self.factor, "mode": self.mode}


#: What the arguments of layers take.
Identifier: TypeAlias = str | Regularizer | Mapping[str, Any] | None

_BY_NAME: dict[str, type[L1L2 | OrthogonalRegularizer]] = {
    "l1": L1,
    "l1_l2": L1L2,
    "l2": L2,
    "orthogonal_regularizer": OrthogonalRegularizer,
}


def _both() -> L1L2:
    """Return what the name stands for, in Keras: not the class's defaults, which are 0."""
    return L1L2(0.01, 0.01)


_ALIASES = {"l1_l2": _both, "L1L2": _both}


def get(identifier: Identifier) -> Regularizer | None:
    """Return the regularizer that a name, a `serialize`d one or an object stands for.

    Examples
    --------
    >>> get("l2").get_config(), get(None)
    ({'l2': 0.01}, None)
    >>> get("l3")
    Traceback (most recent call last):
        ...
    ValueError: regularizer: got 'l3', expected None, a Regularizer or one of l1, l1_l2, l2, \
orthogonal_regularizer
    """
    if identifier is None:
        return None
    return resolve(
        "regularizer", identifier, Regularizer, _BY_NAME, "None, a Regularizer", aliases=_ALIASES
    )


def serialize(regularizer: Regularizer | None) -> dict[str, Any] | None:
    """Return what `get` makes an equal regularizer of; plain enough for JSON.

    Examples
    --------
    >>> serialize(L2(0.1))
    {'class_name': 'L2', 'config': {'l2': 0.1}}
    """
    if regularizer is None:
        return None
    return {"class_name": type(regularizer).__name__, "config": regularizer.get_config()}


def _factor(argument: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{argument}: got {value!r}, expected a non-negative number")
    return float(value)
