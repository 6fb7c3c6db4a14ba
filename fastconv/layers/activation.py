"""Layers that apply a nonlinearity, alone or at the end of something else."""

from __future__ import annotations

from typing import Any, Unpack

from fastconv.layers.base import Layer, LayerOptions
from fastconv.layers.fusion import Pointwise
from fastconv.layers.nonlinearity import (
    LINEAR,
    Nonlinearity,
    elu,
    get,
    leaky_relu,
    rectifier,
    softmax,
)
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array

__all__ = ["ELU", "Activated", "Activation", "LeakyReLU", "ReLU", "Softmax"]


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
        ends = self.activation.name == "softmax"
        return self.apply(x, training, LINEAR if ends else self.activation)

    def softmax_axis(self, ndim: int) -> int | None:
        """Return the axis of a softmax at the end."""
        return self.axis % ndim if self.activation.name == "softmax" else None


class _Elementwise(Activated):
    """An activation of its own: nothing before it."""

    def apply(self, x: Array, training: bool, activation: Nonlinearity) -> Array:
        y, kept = activation.finish(x, self.axis, applied=False)
        if training:
            self._save(kept, activation)
        return y

    def inference_form(self) -> Pointwise | None:
        """Return the function, for a convolution to apply; not one along an axis."""
        return Pointwise(self.activation) if self.activation.epilogue is not None else None

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Return the gradient of the input."""
        kept, activation = self._saved()
        if not need_input_grad:
            return None
        dx: Array = activation.backward(grad, kept, self.axis)
        return dx


@register_layer
class Activation(_Elementwise):
    """Apply a named function, of the last axis where it has one.

    x (N, ...) to y of the same shape. The names are Keras': celu, elu, exponential, gelu,
    hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, log_sigmoid, log_softmax, mish,
    relu, relu6, selu, sigmoid, silu, softmax, softplus, softsign, tanh.

    Examples
    --------
    >>> Activation("relu")([[-1.0, 2.0]])
    array([[0., 2.]], dtype=float32)
    """

    def __init__(
        self, activation: str | Nonlinearity | None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(activation, -1, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "activation": self.activation.name}


@register_layer
class ReLU(_Elementwise):
    """y = max(x, 0), elementwise; where y is 0, so is the gradient.

    Parameters
    ----------
    max_value : float, optional
        What y is for larger x.
    negative_slope : float
        Below the threshold y = negative_slope * (x - threshold).
    threshold : float
        From where on y = x.
    **options
        See `Layer`.

    Examples
    --------
    >>> ReLU()([[-1.0, 2.0]]), ReLU(6.0)([[7.0]])
    (array([[0., 2.]], dtype=float32), array([[6.]], dtype=float32))
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(rectifier(max_value, negative_slope, threshold), -1, **options)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


@register_layer
class LeakyReLU(_Elementwise):
    """y = x for x > 0, negative_slope * x else, elementwise.

    Source: A. L. Maas et al., Rectifier nonlinearities improve neural network acoustic models,
    ICML 2013.

    Examples
    --------
    >>> LeakyReLU(0.5)([[-1.0, 2.0]])
    array([[-0.5,  2. ]], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.3, **options: Unpack[LayerOptions]) -> None:
        super().__init__(leaky_relu(negative_slope), -1, **options)
        self.negative_slope = float(negative_slope)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "negative_slope": self.negative_slope}


@register_layer
class ELU(_Elementwise):
    """y = x for x > 0, alpha * (exp(x) - 1) else, elementwise.

    Source: D.-A. Clevert et al., Fast and accurate deep network learning by exponential linear
    units, ICLR 2016, arXiv 1511.07289.

    Examples
    --------
    >>> ELU()([[-100.0, 2.0]])
    array([[-1.,  2.]], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, **options: Unpack[LayerOptions]) -> None:
        super().__init__(elu(alpha), -1, **options)
        self.alpha = float(alpha)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "alpha": self.alpha}


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
        super().__init__(softmax(int(axis)), int(axis), **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "axis": self.axis}
