"""Layer normalization and group normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from fastconv import constraints, functional, regularizers
from fastconv import grad as gradients
from fastconv.layers.base import LayerOptions
from fastconv.layers.normalization import Normalizing, axis_of, channels_second
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape
from fastconv.layers.weights import InitializerLike

__all__ = ["GroupNormalization", "LayerNormalization"]


@register_layer
class LayerNormalization(Normalizing):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, over `axis` of each input.

    Parameters
    ----------
    axis : int or sequence of int
        What mean and variance are over, and what gamma and beta have the shape of.
    epsilon, center, scale, beta_initializer, gamma_initializer, **options
        See `BatchNormalization`; the regularizers and constraints too.

    Notes
    -----
    Source: J. L. Ba, J. R. Kiros, G. E. Hinton, Layer normalization, arXiv 1607.06450, 2016.

    Examples
    --------
    >>> LayerNormalization(epsilon=1e-12)([[1.0, 3.0], [5.0, 5.0]])
    array([[-1.,  1.],
           [ 0.,  0.]], dtype=float32)
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: InitializerLike = "zeros",
        gamma_initializer: InitializerLike = "ones",
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
        self.axis = axis if isinstance(axis, int) else tuple(int(a) for a in axis)

    def build(self, input_shape: Shape) -> None:
        """Create gamma and beta, of the extents of `axis`."""
        given = (self.axis,) if isinstance(self.axis, int) else self.axis
        found = sorted(axis_of(self, axis, input_shape) for axis in given)
        if len({axis for axis, _ in found}) < len(found) or not found:
            raise ValueError(f"axis: got {self.axis!r}, expected different axes")
        self._axes = tuple(axis for axis, _ in found)
        self._extents = tuple(extent for _, extent in found)
        self.add_gamma_beta(self._extents)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the output."""
        moved = self._last(x)
        y, mean, invstd = functional.layer_norm(
            moved, self._extents, *self._gamma_beta(), self.epsilon, return_statistics=True
        )
        if training:
            self._save(moved, mean, invstd)
        return self._back(y)

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Add to the gradients of gamma and beta; return that of the input."""
        x, mean, invstd = self._saved()
        dx, dgamma, dbeta = gradients.layer_norm_backward(
            self._last(grad), x, self._extents, self._gamma_beta()[0], mean, invstd
        )
        self._accumulate(dgamma, dbeta)
        return self._back(dx) if need_input_grad else None

    def _last(self, x: Array) -> Array:
        return np.moveaxis(x, self._axes, range(-len(self._axes), 0))

    def _back(self, x: Array) -> Array:
        return np.moveaxis(x, range(-len(self._axes), 0), self._axes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        axis = self.axis if isinstance(self.axis, int) else list(self.axis)
        return {**super().get_config(), "axis": axis}


@register_layer
class GroupNormalization(Normalizing):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, over a group of channels.

    Mean and variance are over the channels of a group, and all axes but the batch; gamma and
    beta are a channel's.

    Parameters
    ----------
    groups : int
        A divisor of the channels. 1 normalizes over all of them; -1 each alone (instance
        normalization).
    axis : int
        Of the channels: -1, the default, for channels-last, 1 for channels-first.
    epsilon, center, scale, beta_initializer, gamma_initializer, **options
        See `BatchNormalization`; the regularizers and constraints too.

    Notes
    -----
    Source: Y. Wu, K. He, Group normalization, ECCV 2018, arXiv 1803.08494.

    Examples
    --------
    >>> GroupNormalization(2, epsilon=1e-12)([[1.0, 3.0, 5.0, 9.0]])
    array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: InitializerLike = "zeros",
        gamma_initializer: InitializerLike = "ones",
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
        self.groups = int(groups)
        self.axis = int(axis)
        if self.groups < 1 and self.groups != -1:
            raise ValueError(f"groups: got {groups!r}, expected a positive integer or -1")

    def build(self, input_shape: Shape) -> None:
        """Create gamma and beta, (channels,) each."""
        _, channels = axis_of(self, self.axis, input_shape)
        self._groups = channels if self.groups == -1 else self.groups
        if channels % self._groups:
            raise ValueError(
                f"groups: got {self.groups}, expected a divisor of {channels} channels"
            )
        self.add_gamma_beta((channels,))

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the output."""
        view = channels_second(x, self.axis)
        y, mean, invstd = functional.group_norm(
            view, self._groups, *self._gamma_beta(), self.epsilon, return_statistics=True
        )
        if training:
            self._save(view, mean, invstd)
        out: Array = np.moveaxis(y, 1, self.axis)
        return out

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Add to the gradients of gamma and beta; return that of the input."""
        x, mean, invstd = self._saved()
        dx, dgamma, dbeta = gradients.group_norm_backward(
            channels_second(grad, self.axis),
            x,
            self._groups,
            self._gamma_beta()[0],
            mean,
            invstd,
        )
        self._accumulate(dgamma, dbeta)
        out: Array = np.moveaxis(dx, 1, self.axis)
        return out if need_input_grad else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "groups": self.groups, "axis": self.axis}
