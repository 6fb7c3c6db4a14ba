"""The fully connected layer."""

from __future__ import annotations

import math
from typing import Any, Unpack

from fastconv import constraints, functional, regularizers
from fastconv import grad as gradients
from fastconv.layers import windows
from fastconv.layers.activation import Activated
from fastconv.layers.base import LayerOptions
from fastconv.layers.fusion import Product
from fastconv.layers.nonlinearity import Nonlinearity
from fastconv.layers.registry import register_layer
from fastconv.layers.types import Array, Shape
from fastconv.layers.weights import InitializerLike, WeightRule

__all__ = ["Dense"]


@register_layer
class Dense(Activated):
    """y = activation(x kernel + bias) over the last axis: (N, ..., in) to (N, ..., units).

    Parameters
    ----------
    units : int
        Outputs.
    activation : str, optional
        See `Activation` for the names. At inference most are applied by the kernel itself.
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or Initializer
        See `fastconv.initializers`.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        See `fastconv.regularizers`.
    kernel_constraint, bias_constraint : str or Constraint, optional
        See `fastconv.constraints`.
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
        activation: str | Nonlinearity | None = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        kernel_constraint: constraints.Identifier = None,
        bias_constraint: constraints.Identifier = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(activation, -1, **options)
        (self.units,) = windows.sizes(units, 1, "units")
        self.use_bias = bool(use_bias)
        self.kernel_rule = WeightRule.of(kernel_initializer, kernel_regularizer, kernel_constraint)
        self.bias_rule = WeightRule.of(bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Shape) -> None:
        """Create the kernel (in, units) and the bias (units,)."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"{self.name}: got an input of shape {input_shape}, expected (batch, ..., in) "
                "with a known last extent"
            )
        shape = (input_shape[-1], self.units)
        self.kernel_rule.add(self, "kernel", shape, (1, 0))
        if self.use_bias:
            self.bias_rule.add(self, "bias", (self.units,))

    def apply(self, x: Array, training: bool, activation: Nonlinearity) -> Array:
        """Multiply, add the bias and apply the activation, inside the kernel if it can."""
        epilogue = activation.epilogue_of(training)
        z = functional.linear(
            _rows(x),
            self.weight("kernel").array,
            self.weight("bias").array if self.use_bias else None,
            activation=epilogue,
        ).reshape(*x.shape[:-1], self.units)
        y, kept = activation.finish(z, self.axis, epilogue is not None)
        if training:
            self._save(x, kept, activation)
        return y

    def backward(self, grad: Array, need_input_grad: bool = True) -> Array | None:
        """Add to the gradients of kernel and bias; return that of the input."""
        x, kept, activation = self._saved()
        dy = _rows(activation.backward(grad, kept, self.axis))
        kernel = self.weight("kernel")
        if self.trainable:
            kernel.accumulate(gradients.linear_weight(_rows(x), dy))
            if self.use_bias:
                self.weight("bias").accumulate(gradients.linear_bias(dy))
        if not need_input_grad:
            return None
        return gradients.linear_input(dy, kernel.array).reshape(x.shape)

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
            **self.kernel_rule.config("kernel"),
            **self.bias_rule.config("bias"),
        }


def _rows(x: Array) -> Array:
    """View an array as a matrix with its last axis; also an empty one."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
