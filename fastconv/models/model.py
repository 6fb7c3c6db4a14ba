"""What every model can do: compile, fit, evaluate, predict, summarize and save."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.parameter import Parameter
from fastconv.layers.types import Array, Shape
from fastconv.summary import summarize
from fastconv.training import loop, losses, metrics, optimizers
from fastconv.training.callbacks import Callback, History
from fastconv.training.progress import resolve, text

__all__ = ["Model"]


class Model(Layer):
    """A layer made of layers, which can be trained; `Sequential` is one.

    A subclass defines what a layer does, and `layer_shapes`.

    Parameters
    ----------
    **options
        See `Layer`. The dtype is that of all layers.

    Attributes
    ----------
    optimizer, loss, metrics
        What `compile` was given; None, None and an empty list before.
    stop_training : bool
        A callback sets it to end `fit` after the running batch.
    metadata : dict
        Notes of yours, plain enough for JSON, that are saved with the model.
    """

    def __init__(self, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.metrics: list[metrics.Metric] = []
        self.stop_training = False
        self.metadata: dict[str, Any] = {}

    # ---- the layers

    @property
    def layers(self) -> list[Layer]:
        """The layers, in the order of computation."""
        return []

    def layer_shapes(self) -> list[tuple[Layer, Shape]]:
        """Return each layer with the shape of its input."""
        raise NotImplementedError(f"{type(self).__name__} does not define layer_shapes")

    @property
    def input_shape(self) -> Shape:
        """The shape of the input, batch included."""
        raise NotImplementedError(f"{type(self).__name__} does not define input_shape")

    @property
    def output_shape(self) -> Shape:
        """The shape of the output, batch included."""
        return self.compute_output_shape(self.input_shape)

    def get_layer(self, name: str) -> Layer:
        """Return the layer of this name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise ValueError(f"name: got {name!r}, expected one of {names or 'no layers'}")

    def adopt_dtype(self, dtype: DTypeLike) -> None:
        """Take a dtype, for all layers."""
        super().adopt_dtype(dtype)
        for layer in self.layers:
            layer.adopt_dtype(dtype)

    @property
    def trainable(self) -> bool:
        """Whether training changes the parameters; setting it sets it for all layers."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self.layers:
            layer.trainable = value

    def named_parameters(self) -> dict[str, Parameter]:
        """Return all parameters by layer and name, ``"conv2d/kernel"``."""
        return {
            f"{layer.name}/{name}": parameter
            for layer in self.layers
            for name, parameter in layer.named_parameters().items()
        }

    def trainable_parameters(self) -> dict[str, Parameter]:
        """Return the parameters that training changes, by layer and name."""
        if not self.trainable:
            return {}
        return {
            f"{layer.name}/{name}": parameter
            for layer in self.layers
            for name, parameter in layer.trainable_parameters().items()
        }

    def discard(self) -> None:
        """Take the last `forward` back without a gradient."""
        for layer in self.layers:
            layer.discard()

    def release(self) -> None:
        """Drop whatever was kept for backward passes that will not come."""
        for layer in self.layers:
            layer.release()

    def get_state(self) -> dict[str, Any]:
        """Return what training changes besides parameters, by layer."""
        states = {layer.name: layer.get_state() for layer in self.layers}
        return {name: state for name, state in states.items() if state}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Bring back what `get_state` returned."""
        for name, value in state.items():
            self.get_layer(name).set_state(value)

    def summary(self, print_fn: Callable[[str], object] = print) -> None:
        """Print `fastconv.summary.summarize` of this model, with `print_fn`."""
        print_fn(str(summarize(self)))

    # ---- training

    def compile(
        self,
        optimizer: str | optimizers.Optimizer,
        loss: str | losses.Loss,
        metrics: Sequence[str | metrics.Metric] | None = None,
    ) -> None:
        """Choose what `fit` does.

        Parameters
        ----------
        optimizer : str or Optimizer
            ``"sgd"``, ``"adam"``, or one with arguments; see `fastconv.training.optimizers`.
        loss : str or Loss
            See `fastconv.training.losses`.
        metrics : sequence of str or Metric, optional
            ``"accuracy"``, or see `fastconv.training.metrics`.
        """
        chosen = losses.get(loss)
        if isinstance(metrics, str):
            raise ValueError(f"metrics: got {metrics!r}, expected a list, [{metrics!r}]")
        self.metrics = [_metric(metric, chosen) for metric in metrics or ()]
        self.optimizer = optimizers.get(optimizer)
        self.loss = chosen

    def require_compiled(
        self,
    ) -> tuple[optimizers.Optimizer, losses.Loss, list[metrics.Metric]]:
        """Return optimizer, loss and metrics; an error before `compile`."""
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(f"model {self.name!r}: compile(optimizer, loss) it first")
        return self.optimizer, self.loss, self.metrics

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int = 32,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] = (),
        validation_split: float = 0.0,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        seed: int | None = None,
    ) -> History:
        """Train on inputs x and targets y.

        Parameters
        ----------
        x, y : array_like
            As many of one as of the other, along the first axis.
        batch_size : int
            Samples per step; the last batch of an epoch may be smaller.
        epochs : int
            Where to end: with `initial_epoch` 0, how many times to go over all samples.
        verbose : {"auto", 0, 1, 2}
            0 shows nothing, 1 a bar for each epoch (needs tqdm), 2 a line for each epoch;
            ``"auto"`` is 1 on a terminal where tqdm is installed, and else 2.
        callbacks : sequence of Callback
            See `fastconv.training.callbacks`.
        validation_split : float
            The part of the samples, from the end, to validate with and not to train on.
        validation_data : (x, y), optional
            What to validate with, instead.
        shuffle : bool
            Whether each epoch goes through the samples in a new order.
        initial_epoch : int
            The number of the first epoch, to go on after an earlier `fit`.
        seed : int, optional
            Of the order of the samples: that of an epoch depends on it and the epoch's number
            only. By default it is drawn from the stream of `fastconv.utils.set_random_seed`.

        Returns
        -------
        History
            Loss and metrics of each epoch. After Ctrl-C as well: the running batch is
            finished, the model stays usable, and ``history.interrupted`` is True. A second
            Ctrl-C raises KeyboardInterrupt at once.

        Notes
        -----
        The same seeds give the same bits, for any number of threads. A model that is saved
        after n epochs, loaded, and trained with ``initial_epoch=n`` and the same seed goes on
        as if it had not stopped.

        Examples
        --------
        >>> from fastconv.layers import Dense
        >>> from fastconv.models import Sequential
        >>> from fastconv.training import SGD
        >>> model = Sequential([Dense(1, kernel_initializer="zeros", input_shape=(1,))])
        >>> model.compile(SGD(0.1), "mse")
        >>> history = model.fit([[1.0], [2.0]], [[3.0], [5.0]], epochs=300, verbose=0)
        >>> model.predict([[4.0]]).round(1)
        array([[9.]], dtype=float32)
        """
        xs, ys = _samples(x, y)
        validation = None
        if validation_data is not None:
            validation = _samples(*validation_data)
        elif validation_split:
            (xs, ys), validation = loop.split(xs, ys, validation_split)
        if not len(xs):
            raise ValueError("x: got no samples to train on")
        self._ready(xs)
        self.require_compiled()
        return loop.fit(
            self,
            xs,
            ys,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks or (),
            validation=validation,
            shuffle=shuffle,
            initial_epoch=initial_epoch,
            seed=seed,
        )

    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int = 32,
        verbose: int | str = 0,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss, or a list of the loss and the metrics, or a dict of them.

        `verbose` 1 shows a bar, and 1 and 2 write a line with the result.
        """
        xs, ys = _samples(x, y)
        self._ready(xs)
        logs = loop.evaluate(self, xs, ys, batch_size, verbose)
        if resolve(verbose):
            print(text(logs))
        return _result(logs, return_dict)

    def predict(self, x: ArrayLike, batch_size: int = 32, verbose: int | str = 0) -> Array:
        """Return the outputs for all inputs, computed in batches; `verbose` 1 shows a bar."""
        xs = np.asarray(x)
        self._ready(xs)
        return loop.predict(self, xs, batch_size, verbose)

    def predict_on_batch(self, x: ArrayLike) -> Array:
        """Return the outputs for one batch."""
        xs = np.asarray(x)
        self._ready(xs)
        return self.forward(np.asarray(xs, dtype=self.dtype))

    def train_on_batch(self, x: ArrayLike, y: ArrayLike, return_dict: bool = False) -> Any:
        """Do one step on one batch.

        Returns what `evaluate` does, of this batch alone, from before the step. The gradients
        stay in `gradients`.
        """
        xs, ys = _samples(x, y)
        self._ready(xs)
        logs = loop.Logs(self)
        value, predicted = loop.train_step(self, xs, ys)
        logs.add(value, ys, predicted)
        return _result(logs.result(), return_dict)

    def test_on_batch(self, x: ArrayLike, y: ArrayLike, return_dict: bool = False) -> Any:
        """Return what `evaluate` does, of one batch."""
        xs, _ = _samples(x, y)
        return self.evaluate(x, y, batch_size=max(len(xs), 1), return_dict=return_dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write model, weights, compile settings and optimizer state to one file.

        `fastconv.models.load_model` reads it; see `fastconv.models.saving` for what is in it.
        """
        from fastconv.models.saving import save_model  # which needs the models itself

        save_model(self, path)

    def __call__(self, x: ArrayLike, training: bool = False) -> Array:
        """Build if necessary and return the output; nothing is kept for `backward`."""
        self._ready(np.asarray(x))
        return super().__call__(x, training)

    def _ready(self, x: Array) -> None:
        """Build for this input if necessary; refuse one that does not fit."""
        if x.ndim < 2 or x.dtype.kind not in "fiub":
            raise ValueError(
                f"x: got {x.dtype} of shape {x.shape}, expected real numbers of shape (batch, ...)"
            )
        self.build((None, *x.shape[1:]))
        expected = self.input_shape
        if len(expected) != x.ndim or any(
            want not in (None, got) for want, got in zip(expected[1:], x.shape[1:], strict=False)
        ):
            raise ValueError(f"x: got shape {x.shape}, expected {expected}")


def _metric(identifier: str | metrics.Metric, loss: losses.Loss) -> metrics.Metric:
    return metrics.get(identifier, loss)


def _samples(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Return inputs and targets as arrays with as many of one as of the other."""
    xs, ys = np.asarray(x), np.asarray(y)
    if not xs.ndim or not ys.ndim or len(xs) != len(ys):
        raise ValueError(
            f"y: got shape {ys.shape}, expected as many targets as there are inputs in x, of "
            f"shape {xs.shape}"
        )
    return xs, ys


def _result(logs: dict[str, float], return_dict: bool) -> Any:
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
