"""Training: losses, metrics, optimizers, callbacks and the loop, under Keras' names."""

from fastconv.training.callbacks import Callback, History, LearningRateScheduler
from fastconv.training.losses import (
    CategoricalCrossentropy,
    Loss,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from fastconv.training.metrics import CategoricalAccuracy, Metric, SparseCategoricalAccuracy
from fastconv.training.optimizers import SGD, Adam, Optimizer
from fastconv.training.progress import EpochLines, ProgressBar

__all__ = [
    "SGD",
    "Adam",
    "Callback",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "EpochLines",
    "History",
    "LearningRateScheduler",
    "Loss",
    "MeanSquaredError",
    "Metric",
    "Optimizer",
    "ProgressBar",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
]
