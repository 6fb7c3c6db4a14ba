"""What the layers share that normalize: gamma, beta and the axis they belong to."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from fastconv import constraints, regularizers
from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.parameter import Parameter
from fastconv.layers.types import Array, Shape
from fastconv.layers.weights import InitializerLike, WeightRule

__all__ = ["Normalizing", "axis_of", "channels_second", "positive_number"]


class Normalizing(Layer):
    """A layer that ends with y * gamma + beta; a subclass makes them and uses `_gamma_beta`."""

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: InitializerLike,
        gamma_initializer: InitializerLike,
        beta_regularizer: regularizers.Identifier,
        gamma_regularizer: regularizers.Identifier,
        beta_constraint: constraints.Identifier,
        gamma_constraint: constraints.Identifier,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.epsilon = positive_number("epsilon", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_rule = WeightRule.of(beta_initializer, beta_regularizer, beta_constraint)
        self.gamma_rule = WeightRule.of(gamma_initializer, gamma_regularizer, gamma_constraint)

    def add_gamma_beta(self, shape: tuple[int, ...]) -> None:
        """Create gamma, where `scale` asks for it, and beta, where `center` does."""
        if self.scale:
            self.gamma_rule.add(self, "gamma", shape)
        if self.center:
            self.beta_rule.add(self, "beta", shape)

    def _gamma_beta(self) -> tuple[Array | None, Array | None]:
        """Return both, or None; as vectors or as they are."""
        return (
            self.weight("gamma").array if self.scale else None,
            self.weight("beta").array if self.center else None,
        )

    def _accumulate(self, dgamma: Array, dbeta: Array) -> None:
        """Add the gradients of what there is."""
        if not self.trainable:
            return
        for name, gradient in (("gamma", dgamma), ("beta", dbeta)):
            found: Parameter | None = self.named_parameters().get(name)
            if found is not None:
                found.accumulate(gradient.reshape(found.array.shape))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **self.beta_rule.config("beta"),
            **self.gamma_rule.config("gamma"),
        }


def positive_number(argument: str, value: float) -> float:
    """Refuse what is no positive number."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{argument}: got {value!r}, expected a positive number")
    return float(value)


def axis_of(layer: Layer, axis: int, input_shape: Shape) -> tuple[int, int]:
    """Return an axis, counted from 0, and its extent; it must not be the batch.

    Examples
    --------
    >>> axis_of(Layer(name="x"), -1, (None, 5, 5, 3))
    (3, 3)
    """
    rank = len(input_shape)
    at = axis % rank if -rank <= axis < rank else 0
    extent = input_shape[at]
    if at == 0 or extent is None:
        raise ValueError(
            f"{layer.name}: got axis {axis} of an input of shape {input_shape}, expected one "
            "with a known extent, and not the batch"
        )
    return at, extent


def channels_second(x: Array, axis: int) -> Array:
    """View an array with this axis, the one of the channels, after the batch."""
    return np.moveaxis(x, axis, 1)
