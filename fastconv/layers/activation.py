"""Layers that apply a nonlinearity, alone or at the end of something else."""

from __future__ import annotations

from typing import Any, Unpack

from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.fusion import Pointwise
from fastconv.layers.nonlinearity import LINEAR, Nonlinearity, get
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array

__all__ = ["Activated", "Activation", "ReLU", "Softmax"]


class Activated(Layer):
    """A layer that ends with an activation; a subclass defines `apply` and `backward`."""

    def __init__(
        self, activation: str | Nonlinearity | None, axis: int, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        self.activation = get(activation)
        self.axis = axis

    def apply(self, x: Array, training: bool, activation: Nonlinearity) -> Array:
        """Do `forward` with this activation at the end."""
        raise NotImplementedError(f"{type(self).__name__} does not define apply")

    def forward(self, x: Array, training: bool = False) -> Array:
        """Return the output."""
        return self.apply(x, training, self.activation)

    def forward_logits(self, x: Array, training: bool = False) -> Array:
        """Return the output before a softmax at the end."""
        softmax = self.activation.name == "softmax"
        return self.apply(x, training, LINEAR if softmax else self.activation)

    def softmax_axis(self, ndim: int) -> int | None:
        """Return the axis of a softmax at the end."""
        return self.axis % ndim if self.activation.name == "softmax" else None


class _Elementwise(Activated):
    """An activation of its own: nothing before it."""

    def apply(self, x: Array, training: bool, activation: Nonlinearity) -> Array:
        y = activation.forward(x, self.axis)
        if training:
            self._save(y, activation)
        return y

    def inference_form(self) -> Pointwise | None:
        """Return the function, for a convolution to apply; not one along an axis."""
        return Pointwise(self.activation) if self.activation.epilogue is not None else None

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient of the input."""
        y, activation = self._saved()
        dx: Array = activation.backward(grad, y, self.axis)
        return dx


@register_layer
class Activation(_Elementwise):
    """Apply a named function: ``"relu"``, ``"softmax"`` (over the last axis) or ``"linear"``.

    x (N, ...) to y of the same shape.

    Examples
    --------
    >>> Activation("relu")([[-1.0, 2.0]])
    array([[0., 2.]], dtype=float32)
    """

    def __init__(self, activation: str | None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(activation, -1, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "activation": self.activation.name}


@register_layer
class ReLU(_Elementwise):
    """y = max(x, 0), elementwise; where y is 0, so is the gradient.

    Examples
    --------
    >>> ReLU()([[-1.0, 2.0]])
    array([[0., 2.]], dtype=float32)
    """

    def __init__(self, **options: Unpack[LayerOptions]) -> None:
        super().__init__("relu", -1, **options)


@register_layer
class Softmax(_Elementwise):
    """y = exp(x) / sum(exp(x)) along `axis`; computed with the maximum subtracted.

    As the last layer under a cross-entropy loss, its gradient is taken together with that of
    the loss, from the layer's input, which is exact where probabilities would round to 0.

    Examples
    --------
    >>> Softmax()([[0.0, 0.0]])
    array([[0.5, 0.5]], dtype=float32)
    """

    def __init__(self, axis: int = -1, **options: Unpack[LayerOptions]) -> None:
        super().__init__("softmax", int(axis), **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "axis": self.axis}
