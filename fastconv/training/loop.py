"""The loops over batches behind `Model.fit`, `evaluate` and `predict`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fastconv import functional
from fastconv.layers.types import Array
from fastconv.training.callbacks import Callback, History
from fastconv.training.interrupt import DeferredInterrupt
from fastconv.training.losses import Crossentropy
from fastconv.training.metrics import Mean
from fastconv.training.progress import progress, watched
from fastconv.utils import next_seed

if TYPE_CHECKING:
    from fastconv.models.model import Model

__all__ = ["evaluate", "fit", "predict", "split", "train_step"]


def objective(model: Model, x: Array, y: ArrayLike, training: bool) -> tuple[float, Array, Array]:
    """Return the loss, its gradient and the predictions of a batch.

    Where the model ends with a softmax and the loss is a cross-entropy along the same axis,
    loss and gradient are those of the logits: p - q instead of a product of a huge and a tiny
    number, with nothing clipped. `backward` of the model follows suit.
    """
    x = np.asarray(x, dtype=model.dtype)
    loss = model.require_compiled()[1]
    axis = model.softmax_axis(len(model.output_shape))
    if (
        isinstance(loss, Crossentropy)
        and not loss.from_logits
        and axis is not None
        and axis == loss.axis % len(model.output_shape)
    ):
        logits = model.forward_logits(x, training)
        value, grad = loss.on_logits().value_and_grad(y, logits)
        return value, grad, functional.softmax(logits, axis)
    predicted = model.forward(x, training)
    value, grad = loss.value_and_grad(y, predicted)
    return value, grad, predicted


def train_step(
    model: Model, x: Array, y: Array, interrupt: DeferredInterrupt | None = None
) -> tuple[float, Array]:
    """Do one step of the optimizer on a batch; return its loss and predictions from before."""
    optimizer = model.require_compiled()[0]
    interrupt = interrupt or DeferredInterrupt()  # not entered: changes nothing
    model.clear_gradients()
    try:
        value, grad, predicted = objective(model, x, y, training=True)
        model.backward(grad, need_input_grad=False)
    finally:
        model.release()
    interrupt.shielded = True
    try:
        optimizer.apply(model.trainable_parameters())
    finally:
        interrupt.shielded = False
    return value, predicted


class Logs:
    """The loss and the metrics of a model, gathered over batches."""

    def __init__(self, model: Model) -> None:
        self._loss = Mean()
        self._metrics = copy.deepcopy(model.require_compiled()[2])  # loops may nest
        for metric in self._metrics:
            metric.reset()

    def add(self, value: float, y: Array, predicted: Array) -> None:
        """Add a batch."""
        self._loss.add(value, len(predicted))
        for metric in self._metrics:
            metric.update(y, predicted)

    def result(self) -> dict[str, float]:
        """Return what was gathered so far."""
        return {"loss": self._loss.result()} | {m.name: m.result() for m in self._metrics}


def fit(
    model: Model,
    x: Array,
    y: Array,
    *,
    batch_size: int,
    epochs: int,
    verbose: int | str,
    callbacks: Sequence[Callback],
    validation: tuple[Array, Array] | None,
    shuffle: bool,
    initial_epoch: int,
    seed: int | None,
) -> History:
    """Train; see `Model.fit`. The order of an epoch depends on the seed and its number only."""
    positive("batch_size", batch_size)
    positive("epochs", epochs)
    stream = next_seed() if seed is None else int(seed)
    history = History()
    chain: list[Callback] = [history, *progress(verbose), *callbacks]
    steps = -(-len(x) // batch_size)
    for callback in chain:
        callback.set_model(model)
        callback.set_params({"epochs": epochs, "steps": steps, "verbose": verbose})
    model.stop_training = False
    interrupt = DeferredInterrupt()
    try:
        with interrupt:
            for callback in chain:
                callback.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                order = np.random.default_rng((stream, epoch)).permutation(len(x))
                logs = _epoch(
                    model,
                    _batches(x, y, batch_size, order if shuffle else None),
                    epoch,
                    chain,
                    interrupt,
                )
                if validation is not None:
                    result = evaluate(model, *validation, batch_size, check=interrupt.check)
                    logs |= {f"val_{name}": value for name, value in result.items()}
                for callback in chain:
                    callback.on_epoch_end(epoch, dict(logs))
                if model.stop_training:
                    break
                interrupt.check()
    except KeyboardInterrupt:
        if interrupt.forced:
            raise
        history.interrupted = True
    finally:
        model.clear_gradients()
        for callback in chain:
            callback.on_train_end()
    return history


def _epoch(
    model: Model,
    batches: Iterator[tuple[Array, Array]],
    epoch: int,
    chain: Sequence[Callback],
    interrupt: DeferredInterrupt,
) -> dict[str, float]:
    """Train on each batch once."""
    logs = Logs(model)
    for callback in chain:
        callback.on_epoch_begin(epoch)
    for batch, (x, y) in enumerate(batches):
        for callback in chain:
            callback.on_train_batch_begin(batch)
        value, predicted = train_step(model, x, y, interrupt)
        logs.add(value, y, predicted)
        for callback in chain:
            callback.on_train_batch_end(batch, logs.result())
        interrupt.check()
        if model.stop_training:
            break
    return logs.result()


def evaluate(
    model: Model,
    x: Array,
    y: Array,
    batch_size: int,
    verbose: int | str = 0,
    check: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Return the loss and the metrics; `check` is called after each batch."""
    positive("batch_size", batch_size)
    logs = Logs(model)
    steps = -(-len(x) // batch_size)
    for xs, ys in watched(_batches(x, y, batch_size, None), steps, "Evaluating", verbose):
        value, _, predicted = objective(model, xs, ys, training=False)
        logs.add(value, ys, predicted)
        if check is not None:
            check()
    return logs.result()


def predict(model: Model, x: Array, batch_size: int, verbose: int | str = 0) -> Array:
    """Return the outputs for all inputs, batch by batch."""
    positive("batch_size", batch_size)
    steps = -(-len(x) // batch_size)
    result: Array | None = None
    start = 0
    for xs, _ in watched(_batches(x, x, batch_size, None), steps, "Predicting", verbose):
        y = model.forward(np.asarray(xs, dtype=model.dtype))
        if result is None:
            result = np.empty((len(x), *y.shape[1:]), y.dtype)
        result[start : start + len(y)] = y
        start += len(y)
    if result is None:
        shape = tuple(extent or 0 for extent in model.output_shape[1:])
        return np.empty((0, *shape), model.dtype)
    return result


def split(x: Array, y: Array, fraction: float) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return what to train on, and the last `fraction`, to validate with.

    Examples
    --------
    >>> (x, _), (x_val, _) = split(np.arange(10), np.arange(10), 0.2)
    >>> len(x), x_val
    (8, array([8, 9]))
    """
    at = int(len(x) * (1 - fraction)) if 0 < fraction < 1 else 0
    if not 0 < at < len(x):
        raise ValueError(
            f"validation_split: got {fraction!r} of {len(x)} samples, expected a number between "
            "0 and 1 that leaves some for either side"
        )
    return (x[:at], y[:at]), (x[at:], y[at:])


def positive(argument: str, value: int) -> None:
    """Refuse what is no positive integer."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{argument}: got {value!r}, expected a positive integer")


def _batches(
    x: Array, y: Array, batch_size: int, order: Array | None
) -> Iterator[tuple[Array, Array]]:
    for start in range(0, len(x), batch_size):
        if order is None:
            yield x[start : start + batch_size], y[start : start + batch_size]
        else:
            chosen = order[start : start + batch_size]
            yield x[chosen], y[chosen]
