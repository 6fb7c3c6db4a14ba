"""The loops over batches behind `Model.fit`, `evaluate` and `predict`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastconv import functional
from fastconv.layers.types import Array
from fastconv.training.callbacks import Callback, History
from fastconv.training.interrupt import DeferredInterrupt
from fastconv.training.losses import Crossentropy, Loss
from fastconv.training.metrics import Mean
from fastconv.training.progress import progress, watched
from fastconv.utils import next_seed

if TYPE_CHECKING:
    from fastconv.models.model import Model

__all__ = ["evaluate", "fit", "predict", "split", "train_step"]

#: The inputs and the targets of a model, an array for each of its inputs and outputs.
Samples: TypeAlias = tuple[list[Array], list[Array]]


def objective(
    model: Model, xs: Sequence[Array], ys: Sequence[ArrayLike], training: bool
) -> tuple[list[float], list[Array | None], list[Array]]:
    """Return each output's loss, its gradient and the predictions of a batch.

    Where an output ends with a softmax and its loss is a cross-entropy along the same axis,
    loss and gradient are those of the logits: p - q instead of a product of a huge and a tiny
    number, with nothing clipped. `backward` of the model follows suit. An output without a
    loss has the loss 0 and no gradient.
    """
    xs = [np.asarray(x, dtype=model.dtype) for x in xs]
    objectives = model.require_compiled()[1]
    axes = [
        axis if _takes_logits(o.loss, axis, len(shape)) else None
        for o, axis, shape in zip(
            objectives, model.softmax_axes(), model.output_shapes, strict=True
        )
    ]
    outputs = model.forward_outputs(xs, training, [axis is not None for axis in axes])
    values: list[float] = []
    grads: list[Array | None] = []
    predicted: list[Array] = []
    for one, axis, output, y in zip(objectives, axes, outputs, ys, strict=True):
        value, grad = 0.0, None
        if one.loss is not None:
            on_logits = axis is not None and isinstance(one.loss, Crossentropy)
            loss = one.loss.on_logits() if on_logits else one.loss  # type: ignore[attr-defined]
            value, grad = loss.value_and_grad(y, output)
            if one.weight != 1:
                grad = grad * output.dtype.type(one.weight)
        values.append(value)
        grads.append(grad)
        predicted.append(output if axis is None else functional.softmax(output, axis))
    return values, grads, predicted


def _takes_logits(loss: Loss | None, axis: int | None, ndim: int) -> bool:
    return (
        isinstance(loss, Crossentropy)
        and not loss.from_logits
        and axis is not None
        and axis == loss.axis % ndim
    )


def penalty(model: Model, with_gradients: bool = False) -> float:
    """Return what the regularizers of the trainable parameters add to the loss."""
    parameters = model.trainable_parameters().values()
    return sum(parameter.penalize(with_gradients) for parameter in parameters)


def train_step(
    model: Model,
    xs: Sequence[Array],
    ys: Sequence[Array],
    interrupt: DeferredInterrupt | None = None,
) -> tuple[list[float], list[Array], float]:
    """Do one step of the optimizer on a batch.

    Returns the losses and the predictions of the outputs, and the penalty, from before it.
    """
    optimizer = model.require_compiled()[0]
    interrupt = interrupt or DeferredInterrupt()  # not entered: changes nothing
    model.clear_gradients()
    try:
        values, grads, predicted = objective(model, xs, ys, training=True)
        model.backward_outputs(grads)
        extra = penalty(model, with_gradients=True)
    finally:
        model.release()
    interrupt.shielded = True
    try:
        optimizer.apply(model.trainable_parameters())
    finally:
        interrupt.shielded = False
    return values, predicted, extra


class Logs:
    """The losses and the metrics of a model, gathered over batches."""

    def __init__(self, model: Model) -> None:
        self._objectives = copy.deepcopy(model.require_compiled()[1])  # loops may nest
        self._total = Mean()
        self._each = [Mean() for _ in self._objectives]
        several = len(self._objectives) > 1
        self._prefixes = [f"{name}_" if several else "" for name in model.output_names]
        for one in self._objectives:
            for metric in one.metrics:
                metric.reset()

    def add(
        self,
        values: Sequence[float],
        ys: Sequence[Array],
        predicted: Sequence[Array],
        extra: float,
    ) -> None:
        """Add a batch, and what the regularizers added to its loss."""
        count = len(predicted[0])
        weights = [one.weight for one in self._objectives]
        self._total.add(sum(map(float.__mul__, weights, values)) + extra, count)
        for one, mean, value, y, p in zip(
            self._objectives, self._each, values, ys, predicted, strict=True
        ):
            mean.add(value, count)
            for metric in one.metrics:
                metric.update(y, p)

    def result(self) -> dict[str, float]:
        """Return what was gathered so far."""
        logs = {"loss": self._total.result()}
        if len(self._each) > 1:
            for one, prefix, mean in zip(self._objectives, self._prefixes, self._each, strict=True):
                if one.loss is not None:
                    logs[f"{prefix}loss"] = mean.result()
        for one, prefix in zip(self._objectives, self._prefixes, strict=True):
            logs |= {f"{prefix}{metric.name}": metric.result() for metric in one.metrics}
        return logs


def fit(
    model: Model,
    xs: Sequence[Array],
    ys: Sequence[Array],
    *,
    batch_size: int,
    epochs: int,
    verbose: int | str,
    callbacks: Sequence[Callback],
    validation: Samples | None,
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
    count = len(xs[0])
    steps = -(-count // batch_size)
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
                order = np.random.default_rng((stream, epoch)).permutation(count)
                logs = _epoch(
                    model,
                    _batches(xs, ys, batch_size, order if shuffle else None),
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
    batches: Iterator[Samples],
    epoch: int,
    chain: Sequence[Callback],
    interrupt: DeferredInterrupt,
) -> dict[str, float]:
    """Train on each batch once."""
    logs = Logs(model)
    for callback in chain:
        callback.on_epoch_begin(epoch)
    for batch, (xs, ys) in enumerate(batches):
        for callback in chain:
            callback.on_train_batch_begin(batch)
        values, predicted, extra = train_step(model, xs, ys, interrupt)
        logs.add(values, ys, predicted, extra)
        for callback in chain:
            callback.on_train_batch_end(batch, logs.result())
        interrupt.check()
        if model.stop_training:
            break
    return logs.result()


def evaluate(
    model: Model,
    xs: Sequence[Array],
    ys: Sequence[Array],
    batch_size: int,
    verbose: int | str = 0,
    check: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Return the losses and the metrics; `check` is called after each batch."""
    positive("batch_size", batch_size)
    logs = Logs(model)
    steps = -(-len(xs[0]) // batch_size)
    for x, y in watched(_batches(xs, ys, batch_size, None), steps, "Evaluating", verbose):
        values, _, predicted = objective(model, x, y, training=False)
        logs.add(values, y, predicted, penalty(model))
        if check is not None:
            check()
    return logs.result()


def predict(
    model: Model, xs: Sequence[Array], batch_size: int, verbose: int | str = 0
) -> list[Array]:
    """Return the outputs for all inputs, batch by batch."""
    positive("batch_size", batch_size)
    count = len(xs[0])
    steps = -(-count // batch_size)
    results: list[Array] = []
    start = 0
    for batch, _ in watched(_batches(xs, (), batch_size, None), steps, "Predicting", verbose):
        outputs = model.infer([np.asarray(x, dtype=model.dtype) for x in batch])
        if not results:
            results = [np.empty((count, *y.shape[1:]), y.dtype) for y in outputs]
        for result, y in zip(results, outputs, strict=True):
            result[start : start + len(y)] = y
        start += len(outputs[0])
    if not results:
        shapes = [tuple(extent or 0 for extent in shape[1:]) for shape in model.output_shapes]
        return [np.empty((0, *shape), model.dtype) for shape in shapes]
    return results


def split(xs: Sequence[Array], ys: Sequence[Array], fraction: float) -> tuple[Samples, Samples]:
    """Return what to train on, and the last `fraction`, to validate with.

    Examples
    --------
    >>> (x, _), (x_val, _) = split([np.arange(10)], [np.arange(10)], 0.2)
    >>> len(x[0]), x_val
    (8, [array([8, 9])])
    """
    count = len(xs[0])
    at = int(count * (1 - fraction)) if 0 < fraction < 1 else 0
    if not 0 < at < count:
        raise ValueError(
            f"validation_split: got {fraction!r} of {count} samples, expected a number between "
            "0 and 1 that leaves some for either side"
        )
    first = [x[:at] for x in xs], [y[:at] for y in ys]
    return first, ([x[at:] for x in xs], [y[at:] for y in ys])


def positive(argument: str, value: int) -> None:
    """Refuse what is no positive integer."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{argument}: got {value!r}, expected a positive integer")


def _batches(
    xs: Sequence[Array], ys: Sequence[Array], batch_size: int, order: Array | None
) -> Iterator[Samples]:
    for start in range(0, len(xs[0]), batch_size):
        chosen: Any = slice(start, start + batch_size)
        if order is not None:
            chosen = order[chosen]
        yield [x[chosen] for x in xs], [y[chosen] for y in ys]
