"""Callbacks: what happens around epochs and batches of `fit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastconv.models.model import Model

__all__ = ["Callback", "History", "LearningRateScheduler"]


class Callback:
    """Base class; override what you need.

    ``self.model`` is the model, ``self.params`` a dict of epochs, steps and verbose.
    `logs` holds the loss and the metrics so far: of the epoch's batches, and at the end of an
    epoch the ``val_`` ones too. Setting ``self.model.stop_training = True`` ends training
    after the running batch.

    Examples
    --------
    >>> class StopBelow(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         self.model.stop_training = logs["loss"] < 0.1
    """

    model: Model
    params: Mapping[str, Any]

    def set_model(self, model: Model) -> None:
        """Receive the model."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Receive what `fit` was asked for."""
        self.params = params

    def on_train_begin(self) -> None:
        """Act before the first epoch."""

    def on_train_end(self) -> None:
        """Act after the last epoch, also after an interruption."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Act before an epoch; they count from 0."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Act after an epoch."""

    def on_train_batch_begin(self, batch: int) -> None:
        """Act before a training step; they count from 0 in each epoch."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Act after a training step."""


class History(Callback):
    """What `fit` returns.

    Attributes
    ----------
    history : dict of str to list of float
        One value for each finished epoch: loss, metrics, and the same with ``val_``.
    epoch : list of int
        The numbers of these epochs.
    interrupted : bool
        Whether Ctrl-C, or a KeyboardInterrupt from a callback, ended training. The batch that
        was running has then been finished, its epoch not.

    Examples
    --------
    >>> history = History()
    >>> history.on_epoch_end(0, {"loss": 0.5})
    >>> history.history, history.epoch, history.interrupted
    ({'loss': [0.5]}, [0], False)
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.interrupted = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Record an epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch.

    Parameters
    ----------
    schedule : callable
        (epoch, learning rate so far) to the learning rate.

    Examples
    --------
    >>> divide = LearningRateScheduler(lambda epoch, rate: rate / 10 if epoch == 30 else rate)
    >>> divide.schedule(30, 0.01)
    0.001
    """

    def __init__(self, schedule: Callable[[int, float], float]) -> None:
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int) -> None:
        """Set it."""
        optimizer = self.model.optimizer
        if optimizer is not None:
            optimizer.learning_rate = float(self.schedule(epoch, optimizer.learning_rate))
