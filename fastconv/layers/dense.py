"""The fully connected layer."""

from __future__ import annotations

import math
from typing import Any, Unpack

from fastconv import functional, initializers
from fastconv import grad as gradients
from fastconv.layers import windows
from fastconv.layers.activation import Activated
from fastconv.layers.base import LayerOptions
from fastconv.layers.fusion import Product
from fastconv.layers.nonlinearity import Nonlinearity
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape

__all__ = ["Dense"]


@register_layer
class Dense(Activated):
    """y = activation(x kernel + bias) over the last axis: (N, ..., in) to (N, ..., units).

    Parameters
    ----------
    units : int
        Outputs.
    activation : str, optional
        ``"relu"`` is applied by the kernel itself.
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or Initializer
        See `fastconv.initializers`.
    **options
        See `Layer`.

    Notes
    -----
    `get_weights` speaks of the kernel as Keras does, (in, units); it is stored (units, in).

    Examples
    --------
    >>> layer = Dense(10)
    >>> layer([[1.0] * 10]).shape, layer.count_params()
    ((1, 10), 110)
    """

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(activation, -1, **options)
        (self.units,) = windows.sizes(units, 1, "units")
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        """Create the kernel (in, units) and the bias (units,)."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"{self.name}: got an input of shape {input_shape}, expected (batch, ..., in) "
                "with a known last extent"
            )
        shape = (input_shape[-1], self.units)
        self.add_weight("kernel", shape, self.kernel_initializer, storage=(1, 0))
        if self.use_bias:
            self.add_weight("bias", (self.units,), self.bias_initializer)

    def apply(self, x: Array, training: bool, activation: Nonlinearity) -> Array:
        """Multiply, add the bias and apply the activation, inside the kernel if it can."""
        y = functional.linear(
            x.reshape(-1, x.shape[-1]),
            self.weight("kernel").value,
            self.weight("bias").value if self.use_bias else None,
            activation=activation.epilogue,
        ).reshape(*x.shape[:-1], self.units)
        if activation.epilogue is None:
            y = activation.forward(y, self.axis)
        if training:
            self._save(x, y if activation.name != "linear" else None, activation)
        return y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Add to the gradients of kernel and bias; return that of the input."""
        x, y, activation = self._saved()
        dy = activation.backward(grad, y, self.axis).reshape(-1, self.units)
        kernel = self.weight("kernel")
        if self.trainable:
            kernel.accumulate(gradients.linear_weight(x.reshape(-1, x.shape[-1]), dy))
            if self.use_bias:
                self.weight("bias").accumulate(gradients.linear_bias(dy))
        if not need_input_grad:
            return None
        return gradients.linear_input(dy, kernel.value).reshape(x.shape)

    def inference_form(self) -> Product:
        """Return the product, for a batch norm or an activation to join."""
        bias = self.weight("bias").array if self.use_bias else None
        return Product(self.weight("kernel").array, bias, self.activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape with `units` at the end."""
        return (*input_shape[:-1], self.units)

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return in * units, times the extents between batch and in."""
        return math.prod(extent or 0 for extent in input_shape[1:]) * self.units

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": self.activation.name,
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }
