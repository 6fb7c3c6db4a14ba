"""What every model can do: compile, fit, evaluate, predict, summarize and save."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import DTypeLike

from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.parameter import Parameter, last_change
from fastconv.layers.types import Array, Shape
from fastconv.summary import summarize
from fastconv.training import loop, losses, metrics, optimizers
from fastconv.training.callbacks import Callback, History
from fastconv.training.objectives import Objective, arrays_by_name, make_objectives
from fastconv.training.progress import resolve, text

if TYPE_CHECKING:
    from fastconv.models.prepared import PreparedModel

__all__ = ["Model"]


class Model(Layer):
    """Layers put together, which can be trained.

    ``Model(inputs, outputs)`` is the graph of layers from some values to others: see
    `fastconv.models.Functional`. `Sequential` is a stack of layers. A subclass of your own
    defines what a layer does, `layer_shapes` and `input_shape`.

    Parameters
    ----------
    **options
        See `Layer`. The dtype is that of all layers.

    Attributes
    ----------
    optimizer : Optimizer or None
        What `compile` was given.
    objectives : list of Objective
        The loss, its weight and the metrics of each output; empty before `compile`.
    stop_training : bool
        A callback sets it to end `fit` after the running batch.
    metadata : dict
        Notes of yours, plain enough for JSON, that are saved with the model.

    Examples
    --------
    >>> from fastconv.layers import Add, Dense, Input
    >>> x = Input((8,))
    >>> model = Model(x, Add()([x, Dense(8, activation="relu")(x)]))
    >>> model.output_shape, model.count_params()
    ((None, 8), 72)
    """

    def __new__(cls, *args: Any, **options: Any) -> Model:
        """Make a graph of ``Model(inputs, outputs)``."""
        if cls is Model and (args or "inputs" in options):
            from fastconv.models.functional import Functional  # which is a model

            return super().__new__(Functional)
        return super().__new__(cls)

    def __init__(self, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.optimizer: optimizers.Optimizer | None = None
        self.objectives: list[Objective] = []
        self.stop_training = False
        self.metadata: dict[str, Any] = {}
        self._prepared: tuple[int, Any, PreparedModel] | None = None

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

    @property
    def input_names(self) -> list[str]:
        """What `fit` and `predict` call the inputs in a dict."""
        return ["input"]

    @property
    def output_names(self) -> list[str]:
        """What `compile` and `fit` call the outputs in a dict, and the logs of several."""
        return ["output"]

    @property
    def input_shapes(self) -> list[Shape]:
        """The shape of each input."""
        return [self.input_shape]

    @property
    def output_shapes(self) -> list[Shape]:
        """The shape of each output."""
        return [self.output_shape]

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
        loss: Any,
        metrics: Any = None,
        loss_weights: Any = None,
    ) -> None:
        """Choose what `fit` does.

        Of a model with several outputs `loss`, `metrics` and `loss_weights` are lists with an
        entry for each, or dicts by `output_names`; one loss goes for all, and one of None, or
        that a dict leaves out, for none.

        Parameters
        ----------
        optimizer : str or Optimizer
            ``"sgd"``, ``"adam"``, or one with arguments; see `fastconv.training.optimizers`.
        loss : str or Loss
            See `fastconv.training.losses`.
        metrics : sequence of str or Metric, optional
            ``"accuracy"``, or see `fastconv.training.metrics`.
        loss_weights : sequence of float, optional
            By which the losses of the outputs are multiplied in their sum; 1 by default.
        """
        objectives = make_objectives(loss, metrics, loss_weights, self.output_names)
        self.optimizer = optimizers.get(optimizer)
        self.objectives = objectives

    @property
    def loss(self) -> losses.Loss | list[losses.Loss | None] | None:
        """The loss that `compile` was given, or the list of them; None before."""
        found = [one.loss for one in self.objectives]
        return (found[0] if found else None) if len(found) < 2 else found

    @property
    def metrics(self) -> list[metrics.Metric]:
        """The metrics of all outputs."""
        return [metric for one in self.objectives for metric in one.metrics]

    def require_compiled(self) -> tuple[optimizers.Optimizer, list[Objective]]:
        """Return the optimizer and the objectives; an error before `compile`."""
        if self.optimizer is None:
            raise RuntimeError(f"model {self.name!r}: compile(optimizer, loss) it first")
        return self.optimizer, self.objectives

    # ---- inputs and outputs as lists, whether one or several

    def forward_outputs(
        self, xs: list[Array], training: bool, logits: Sequence[bool]
    ) -> list[Array]:
        """Do `forward`, without the softmax at the end of the outputs that `logits` marks."""
        forward = self.forward_logits if logits[0] else self.forward
        return [forward(xs[0], training)]

    def backward_outputs(self, grads: Sequence[Array | None]) -> None:
        """Take `forward_outputs` back, to the parameters."""
        if grads[0] is not None:
            self.backward(grads[0], need_input_grad=False)

    def softmax_axes(self) -> list[int | None]:
        """Return the axis of the softmax that ends each output, or None."""
        return [self.softmax_axis(len(self.output_shape))]

    def infer(self, xs: list[Array]) -> list[Array]:
        """Return the outputs for one batch, as `predict` computes them."""
        return self.prepare().run(xs)

    def prepare(self) -> PreparedModel:
        """Return the model as `predict` runs it, made again if weights may have changed.

        Batch norms are folded into filters, epilogues joined and filters packed: see
        `fastconv.models.prepared`. Whatever hands out a parameter's value for writing marks it
        as changed; writing later, through an array kept from before, does not.
        """
        change, kept = last_change(), self._prepared
        if kept is not None and kept[0] == change:
            return kept[2]
        stamp = _stamp(self)
        if kept is not None and kept[1] == stamp:
            prepared = kept[2]
        else:
            from fastconv.models.prepared import PreparedModel  # which knows all models

            prepared = PreparedModel(self)
        self._prepared = (change, stamp, prepared)
        return prepared

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int = 32,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] = (),
        validation_split: float = 0.0,
        validation_data: tuple[Any, Any] | None = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        seed: int | None = None,
    ) -> History:
        """Train on inputs x and targets y.

        Parameters
        ----------
        x, y : array_like
            As many of one as of the other, along the first axis. With several inputs or
            outputs a list of arrays, or a dict by `input_names` or `output_names`.
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
        xs, ys = self._samples(x, y)
        validation = None
        if validation_data is not None:
            validation = self._samples(*validation_data)
        elif validation_split:
            (xs, ys), validation = loop.split(xs, ys, validation_split)
        if not len(xs[0]):
            raise ValueError("x: got no samples to train on")
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
        x: Any,
        y: Any,
        batch_size: int = 32,
        verbose: int | str = 0,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss, or a list of the loss and the metrics, or a dict of them.

        `verbose` 1 shows a bar, and 1 and 2 write a line with the result.
        """
        xs, ys = self._samples(x, y)
        logs = loop.evaluate(self, xs, ys, batch_size, verbose)
        if resolve(verbose):
            print(text(logs))
        return _result(logs, return_dict)

    def predict(self, x: Any, batch_size: int = 32, verbose: int | str = 0) -> Any:
        """Return the outputs for all inputs, computed in batches; `verbose` 1 shows a bar.

        An array, or of a model with several outputs a list of them.
        """
        results = loop.predict(self, self._ready(x), batch_size, verbose)
        return results[0] if len(results) == 1 else results

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch."""
        results = self.infer([np.asarray(a, dtype=self.dtype) for a in self._ready(x)])
        return results[0] if len(results) == 1 else results

    def train_on_batch(self, x: Any, y: Any, return_dict: bool = False) -> Any:
        """Do one step on one batch.

        Returns what `evaluate` does, of this batch alone, from before the step. The gradients
        stay in `gradients`.
        """
        xs, ys = self._samples(x, y)
        logs = loop.Logs(self)
        values, predicted, extra = loop.train_step(self, xs, ys)
        logs.add(values, ys, predicted, extra)
        return _result(logs.result(), return_dict)

    def test_on_batch(self, x: Any, y: Any, return_dict: bool = False) -> Any:
        """Return what `evaluate` does, of one batch."""
        count = max(len(self._ready(x)[0]), 1)
        return self.evaluate(x, y, batch_size=count, return_dict=return_dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write model, weights, compile settings and optimizer state to one file.

        `fastconv.models.load_model` reads it; see `fastconv.models.saving` for what is in it.
        """
        from fastconv.models.saving import save_model  # which needs the models itself

        save_model(self, path)

    def as_input(self, x: Any) -> Any:
        """Return what `forward` takes, built for it: an array, or a list of them."""
        xs = [np.asarray(a, dtype=self.dtype) for a in self._ready(x)]
        return xs if len(self.input_names) > 1 else xs[0]

    def _ready(self, x: Any) -> list[Array]:
        """Return the inputs as arrays, the model built for them; refuse what does not fit."""
        names = self.input_names
        xs = arrays_by_name(x, names, "x")
        for a in xs:
            if a.ndim < 2 or a.dtype.kind not in "fiub":
                raise ValueError(
                    f"x: got {a.dtype} of shape {a.shape}, expected real numbers of shape "
                    "(batch, ...)"
                )
        if not self.built:
            self.build((None, *xs[0].shape[1:]))
        for name, a, expected in zip(names, xs, self.input_shapes, strict=True):
            if len(expected) != a.ndim or any(
                want not in (None, got)
                for want, got in zip(expected[1:], a.shape[1:], strict=False)
            ):
                of = f" for {name!r}" if len(names) > 1 else ""
                raise ValueError(f"x: got shape {a.shape}{of}, expected {expected}")
        if len({len(a) for a in xs}) > 1:
            raise ValueError(f"x: got {[len(a) for a in xs]} samples, expected as many of each")
        return xs

    def _samples(self, x: Any, y: Any) -> loop.Samples:
        """Return inputs and targets as arrays, as many of one as of the other."""
        names = self.input_names
        xs = arrays_by_name(x, names, "x")
        ys = arrays_by_name(y, self.output_names, "y")
        for a in ys:
            if not xs[0].ndim or not a.ndim or len(xs[0]) != len(a):
                raise ValueError(
                    f"y: got shape {a.shape}, expected as many targets as there are inputs in x, "
                    f"of shape {xs[0].shape}"
                )
        return self._ready(x), ys


def _stamp(model: Model) -> list[Any]:
    """Return what is equal as long as a model computes the same."""
    parts: list[Any] = []
    for layer in model.layers:
        parts.append(id(layer))
        if isinstance(layer, Model):
            parts += _stamp(layer)
        else:
            parts += [p.version for p in layer.parameters]
    return parts


def _result(logs: dict[str, float], return_dict: bool) -> Any:
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
