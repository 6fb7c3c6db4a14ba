"""Batch normalization."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from fastconv import constraints, functional, regularizers
from fastconv import grad as gradients
from fastconv.layers.base import LayerOptions
from fastconv.layers.fusion import ChannelAffine
from fastconv.layers.normalization import Normalizing, axis_of, channels_second
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape
from fastconv.layers.weights import InitializerLike, WeightRule

__all__ = ["BatchNormalization"]


@register_layer
class BatchNormalization(Normalizing):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, for each index of `axis`.

    In training mean and variance are those of the batch, over all axes but `axis`, and the
    moving ones follow: moving = momentum * moving + (1 - momentum) * that of the batch (the
    variance divided by the number of elements, as in Keras; PyTorch divides it by one less). At
    inference, and when the layer is frozen (``trainable = False``), the moving ones are used.

    Parameters
    ----------
    axis : int
        Of the channels: -1, the default, for channels-last, 1 for channels-first.
    momentum : float
        In [0, 1].
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there are beta and gamma.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer
        See `fastconv.initializers`.
    beta_regularizer, gamma_regularizer
        See `fastconv.regularizers`.
    beta_constraint, gamma_constraint
        See `fastconv.constraints`.
    **options
        See `Layer`.

    Notes
    -----
    Source: S. Ioffe, C. Szegedy, Batch normalization: accelerating deep network training by
    reducing internal covariate shift, ICML 2015, arXiv 1502.03167.

    Examples
    --------
    >>> layer = BatchNormalization(epsilon=1e-12)
    >>> layer([[1.0], [3.0]], training=True)
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> layer.weight("moving_mean").value
    array([0.02], dtype=float32)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: InitializerLike = "zeros",
        gamma_initializer: InitializerLike = "ones",
        moving_mean_initializer: InitializerLike = "zeros",
        moving_variance_initializer: InitializerLike = "ones",
        beta_regularizer: regularizers.Identifier = None,
        gamma_regularizer: regularizers.Identifier = None,
        beta_constraint: constraints.Identifier = None,
        gamma_constraint: constraints.Identifier = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **options,
        )
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum: got {momentum!r}, expected a number in [0, 1]")
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.mean_rule = WeightRule.of(moving_mean_initializer)
        self.variance_rule = WeightRule.of(moving_variance_initializer)

    def build(self, input_shape: Shape) -> None:
        """Create gamma, beta and the moving mean and variance, (channels,) each."""
        _, channels = axis_of(self, self.axis, input_shape)
        self.add_gamma_beta((channels,))
        for name, rule in (
            ("moving_mean", self.mean_rule),
            ("moving_variance", self.variance_rule),
        ):
            rule.add(self, name, (channels,)).trainable = False

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the output; in training, move the moving mean and variance."""
        view = channels_second(x, self.axis)
        gamma, beta = self._gamma_beta()
        of_batch = training and self.trainable and x.size > 0
        if of_batch:
            y, mean, invstd = functional.batch_norm(
                view, None, None, gamma, beta, True, eps=self.epsilon, return_statistics=True
            )
            self._follow(mean, invstd)
        else:
            moving = self.weight("moving_mean").array, self.weight("moving_variance").array
            y = functional.batch_norm(view, *moving, gamma, beta, eps=self.epsilon)
            mean, invstd = moving[0], 1 / np.sqrt(moving[1] + self.dtype.type(self.epsilon))
        if training:
            self._save(view, np.array(mean), np.array(invstd), of_batch)
        out: Array = np.moveaxis(y, 1, self.axis)
        return out

    def _follow(self, mean: Array, invstd: Array) -> None:
        variance = 1 / np.square(invstd, dtype=np.float64) - self.epsilon
        for name, value in (("moving_mean", mean), ("moving_variance", np.maximum(variance, 0))):
            moving = self.weight(name).value
            moving += (1 - self.momentum) * (value - moving)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Add to the gradients of gamma and beta; return that of the input."""
        x, mean, invstd, of_batch = self._saved()
        dx, dgamma, dbeta = gradients.batch_norm_backward(
            channels_second(grad, self.axis),
            x,
            self._gamma_beta()[0],
            mean,
            invstd,
            training=of_batch,
        )
        self._accumulate(dgamma, dbeta)
        out: Array = np.moveaxis(dx, 1, self.axis)
        return out if need_input_grad else None

    def inference_form(self) -> ChannelAffine:
        """Return the moving mean and variance, gamma and beta, for filters to take in."""
        moving = self.weight("moving_mean").array, self.weight("moving_variance").array
        return ChannelAffine(self.axis, *moving, *self._gamma_beta(), self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = {**super().get_config(), "axis": self.axis, "momentum": self.momentum}
        for name, rule in (
            ("moving_mean", self.mean_rule),
            ("moving_variance", self.variance_rule),
        ):
            config[f"{name}_initializer"] = rule.config(name)[f"{name}_initializer"]
        return config
