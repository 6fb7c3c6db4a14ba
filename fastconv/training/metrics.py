"""Metrics: what is reported beside the loss, gathered batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastconv.layers.types import Array
from fastconv.training.losses import (
    CategoricalCrossentropy,
    Loss,
    SparseCategoricalCrossentropy,
    class_numbers,
)

__all__ = ["CategoricalAccuracy", "Mean", "Metric", "SparseCategoricalAccuracy", "get", "serialize"]


class Mean:
    """A weighted mean that is added to.

    Examples
    --------
    >>> mean = Mean()
    >>> mean.add(1.0, weight=3)
    >>> mean.add(2.0, weight=1)
    >>> mean.result()
    1.25
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._total = 0.0
        self._weight = 0.0

    def add(self, value: float, weight: float) -> None:
        """Add a value."""
        self._total += value * weight
        self._weight += weight

    def result(self) -> float:
        """Return the mean; 0 of nothing."""
        return self._total / self._weight if self._weight else 0.0


class Metric(Mean):
    """Base class; a subclass defines `values`, and the metric is their mean.

    Parameters
    ----------
    name : str
        The key in the logs.

    Examples
    --------
    >>> class Largest(Metric):
    ...     def values(self, y_true, y_pred):
    ...         return y_pred.max(-1)
    >>> metric = Largest("largest")
    >>> metric.update(None, np.array([[0.5, 0.5], [0.0, 1.0]]))
    >>> metric.result()
    0.75
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        """Return what to take the mean of."""
        raise NotImplementedError(f"{type(self).__name__} does not define values")

    def update(self, y_true: ArrayLike, y_pred: Array) -> None:
        """Add a batch."""
        values = self.values(y_true, y_pred)
        if values.size:
            self.add(float(values.mean(dtype=np.float64)), values.size)


class SparseCategoricalAccuracy(Metric):
    """How often the largest prediction is that of the class whose number is y_true.

    Examples
    --------
    >>> metric = SparseCategoricalAccuracy()
    >>> metric.update([1, 1], np.array([[0.1, 0.9], [0.8, 0.2]]))
    >>> metric.result()
    0.5
    """

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)

    def values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        """Return 1 where the prediction is right."""
        right: Array = class_numbers(y_true, y_pred.shape, -1) == y_pred.argmax(-1)
        return right


class CategoricalAccuracy(Metric):
    """How often the largest prediction is where the one-hot y_true is largest.

    Examples
    --------
    >>> metric = CategoricalAccuracy()
    >>> metric.update([[0, 1], [0, 1]], np.array([[0.1, 0.9], [0.8, 0.2]]))
    >>> metric.result()
    0.5
    """

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)

    def values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        """Return 1 where the prediction is right."""
        right: Array = np.asarray(y_true).argmax(-1) == y_pred.argmax(-1)
        return right


_BY_NAME: dict[str, type[SparseCategoricalAccuracy] | type[CategoricalAccuracy]] = {
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
}


def get(identifier: str | Metric | Mapping[str, Any], loss: Loss | None) -> Metric:
    """Return the metric of this name; ``"accuracy"`` is the one that goes with the loss.

    Examples
    --------
    >>> type(get("accuracy", SparseCategoricalCrossentropy())).__name__
    'SparseCategoricalAccuracy'
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, Mapping):
        for cls in _BY_NAME.values():
            if cls.__name__ == identifier.get("class_name"):
                return cls(identifier["name"])
    if identifier in ("accuracy", "acc"):
        name = str(identifier)
        if isinstance(loss, SparseCategoricalCrossentropy):
            return SparseCategoricalAccuracy(name)
        if isinstance(loss, CategoricalCrossentropy):
            return CategoricalAccuracy(name)
        raise ValueError(
            f"metrics: got {identifier!r}, which {type(loss).__name__} does not go with; "
            f"expected a Metric or one of {', '.join(_BY_NAME)}"
        )
    if not isinstance(identifier, str) or identifier not in _BY_NAME:
        raise ValueError(
            f"metrics: got {identifier!r}, expected a Metric or one of accuracy, "
            f"{', '.join(_BY_NAME)}"
        )
    return _BY_NAME[identifier]()


def serialize(metric: Metric) -> dict[str, Any]:
    """Return what `get` makes an equal metric of; plain enough for JSON."""
    return {"class_name": type(metric).__name__, "name": metric.name}
