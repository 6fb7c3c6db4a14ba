"""Losses: a number to make small, and its gradient.

Each is the mean over everything that has a target of its own: images, or the pixels of
images. Names and defaults are Keras'.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fastconv import functional, grad
from fastconv.identifiers import resolve
from fastconv.layers.types import Array

__all__ = [
    "CategoricalCrossentropy",
    "Crossentropy",
    "Loss",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "get",
    "serialize",
]

#: Probabilities are kept this far from 0 under a logarithm; Keras' epsilon.
EPSILON = 1e-7


class Loss:
    """Base class: ``loss(y_true, y_pred)`` is a float.

    A subclass defines `value_and_grad`.

    Examples
    --------
    >>> class Sum(Loss):
    ...     def value_and_grad(self, y_true, y_pred):
    ...         return float(y_pred.sum()), np.ones_like(y_pred)
    >>> Sum()(None, np.ones(3))
    3.0
    """

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike) -> float:
        """Return the loss of these predictions."""
        return self.value_and_grad(y_true, np.asarray(y_pred))[0]

    def value_and_grad(self, y_true: ArrayLike, y_pred: Array) -> tuple[float, Array]:
        """Return the loss and its gradient with respect to `y_pred`."""
        raise NotImplementedError(f"{type(self).__name__} does not define value_and_grad")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a loss with these arguments."""
        return cls(**config)


class Crossentropy(Loss):
    """What both cross-entropies share.

    Parameters
    ----------
    from_logits : bool
        Whether `y_pred` comes before a softmax. A model whose last layer is a softmax is
        trained from the logits either way, and `y_pred` here remains what it predicts.
    axis : int
        Where the classes are.
    """

    def __init__(self, from_logits: bool = False, axis: int = -1) -> None:
        self.from_logits = bool(from_logits)
        self.axis = int(axis)

    def on_logits(self) -> Self:
        """Return the same loss, of logits."""
        twin = copy.copy(self)
        twin.from_logits = True
        return twin

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"from_logits": self.from_logits, "axis": self.axis}


class SparseCategoricalCrossentropy(Crossentropy):
    """Minus the logarithm of the probability that the prediction gives to the right class.

    y_true holds class numbers and has the shape of y_pred without the axis of the classes,
    or with an extent of 1 there. For y_pred = p probabilities, loss = mean(-log p[y_true]),
    with p clipped to [1e-7, 1 - 1e-7]; for logits, p = softmax(y_pred), not clipped, and the
    gradient is (p - onehot(y_true)) / count.

    Parameters
    ----------
    from_logits, axis
        See `Crossentropy`.

    Notes
    -----
    Source: C. M. Bishop, Pattern recognition and machine learning, 2006, equations 4.108
    and 4.109.

    Examples
    --------
    >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    def value_and_grad(self, y_true: ArrayLike, y_pred: Array) -> tuple[float, Array]:
        """Return the loss and its gradient with respect to `y_pred`."""
        labels = class_numbers(y_true, y_pred.shape, self.axis)
        count = max(labels.size, 1)
        if self.from_logits:
            logits = np.moveaxis(y_pred, self.axis, 1)
            value = functional.cross_entropy(logits, labels)
            dx = grad.cross_entropy_backward(logits, labels)
            return float(value), np.moveaxis(dx, 1, self.axis)
        where = np.expand_dims(labels, self.axis)
        if labels.size and not 0 <= labels.min() <= labels.max() < y_pred.shape[self.axis]:
            raise ValueError(
                f"y_true: got classes from {labels.min()} to {labels.max()}, expected 0 to "
                f"{y_pred.shape[self.axis] - 1}"
            )
        p = np.take_along_axis(y_pred, where, self.axis)
        dx = np.zeros_like(y_pred)
        inside = (p >= EPSILON) & (p <= 1 - EPSILON)
        p = np.clip(p, EPSILON, 1 - EPSILON)
        np.put_along_axis(dx, where, np.where(inside, -1 / (p * count), 0), self.axis)
        return float(-np.log(p).sum() / count), dx


class CategoricalCrossentropy(Crossentropy):
    """Cross-entropy with one-hot targets, or any distribution over the classes.

    y_true (N, ..., C) and y_pred (N, ..., C), q = y_true:
    loss = mean over (N, ...) of -sum over C of q log p, p as in
    `SparseCategoricalCrossentropy`; of logits, the gradient is (p sum(q) - q) / count.

    Parameters
    ----------
    from_logits, axis
        See `Crossentropy`.

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0, 1]], [[0.5, 0.5]]), 4)
    0.6931
    """

    def value_and_grad(self, y_true: ArrayLike, y_pred: Array) -> tuple[float, Array]:
        """Return the loss and its gradient with respect to `y_pred`."""
        q = np.asarray(y_true, dtype=y_pred.dtype)
        if q.shape != y_pred.shape:
            raise ValueError(
                f"y_true: got shape {q.shape}, expected that of y_pred, {y_pred.shape}; for "
                "class numbers there is sparse_categorical_crossentropy"
            )
        count = max(y_pred.size // max(y_pred.shape[self.axis], 1), 1)
        if self.from_logits:
            value = -(q * functional.log_softmax(y_pred, self.axis)).sum() / count
            p = functional.softmax(y_pred, self.axis)
            return float(value), (p * q.sum(self.axis, keepdims=True) - q) / count
        p = np.clip(y_pred, EPSILON, 1 - EPSILON)
        dx = np.where(p == y_pred, -q / (p * count), 0).astype(y_pred.dtype, copy=False)
        return float(-(q * np.log(p)).sum() / count), dx


class MeanSquaredError(Loss):
    """Mean of (y_true - y_pred)^2 over all elements; gradient 2 (y_pred - y_true) / size.

    Examples
    --------
    >>> MeanSquaredError()([1.0, 2.0], [1.0, 4.0])
    2.0
    """

    def value_and_grad(self, y_true: ArrayLike, y_pred: Array) -> tuple[float, Array]:
        """Return the loss and its gradient with respect to `y_pred`."""
        target = np.asarray(y_true, dtype=y_pred.dtype)
        if (*target.shape, 1) == y_pred.shape:
            target = target[..., np.newaxis]
        if target.shape != y_pred.shape:
            raise ValueError(
                f"y_true: got shape {target.shape}, expected that of y_pred, {y_pred.shape}"
            )
        difference = y_pred - target
        count = max(y_pred.size, 1)
        return float(np.square(difference).sum() / count), difference * (2 / count)


def class_numbers(y_true: ArrayLike, shape: tuple[int, ...], axis: int) -> Array:
    """Return class numbers as int64, shaped as a prediction without its axis of classes.

    Examples
    --------
    >>> class_numbers([[3], [1]], (2, 10), -1)
    array([3, 1])
    """
    labels = np.asarray(y_true)
    axis %= len(shape)
    expected = shape[:axis] + shape[axis + 1 :]
    if labels.shape == (*shape[:axis], 1, *shape[axis + 1 :]):
        labels = labels.reshape(expected)
    if labels.shape != expected:
        raise ValueError(
            f"y_true: got shape {labels.shape}, expected {expected}, class numbers for "
            f"predictions of shape {shape}; for one-hot targets there is categorical_crossentropy"
        )
    whole = labels.astype(np.int64)
    if labels.dtype.kind not in "iub" and not np.array_equal(whole, labels):
        raise ValueError(f"y_true: got {labels.dtype} values that are no whole class numbers")
    return whole


_BY_NAME: dict[str, type[Loss]] = {
    "categorical_crossentropy": CategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
}


def get(identifier: str | Loss | Mapping[str, Any]) -> Loss:
    """Return the loss that a name, a `serialize`d one or an object stands for.

    Examples
    --------
    >>> type(get("mse")).__name__
    'MeanSquaredError'
    >>> get("mae")
    Traceback (most recent call last):
        ...
    ValueError: loss: got 'mae', expected a Loss or one of categorical_crossentropy, \
mean_squared_error, mse, sparse_categorical_crossentropy
    """
    return resolve("loss", identifier, Loss, _BY_NAME, "a Loss")


def serialize(loss: Loss) -> dict[str, Any]:
    """Return what `get` makes an equal loss of; plain enough for JSON."""
    return {"class_name": type(loss).__name__, "config": loss.get_config()}
